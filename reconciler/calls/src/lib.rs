//! Every call that leaves the process, counted and numbered: to clusters, to git and to a forge. Tests make them fail.
#![deny(missing_docs)]

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A call that did not happen, or whose answer nobody saw, since the process is made to stop there.
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
    /// Its number, from 1, among all calls of everything that shares the counters.
    pub number: u64,
    /// The cluster, or `git`.
    pub to: &'a str,
    /// What it does.
    pub verb: Verb,
    /// The path of the URL, or the branch.
    pub path: &'a str,
    /// Whether it may change something.
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

/// Asked before and after every call. An error makes the call fail as if the process had been stopped there.
pub type FaultCallback = Arc<dyn Fn(&Call<'_>, CallPhase) -> Result<(), Stopped> + Send + Sync>;

/// Counts and numbers the calls of everything that shares it.
#[derive(Clone, Default)]
pub struct Calls(Arc<CallCounters>);

#[derive(Default)]
struct CallCounters {
    /// The number of the last call: no two have the same, however many begin at once.
    last: AtomicU64,
    reads: AtomicU64,
    writes: AtomicU64,
    fault: Option<FaultCallback>,
}

impl Calls {
    /// With a callback that is asked around every call, for tests of crashes.
    pub fn with_fault(fault: FaultCallback) -> Self {
        Self(Arc::new(CallCounters { fault: Some(fault), ..CallCounters::default() }))
    }

    /// How many calls could change nothing, dry runs and watches among them.
    pub fn reads(&self) -> u64 {
        self.0.reads.load(Ordering::Relaxed)
    }

    /// How many calls could change something.
    pub fn writes(&self) -> u64 {
        self.0.writes.load(Ordering::Relaxed)
    }

    /// Counts a call that begins, and gives it its number.
    pub fn count(&self, writes: bool) -> u64 {
        let counter = if writes { &self.0.writes } else { &self.0.reads };
        counter.fetch_add(1, Ordering::Relaxed);
        self.0.last.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Asks the callback whether a call may go on.
    ///
    /// # Errors
    /// [`Stopped`] where the process is made to stop there.
    pub fn ask(&self, call: &Call<'_>, phase: CallPhase) -> Result<(), Stopped> {
        self.0.fault.as_ref().map_or(Ok(()), |fault| fault(call, phase))
    }

    /// Moves a branch, as a call like any other.
    ///
    /// # Errors
    /// What `work` fails with; [`Stopped`] where the process is made to stop there.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes_are_counted_apart_and_numbered_together() {
        let calls = Calls::default();
        let numbers = [false, true, true].map(|writes| calls.clone().count(writes));
        assert_eq!((numbers, calls.reads(), calls.writes()), ([1, 2, 3], 1, 2));
    }

    #[test]
    fn a_call_that_is_stopped_afterwards_has_happened_and_its_answer_is_lost() {
        for (stop_at, happens) in [(CallPhase::Before, false), (CallPhase::After, true)] {
            let stop = move |_: &Call<'_>, phase| if phase == stop_at { Err(Stopped) } else { Ok(()) };
            let mut has_happened = false;
            let answer = Calls::with_fault(Arc::new(stop)).commit("refs/heads/main", || {
                has_happened = true;
                Ok::<_, Stopped>(())
            });
            assert_eq!((answer, has_happened), (Err(Stopped), happens));
        }
    }
}
