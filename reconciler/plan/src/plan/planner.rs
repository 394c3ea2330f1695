//! Decides, object by object, what a plan does: desired, inventory and live side by side.

use std::collections::{BTreeMap, BTreeSet};

use dayfly_model::kinds::Wave;
use dayfly_model::object::{Object, ObjectKey};
use dayfly_model::platform::environment::Drift;
use dayfly_model::scope::Scope;

use super::{ChangeAction, ChangeReason, ObjectChange, Plan, SkipReason, Skipped};
use crate::health::Health;
use crate::immutable;
use crate::inventory::{Inventory, InventoryEntry};
use crate::observed::{Live, Observed, OptOut, Seen};

/// The plan for these objects; the caller vouches that they were admitted.
pub(super) fn plan_objects(inventory: &Inventory, desired: &[Object], observed: &Observed, drift: Drift) -> Plan {
    let mut planner = Planner { inventory, observed, drift, plan: empty(inventory.scope(), drift) };
    for object in desired {
        let skipped = planner.plan.skipped.len();
        planner.plan_desired(object);
        if planner.plan.skipped.len() == skipped {
            planner.plan.gates.entry(planner.wave(object.key())).or_default().push(object.key().clone());
        }
    }
    let problems = planner.plan.skipped.iter().filter(|skipped| skipped.is_problem());
    let first_problem = problems.map(|skipped| planner.wave(&skipped.key)).min();
    let wanted: BTreeSet<_> = desired.iter().map(Object::key).collect();
    for (key, entry) in inventory.entries().filter(|(key, _)| !wanted.contains(key)) {
        planner.plan_deletion(key, entry);
    }
    planner.keep_namespaces();
    if let Some(wave) = first_problem {
        planner.block_after(wave);
    }
    planner.finish()
}

/// The plan that deletes the routes of an inventory.
pub(super) fn no_routes(inventory: &Inventory, observed: &Observed) -> Plan {
    let plan = empty(inventory.scope(), Drift::Repair);
    let mut planner = Planner { inventory, observed, drift: Drift::Repair, plan };
    for (key, entry) in inventory.entries().filter(|(key, _)| observed.kinds().wave(key) == Wave::Route) {
        planner.plan_deletion(key, entry);
    }
    planner.finish()
}

/// A plan that does nothing.
pub(super) fn empty(scope: &Scope, drift: Drift) -> Plan {
    Plan {
        scope: scope.clone(),
        applies: vec![],
        deletes: vec![],
        forgets: vec![],
        skipped: vec![],
        blocked: 0,
        gates: BTreeMap::new(),
        force: drift == Drift::Repair,
        removal: false,
    }
}

struct Planner<'a> {
    inventory: &'a Inventory,
    observed: &'a Observed,
    drift: Drift,
    plan: Plan,
}

impl Planner<'_> {
    fn wave(&self, key: &ObjectKey) -> Wave {
        self.observed.kinds().wave(key)
    }

    fn skip(&mut self, key: &ObjectKey, reason: SkipReason) {
        self.plan.skipped.push(Skipped { key: key.clone(), reason });
    }

    fn apply(
        &mut self,
        action: ChangeAction,
        reason: ChangeReason,
        object: &Object,
        live: Option<&Live>,
        verify: bool,
    ) {
        let (key, desired) = (object.key().clone(), Some(object.clone()));
        let (wave, uid) = (self.wave(&key), live.map(|live| live.uid.to_string()));
        let change = ObjectChange { action, reason, key, wave, desired, uid, verify };
        self.plan.applies.push(change);
    }

    /// Blocks what comes after a wave in which an object with a problem is skipped: a workload never starts without the
    /// policies and quotas that were rendered for it, and nothing is deleted while its successor may be absent.
    fn block_after(&mut self, wave: Wave) {
        let before = self.plan.applies.len() + self.plan.deletes.len();
        self.plan.applies.retain(|change| change.wave <= wave);
        self.plan.deletes.clear();
        self.plan.forgets.clear();
        self.plan.blocked = before - self.plan.applies.len();
    }

    fn plan_desired(&mut self, object: &Object) {
        let key = object.key();
        let entry = self.inventory.get(key);
        match self.observed.get(key) {
            Seen::Unknown => self.skip(key, SkipReason::Unknown),
            Seen::Absent => match entry {
                None => self.apply(ChangeAction::Create, ChangeReason::New, object, None, false),
                Some(entry) if entry.pending && entry.uid.is_none() => {
                    self.apply(ChangeAction::Create, ChangeReason::Unfinished, object, None, true);
                }
                Some(_) if self.drift == Drift::Report => self.skip(key, SkipReason::Missing),
                Some(_) => self.apply(ChangeAction::Create, ChangeReason::Missing, object, None, true),
            },
            Seen::Live(live) => match entry {
                None if !InventoryEntry::unfinished().claims(live, self.inventory.scope()) => {
                    self.skip(key, SkipReason::Foreign(live.owners()));
                }
                // No inventory at all: it was lost, or a crash came before it. What carries our labels is adopted.
                None if self.inventory.resource_version().is_none() => {
                    self.owned(object, &InventoryEntry::unfinished(), live)
                }
                None => self.skip(key, SkipReason::Unrecorded(self.inventory.scope().to_string())),
                Some(entry) if entry.claims(live, self.inventory.scope()) => self.owned(object, entry, live),
                Some(entry) if entry.uid.is_none() => self.skip(key, SkipReason::Foreign(live.owners())),
                Some(_) => self.skip(key, SkipReason::Recreated(live.owners())),
            },
        }
    }

    fn owned(&mut self, object: &Object, entry: &InventoryEntry, live: &Live) {
        let key = object.key();
        if live.deleting {
            self.skip(key, SkipReason::Terminating(why_terminating(live)));
        } else if live.opt_out.reconcile || OptOut::of(object.value()).reconcile {
            self.skip(key, SkipReason::ReconcileDisabled);
        } else if entry.applied != Some(object.digest()) {
            let fixed = immutable::digest(object);
            if entry.fixed.is_none() || entry.fixed == fixed {
                let unfinished = entry.pending || entry.applied.is_none();
                let reason = if unfinished { ChangeReason::Unfinished } else { ChangeReason::Changed };
                self.apply(ChangeAction::Update, reason, object, Some(live), false);
            } else if immutable::may_replace(object) {
                self.apply(ChangeAction::Replace, ChangeReason::Immutable, object, Some(live), false);
            } else {
                self.skip(key, SkipReason::Immutable(immutable::names(&key.kind)));
            }
        } else if entry.pending {
            self.apply(ChangeAction::Update, ChangeReason::Unfinished, object, Some(live), false);
        } else if entry.owned != live.owned {
            match self.drift {
                Drift::Repair => self.apply(ChangeAction::Update, ChangeReason::Drifted, object, Some(live), false),
                Drift::Report => self.skip(key, SkipReason::Drifted(live.owners())),
            }
        }
    }

    /// Plans for an entry whose object is not to be there any more.
    fn plan_deletion(&mut self, key: &ObjectKey, entry: &InventoryEntry) {
        match self.observed.get(key) {
            Seen::Unknown => self.skip(key, SkipReason::Unknown),
            Seen::Absent => self.plan.forgets.push(key.clone()),
            Seen::Live(live) if !entry.claims(live, self.inventory.scope()) => self.plan.forgets.push(key.clone()),
            Seen::Live(live) if live.deleting => self.skip(key, SkipReason::Terminating(why_terminating(live))),
            Seen::Live(live) if live.opt_out.reconcile => self.skip(key, SkipReason::ReconcileDisabled),
            Seen::Live(live) if live.opt_out.prune => self.skip(key, SkipReason::PruneDisabled),
            Seen::Live(live) if !live.labeled => self.skip(key, SkipReason::Unlabeled),
            Seen::Live(_) if self.is_terminating(key.namespace.as_deref()) => {
                self.skip(key, SkipReason::Terminating("its namespace is being deleted".into()));
            }
            Seen::Live(live) => self.plan.deletes.push(ObjectChange {
                action: ChangeAction::Delete,
                reason: ChangeReason::Removed,
                key: key.clone(),
                wave: self.wave(key),
                desired: None,
                uid: Some(live.uid.to_string()),
                verify: false,
            }),
        }
    }

    /// Whether a namespace is being deleted, with everything in it.
    fn is_terminating(&self, namespace: Option<&str>) -> bool {
        let Some(namespace) = namespace else { return false };
        let key =
            ObjectKey { group: String::new(), kind: "Namespace".into(), namespace: None, name: namespace.to_owned() };
        matches!(self.observed.get(&key), Seen::Live(live) if live.deleting)
    }

    fn finish(mut self) -> Plan {
        let going: BTreeSet<_> = self.plan.deleted_namespaces().map(str::to_owned).collect();
        for change in &mut self.plan.deletes {
            // Policies, quotas and rights protect what still runs: they go with the namespace, not before it.
            let inside = change.key.namespace.as_ref().is_some_and(|namespace| going.contains(namespace));
            if inside && change.wave == Wave::Config {
                change.reason = ChangeReason::RemovedWithNamespace;
            }
        }
        self.plan.applies.sort_by(|a, b| (a.wave, &a.key).cmp(&(b.wave, &b.key)));
        self.plan.deletes.sort_by(|a, b| (b.wave, &a.key).cmp(&(a.wave, &b.key)));
        self.plan
    }

    /// Skips the deletion of namespaces in which something is kept, or in which another scope manages something.
    fn keep_namespaces(&mut self) {
        let going: BTreeSet<_> = self.plan.deleted_namespaces().map(str::to_owned).collect();
        if going.is_empty() {
            return;
        }
        let mut kept: BTreeMap<String, ObjectKey> = BTreeMap::new();
        let staying = self.plan.skipped.iter().filter(|skipped| !matches!(skipped.reason, SkipReason::Terminating(_)));
        kept.extend(staying.filter_map(|skipped| Some((skipped.key.namespace.clone()?, skipped.key.clone()))));
        let set = self.inventory.scope().apply_set();
        for live in self.observed.objects() {
            let Some(namespace) = live.namespace.as_deref().filter(|namespace| going.contains(*namespace)) else {
                continue;
            };
            let others = live.apply_set.as_deref().is_some_and(|other| other != set) && live.owned.is_some();
            if others || (live.opt_out.prune && live.labeled) {
                kept.insert(namespace.to_owned(), live.key());
            }
        }
        let is_kept = |change: &ObjectChange| change.key.kind == "Namespace" && kept.contains_key(&change.key.name);
        let (namespaces, deletes): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.plan.deletes).into_iter().partition(is_kept);
        self.plan.deletes = deletes;
        for change in namespaces {
            self.skip(&change.key, SkipReason::HoldsKept(kept[&change.key.name].clone()));
        }
    }
}

/// Why something that is being deleted is still there.
fn why_terminating(live: &Live) -> String {
    if let Health::Terminating(why) = &live.health { why.to_string() } else { "it is ending".into() }
}
