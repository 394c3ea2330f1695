//! What clusters and plans say, as findings: the place, the fact, the next step.

use dayfly_cluster::ClusterError;
use dayfly_git::Tip;
use dayfly_model::diagnostic::Diagnostic;
use dayfly_model::object::ObjectKey;
use dayfly_model::rule::Rule;
use dayfly_model::scope::Scope;
use dayfly_plan::health::Health;
use dayfly_plan::inventory::InventoryError;
use dayfly_plan::plan::{SkipReason, Skipped};
use dayfly_plan::removal::Withheld;

use crate::error::Error;

/// A cluster's error: its place is the cluster and the object.
pub(crate) fn of_error(error: &ClusterError) -> Diagnostic {
    let place = format!("{}: {}", error.cluster, error.subject);
    Diagnostic::new(error.rule(), place, error.kind.to_string()).help(error.help())
}

/// The errors of a cluster's kinds. What happens to many of them alike is reported once.
pub(crate) fn of_cluster(errors: &[ClusterError]) -> Vec<Diagnostic> {
    let mut distinct: Vec<(&ClusterError, usize)> = Vec::new();
    for error in errors {
        match distinct.iter_mut().find(|(first, _)| first.kind == error.kind) {
            Some((_, others)) => *others += 1,
            None => distinct.push((error, 0)),
        }
    }
    let finding = |(error, others): (&ClusterError, usize)| match others {
        0 => of_error(error),
        _ => of_error(&ClusterError { subject: format!("{} and {others} more", error.subject), ..error.clone() }),
    };
    distinct.into_iter().map(finding).collect()
}

/// An inventory of nothing that git knows, and that cannot be read.
pub(crate) fn of_inventory(error: &InventoryError) -> Diagnostic {
    Diagnostic::new(Rule::CLUSTER_INVENTORY, error.name.clone(), error.to_string()).help(error.help())
}

/// An object whose deletion was asked for and does not end, in the words that the next plan has for it.
pub(crate) fn of_deletion((key, health): &(ObjectKey, Health)) -> Option<Diagnostic> {
    let Health::Terminating(why) = health else { return None };
    Some(of_skipped(&Skipped { key: key.clone(), reason: SkipReason::Terminating(why.to_string()) }))
}

/// An object that a plan leaves as it is.
pub(crate) fn of_skipped(skipped: &Skipped) -> Diagnostic {
    let (place, text) = (skipped.key.to_string(), skipped.to_string());
    let fact = text.strip_prefix(&format!("{place}: ")).unwrap_or(&text);
    let found = Diagnostic::new(Rule::CLUSTER_LEFT_ALONE, place, fact.to_owned()).help(skipped.help());
    if skipped.is_problem() { found } else { found.as_warning() }
}

/// A removal that does not happen.
pub(crate) fn of_withheld(withheld: &Withheld) -> Diagnostic {
    let found = Diagnostic::new(Rule::REMOVE_STAYS, withheld.scope.to_string(), withheld.why.clone());
    about(found.help(withheld.help.clone()), &withheld.scope)
}

/// That the ledger does not say when commits dated ahead were first seen.
pub(crate) fn of_unrecorded_sight(tip: &Tip, error: &Error) -> Diagnostic {
    let fact = format!(
        "commits dated ahead of the clock count as older than they are, since the ledger cannot say when \
                        they were first seen: {error}"
    );
    let found = Diagnostic::new(Rule::GIT_AHEAD, tip.short_branch(), fact);
    Diagnostic { help: error.help(), ..found }
}

/// The same finding, about the app of a scope.
pub(crate) fn about(finding: Diagnostic, scope: &Scope) -> Diagnostic {
    match scope.app() {
        Some(app) => finding.about(app),
        None => finding,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dayfly_cluster::ClusterErrorKind;

    #[test]
    fn what_happens_to_many_kinds_alike_is_reported_once() {
        let error = |subject: &str, why: &str| ClusterError {
            cluster: "pilot".into(),
            subject: subject.into(),
            kind: ClusterErrorKind::Unreachable(why.into()),
        };
        let found = of_cluster(&[error("pods", "refused"), error("services", "refused"), error("jobs", "cut off")]);
        let places: Vec<_> = found.iter().map(|found| found.path.as_str()).collect();
        assert_eq!(places, ["pilot: pods and 1 more", "pilot: jobs"]);
    }
}
