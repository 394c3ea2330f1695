//! A platform without a forge: a change that waits for a person is a branch, and whoever agrees merges it.

use std::cell::Cell;

use dayfly_calls::Calls;
use dayfly_git::{AUTHOR, Base, Error, Repository, Tip, Writer};
use dayfly_lifecycle::Proposal;
use dayfly_model::digest::Revision;
use jiff::Timestamp;

use crate::{ChangeRequest, Forge, ProposalState, commit};

/// How many commits of a branch are looked at: people add a few to what Dayfly proposes.
const MOST_COMMITS: usize = 100;

/// Keeps every request as a branch of the platform's own repository.
pub struct Branches<'a> {
    repository: &'a Repository,
    calls: &'a Calls,
}

impl<'a> Branches<'a> {
    /// The branches of a repository; `calls` counts what is written.
    pub fn new(repository: &'a Repository, calls: &'a Calls) -> Self {
        Self { repository, calls }
    }

    /// The commit of the branch that carries a proposal; none where there is no such branch.
    fn head(&self, proposal: &Proposal) -> Result<Option<Revision>, Error> {
        self.repository.branch_tip(&reference(proposal))
    }

    fn state_at(&self, head: Revision, proposal: &Proposal, tip: &Tip) -> Result<ProposalState, Error> {
        if self.repository.leads_to(head, tip.revision) {
            return Ok(ProposalState::Merged);
        }
        let seen = Cell::new(0);
        let is_known = |at: &Revision| {
            seen.update(|seen| seen + 1);
            seen.get() > MOST_COMMITS || self.repository.leads_to(*at, tip.revision)
        };
        let line = self.repository.first_parents(head, is_known)?;
        let Some(first) = line.first().filter(|_| seen.get() <= MOST_COMMITS) else {
            return Ok(ProposalState::Foreign);
        };
        let is_proposed = self.is_proposed(*first, proposal)?;
        let is_by_dayfly = self.repository.facts(*first)?.author == AUTHOR;
        Ok(match (&line[..], is_proposed) {
            ([only], true) if !self.is_fresh(*only, tip)? => ProposalState::Outdated,
            // Whatever its author is called: it is what Dayfly would propose, and what people made of it since.
            (_, true) => ProposalState::Open(request(proposal, false)),
            // Nobody's work is lost by a branch with a single commit in Dayfly's name.
            ([_], false) if is_by_dayfly => ProposalState::Outdated,
            (_, false) => ProposalState::Foreign,
        })
    }

    /// Whether the files that a commit changes are still as they were before it: else it could not be merged.
    fn is_fresh(&self, commit: Revision, tip: &Tip) -> Result<bool, Error> {
        for change in self.repository.changes(commit)? {
            if self.repository.file_id(tip.revision, &change.path)? != change.before {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether a commit makes just the edits of a proposal, and says just what it says. Where that cannot be told, it does
    /// not.
    fn is_proposed(&self, at: Revision, proposal: &Proposal) -> Result<bool, Error> {
        let wanted = commit(proposal, Timestamp::UNIX_EPOCH);
        let writer = Writer::open(self.repository.path())?;
        Ok(self.repository.facts(at)?.message == wanted.message
            && writer.makes_just(at, &wanted.edits).unwrap_or(false))
    }
}

impl Forge for Branches<'_> {
    fn propose(&self, proposal: &Proposal, tip: &Tip, now: Timestamp) -> Result<ChangeRequest, Error> {
        let writer = Writer::open(self.repository.path())?;
        let branch = reference(proposal);
        if let Some(head) = self.head(proposal)? {
            match self.state_at(head, proposal, tip)? {
                ProposalState::Open(standing) => return Ok(standing),
                ProposalState::Foreign => return Err(Error::ForeignBranch(proposal.branch.clone())),
                ProposalState::Absent | ProposalState::Merged | ProposalState::Outdated => {}
            }
            self.calls.commit(&branch, || writer.remove_branch(&branch, head))?;
        }
        let commit = commit(proposal, now);
        self.calls.commit(&branch, || writer.commit(&branch, Base::Fork(tip.revision), &commit))?;
        Ok(request(proposal, true))
    }

    fn state(&self, proposal: &Proposal, tip: &Tip) -> Result<ProposalState, Error> {
        self.head(proposal)?.map_or(Ok(ProposalState::Absent), |head| self.state_at(head, proposal, tip))
    }
}

fn reference(proposal: &Proposal) -> String {
    format!("refs/heads/{}", proposal.branch)
}

fn request(proposal: &Proposal, is_new: bool) -> ChangeRequest {
    ChangeRequest { branch: proposal.branch.clone(), pull_request: None, is_new }
}

#[cfg(test)]
mod tests;
