//! Whether git and the ledger still hold what was acted upon: where they lack it, everything stays as it is.

use std::collections::BTreeSet;

use dayfly_git::Repository;
use dayfly_model::digest::{Digest, Revision};
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::inventories::Running;
use crate::source::shortened;
use crate::view::View;

/// What a pass goes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Basis {
    /// The tip of the default branch.
    tip: Revision,
    /// The approved baseline.
    baseline: Revision,
    /// The last record of the ledger.
    ledger: Option<Digest>,
}

impl Basis {
    /// What a pass over this view goes by.
    pub fn of(view: &View) -> Self {
        let approvals = &view.approvals;
        Self { tip: view.tip.revision, baseline: approvals.baseline, ledger: approvals.chain.last().copied() }
    }
}

/// Refuses a history that lacks commits which run or were acted upon: somebody rewrote it, or this is another repository.
/// And a ledger that lacks records which counted.
pub(crate) fn refuse_rewritten(
    repository: &Repository,
    view: &View,
    before: Option<Basis>,
    running: &[Running],
) -> Result<(), Error> {
    refuse_shortened(repository, view, before, running)?;
    match lost(repository, view, before, running) {
        None => Ok(()),
        Some((what, revision)) => Err(Error::refused(
            format!(
                "the history of {} was rewritten: it lacks {}, which is {what}; everything stays as it is",
                view.tip.short_branch(),
                revision.short()
            ),
            "push the lost commits back; or commit on top of it and approve the history as it is then: dayfly adopt",
        )),
    }
}

/// A commit that was acted upon and leads to the tip no more.
fn lost(
    repository: &Repository,
    view: &View,
    before: Option<Basis>,
    running: &[Running],
) -> Option<(String, Revision)> {
    let approvals = &view.approvals;
    // Who approved another baseline since then looked at the history as it is now.
    let is_excused = |then: &Revision| {
        let is_known = approvals.baselines.contains(then) || repository.leads_to(*then, approvals.baseline);
        *then != approvals.baseline && is_known
    };
    let runs = running.iter().filter(|running| !running.last.baseline.as_ref().is_some_and(is_excused));
    let runs = runs.filter_map(|running| Some((running.last.revision?, running)));
    if let Some((revision, running)) = runs.into_iter().find(|(revision, _)| !view.knows(revision)) {
        return Some((running.scope.to_string(), revision));
    }
    let before = before.filter(|before| !is_excused(&before.baseline));
    let before = before.map(|before| ("where it stood before".to_owned(), before.tip));
    let own = approvals.instances.iter().map(|(key, revision)| (format!("the approved {key}"), *revision));
    let base = [("the approved baseline".to_owned(), approvals.baseline)];
    before.into_iter().chain(base).chain(own).find(|(_, revision)| !view.knows(revision))
}

/// Refuses a ledger that was cut short, since that would revive older approvals. What was acted upon remembers newer ones.
fn refuse_shortened(
    repository: &Repository,
    view: &View,
    before: Option<Basis>,
    running: &[Running],
) -> Result<(), Error> {
    let approvals = &view.approvals;
    // A baseline of another key counts for nothing once a later commit is approved.
    let is_replaced = |baseline: &Revision| {
        !approvals.baselines.contains(baseline) && repository.leads_to(*baseline, approvals.baseline)
    };
    let before = before.filter(|before| !is_replaced(&before.baseline));
    if before.and_then(|before| before.ledger).is_some_and(|last| !approvals.chain.contains(&last)) {
        return Err(shortened());
    }
    let baselines = running.iter().filter_map(|running| running.last.baseline);
    let unknown: BTreeSet<_> = baselines.filter(|baseline| !approvals.baselines.contains(baseline)).collect();
    if unknown.iter().all(is_replaced) { Ok(()) } else { Err(shortened()) }
}
