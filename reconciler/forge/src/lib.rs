//! What Dayfly asks of a forge, and how a proposal reaches the repository: as a commit, or as a request that waits there.
#![deny(missing_docs)]

mod branches;

use dayfly_calls::Calls;
use dayfly_git::{Base, Commit, Error, Repository, Tip, Writer};
use dayfly_lifecycle::Proposal;
use dayfly_model::digest::Revision;
use dayfly_model::platform::environment::Changes;
use jiff::Timestamp;

pub use branches::Branches;

/// Where people look at a change before the default branch has it. Calls are synchronous: whoever cannot block calls from a
/// thread that can.
pub trait Forge {
    /// Asks people to take a proposal over, unless it was asked for already: then what stands is returned as it is. What
    /// was merged or is outdated is replaced by a request that is made anew on `tip`.
    ///
    /// # Errors
    /// [`Error::ForeignBranch`] where somebody else has a request of its name, [`Error::Moved`] where somebody changed it
    /// meanwhile, and whatever keeps the forge from answering.
    fn propose(&self, proposal: &Proposal, tip: &Tip, now: Timestamp) -> Result<ChangeRequest, Error>;

    /// Where a proposal stands, seen from the default branch's `tip`.
    ///
    /// # Errors
    /// Whatever keeps the forge from answering.
    fn state(&self, proposal: &Proposal, tip: &Tip) -> Result<ProposalState, Error>;
}

/// A proposal as it waits for a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeRequest {
    /// The branch that carries it, without `refs/heads/`.
    pub branch: String,
    /// Its number, on a forge that has pull requests.
    pub pull_request: Option<u64>,
    /// Whether it was made now, or stood already.
    pub is_new: bool,
}

/// Where a proposal stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProposalState {
    /// There is no request for it.
    Absent,
    /// It waits for a person, as it was proposed or with what a person made of it.
    Open(ChangeRequest),
    /// The default branch has what was proposed.
    Merged,
    /// What was proposed is other edits than these, or changes a file that has changed since.
    Outdated,
    /// Somebody else has a request of its name that does not begin with what Dayfly proposes.
    Foreign,
}

/// What came of a proposal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Carried {
    /// It is on the default branch.
    Committed(Revision),
    /// It waits for a person.
    Proposed(ChangeRequest),
}

/// Carries one proposal, made on `tip`, as its tier wants it: to the default branch, or to the forge. `calls` counts what is
/// written.
///
/// # Errors
/// [`Error::Moved`] where the branch moved meanwhile: the caller plans anew. Else what the repository or the forge says.
pub fn carry(
    repository: &Repository,
    tip: &Tip,
    proposal: &Proposal,
    now: Timestamp,
    calls: &Calls,
) -> Result<Carried, Error> {
    match proposal.by {
        Changes::Commit => {
            let writer = Writer::open(repository.path())?;
            let (base, commit) = (Base::Tip(tip.revision), commit(proposal, now));
            calls.commit(&tip.branch, || writer.commit(&tip.branch, base, &commit)).map(Carried::Committed)
        }
        Changes::PullRequest => forge(repository, calls).propose(proposal, tip, now).map(Carried::Proposed),
    }
}

/// The forge that hosts a repository. Dayfly knows none yet, so every request is a branch that waits.
fn forge<'a>(repository: &'a Repository, calls: &'a Calls) -> impl Forge + 'a {
    Branches::new(repository, calls)
}

/// A proposal as one commit.
fn commit(proposal: &Proposal, now: Timestamp) -> Commit {
    let edits = proposal.edits.iter();
    let edits = edits.map(|edit| (edit.path.clone(), edit.content.as_ref().map(|bytes| bytes.to_vec()))).collect();
    Commit { edits, message: proposal.message(), time: now }
}
