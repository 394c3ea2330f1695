//! What to change in a cluster, in which order and why: admitted manifests against the inventory and what is live.

mod planner;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use dayfly_judge::policy::Admitted;
use dayfly_judge::render::Manifests;
use dayfly_model::kinds::{self, Wave};
use dayfly_model::object::{Object, ObjectKey};
use dayfly_model::platform::environment::Drift;
use dayfly_model::scope::Scope;
use planner::plan_objects;

use crate::immutable;
use crate::inventory::Inventory;
use crate::observed::Observed;

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
    /// Git no longer has it, and it goes with its namespace, which this plan deletes; no call of its own.
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

    /// Whether the object is looked up by name first: an earlier pass already tried to create it, or it was ours and may
    /// only have lost its label.
    pub fn verify(&self) -> bool {
        self.verify
    }

    /// Whether it takes a call of its own.
    pub fn is_own_call(&self) -> bool {
        self.reason != ChangeReason::RemovedWithNamespace
    }
}

/// Why an object is left as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SkipReason {
    /// It exists and is not ours: who has a hand in it.
    Foreign(String),
    /// It carries our marks, and the inventory of this scope does not name it.
    Unrecorded(String),
    /// It was ours, and another object of its name has taken its place: who has a hand in that.
    Recreated(String),
    /// Its kind could not be read from the cluster.
    Unknown,
    /// These fields changed and can't be changed in place.
    Immutable(String),
    /// It is being deleted; what holds it.
    Terminating(String),
    /// An annotation asks not to reconcile it.
    ReconcileDisabled,
    /// An annotation asks not to delete it.
    PruneDisabled,
    /// It lost the label by which Dayfly deletes.
    Unlabeled,
    /// It is not deleted because of what else would go with it.
    Shelters(ObjectKey),
    /// Somebody changed it, and the tier only reports drift; the others who have a hand in it.
    Drifted(String),
    /// Somebody deleted it, and the tier only reports drift.
    Missing,
}

/// An object that the plan leaves as it is, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// Which object.
    pub key: ObjectKey,
    /// Why.
    pub reason: SkipReason,
}

impl Skipped {
    /// Whether the instance is not what git says as long as this stands. The others are wishes that somebody expressed.
    pub fn is_problem(&self) -> bool {
        !matches!(
            self.reason,
            SkipReason::ReconcileDisabled | SkipReason::PruneDisabled | SkipReason::Drifted(_) | SkipReason::Missing
        )
    }

    /// The next step.
    pub fn help(&self) -> String {
        match &self.reason {
            SkipReason::Foreign(_) | SkipReason::Recreated(_) => {
                "delete it if nobody needs it, or give yours another name; Dayfly never takes over what others made"
                    .into()
            }
            SkipReason::Unrecorded(scope) => format!(
                "restore ConfigMap/dayfly-system/{scope} as it was; or delete that ConfigMap, and Dayfly takes up again what \
                 carries its marks"
            ),
            SkipReason::Unknown => {
                "nothing to do if the cluster is only briefly away; else look at the errors above".into()
            }
            SkipReason::Immutable(_) if immutable::holds_data(&self.key) => {
                "create one of another name, move the data, then remove this one".into()
            }
            SkipReason::Immutable(_) => {
                format!(
                    "undo the change, give the object another name, or annotate it `{}: enabled` to let Dayfly delete and \
                         create it",
                    immutable::REPLACE
                )
            }
            SkipReason::Terminating(_) => "ask the owner of what holds it; Dayfly goes on as soon as it is gone".into(),
            SkipReason::ReconcileDisabled => {
                "remove the annotation dayfly.dev/reconcile to let Dayfly manage it again".into()
            }
            SkipReason::PruneDisabled => "remove the annotation, or delete the object yourself".into(),
            SkipReason::Unlabeled => {
                "put the label app.kubernetes.io/managed-by: dayfly back, or delete it yourself".into()
            }
            SkipReason::Shelters(_) => "move or delete what is in it".into(),
            SkipReason::Drifted(_) | SkipReason::Missing => {
                "commit the change to git, or set `drift: repair` for the tier".into()
            }
        }
    }
}

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.key)?;
        match &self.reason {
            SkipReason::Foreign(owners) => {
                write!(f, "exists and is not Dayfly's, it belongs to {owners}; left untouched")
            }
            SkipReason::Unrecorded(scope) => {
                write!(f, "was made by Dayfly, and the inventory of {scope} does not name it; left untouched")
            }
            SkipReason::Recreated(owners) => {
                write!(f, "was deleted and made anew by {owners}, so it is not Dayfly's any more; left untouched")
            }
            SkipReason::Unknown => f.write_str("could not be read from the cluster, so nothing is done to it"),
            SkipReason::Immutable(fields) => {
                write!(f, "changed in a field that Kubernetes never lets change ({fields})")
            }
            SkipReason::Terminating(why) => write!(f, "is being deleted: {why}"),
            SkipReason::ReconcileDisabled => f.write_str("is left alone, as its annotation asks"),
            SkipReason::PruneDisabled => f.write_str("is not in git any more and is kept, as its annotation asks"),
            SkipReason::Unlabeled => f.write_str("lost its label app.kubernetes.io/managed-by, so it is not deleted"),
            SkipReason::Shelters(key) => write!(f, "is not deleted, since {key} in it is kept"),
            SkipReason::Drifted(owners) => write!(f, "was changed in the cluster by {owners}"),
            SkipReason::Missing => f.write_str("was deleted in the cluster"),
        }
    }
}

/// What to do to the objects of one scope. Only the functions of this module make one, and only one can be applied.
#[derive(Debug, Clone)]
pub struct Plan {
    scope: Scope,
    applies: Vec<ObjectChange>,
    deletes: Vec<ObjectChange>,
    forgets: Vec<ObjectKey>,
    notes: Vec<Skipped>,
    blocked: usize,
    gates: BTreeMap<Wave, Vec<ObjectKey>>,
    force: bool,
    removal: bool,
}

impl Plan {
    /// Whose objects.
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

    /// The objects whose creation is under way from the first call on: what is created, and what the inventory does not name.
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

    /// The inventory entries whose object seems to be gone, never made, or somebody else's: each is looked up by name
    /// once more (it may only have lost its label), and then dropped.
    pub fn forgets(&self) -> &[ObjectKey] {
        &self.forgets
    }

    /// What is left as it is, and why.
    pub fn notes(&self) -> &[Skipped] {
        &self.notes
    }

    /// How many changes wait until the problems among the notes are solved.
    pub fn blocked(&self) -> usize {
        self.blocked
    }

    /// The objects of a wave that must be healthy before the next one starts.
    pub fn gates(&self, wave: Wave) -> &[ObjectKey] {
        self.gates.get(&wave).map_or(&[], Vec::as_slice)
    }

    /// Whether everything of the scope is to go.
    pub fn is_removal(&self) -> bool {
        self.removal
    }

    /// Whether our own objects are taken back from managers that changed our fields.
    pub fn force(&self) -> bool {
        self.force
    }

    /// The namespaces that the plan deletes, with everything in them.
    pub fn deleted_namespaces(&self) -> impl Iterator<Item = &str> {
        self.deletes.iter().filter(|change| change.key.kind == "Namespace").map(|change| change.key.name.as_str())
    }
}

/// `2 to create, 1 to update, 1 conflict`, or `nothing to do`.
impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |action| self.changes().filter(|change| change.action == action).count();
        let problems = self.notes.iter().filter(|note| note.is_problem()).count();
        let parts = [
            (count(ChangeAction::Create), "to create"),
            (count(ChangeAction::Update), "to update"),
            (count(ChangeAction::Replace), "to replace"),
            (count(ChangeAction::Delete), "to delete"),
            (problems, "held back"),
            (self.blocked, "blocked by that"),
            (self.notes.len() - problems, "left as is"),
        ];
        let parts: Vec<_> = parts.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect();
        if parts.is_empty() { f.write_str("nothing to do") } else { f.write_str(&parts.join(", ")) }
    }
}

fn in_waves(changes: &[ObjectChange]) -> impl Iterator<Item = (Wave, &[ObjectChange])> {
    changes
        .chunk_by(|a, b| kinds::wave(&a.key) == kinds::wave(&b.key))
        .filter_map(|chunk| Some((kinds::wave(&chunk.first()?.key), chunk)))
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

/// The plan for what a tier has once. Nothing for the inventory of an instance: that takes an admission.
pub fn plan_shared(manifests: &Manifests, inventory: &Inventory, observed: &Observed, drift: Drift) -> Plan {
    match inventory.scope() {
        Scope::Shared(_) => plan_objects(inventory, &manifests.objects, observed, drift),
        Scope::Instance(_) => planner::empty(inventory.scope(), drift),
    }
}

/// The plan that takes away what lets traffic in, and leaves everything else.
pub fn plan_no_routes(inventory: &Inventory, observed: &Observed) -> Plan {
    planner::no_routes(inventory, observed)
}

/// What else goes with the namespaces that a plan deletes: what lives there and is no change of the plan. `contents` is
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
