//! What a pass would change, as people see it before it happens.

use std::collections::{BTreeMap, BTreeSet};

use dayfly_cluster::Cluster;
use dayfly_model::diagnostic::Diagnostic;
use dayfly_model::names::{AppName, TierName};
use dayfly_model::object::ObjectKey;
use dayfly_plan::plan::{self, ChangeAction, Plan, Skipped};
use serde::Serialize;

use crate::findings;
use crate::pass::Changed;

/// What `apply` would do.
pub struct PlanPreview {
    /// Every change, with its diff.
    pub changes: Vec<PreviewedChange>,
    /// What somebody should know.
    pub diagnostics: Vec<Diagnostic>,
    /// The tiers whose cluster cannot be asked, so that nobody knows what would change there.
    pub unknown: Vec<TierName>,
    /// How many changes could not be tried.
    pub failed: usize,
    /// The apps that are left as they are, since they are broken, denied or not ours to change.
    pub left: BTreeSet<AppName>,
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
    /// What goes along with a namespace, and is no change of the plan.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub along: Vec<String>,
}

impl PlanPreview {
    /// Tries every plan on its cluster, by dry runs, and looks at what a deletion takes along.
    pub(crate) async fn of(plans: Vec<(Cluster, Plan)>, diagnostics: Vec<Diagnostic>, unknown: Vec<TierName>) -> Self {
        let left = diagnostics.iter().filter(|found| found.is_error()).filter_map(|found| found.app.clone());
        let left = left.collect();
        let mut preview = Self { changes: Vec::new(), diagnostics, unknown, failed: 0, left };
        for (cluster, plan) in plans {
            let (changes, mut errors) = cluster.preview(&plan).await;
            let mut contents = Vec::new();
            for namespace in plan.deleted_namespaces() {
                match cluster.contents(namespace).await {
                    Ok(found) => contents.extend(found),
                    Err(error) => errors.push(error),
                }
            }
            let along = plan::cascade(&plan, &contents);
            preview.changes.extend(changes.into_iter().map(|change| PreviewedChange {
                along: match change.key.kind.as_str() {
                    "Namespace" => inside(&change.key.name, &along),
                    _ => Vec::new(),
                },
                change: Changed::of(plan.scope(), change.action, &change.key),
                reason: change.reason.to_string(),
                diff: change.diff,
            }));
            preview.failed += errors.len();
            preview
                .diagnostics
                .extend(errors.iter().map(|error| findings::about(findings::of_error(error), plan.scope())));
            preview
                .diagnostics
                .extend(plan.skipped().iter().map(|note| findings::about(findings::of_skipped(note), plan.scope())));
            if plan.skipped().iter().any(Skipped::is_problem) {
                preview.left.extend(plan.scope().app().cloned());
            }
        }
        preview
    }

    /// Whether something is not as it should be: an app that is broken or denied, or an object that is not ours.
    pub fn has_findings(&self) -> bool {
        self.diagnostics.iter().any(Diagnostic::is_error)
    }

    /// `2 to create, 1 to delete`, or that there is nothing.
    pub fn summary(&self) -> String {
        let mut counts: BTreeMap<ChangeAction, usize> = BTreeMap::new();
        self.changes.iter().for_each(|change| *counts.entry(change.change.action).or_default() += 1);
        let parts: Vec<_> = counts.iter().map(|(action, count)| format!("{count} to {action}")).collect();
        let unknown: Vec<_> = self.unknown.iter().map(ToString::to_string).collect();
        let mut words = if parts.is_empty() { vec![] } else { vec![parts.join(", ")] };
        if !unknown.is_empty() {
            words.push(format!("unknown for {}", unknown.join(", ")));
        }
        if self.failed > 0 {
            words.push(format!("{} could not be tried", self.failed));
        }
        if !self.left.is_empty() {
            let left: Vec<_> = self.left.iter().map(ToString::to_string).collect();
            words.push(format!("left as it is: {}", left.join(", ")));
        }
        if words.is_empty() {
            "Nothing to change: the cluster is as git says.".into()
        } else {
            format!("Plan: {}.", words.join("; "))
        }
    }
}

/// Those of these objects that live in a namespace.
fn inside(namespace: &str, keys: &[&ObjectKey]) -> Vec<String> {
    let inside = keys.iter().filter(|key| key.namespace.as_deref() == Some(namespace));
    inside.map(ToString::to_string).collect()
}
