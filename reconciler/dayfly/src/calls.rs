//! Every call that leaves the process, counted and numbered: to clusters and to git.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::cluster::Fact;
use crate::error::Error;
use crate::git;

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
pub enum Moment {
    /// Before the request is sent.
    Before,
    /// After the answer arrived, before anybody sees it.
    After,
}

/// Asked before and after every call; an error makes the call fail as if the process had been stopped there.
pub type Fault = Arc<dyn Fn(&Call<'_>, Moment) -> Result<(), Fact> + Send + Sync>;

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

    pub(crate) fn count(&self, writes: bool) -> u64 {
        let counter = if writes { &self.0.writes } else { &self.0.reads };
        counter.fetch_add(1, Ordering::Relaxed);
        self.0.last.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(crate) fn ask(&self, call: &Call<'_>, moment: Moment) -> Result<(), Fact> {
        self.0.fault.as_ref().map_or(Ok(()), |fault| fault(call, moment))
    }
}

impl Calls {
    /// Makes a commit, as a call like any other.
    pub(crate) fn git<T>(&self, branch: &str, work: impl FnOnce() -> Result<T, git::Error>) -> Result<T, Error> {
        let number = self.count(true);
        let call = Call { number, to: "git", verb: Verb::Commit, path: branch, writes: true };
        tracing::debug!(number, branch, "commit");
        self.ask(&call, Moment::Before).map_err(stopped)?;
        let outcome = work();
        self.ask(&call, Moment::After).map_err(stopped)?;
        Ok(outcome?)
    }
}

fn stopped(fact: Fact) -> Error {
    Error::usage(format!("git: {fact}"), "run the same command again")
}

impl fmt::Debug for Calls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Calls({} reads, {} writes)", self.reads(), self.writes())
    }
}
