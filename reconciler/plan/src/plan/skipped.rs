//! The objects that a plan leaves as they are, why, and what a person can do about it.

use std::fmt;

use dayfly_model::object::ObjectKey;

use crate::immutable;

/// Why an object is skipped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SkipReason {
    /// It exists and is not ours: who has a hand in it.
    Foreign(String),
    /// It carries our labels, and the inventory of this scope does not name it.
    Unrecorded(String),
    /// It was ours, and another object of its name has taken its place: who has a hand in that one.
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
    /// It is not deleted, since this object in it is kept.
    HoldsKept(ObjectKey),
    /// Somebody changed it, and the tier only reports drift; the others who have a hand in it.
    Drifted(String),
    /// Somebody deleted it, and the tier only reports drift.
    Missing,
}

/// An object that a plan leaves as it is, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// Which object.
    pub key: ObjectKey,
    /// Why.
    pub reason: SkipReason,
}

impl Skipped {
    /// Whether it has to be solved before its scope can be what git says. What is no problem, somebody asked for.
    pub fn is_problem(&self) -> bool {
        !matches!(
            self.reason,
            SkipReason::ReconcileDisabled | SkipReason::PruneDisabled | SkipReason::Drifted(_) | SkipReason::Missing
        )
    }

    /// The next step for a person.
    pub fn help(&self) -> String {
        match &self.reason {
            SkipReason::Foreign(_) | SkipReason::Recreated(_) => {
                "delete it if nobody needs it, or give yours another name; Dayfly never takes over what others made"
                    .into()
            }
            SkipReason::Unrecorded(scope) => format!(
                "restore ConfigMap/dayfly-system/{scope} as it was; or delete that ConfigMap, and Dayfly adopts what carries \
                 its labels"
            ),
            SkipReason::Unknown => {
                "nothing to do if the cluster was unreachable for a moment; else read the errors above".into()
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
            SkipReason::HoldsKept(_) => "move or delete what is in it".into(),
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
            SkipReason::HoldsKept(key) => write!(f, "is not deleted, since {key} in it is kept"),
            SkipReason::Drifted(owners) => write!(f, "was changed in the cluster by {owners}"),
            SkipReason::Missing => f.write_str("was deleted in the cluster"),
        }
    }
}
