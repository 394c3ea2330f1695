//! The controller: one loop over a closed set of events, each of which leads to the same pass.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::mpsc;

use crate::error::{Error, ErrorReason};
use crate::pass::Pass;
use crate::reconciler::Reconciler;
use crate::saves::Saves;

/// What makes the controller run a pass.
pub(crate) enum Event {
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

/// Where watchers report events.
pub(crate) type Events = mpsc::UnboundedSender<Event>;

/// Events that come close together are one: a push writes several files.
const QUIET: Duration = Duration::from_millis(40);
/// The first wait after a failure; doubles up to [`LONGEST_WAIT`].
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// Even where nothing is due, the clock is read this often.
const LONGEST_SLEEP: Duration = Duration::from_secs(3600);

/// Runs passes until it is told to stop. `saves` names a working tree whose saved files become commits. `observer` is given
/// the outcome of every pass; a failure is tried again, with growing waits.
pub async fn run(
    mut reconciler: Reconciler,
    saves: Option<PathBuf>,
    clock: Option<Timestamp>,
    mut observer: impl FnMut(Result<&Pass, &Error>),
) -> Result<(), Error> {
    let (sender, mut events) = mpsc::unbounded_channel();
    let mut repository = watcher(sender.clone(), is_reference, || Event::Repository)?;
    watch(&mut repository, reconciler.git_dir(), RecursiveMode::Recursive)?;
    let bare = reconciler.repository_path().to_owned();
    let mut saves = saves.map(|root| Saves::of(&root, bare, sender.clone())).transpose()?;
    tokio::spawn(async move {
        let _ = stop_signal().await;
        let _ = sender.send(Event::Stop);
    });
    // A pinned clock stands still, for tests; else every pass asks anew.
    let now = || clock.unwrap_or_else(Timestamp::now);
    let mut wait = FIRST_WAIT;
    loop {
        let outcome = reconciler.watch_pass(now()).await;
        observer(outcome.as_ref().map(|pass| &**pass));
        let sleep = sleep_after(&outcome, now(), &mut wait);
        match next(&mut events, &mut reconciler, sleep).await {
            Event::Stop => return Ok(()),
            // The pass comes all the same: what else happened meanwhile may have come with it.
            Event::Saved => {
                let refused = match saves.as_mut() {
                    Some(saves) => saves.commit(now()).await,
                    None => None,
                };
                refused.iter().for_each(|error| observer(Err(error)));
            }
            Event::Repository | Event::Cluster | Event::Due => {}
        }
    }
}

/// How long nothing has to be done after a pass, unless something happens.
fn sleep_after(outcome: &Result<Arc<Pass>, Error>, now: Timestamp, wait: &mut Duration) -> Duration {
    match outcome {
        Ok(pass) if !pass.is_unfinished() => {
            *wait = FIRST_WAIT;
            pass.next_due.map_or(LONGEST_SLEEP, |due| until(due, now))
        }
        failed => {
            // A lost race is retried soon; failures that repeat are waited for longer and longer.
            let is_late = matches!(failed, Err(error) if error.reason() == ErrorReason::Conflict);
            let this = if is_late { *wait / 20 } else { *wait };
            *wait = (*wait * 2).min(LONGEST_WAIT);
            this
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
pub(crate) fn watcher(
    events: Events,
    counts: impl Fn(&Path) -> bool + Send + 'static,
    event: impl Fn() -> Event + Send + 'static,
) -> Result<RecommendedWatcher, Error> {
    notify::recommended_watcher(move |seen: notify::Result<notify::Event>| {
        if seen.is_ok_and(|seen| !seen.kind.is_access() && seen.paths.iter().any(|path| counts(path))) {
            let _ = events.send(event());
        }
    })
    .map_err(unwatched)
}

pub(crate) fn watch(watcher: &mut RecommendedWatcher, folder: &Path, mode: RecursiveMode) -> Result<(), Error> {
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
