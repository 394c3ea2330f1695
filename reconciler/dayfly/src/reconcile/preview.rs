//! What a pass would change, as people see it before it happens.

use std::collections::BTreeMap;

use dayfly_core::diagnostic::Diagnostic;
use dayfly_core::names::TierName;
use dayfly_core::plan::{Action, Plan};
use serde::Serialize;

use super::Changed;
use super::report::{about, changed, noted, trouble};
use crate::cluster::Cluster;

/// What `apply` would do.
pub struct Preview {
    /// Every change, with its diff.
    pub changes: Vec<PreviewedChange>,
    /// What somebody should know.
    pub diagnostics: Vec<Diagnostic>,
    /// The tiers whose cluster cannot be asked, so that nobody knows what would change there.
    pub unknown: Vec<TierName>,
}

/// A change with its diff.
#[derive(Debug, Clone, Serialize)]
pub struct PreviewedChange {
    /// The change.
    #[serde(flatten)]
    pub change: Changed,
    /// Why.
    pub reason: String,
    /// The unified diff, secrets masked.
    pub diff: String,
}

impl Preview {
    /// Tries every plan on its cluster, by dry runs.
    pub(super) async fn of(plans: Vec<(Cluster, Plan)>, diagnostics: Vec<Diagnostic>, unknown: Vec<TierName>) -> Self {
        let mut preview = Self { changes: Vec::new(), diagnostics, unknown };
        for (cluster, plan) in plans {
            let (changes, errors) = cluster.preview(&plan).await;
            preview.changes.extend(changes.into_iter().map(|change| PreviewedChange {
                change: changed(plan.scope(), change.action, &change.key),
                reason: change.reason.to_string(),
                diff: change.diff,
            }));
            preview.diagnostics.extend(errors.iter().map(|error| about(trouble(error), plan.scope())));
            preview.diagnostics.extend(plan.notes().iter().map(|note| about(noted(note), plan.scope())));
        }
        preview
    }

    /// `2 to create, 1 to delete`, or that there is nothing.
    pub fn summary(&self) -> String {
        let mut counts: BTreeMap<Action, usize> = BTreeMap::new();
        self.changes.iter().for_each(|change| *counts.entry(change.change.action).or_default() += 1);
        let parts: Vec<_> = counts.iter().map(|(action, count)| format!("{count} to {action}")).collect();
        let unknown: Vec<_> = self.unknown.iter().map(ToString::to_string).collect();
        let mut words = if parts.is_empty() { vec![] } else { vec![parts.join(", ")] };
        if !unknown.is_empty() {
            words.push(format!("unknown for {}", unknown.join(", ")));
        }
        if words.is_empty() {
            "Nothing to change: the cluster is as git says.".into()
        } else {
            format!("Plan: {}.", words.join("; "))
        }
    }
}
