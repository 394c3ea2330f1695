//! A platform without a forge: a change that waits for a person is a branch, and whoever agrees merges it.

use std::collections::BTreeMap;

use dayfly_calls::Calls;
use dayfly_git::{AUTHOR, Base, Error, FileChange, Repository, Tip, Writer};
use dayfly_lifecycle::Proposal;
use dayfly_model::digest::{ObjectId, Revision};
use jiff::Timestamp;

use crate::{ChangeRequest, Forge, ProposalState, commit};

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
    fn head(&self, proposal: &Proposal) -> Option<Revision> {
        self.repository.resolve(&reference(proposal)).ok()
    }

    fn state_at(&self, head: Revision, proposal: &Proposal, tip: &Tip) -> Result<ProposalState, Error> {
        if self.repository.leads_to(head, tip.revision) {
            return Ok(ProposalState::Merged);
        }
        let is_by_dayfly = self.repository.facts(head)?.author == AUTHOR;
        Ok(match is_by_dayfly && !self.is_current(head, proposal, tip)? {
            true => ProposalState::Outdated,
            false => ProposalState::Open(request(proposal, false)),
        })
    }

    /// Whether a commit makes just the edits of a proposal, on files that are still as they were.
    fn is_current(&self, head: Revision, proposal: &Proposal, tip: &Tip) -> Result<bool, Error> {
        // A path that ends in `/` stands for all below it.
        let (folders, files): (Vec<_>, Vec<_>) = proposal.edits.iter().partition(|edit| edit.path.ends_with('/'));
        let wanted = files.iter().map(|edit| (edit.path.as_str(), edit.content.as_deref().map(ObjectId::of_blob)));
        let mut wanted: BTreeMap<_, _> = wanted.collect();
        let is_wanted = |change: FileChange| match wanted.remove(change.path.as_str()) {
            Some(after) => after == change.after,
            None => change.after.is_none() && folders.iter().any(|folder| change.path.starts_with(&folder.path)),
        };
        let changes = self.repository.changes(head)?;
        // A file that changed since is no longer the one that goes: the branch could not be merged.
        for change in &changes {
            if self.repository.file_id(tip.revision, &change.path)? != change.before {
                return Ok(false);
            }
        }
        Ok(changes.into_iter().all(is_wanted) && wanted.is_empty())
    }
}

impl Forge for Branches<'_> {
    fn propose(&self, proposal: &Proposal, tip: &Tip, now: Timestamp) -> Result<ChangeRequest, Error> {
        let writer = Writer::open(self.repository.path())?;
        let branch = reference(proposal);
        if let Some(head) = self.head(proposal) {
            if let ProposalState::Open(standing) = self.state_at(head, proposal, tip)? {
                return Ok(standing);
            }
            self.calls.commit(&branch, || writer.remove_branch(&branch, head))?;
        }
        let commit = commit(proposal, now);
        self.calls.commit(&branch, || writer.commit(&branch, Base::Fork(tip.revision), &commit))?;
        Ok(request(proposal, true))
    }

    fn state(&self, proposal: &Proposal, tip: &Tip) -> Result<ProposalState, Error> {
        self.head(proposal).map_or(Ok(ProposalState::Absent), |head| self.state_at(head, proposal, tip))
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
