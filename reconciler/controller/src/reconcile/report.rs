//! What a pass tells: changes, failures, and how every app is.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use dayfly_cluster::{ChangeSet, ClusterError};
use dayfly_judge::evaluate::{Evaluated, HeldReason, Verdict};
use dayfly_model::diagnostic::Diagnostic;
use dayfly_model::names::AppName;
use dayfly_model::object::ObjectKey;
use dayfly_model::scope::Scope;
use dayfly_plan::health::Health;
use dayfly_plan::inventory::{Inventory, InventoryError};
use dayfly_plan::observed::Seen;
use dayfly_plan::plan::{self, ChangeAction, Skipped};
use dayfly_plan::removal::{Removals, Withheld};
use dayfly_plan::status::{Phase, Status};
use jiff::Timestamp;

use super::{Changed, Pass, Reconciler};
use crate::source::View;

/// What is known of an app besides its verdict.
struct Known<'a> {
    /// Where it is.
    scope: Option<Scope>,
    inventory: Option<&'a Inventory>,
    /// What could not be done for it.
    failure: Option<&'a str>,
    /// Why something of it does not go.
    stay: Option<&'a str>,
    is_unfinished: bool,
    is_over: bool,
    health: Option<&'a Health>,
}

impl Pass {
    /// A pass that did nothing yet.
    pub(super) fn new(view: &View, time: Timestamp) -> Self {
        Self {
            revision: view.tip.revision,
            items: Vec::new(),
            changes: Vec::new(),
            writes: 0,
            calls: 0,
            retired: Vec::new(),
            proposals: Vec::new(),
            diagnostics: Vec::new(),
            time,
            took: Duration::ZERO,
            next_due: None,
            renders: view.renders,
            unfinished: BTreeSet::new(),
        }
    }

    /// Takes up that the tip is another one by now.
    pub(super) fn takes_up(&mut self, view: &View) {
        self.revision = view.tip.revision;
        self.renders += view.renders;
    }

    /// Takes up what was done for one scope.
    pub(super) fn take(&mut self, changes: &ChangeSet) {
        self.changes.extend(changes.changes.iter().map(|done| changed(&changes.scope, done.action, &done.key)));
        self.diagnostics.extend(changes.failures.iter().map(|failure| about(trouble(&failure.error), &changes.scope)));
        self.diagnostics.extend(changes.unhealthy.iter().filter_map(hangs).map(|found| about(found, &changes.scope)));
    }

    /// Takes up that a scope could not even be planned.
    pub(super) fn fail(&mut self, scope: &Scope, error: &ClusterError) {
        self.diagnostics.push(about(trouble(error), scope));
        self.unfinished.insert(scope.clone());
    }
}

/// A change of an object, as the JSON formats tell it.
pub(super) fn changed(scope: &Scope, action: ChangeAction, key: &ObjectKey) -> Changed {
    let app = scope.app().map(ToString::to_string).unwrap_or_default();
    Changed { app, tier: scope.tier().clone(), action, object: key.to_string() }
}

/// A cluster's error as a finding: its place is the cluster and the object.
pub(super) fn trouble(error: &ClusterError) -> Diagnostic {
    let place = format!("{}: {}", error.cluster, error.subject);
    Diagnostic::error(&format!("cluster/{}", error.reason()), place, error.kind.to_string()).help(error.help())
}

/// The errors of a cluster's kinds: what befalls many of them alike is told once.
pub(super) fn troubles(errors: &[ClusterError]) -> Vec<Diagnostic> {
    let mut told: Vec<(&ClusterError, usize)> = Vec::new();
    for error in errors {
        match told.iter_mut().find(|(first, _)| first.kind == error.kind) {
            Some((_, others)) => *others += 1,
            None => told.push((error, 0)),
        }
    }
    let tell = |(error, others): (&ClusterError, usize)| match others {
        0 => trouble(error),
        _ => trouble(&ClusterError { subject: format!("{} and {others} more", error.subject), ..error.clone() }),
    };
    told.into_iter().map(tell).collect()
}

/// An inventory of nothing that git knows, and that cannot be read.
pub(super) fn unreadable(error: &InventoryError) -> Diagnostic {
    Diagnostic::error("cluster/inventory", error.name.clone(), error.to_string()).help(error.help())
}

/// An object whose deletion was asked for and does not end, in the words that the next plan has for it.
fn hangs((key, health): &(ObjectKey, Health)) -> Option<Diagnostic> {
    let Health::Terminating(why) = health else { return None };
    Some(noted(&Skipped { key: key.clone(), reason: plan::SkipReason::Terminating(why.to_string()) }))
}

/// An object that a plan leaves as it is, as a finding.
pub(super) fn noted(note: &Skipped) -> Diagnostic {
    let text = note.to_string();
    let (place, fact) = text.split_once(": ").unwrap_or(("", &text));
    let make = if note.is_problem() { Diagnostic::error } else { Diagnostic::warning };
    make("cluster/left-alone", place.to_owned(), fact.to_owned()).help(note.help())
}

/// A removal that does not happen, as a finding.
pub(super) fn stay(stay: &Withheld) -> Diagnostic {
    about(
        Diagnostic::warning("remove/stays", stay.scope.to_string(), stay.why.clone()).help(stay.help.clone()),
        &stay.scope,
    )
}

pub(super) fn about(diagnostic: Diagnostic, scope: &Scope) -> Diagnostic {
    match scope.app() {
        Some(app) => diagnostic.about(app),
        None => diagnostic,
    }
}

impl Reconciler {
    /// How every app is now: what git wants of it, what the cluster says, and what a person should know.
    pub(super) fn report(&mut self, view: &View, removals: &Removals, now: Timestamp, pass: &mut Pass) {
        for (place, notes) in &self.notes {
            pass.diagnostics.extend(notes.iter().map(|note| about(noted(note), &place.scope)));
        }
        let failed = pass.diagnostics.iter().filter(|found| found.is_error() && found.rule.starts_with("cluster/"));
        let failures: BTreeMap<_, _> =
            failed.rev().filter_map(|found| Some((found.app.clone()?, found.to_string()))).collect();
        let stays = removals.withheld.iter().rev();
        let stays: BTreeMap<_, _> = stays.filter_map(|stay| Some((stay.scope.app()?, stay.why.as_str()))).collect();
        for evaluated in view.evaluation.instances.values() {
            let app = &evaluated.app;
            if !self.only.is_empty() && !self.only.contains(app) {
                continue;
            }
            // A manifest that cannot be read says as before in which tier the app is.
            let key = evaluated.key().or_else(|| view.last_key(&self.source, app, now));
            let scope = key.map(Scope::Instance);
            let expires = view.expiry(&self.source, app, now);
            pass.next_due = pass.next_due.into_iter().chain(expires.filter(|at| *at > now)).min();
            let health = scope.as_ref().and_then(|scope| self.known_health(scope));
            let known = Known {
                inventory: scope.as_ref().and_then(|scope| self.inventory(scope)),
                failure: failures.get(app).map(String::as_str),
                stay: stays.get(app).copied(),
                is_unfinished: scope.as_ref().is_some_and(|scope| pass.unfinished.contains(scope)),
                is_over: expires.is_some_and(|at| at <= now),
                health: health.as_ref(),
                scope,
            };
            pass.items.push(self.status_of(evaluated, view, &known, expires));
        }
        if self.health.len() > view.evaluation.instances.len() {
            let is_there = |app: &AppName| view.evaluation.instances.contains_key(app);
            self.health.retain(|scope, _| scope.app().is_some_and(is_there));
        }
    }

    fn status_of(&self, evaluated: &Evaluated, view: &View, known: &Known<'_>, expires: Option<Timestamp>) -> Status {
        let app = view.platform.apps.get(&evaluated.app).and_then(|item| item.get());
        let (phase, mut message) = self.phase(evaluated, known);
        if let Some(why) = known.stay {
            message = join(message, why);
        }
        if known.is_over {
            message = join(message, "its time is up; its retirement waits");
        }
        let is_suspended = app.is_some_and(|app| app.suspend);
        Status {
            app: evaluated.app.clone(),
            tier: known.scope.as_ref().map(|scope| scope.tier().clone()),
            template: app.map(|app| app.template.clone()),
            phase,
            health: match known.health {
                None => "Missing".into(),
                Some(Health::Ready | Health::Waiting(_)) if is_suspended => "Suspended".into(),
                Some(Health::Ready | Health::Waiting(_)) => self.healthy(known.scope.as_ref()),
                Some(Health::Progressing(_) | Health::Terminating(_)) => "Progressing".into(),
                Some(Health::Failed(_)) => "Degraded".into(),
            },
            expires,
            url: evaluated
                .instance
                .as_ref()
                .and_then(|instance| instance.host.as_ref())
                .map(|host| format!("https://{host}")),
            monthly_cost: evaluated.cost.clone(),
            objects: known.inventory.map_or(0, Inventory::len),
            revision: known.inventory.and_then(|inventory| inventory.last().revision),
            message,
        }
    }

    /// `Healthy`, or that nothing really runs there.
    fn healthy(&self, scope: Option<&Scope>) -> String {
        let cluster = scope.and_then(|scope| self.tiers.get(scope.tier()));
        if cluster.is_some_and(|cluster| self.simulated.contains(cluster.name())) {
            "Healthy (simulated)".into()
        } else {
            "Healthy".into()
        }
    }

    fn phase(&self, evaluated: &Evaluated, known: &Known<'_>) -> (Phase, String) {
        let first = |found: &[Diagnostic]| {
            let more = match found.len() {
                0 | 1 => String::new(),
                many => format!(" (and {} more)", many - 1),
            };
            found.first().map(|first| format!("{first}{more}")).unwrap_or_default()
        };
        let goes_on = match known.inventory.is_some_and(|inventory| !inventory.is_empty()) {
            true => "; what ran before runs on",
            false => "",
        };
        match &evaluated.verdict {
            Verdict::Broken(errors) => return (Phase::Stalled, first(errors) + goes_on),
            Verdict::Denied(violations) => {
                return (Phase::Stalled, format!("policy forbids it: {}{goes_on}", first(violations)));
            }
            Verdict::Unapproved => {
                return (Phase::Held, format!("is new in its tier and waits for approval; {}", approve(evaluated)));
            }
            Verdict::Admitted(_) => {}
        }
        let scope = known.scope.as_ref();
        let notes = scope.and_then(|scope| self.notes.get(&self.home(scope)?));
        let problem = notes.and_then(|notes| notes.iter().find(|note| note.is_problem()));
        let away = scope.and_then(|scope| self.away.get(scope.tier()));
        match (problem, known.failure, known.health) {
            (Some(note), _, _) => (Phase::Stalled, note.to_string()),
            (_, _, Some(Health::Failed(why))) => (Phase::Stalled, why.to_string()),
            (_, Some(failure), _) => (Phase::Stalled, failure.to_owned()),
            (_, _, None) if let Some(why) = away => (Phase::Stalled, why.to_string()),
            (_, _, None) => (Phase::Reconciling, "is not there yet".into()),
            (_, _, Some(Health::Progressing(why) | Health::Terminating(why))) => (Phase::Reconciling, why.to_string()),
            _ if known.is_unfinished => (Phase::Reconciling, String::new()),
            _ => match evaluated.held {
                Some(HeldReason::Changed | HeldReason::New) => {
                    let waits = "a change waits for approval, and what was approved runs on";
                    (Phase::Held, format!("{waits}; {}", approve(evaluated)))
                }
                None => (Phase::Ready, String::new()),
            },
        }
    }

    /// The same, looked up again only where something of the scope may have changed.
    fn known_health(&mut self, scope: &Scope) -> Option<Health> {
        if let Some(known) = self.health.get(scope) {
            return known.clone();
        }
        let health = self.health(scope, self.inventory(scope));
        self.health.insert(scope.clone(), health.clone());
        health
    }

    /// The worst of what its objects say; none where it has no object.
    pub(super) fn health(&self, scope: &Scope, inventory: Option<&Inventory>) -> Option<Health> {
        let cluster = self.tiers.get(scope.tier())?;
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
        inventory?.entries().map(|(key, _)| of(key)).max_by_key(rank)
    }
}

/// The next step for what is held.
fn approve(evaluated: &Evaluated) -> String {
    format!("approve it with dayfly adopt --app {}", evaluated.app)
}

fn join(message: String, more: &str) -> String {
    if message.is_empty() { more.to_owned() } else { format!("{message}; {more}") }
}
