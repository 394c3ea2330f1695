//! A working tree whose saved files become commits on the platform's default branch.

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use dayfly_git as git;
use dayfly_git::{Commit, Repository};
use dayfly_model::snapshot::{FileContent, FileEntry, Snapshot};
use jiff::Timestamp;
use notify::{RecommendedWatcher, RecursiveMode};

use crate::blocking::Blocking;
use crate::error::Error;
use crate::run::{Event, Events, watch, watcher};

/// What is saved in a working tree: what changed on disk since it was read last, and nothing else, so that commits of others
/// (a retirement) are not undone.
pub(crate) struct Saves {
    tree: Blocking<SavedTree>,
    /// Why the last save was refused: many files that come at once are refused many times, for one reason.
    refused: Option<String>,
}

struct SavedTree {
    root: PathBuf,
    bare: PathBuf,
    seen: Snapshot,
    watcher: RecommendedWatcher,
    /// The platform's folders that are watched, each with the number that tells it from a later one of that name.
    watched: BTreeMap<PathBuf, u64>,
}

impl Saves {
    /// Watches the platform's folders below `root`; what is saved there becomes commits of the repository `bare`.
    pub fn of(root: &Path, bare: PathBuf, events: Events) -> Result<Self, Error> {
        let root = fs::canonicalize(root).map_err(Error::file(root))?;
        let folders = git::FOLDERS.map(|name| root.join(name));
        let counts = move |path: &Path| folders.iter().any(|folder| path.starts_with(folder));
        let mut watcher = watcher(events, counts, || Event::Saved)?;
        // The folder itself, for the day when one of the platform's appears.
        watch(&mut watcher, &root, RecursiveMode::NonRecursive)?;
        let seen = git::working_tree(&root)?;
        let mut tree = SavedTree { root, bare, seen, watcher, watched: BTreeMap::new() };
        tree.watch()?;
        Ok(Self { tree: Blocking::new(tree), refused: None })
    }

    /// Commits what was saved; the moved branch then is an event of its own. Returns why it was refused, each reason once.
    pub async fn commit(&mut self, now: Timestamp) -> Option<Error> {
        let failed = self.tree.with(move |tree| tree.commit(now)).await.err();
        let reason = failed.as_ref().map(ToString::to_string);
        let is_new = reason != self.refused;
        self.refused = reason;
        failed.filter(|_| is_new)
    }
}

impl SavedTree {
    /// Watches the platform's folders that are there now.
    fn watch(&mut self) -> Result<(), Error> {
        let folders = git::FOLDERS.iter().map(|name| self.root.join(name));
        let here =
            folders.filter_map(|path| fs::metadata(&path).ok().filter(Metadata::is_dir).map(|it| (path, it.ino())));
        let here: BTreeMap<_, _> = here.collect();
        for (path, _) in here.iter().filter(|(path, number)| self.watched.get(*path) != Some(number)) {
            watch(&mut self.watcher, path, RecursiveMode::Recursive)?;
        }
        self.watched = here;
        Ok(())
    }

    fn commit(&mut self, now: Timestamp) -> Result<(), Error> {
        self.watch()?;
        let current = git::working_tree(&self.root)?;
        let edits: Result<Vec<_>, Error> =
            self.seen.changed_paths(&current).into_iter().map(|path| edit(path, current.get(path))).collect();
        let edits = edits?;
        if edits.is_empty() {
            return Ok(());
        }
        let paths: Vec<_> = edits.iter().map(|(path, _)| path.as_str()).collect();
        let message = match paths.as_slice() {
            [path] => format!("save: {path}\n"),
            paths => format!("save: {} files\n\n{}\n", paths.len(), paths.join("\n")),
        };
        let repository = Repository::open(&self.bare)?;
        let commit = Commit { edits, message, time: now };
        let branch = repository.tip()?.branch;
        // A default branch that is gone meanwhile is not begun anew with the saved files alone.
        let gone = || git::Error::NoRevision { path: self.bare.clone(), name: branch.clone(), meant: Vec::new() };
        git::update_branch(&repository, &branch, |tip| tip.map(|_| commit.clone()).ok_or_else(gone))?;
        self.seen = current;
        Ok(())
    }
}

/// What a changed path becomes in the commit. What is there and cannot be read is not gone: nothing is saved then.
fn edit(path: &str, entry: Option<&FileEntry>) -> Result<(String, Option<Vec<u8>>), Error> {
    let refused = |fact: &str, help: &str| Err(Error::refused(format!("{path}: {fact}; nothing is saved"), help));
    match entry.map(|entry| &entry.content) {
        None => Ok((path.to_owned(), None)),
        Some(FileContent::Bytes(bytes)) => Ok((path.to_owned(), Some(bytes.to_vec()))),
        Some(FileContent::Symlink) => {
            refused("is a symbolic link, and links are not followed", "put the files themselves there")
        }
        Some(FileContent::Submodule) => {
            refused("is a git repository of its own, and such are not entered", "remove the .git in it")
        }
        Some(FileContent::TooLarge(_)) => {
            refused("is larger than a platform's files may be (1 MiB)", "keep large data outside the repository")
        }
    }
}
