//! Carries proposals to git: a commit on the default branch, or a branch that waits for a pull request.

use std::collections::BTreeMap;

use dayfly_calls::Calls;
use dayfly_git::{AUTHOR, Base, Commit, Error, FileChange, Repository, Tip, Writer};
use dayfly_lifecycle::Proposal;
use dayfly_model::digest::{ObjectId, Revision};
use dayfly_model::platform::environment::Changes;
use jiff::Timestamp;

/// What came of a proposal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Carried {
    /// It is on the default branch.
    Committed(Revision),
    /// It is on a branch of its own and waits for a person.
    Branched {
        /// The branch, without `refs/heads/`.
        branch: String,
        /// Whether it was made now, or stood already.
        is_new: bool,
    },
}

/// Carries one proposal, made on `tip`. Where the branch moved meanwhile it fails with a conflict, and the caller plans
/// anew.
pub fn carry(
    repository: &Repository,
    tip: &Tip,
    proposal: &Proposal,
    now: Timestamp,
    calls: &Calls,
) -> Result<Carried, Error> {
    let edits: Vec<_> = proposal
        .edits
        .iter()
        .map(|edit| (edit.path.clone(), edit.content.as_ref().map(|bytes| bytes.to_vec())))
        .collect();
    let message = proposal.message();
    let writer = Writer::open(repository.path())?;
    let branch = format!("refs/heads/{}", proposal.branch);
    let (branch, base) = match proposal.by {
        Changes::Commit => (tip.branch.as_str(), Base::Tip(tip.revision)),
        Changes::PullRequest => {
            if let Ok(head) = repository.resolve(&branch) {
                if stands(repository, head, tip, &edits)? {
                    return Ok(Carried::Branched { branch: proposal.branch.clone(), is_new: false });
                }
                calls.commit(&branch, || writer.remove_branch(&branch, head))?;
            }
            (branch.as_str(), Base::Fork(tip.revision))
        }
    };
    let commit = Commit { edits, message, time: now };
    let revision = calls.commit(branch, || writer.commit(branch, base, &commit))?;
    Ok(match proposal.by {
        Changes::Commit => Carried::Committed(revision),
        Changes::PullRequest => Carried::Branched { branch: proposal.branch.clone(), is_new: true },
    })
}

/// Whether a branch carries these edits still: it was not merged, and it is Dayfly's commit of just these, or holds what a
/// person made of it.
fn stands(
    repository: &Repository,
    head: Revision,
    tip: &Tip,
    edits: &[(String, Option<Vec<u8>>)],
) -> Result<bool, Error> {
    if repository.leads_to(head, tip.revision) {
        return Ok(false);
    }
    if repository.facts(head)?.author != AUTHOR {
        return Ok(true);
    }
    // A path that ends in `/` stands for all below it.
    let (folders, files): (Vec<_>, Vec<_>) = edits.iter().partition(|(path, _)| path.ends_with('/'));
    let wanted = files.iter().map(|(path, bytes)| (path.as_str(), bytes.as_deref().map(ObjectId::of_blob)));
    let mut wanted: BTreeMap<_, _> = wanted.collect();
    let is_carried = |change: FileChange| match wanted.remove(change.path.as_str()) {
        Some(after) => after == change.after,
        None => change.after.is_none() && folders.iter().any(|(folder, _)| change.path.starts_with(folder)),
    };
    let changes = repository.changes(head)?;
    // A file that changed since is no longer the one that goes: the branch could not be merged.
    for change in &changes {
        if repository.file_id(tip.revision, &change.path)? != change.before {
            return Ok(false);
        }
    }
    Ok(changes.into_iter().all(is_carried) && wanted.is_empty())
}
