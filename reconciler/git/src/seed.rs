//! The first push: a platform's repository of its own, seeded once from a folder.

use std::fs;
use std::path::Path;

use dayfly_model::digest::Revision;
use dayfly_model::snapshot::{FileContent, Snapshot};
use jiff::Timestamp;

use crate::{Base, Commit, Error, Repository, Writer, working_tree};

/// The branch of a repository that Dayfly makes.
pub const MAIN: &str = "refs/heads/main";

/// How a repository came to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seeded {
    /// It stood already and was left alone.
    Stood,
    /// HEAD was pushed with its history.
    History,
    /// One commit was made of the files, since there was no whole history to push.
    OneCommit,
}

/// Makes the bare repository `bare` from the platform in `source`, unless it stands already. One that is damaged is not
/// absent.
pub fn seed(source: &Path, bare: &Path, now: Timestamp) -> Result<Seeded, Error> {
    match Repository::open(bare).and_then(|repository| repository.tip()) {
        Ok(_) => return Ok(Seeded::Stood),
        Err(Error::NotFound(_)) => {}
        Err(Error::Unborn { others, .. }) if others.is_empty() => {}
        Err(damaged) => return Err(damaged),
    }
    let git = make(bare, true)?;
    if has_whole_history(source)? {
        push(source, &git).map(|()| Seeded::History)
    } else {
        one_commit(working_tree(source)?, bare, now).map(|_| Seeded::OneCommit)
    }
}

/// Makes an empty repository in a folder, with a working tree.
pub fn init(directory: &Path) -> Result<(), Error> {
    make(directory, false).map(drop)
}

/// An empty repository whose branch is [`MAIN`], without the hooks and files of git's templates.
fn make(directory: &Path, is_bare: bool) -> Result<git2::Repository, Error> {
    let mut options = git2::RepositoryInitOptions::new();
    options.bare(is_bare).external_template(false).initial_head(MAIN);
    git2::Repository::init_opts(directory, &options).map_err(|e| Error::broken(directory, e))
}

fn has_whole_history(source: &Path) -> Result<bool, Error> {
    let Ok(repository) = Repository::open(source) else { return Ok(false) };
    Ok(repository.tip().is_ok() && !repository.is_shallow()?)
}

/// Pushes HEAD with its history. Objects go as they are; only grafts would let libgit2 see other parents.
fn push(source: &Path, bare: &git2::Repository) -> Result<(), Error> {
    let grafts = Repository::open(source)?.git_dir().join("info/grafts");
    if fs::metadata(&grafts).is_ok_and(|file| file.len() > 0) {
        return Err(Error::Grafts(grafts));
    }
    let broken = |error: git2::Error| Error::broken(source, error);
    let from = git2::Repository::open(source).map_err(broken)?;
    let mut remote = from.remote_anonymous(&bare.path().to_string_lossy()).map_err(broken)?;
    remote.push(&[format!("HEAD:{MAIN}")], None).map_err(broken)
}

fn one_commit(files: Snapshot, bare: &Path, now: Timestamp) -> Result<Revision, Error> {
    let edits: Vec<_> = files
        .files()
        .filter_map(|(path, entry)| match &entry.content {
            FileContent::Bytes(bytes) => Some((path.to_owned(), Some(bytes.to_vec()))),
            _ => None,
        })
        .collect();
    let message = "platform: start\n\nThe files as they stood, since no whole history came with them.\n";
    Writer::open(bare)?.commit(MAIN, Base::Orphan, &Commit { edits, message: message.into(), time: now })
}
