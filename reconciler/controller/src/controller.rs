//! The controller: one loop over a closed set of events, each of which leads to the same pass.

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use dayfly_git as git;
use dayfly_git::{Commit, Repository, Writer};
use dayfly_model::snapshot::{FileContent, FileEntry, Snapshot};
use jiff::Timestamp;
use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::mpsc;

use crate::error::{Error, ErrorReason};
use crate::reconcile::{Pass, Reconciler};

/// What makes the controller look again.
enum Event {
    /// A branch of the repository moved.
    Repository,
    /// A file of the working tree was saved.
    Saved,
    /// Something of ours changed in a cluster.
    Cluster,
    /// A moment came: an expiry, or the next try after a failure.
    Due,
    /// It is time to stop.
    Stop,
}

/// Events that come close together are one: a push writes several files.
const QUIET: Duration = Duration::from_millis(40);
/// The first wait after a failure; doubles up to [`LONGEST_WAIT`].
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// Even where nothing is due, the clock is looked at this often.
const LONGEST_SLEEP: Duration = Duration::from_secs(3600);

/// Passes until it is told to stop. `saves` names a working tree whose saved files become commits. Every pass's outcome
/// is told; a failure is tried again, with growing waits.
pub async fn run(
    mut reconciler: Reconciler,
    saves: Option<PathBuf>,
    clock: Option<Timestamp>,
    mut tell: impl FnMut(Result<&Pass, &Error>),
) -> Result<(), Error> {
    let (sender, mut events) = mpsc::unbounded_channel();
    let mut repository = watcher(sender.clone(), is_reference, || Event::Repository)?;
    watch(&mut repository, reconciler.repository().git_dir(), RecursiveMode::Recursive)?;
    let mut saved = saves.map(|root| Saved::new(root, reconciler.repository(), sender.clone())).transpose()?;
    tokio::spawn(async move {
        let _ = stop_signal().await;
        let _ = sender.send(Event::Stop);
    });
    // A pinned clock stands still, for tests; else every pass asks anew.
    let now = || clock.unwrap_or_else(Timestamp::now);
    let mut wait = FIRST_WAIT;
    let mut refused = None;
    loop {
        let outcome = reconciler.watch_pass(now()).await;
        tell(outcome.as_ref());
        let sleep = match &outcome {
            Ok(pass) if !pass.is_unfinished() => {
                wait = FIRST_WAIT;
                pass.next_due.map_or(LONGEST_SLEEP, |due| until(due, now()))
            }
            failed => {
                // Who was only too late tries again soon; a lock that nobody takes away is waited for longer and longer.
                let is_late = matches!(failed, Err(error) if error.reason() == ErrorReason::Conflict);
                let this = if is_late { wait / 20 } else { wait };
                wait = (wait * 2).min(LONGEST_WAIT);
                this
            }
        };
        match next(&mut events, &mut reconciler, sleep).await {
            Event::Stop => return Ok(()),
            // The pass comes all the same: what else happened meanwhile may have come with it.
            Event::Saved => {
                let failed = saved.as_mut().and_then(|saved| saved.commit(now()).err());
                // Many files that come at once are refused many times, for one reason.
                let reason = failed.as_ref().map(ToString::to_string);
                if let Some(error) = failed.filter(|_| reason != refused) {
                    tell(Err(&error));
                }
                refused = reason;
            }
            Event::Repository | Event::Cluster | Event::Due => {}
        }
    }
}

async fn next(events: &mut mpsc::UnboundedReceiver<Event>, reconciler: &mut Reconciler, sleep: Duration) -> Event {
    let event = tokio::select! {
        event = events.recv() => event.unwrap_or(Event::Stop),
        () = reconciler.cluster_changed() => Event::Cluster,
        () = tokio::time::sleep(sleep) => return Event::Due,
    };
    if !matches!(event, Event::Stop) {
        tokio::time::sleep(QUIET).await;
        while let Ok(more) = events.try_recv() {
            match more {
                Event::Stop => return Event::Stop,
                Event::Saved => return Event::Saved,
                _ => {}
            }
        }
    }
    event
}

fn until(due: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(due.duration_since(now)).unwrap_or_default().min(LONGEST_SLEEP)
}

/// Sends an event for each change that counts, of what it will watch. Reading a file raises events too: they do not count.
fn watcher(
    sender: mpsc::UnboundedSender<Event>,
    counts: impl Fn(&Path) -> bool + Send + 'static,
    event: impl Fn() -> Event + Send + 'static,
) -> Result<RecommendedWatcher, Error> {
    notify::recommended_watcher(move |seen: notify::Result<notify::Event>| {
        if seen.is_ok_and(|seen| !seen.kind.is_access() && seen.paths.iter().any(|path| counts(path))) {
            let _ = sender.send(event());
        }
    })
    .map_err(unwatched)
}

fn watch(watcher: &mut RecommendedWatcher, folder: &Path, mode: RecursiveMode) -> Result<(), Error> {
    watcher.watch(folder, mode).map_err(unwatched)
}

fn unwatched(error: notify::Error) -> Error {
    Error::usage(format!("files cannot be watched: {error}"), "raise fs.inotify.max_user_watches")
}

/// Whether a path of the git directory says where a branch is. The ledger and lock files come along with others.
fn is_reference(path: &Path) -> bool {
    let is_lock = path.extension().is_some_and(|extension| extension == "lock");
    !is_lock && (path.ends_with("packed-refs") || path.components().any(|part| part.as_os_str() == "refs"))
}

async fn stop_signal() -> std::io::Result<()> {
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        outcome = tokio::signal::ctrl_c() => outcome,
        _ = terminate.recv() => Ok(()),
    }
}

/// A working tree whose saved files become commits on the platform's default branch: what changed on disk since the last
/// look, and nothing else, so that commits of others (a retirement) are not undone.
struct Saved {
    root: PathBuf,
    bare: PathBuf,
    seen: Snapshot,
    watcher: RecommendedWatcher,
    /// The platform's folders that are watched, each with the number that tells it from a later one of that name.
    watched: BTreeMap<PathBuf, u64>,
}

impl Saved {
    fn new(root: PathBuf, repository: &Repository, sender: mpsc::UnboundedSender<Event>) -> Result<Self, Error> {
        let root = fs::canonicalize(&root).map_err(Error::file(&root))?;
        let folders = git::FOLDERS.map(|name| root.join(name));
        let counts = move |path: &Path| folders.iter().any(|folder| path.starts_with(folder));
        let mut watcher = watcher(sender, counts, || Event::Saved)?;
        // The folder itself, for the day when one of the platform's appears.
        watch(&mut watcher, &root, RecursiveMode::NonRecursive)?;
        let (seen, bare) = (git::working_tree(&root)?, repository.path().to_owned());
        let mut saved = Self { root, bare, seen, watcher, watched: BTreeMap::new() };
        saved.watch()?;
        Ok(saved)
    }

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

    /// Commits what was saved; the moved branch then is an event of its own.
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
        // Somebody else's commit may come first; the next try is made on top of it.
        let mut tries = 3;
        loop {
            let tip = Repository::open(&self.bare)?.tip()?;
            let commit = Commit {
                branch: &tip.branch,
                parent: Some(tip.revision),
                is_new_branch: false,
                edits: &edits,
                message: &message,
                time: now,
            };
            match Writer::open(&self.bare)?.commit(&commit) {
                Err(git::Error::Moved { .. }) if tries > 1 => tries -= 1,
                done => {
                    done?;
                    break;
                }
            }
        }
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
