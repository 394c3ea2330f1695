//! What to change in a cluster, in which order and why: admitted manifests against the inventory and what is live.

mod planner;
mod skipped;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use dayfly_judge::policy::Admitted;
use dayfly_judge::render::Manifests;
use dayfly_model::kinds::Wave;
use dayfly_model::object::{Object, ObjectKey};
use dayfly_model::platform::environment::Drift;
use dayfly_model::scope::Scope;
use planner::plan_objects;

use crate::inventory::Inventory;
use crate::observed::Observed;
pub use skipped::{SkipReason, Skipped};

/// What happens to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ChangeAction {
    /// It is not there, and is created.
    Create,
    /// It is ours, and is applied again.
    Update,
    /// It is ours, is deleted, and created anew.
    Replace,
    /// It is ours, and is deleted.
    Delete,
}

impl fmt::Display for ChangeAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Replace => "replace",
            Self::Delete => "delete",
        })
    }
}

/// Why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeReason {
    /// It is new in git.
    New,
    /// It was ours and somebody deleted it.
    Missing,
    /// An earlier pass was interrupted before it recorded this object.
    Unfinished,
    /// What git renders changed.
    Changed,
    /// Somebody changed a field that Dayfly owns.
    Drifted,
    /// A field changed that Kubernetes never lets change.
    Immutable,
    /// Git no longer has it.
    Removed,
    /// Git no longer has it, and it is deleted with its namespace, by no call of its own.
    RemovedWithNamespace,
}

impl fmt::Display for ChangeReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::New => "new in git",
            Self::Missing => "somebody deleted it",
            Self::Unfinished => "an earlier pass was interrupted",
            Self::Changed => "changed in git",
            Self::Drifted => "somebody changed it in the cluster",
            Self::Immutable => "a field changed that Kubernetes never lets change",
            Self::Removed => "removed in git",
            Self::RemovedWithNamespace => "removed in git, goes with its namespace",
        })
    }
}

/// One change of a plan.
#[derive(Debug, Clone)]
pub struct ObjectChange {
    action: ChangeAction,
    reason: ChangeReason,
    key: ObjectKey,
    wave: Wave,
    desired: Option<Object>,
    uid: Option<String>,
    verify: bool,
}

impl ObjectChange {
    /// What happens.
    pub fn action(&self) -> ChangeAction {
        self.action
    }

    /// Why.
    pub fn reason(&self) -> ChangeReason {
        self.reason
    }

    /// To what.
    pub fn key(&self) -> &ObjectKey {
        &self.key
    }

    /// What is applied; none for a deletion.
    pub fn desired(&self) -> Option<&Object> {
        self.desired.as_ref()
    }

    /// The UID of the live object that may be changed or deleted, and no other; none for a creation.
    pub fn uid(&self) -> Option<&str> {
        self.uid.as_deref()
    }

    /// Whether an object is created.
    pub fn creates(&self) -> bool {
        matches!(self.action, ChangeAction::Create | ChangeAction::Replace)
    }

    /// Whether the object is looked up by name first: an earlier pass tried to create it already, or it was ours and may only
    /// have lost its label.
    pub fn verify(&self) -> bool {
        self.verify
    }

    /// Whether it takes a call of its own.
    pub fn is_own_call(&self) -> bool {
        self.reason != ChangeReason::RemovedWithNamespace
    }
}

/// What to do to the objects of one scope. Only the functions of this module make one, and only one can be applied.
#[derive(Debug, Clone)]
pub struct Plan {
    scope: Scope,
    applies: Vec<ObjectChange>,
    deletes: Vec<ObjectChange>,
    forgets: Vec<ObjectKey>,
    skipped: Vec<Skipped>,
    blocked: usize,
    gates: BTreeMap<Wave, Vec<ObjectKey>>,
    force: bool,
    removal: bool,
}

impl Plan {
    /// Whose objects these are.
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// Whether there is nothing to do: no call to the cluster, no write to the inventory.
    pub fn is_empty(&self) -> bool {
        self.applies.is_empty() && self.deletes.is_empty() && self.forgets.is_empty()
    }

    /// All changes in the order in which they happen.
    pub fn changes(&self) -> impl Iterator<Item = &ObjectChange> {
        self.applies.iter().chain(&self.deletes)
    }

    /// The objects that the inventory has to name before the first call: what is created, and what it does not name yet.
    pub fn begins(&self, inventory: &Inventory) -> Vec<&ObjectKey> {
        let applied = self.applies.iter().filter(|change| change.desired.is_some());
        let unrecorded = applied.filter(|change| change.creates() || inventory.get(&change.key).is_none());
        unrecorded.map(|change| &change.key).collect()
    }

    /// What is applied, wave by wave. A wave starts when the objects of the earlier ones are healthy.
    pub fn waves(&self) -> impl Iterator<Item = (Wave, &[ObjectChange])> {
        in_waves(&self.applies)
    }

    /// What is deleted, after all waves went well and in the reverse order: routes first, namespaces last.
    pub fn deletions(&self) -> impl Iterator<Item = (Wave, &[ObjectChange])> {
        in_waves(&self.deletes)
    }

    /// The inventory entries whose object seems to be gone, never made, or somebody else's. Each is looked up by name once
    /// more, since it may only have lost its label, and is dropped then.
    pub fn forgets(&self) -> &[ObjectKey] {
        &self.forgets
    }

    /// The objects that are left as they are, and why.
    pub fn skipped(&self) -> &[Skipped] {
        &self.skipped
    }

    /// How many changes wait until the problems of skipped objects are solved.
    pub fn blocked(&self) -> usize {
        self.blocked
    }

    /// The objects of a wave that must be healthy before the next one starts.
    pub fn gates(&self, wave: Wave) -> &[ObjectKey] {
        self.gates.get(&wave).map_or(&[], Vec::as_slice)
    }

    /// Whether everything of the scope is deleted.
    pub fn is_removal(&self) -> bool {
        self.removal
    }

    /// Whether fields of ours are taken back from other managers.
    pub fn force(&self) -> bool {
        self.force
    }

    /// The namespaces that the plan deletes, with everything in them.
    pub fn deleted_namespaces(&self) -> impl Iterator<Item = &str> {
        self.deletes.iter().filter(|change| change.key.kind == "Namespace").map(|change| change.key.name.as_str())
    }
}

/// `2 to create, 1 to update, 1 skipped`, or `nothing to do`.
impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |action| self.changes().filter(|change| change.action == action).count();
        let problems = self.skipped.iter().filter(|skipped| skipped.is_problem()).count();
        let parts = [
            (count(ChangeAction::Create), "to create"),
            (count(ChangeAction::Update), "to update"),
            (count(ChangeAction::Replace), "to replace"),
            (count(ChangeAction::Delete), "to delete"),
            (problems, "skipped"),
            (self.blocked, "blocked by that"),
            (self.skipped.len() - problems, "skipped as asked"),
        ];
        let parts: Vec<_> = parts.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect();
        if parts.is_empty() { f.write_str("nothing to do") } else { f.write_str(&parts.join(", ")) }
    }
}

fn in_waves(changes: &[ObjectChange]) -> impl Iterator<Item = (Wave, &[ObjectChange])> {
    changes.chunk_by(|a, b| a.wave == b.wave).filter_map(|chunk| Some((chunk.first()?.wave, chunk)))
}

/// The plan that removes everything an instance has. Only for instances whose deletion in git is certain.
pub fn plan_removal(inventory: &Inventory, observed: &Observed) -> Plan {
    let mut plan = plan_objects(inventory, &[], observed, Drift::Repair);
    plan.removal = true;
    plan
}

/// The plan that brings an instance to what was admitted for it.
pub fn plan(admitted: &Admitted, inventory: &Inventory, observed: &Observed, drift: Drift) -> Plan {
    plan_objects(inventory, &admitted.manifests().objects, observed, drift)
}

/// The plan for a tier's shared objects. It does nothing to the inventory of an instance: that takes an admission.
pub fn plan_shared(manifests: &Manifests, inventory: &Inventory, observed: &Observed, drift: Drift) -> Plan {
    match inventory.scope() {
        Scope::Shared(_) => plan_objects(inventory, &manifests.objects, observed, drift),
        Scope::Instance(_) => planner::empty(inventory.scope(), drift),
    }
}

/// The plan that deletes what lets traffic in, and leaves everything else.
pub fn plan_no_routes(inventory: &Inventory, observed: &Observed) -> Plan {
    planner::no_routes(inventory, observed)
}

/// What else is deleted with the namespaces that a plan deletes: what is in them and is no change of the plan. `contents` is
/// everything that was found in those namespaces, volumes and secrets included.
pub fn cascade<'a>(plan: &Plan, contents: impl IntoIterator<Item = &'a ObjectKey>) -> Vec<&'a ObjectKey> {
    let named: BTreeSet<_> = plan.deletes.iter().map(|change| &change.key).collect();
    let going: BTreeSet<_> = plan.deleted_namespaces().collect();
    let inside = |key: &ObjectKey| key.namespace.as_deref().is_some_and(|namespace| going.contains(namespace));
    let mut others: Vec<_> = contents.into_iter().filter(|key| inside(key) && !named.contains(key)).collect();
    others.sort();
    others
}

#[cfg(test)]
mod tests;
