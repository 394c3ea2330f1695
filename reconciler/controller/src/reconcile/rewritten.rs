//! Whether git and the ledger still hold what was acted upon: where they lack it, everything stays as it is.

use std::collections::{BTreeMap, BTreeSet};

use dayfly_model::digest::{Digest, Revision};
use serde::{Deserialize, Serialize};

use super::Reconciler;
use crate::error::Error;
use crate::source::{View, shortened};

/// What a pass went by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Basis {
    /// The tip of the default branch.
    tip: Revision,
    /// The approved baseline.
    baseline: Revision,
    /// The last record of the ledger.
    ledger: Option<Digest>,
}

impl Basis {
    /// What this pass goes by.
    pub(super) fn of(view: &View) -> Self {
        let approvals = &view.approvals;
        Self { tip: view.tip.revision, baseline: approvals.baseline, ledger: approvals.chain.last().copied() }
    }
}

impl Reconciler {
    /// Pauses where commits that run, or that were acted upon, are in no history any more: somebody rewrote it, or this is
    /// another repository. And where the ledger lacks records that counted.
    pub(super) fn refuse_rewritten(&mut self, view: &View) -> Result<(), Error> {
        let basis = Basis::of(view);
        if self.proven == Some(basis) {
            return Ok(());
        }
        self.refuse_shortened(view)?;
        if let Some((what, revision)) = self.lost(view) {
            return Err(Error::refused(
                format!(
                    "the history of {} was rewritten: it lacks {}, which is {what}; everything stays as it is",
                    view.tip.short_branch(),
                    revision.short()
                ),
                "push the lost commits back; or commit on top of it and approve the history as it is then: dayfly adopt",
            ));
        }
        self.proven = Some(basis);
        self.memory.went_by(basis);
        Ok(())
    }

    /// A commit that was acted upon and leads to the tip no more.
    fn lost(&self, view: &View) -> Option<(String, Revision)> {
        let approvals = &view.approvals;
        // Who approved another baseline since then looked at the history as it is now.
        let is_excused = |then: &Revision| {
            let is_known = approvals.baselines.contains(then) || self.repository().leads_to(*then, approvals.baseline);
            *then != approvals.baseline && is_known
        };
        let runs = self.inventories.values().flat_map(BTreeMap::values);
        let runs = runs.filter(|inventory| !inventory.last().baseline.as_ref().is_some_and(is_excused));
        let runs = runs.filter_map(|inventory| Some((inventory.scope().to_string(), inventory.last().revision?)));
        let before = self.memory.basis().filter(|before| !is_excused(&before.baseline));
        let before = before.map(|before| ("where it stood before".to_owned(), before.tip));
        let own = approvals.instances.iter().map(|(key, revision)| (format!("the approved {key}"), *revision));
        let base = [("the approved baseline".to_owned(), approvals.baseline)];
        runs.chain(before).chain(base).chain(own).find(|(_, revision)| !self.source.knows(revision))
    }

    /// Whoever takes records off the ledger's end brings back what they replaced. What was acted upon tells of them.
    fn refuse_shortened(&self, view: &View) -> Result<(), Error> {
        let approvals = &view.approvals;
        // A baseline of another key counts for nothing once a later commit is approved.
        let is_replaced = |baseline: &Revision| {
            !approvals.baselines.contains(baseline) && self.repository().leads_to(*baseline, approvals.baseline)
        };
        let before = self.memory.basis().filter(|before| !is_replaced(&before.baseline));
        if before.and_then(|before| before.ledger).is_some_and(|last| !approvals.chain.contains(&last)) {
            return Err(shortened());
        }
        let runs = self.inventories.values().flat_map(BTreeMap::values).filter_map(|it| it.last().baseline);
        let unknown: BTreeSet<_> = runs.filter(|baseline| !approvals.baselines.contains(baseline)).collect();
        if unknown.iter().all(is_replaced) { Ok(()) } else { Err(shortened()) }
    }
}
