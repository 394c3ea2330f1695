//! Every call that leaves the process, counted and numbered: to clusters, to git and to a forge.
#![deny(missing_docs)]

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A call that did not happen, or whose answer nobody saw, since the process was to stop there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("stopped before it was done")]
pub struct Stopped;

/// What a call does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// Reads one object.
    Get,
    /// Reads a page of objects.
    List,
    /// Opens a stream of changes.
    Watch,
    /// Creates by POST.
    Create,
    /// Replaces by PUT.
    Update,
    /// Server-side apply.
    Apply,
    /// Deletes.
    Delete,
    /// Commits to git and moves a branch.
    Commit,
}

impl Verb {
    /// The verb as RBAC calls it.
    pub fn rbac(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::List => "list",
            Self::Watch => "watch",
            Self::Create => "create",
            Self::Update => "update",
            Self::Apply => "patch",
            Self::Delete => "delete",
            Self::Commit => "commit",
        }
    }
}

/// A call as the fault callback sees it.
#[derive(Debug, Clone)]
pub struct Call<'a> {
    /// Its number, from 1, over everything that shares the counter.
    pub number: u64,
    /// The cluster, or `git`.
    pub to: &'a str,
    /// What it does.
    pub verb: Verb,
    /// The path of the URL, or the branch.
    pub path: &'a str,
    /// Whether it changes something.
    pub writes: bool,
}

/// When the fault callback is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallPhase {
    /// Before the request is sent.
    Before,
    /// After the answer arrived, before anybody sees it.
    After,
}

/// Asked before and after every call; an error makes the call fail as if the process had been stopped there.
pub type Fault = Arc<dyn Fn(&Call<'_>, CallPhase) -> Result<(), Stopped> + Send + Sync>;

/// Counts and numbers the calls of everything that shares it.
#[derive(Clone, Default)]
pub struct Calls(Arc<Counters>);

#[derive(Default)]
struct Counters {
    /// The number of the last call: no two have the same, however many begin at once.
    last: AtomicU64,
    reads: AtomicU64,
    writes: AtomicU64,
    fault: Option<Fault>,
}

impl Calls {
    /// With a callback around every call, for tests of crashes.
    pub fn with_fault(fault: Fault) -> Self {
        Self(Arc::new(Counters { fault: Some(fault), ..Counters::default() }))
    }

    /// Calls that changed nothing, dry runs and watches among them.
    pub fn reads(&self) -> u64 {
        self.0.reads.load(Ordering::Relaxed)
    }

    /// Calls that could change something.
    pub fn writes(&self) -> u64 {
        self.0.writes.load(Ordering::Relaxed)
    }

    /// Counts a call that begins, and gives it its number.
    pub fn count(&self, writes: bool) -> u64 {
        let counter = if writes { &self.0.writes } else { &self.0.reads };
        counter.fetch_add(1, Ordering::Relaxed);
        self.0.last.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Asks whether a call may go on, before and after it.
    ///
    /// # Errors
    /// [`Stopped`] where the process is to stop there.
    pub fn ask(&self, call: &Call<'_>, moment: CallPhase) -> Result<(), Stopped> {
        self.0.fault.as_ref().map_or(Ok(()), |fault| fault(call, moment))
    }

    /// Moves a branch, as a call like any other.
    ///
    /// # Errors
    /// What `work` fails with; [`Stopped`] where the process is to stop there.
    pub fn commit<T, E: From<Stopped>>(&self, branch: &str, work: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        let number = self.count(true);
        let call = Call { number, to: "git", verb: Verb::Commit, path: branch, writes: true };
        tracing::debug!(number, branch, "commit");
        self.ask(&call, CallPhase::Before)?;
        let outcome = work();
        self.ask(&call, CallPhase::After)?;
        outcome
    }
}

impl fmt::Debug for Calls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Calls({} reads, {} writes)", self.reads(), self.writes())
    }
}
