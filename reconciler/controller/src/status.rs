//! How every app is: what git wants of it, what its cluster says, and what a person should know.

use std::collections::BTreeMap;

use dayfly_cluster::Cluster;
use dayfly_judge::evaluate::{Evaluated, HeldReason, Verdict};
use dayfly_model::diagnostic::Diagnostic;
use dayfly_model::names::AppName;
use dayfly_model::object::ObjectKey;
use dayfly_model::scope::Scope;
use dayfly_plan::health::Health;
use dayfly_plan::inventory::Inventory;
use dayfly_plan::observed::Seen;
use dayfly_plan::plan::Skipped;
use dayfly_plan::removal::Removals;
use dayfly_plan::status::{AppHealth, Phase, Status};
use jiff::Timestamp;

use crate::fleet::Fleet;
use crate::inventories::Inventories;
use crate::options::Options;
use crate::pass::Pass;
use crate::progress::Progress;
use crate::view::View;

/// What the statuses are made of.
pub(crate) struct StatusInputs<'a> {
    pub view: &'a View,
    pub fleet: &'a Fleet,
    pub inventories: &'a Inventories,
    pub options: &'a Options,
    pub now: Timestamp,
}

/// What is known of an app besides its verdict.
struct Known<'a> {
    /// Where it is.
    scope: Option<Scope>,
    inventory: Option<&'a Inventory>,
    health: Option<Health>,
    /// An object of it that is not ours to change.
    problem: Option<&'a Skipped>,
    /// What could not be done for it.
    failure: Option<&'a str>,
    /// Why something of it does not go.
    withheld: Option<&'a str>,
    /// Why its cluster cannot be asked.
    unreachable: Option<&'a Diagnostic>,
    expires: Option<Timestamp>,
    is_unfinished: bool,
    is_over: bool,
}

impl StatusInputs<'_> {
    /// The status of every app that was asked for, and when something is due next.
    pub fn add_statuses(&self, progress: &mut Progress, removals: &Removals, pass: &mut Pass) {
        let failed = pass.diagnostics.iter().filter(|found| found.is_error() && found.rule.is_cluster());
        let failures: BTreeMap<_, _> =
            failed.rev().filter_map(|found| Some((found.app.clone()?, found.to_string()))).collect();
        let withheld = removals.withheld.iter().rev();
        let withheld: BTreeMap<_, _> = withheld.filter_map(|it| Some((it.scope.app()?, it.why.as_str()))).collect();
        for evaluated in self.view.evaluation.instances.values().filter(|it| self.options.includes(&it.app)) {
            let app = &evaluated.app;
            // Of an app whose manifest cannot be read, the last known tier counts.
            let key = evaluated.key().or_else(|| self.view.last_key(app, self.now));
            let scope = key.map(Scope::Instance);
            let expires = self.view.expiry(app, self.now);
            pass.next_due = pass.next_due.into_iter().chain(expires.filter(|at| *at > self.now)).min();
            let location = scope.as_ref().and_then(|scope| self.fleet.location(scope));
            // What runs on a cluster that cannot be reached is not known, and nothing of that is remembered.
            let health = location.as_ref().and_then(|at| progress.health(&at.scope, || self.health(&at.scope)));
            let skipped = location.as_ref().map_or(&[][..], |location| progress.skipped(location));
            let known = Known {
                inventory: location.as_ref().and_then(|location| self.inventories.get(location)),
                health,
                problem: skipped.iter().find(|skipped| skipped.is_problem()),
                failure: failures.get(app).map(String::as_str),
                withheld: withheld.get(app).copied(),
                unreachable: scope.as_ref().and_then(|scope| self.fleet.unreachable(scope.tier())),
                expires,
                is_unfinished: scope.as_ref().is_some_and(|scope| pass.unfinished.contains(scope)),
                is_over: expires.is_some_and(|at| at <= self.now),
                scope,
            };
            let status = self.status(evaluated, known);
            pass.items.push(status);
        }
    }

    fn status(&self, evaluated: &Evaluated, known: Known<'_>) -> Status {
        let app = self.view.platform.apps.get(&evaluated.app).and_then(|item| item.get());
        let (phase, mut message) = phase(evaluated, &known);
        if let Some(why) = known.withheld {
            message = join(message, why);
        }
        if known.is_over {
            message = join(message, "its time is up; its retirement waits");
        }
        let host = evaluated.instance.as_ref().and_then(|instance| instance.host.as_ref());
        Status {
            app: evaluated.app.clone(),
            tier: known.scope.as_ref().map(|scope| scope.tier().clone()),
            template: app.map(|app| app.template.clone()),
            phase,
            health: self.app_health(&known, app.is_some_and(|app| app.suspend)),
            expires: known.expires,
            url: host.map(|host| format!("https://{host}")),
            monthly_cost: evaluated.cost.clone(),
            objects: known.inventory.map_or(0, Inventory::len),
            revision: known.inventory.and_then(|inventory| inventory.last().revision),
            message,
        }
    }

    fn app_health(&self, known: &Known<'_>, is_suspended: bool) -> AppHealth {
        let is_simulated = || known.scope.as_ref().is_some_and(|scope| self.fleet.is_simulated(scope.tier()));
        match known.health {
            None => AppHealth::Missing,
            Some(Health::Ready | Health::Waiting(_)) if is_suspended => AppHealth::Suspended,
            Some(Health::Ready | Health::Waiting(_)) if is_simulated() => AppHealth::HealthySimulated,
            Some(Health::Ready | Health::Waiting(_)) => AppHealth::Healthy,
            Some(Health::Progressing(_) | Health::Terminating(_)) => AppHealth::Progressing,
            Some(Health::Failed(_)) => AppHealth::Degraded,
        }
    }

    /// The worst of what a scope's objects say; none where it has no object.
    pub fn health(&self, scope: &Scope) -> Option<Health> {
        let inventory = self.inventories.get(&self.fleet.location(scope)?)?;
        worst_health(self.fleet.of_tier(scope.tier())?, inventory)
    }
}

/// The worst of what the objects of an inventory say.
fn worst_health(cluster: &Cluster, inventory: &Inventory) -> Option<Health> {
    let observed = cluster.observed();
    let of = |key: &ObjectKey| match observed.get(key) {
        Seen::Live(live) => live.health.clone(),
        Seen::Absent => Health::Progressing(format!("{key} is absent").into()),
        Seen::Unknown => Health::Progressing(format!("{key} cannot be read").into()),
    };
    let rank = |health: &Health| match health {
        Health::Ready => 0,
        Health::Waiting(_) => 1,
        Health::Progressing(_) => 2,
        Health::Terminating(_) => 3,
        Health::Failed(_) => 4,
    };
    inventory.entries().map(|(key, _)| of(key)).max_by_key(rank)
}

fn phase(evaluated: &Evaluated, known: &Known<'_>) -> (Phase, String) {
    if let Some(waits) = phase_of_verdict(evaluated, known) {
        return waits;
    }
    match (known.problem, known.failure, &known.health) {
        (Some(skipped), _, _) => (Phase::Stalled, skipped.to_string()),
        (_, _, Some(Health::Failed(why))) => (Phase::Stalled, why.to_string()),
        (_, Some(failure), _) => (Phase::Stalled, failure.to_owned()),
        (_, _, None) if let Some(why) = known.unreachable => (Phase::Stalled, why.to_string()),
        (_, _, None) => (Phase::Reconciling, "is not there yet".into()),
        (_, _, Some(Health::Progressing(why) | Health::Terminating(why))) => (Phase::Reconciling, why.to_string()),
        _ if known.is_unfinished => (Phase::Reconciling, String::new()),
        _ => match evaluated.held {
            Some(HeldReason::Changed | HeldReason::New) => {
                let waits = "a change waits for approval, and what was approved runs on";
                (Phase::Held, format!("{waits}; {}", approve(&evaluated.app)))
            }
            None => (Phase::Ready, String::new()),
        },
    }
}

/// The phase of what may not run as the tip wants it; none where it was admitted.
fn phase_of_verdict(evaluated: &Evaluated, known: &Known<'_>) -> Option<(Phase, String)> {
    let runs_on = match known.inventory.is_some_and(|inventory| !inventory.is_empty()) {
        true => "; what ran before runs on",
        false => "",
    };
    match &evaluated.verdict {
        Verdict::Broken(errors) => Some((Phase::Stalled, first(errors) + runs_on)),
        Verdict::Denied(violations) => {
            Some((Phase::Stalled, format!("policy forbids it: {}{runs_on}", first(violations))))
        }
        Verdict::Unapproved => {
            let waits = format!("is new in its tier and waits for approval; {}", approve(&evaluated.app));
            Some((Phase::Held, waits))
        }
        Verdict::Admitted(_) => None,
    }
}

/// The first of many findings, and how many more there are.
fn first(found: &[Diagnostic]) -> String {
    match found {
        [] => String::new(),
        [only] => only.to_string(),
        [first, others @ ..] => format!("{first} (and {} more)", others.len()),
    }
}

/// The next step for what is held.
fn approve(app: &AppName) -> String {
    format!("approve it with dayfly adopt --app {app}")
}

fn join(message: String, more: &str) -> String {
    if message.is_empty() { more.to_owned() } else { format!("{message}; {more}") }
}
