//! The pass's part in removal: what git deleted, or has elsewhere now, goes from the clusters.

use std::collections::BTreeMap;

use dayfly_cluster::WaitLimits;
use dayfly_model::names::InstanceKey;
use dayfly_model::scope::Scope;
use dayfly_plan::health::Health;
use dayfly_plan::inventory::LastPass;
use dayfly_plan::plan;
use dayfly_plan::removal::{self, FoundInventory, RemovalFacts, Removals};
use jiff::Timestamp;

use super::{Pass, Reconciler, Work};
use crate::source::View;

impl Reconciler {
    /// Which instances git deleted, or has elsewhere now.
    pub(super) fn removals(&self, view: &View, now: Timestamp) -> Removals {
        // What is in a tier that is no more is told of; what is in a cluster that is away waits.
        let is_known = |scope: &Scope| {
            let tier = scope.tier();
            self.tiers.contains_key(tier)
                || view.platform.environments.get(tier).is_none_or(|item| item.get().is_none())
        };
        let mut inventories = Vec::new();
        for (id, cluster) in &self.reached {
            let there = self.inventories.get(id).into_iter().flat_map(BTreeMap::values);
            inventories.extend(there.filter(|inventory| is_known(inventory.scope())).map(|inventory| FoundInventory {
                inventory,
                cluster: id,
                left_on: self.is_left(id, inventory.scope()).then(|| cluster.name()),
            }));
        }
        // Only what moves is asked for.
        let moves = inventories.iter().filter_map(|found| {
            let here = found.inventory.scope();
            let app = here.app().and_then(|app| view.platform.apps.get(app)?.get());
            let there = app.map(|app| InstanceKey { app: app.name.clone(), tier: app.tier.clone() }.into());
            let there: Scope = there.unwrap_or_else(|| here.clone());
            (found.left_on.is_some() || there != *here).then_some(there)
        });
        let settled = moves.filter(|scope| self.is_settled(scope, view) && self.is_well(scope)).collect();
        let mut removals = removal::removals(&RemovalFacts {
            platform: &view.platform,
            history: self.source.history(),
            inventories,
            settled: &settled,
            moved: &self.moved,
            since: view.approvals.since,
            is_swept: view.approvals.swept == Some(view.tip.revision),
            is_confirmed: &|app| view.approvals.has_confirmed(app, self.source.history()),
            now,
        });
        let is_wanted = |scope: &Scope| scope.app().is_some_and(|app| self.only.contains(app));
        removals.remove.retain(|place| self.only.is_empty() || is_wanted(&place.scope));
        removals
    }

    /// What tiers had once where they were before goes after the last of their apps.
    pub(super) async fn remove_shared(
        &mut self,
        view: &View,
        now: Timestamp,
        gone: &Removals,
        limits: WaitLimits,
        pass: &mut Pass,
    ) {
        if gone.remove.iter().any(|place| self.is_left(&place.cluster, &place.scope)) {
            let mut removals = self.removals(view, now);
            removals.remove.retain(|place| place.scope.app().is_none() && !gone.remove.contains(place));
            let work = self.removal_work(&removals, view);
            self.carry_out(work, view, limits, pass).await;
        }
    }

    /// Whether everything of a scope is there and healthy.
    fn is_well(&self, scope: &Scope) -> bool {
        match self.health(scope, self.inventory(scope)) {
            None => scope.app().is_none(),
            Some(health) => matches!(health, Health::Ready | Health::Waiting(_)),
        }
    }

    pub(super) fn removal_work(&self, removals: &Removals, view: &View) -> Vec<Work> {
        let work = removals.remove.iter().filter(|place| !self.stale.contains(place)).filter_map(|place| {
            let cluster = self.reached.get(&place.cluster)?.clone();
            let inventory = self.inventories.get(&place.cluster)?.get(&place.scope)?.clone();
            let plan = plan::plan_removal(&inventory, &cluster.observed());
            let last = LastPass { revision: Some(view.tip.revision), ..inventory.last().clone() };
            Some(Work { cluster, plan, inventory, last })
        });
        work.collect()
    }
}
