//! The pass's part in removal: what git deleted, or has elsewhere now, goes from the clusters.

use dayfly_model::names::InstanceKey;
use dayfly_model::scope::Scope;
use dayfly_plan::health::Health;
use dayfly_plan::inventory::LastPass;
use dayfly_plan::plan;
use dayfly_plan::removal::{self, FoundInventory, RemovalFacts, Removals};
use jiff::Timestamp;

use crate::apply::Work;
use crate::pass::Pass;
use crate::reconciler::Reconciler;
use crate::view::View;
use crate::waits::Waits;

impl Reconciler {
    /// Removes what git deleted, or has elsewhere now. Then the shared objects of tiers that moved, after the last of their
    /// apps.
    pub(crate) async fn prune(&mut self, view: &View, now: Timestamp, waits: Waits, pass: &mut Pass) -> Removals {
        let removals = self.removals(view, now);
        let work = self.removal_work(&removals, view);
        self.carry_out(work, view, waits.limits, pass).await;
        if removals.remove.iter().any(|gone| self.fleet.is_left_behind(&gone.cluster, &gone.scope)) {
            let mut shared = self.removals(view, now);
            shared.remove.retain(|next| next.scope.app().is_none() && !removals.remove.contains(next));
            let work = self.removal_work(&shared, view);
            self.carry_out(work, view, waits.limits, pass).await;
        }
        removals
    }

    /// What git deleted, or has elsewhere now.
    pub(crate) fn removals(&self, view: &View, now: Timestamp) -> Removals {
        let inventories = self.found_inventories(view);
        // Only what moves is asked for.
        let moves = inventories.iter().filter_map(|found| {
            let here = found.inventory.scope();
            let app = here.app().and_then(|app| view.platform.apps.get(app)?.get());
            let there = app.map(|app| InstanceKey { app: app.name.clone(), tier: app.tier.clone() }.into());
            let there: Scope = there.unwrap_or_else(|| here.clone());
            (found.left_behind_on.is_some() || there != *here).then_some(there)
        });
        let is_there = |scope: &Scope| self.progress.is_converged(scope, view) && self.is_well(scope, view, now);
        let converged = moves.filter(is_there).collect();
        let mut removals = removal::removals(&RemovalFacts {
            platform: &view.platform,
            history: &view.history,
            inventories,
            converged: &converged,
            moved: self.fleet.moved_by_approval(),
            since: view.approvals.since,
            is_tip_confirmed: view.approvals.last_confirmation == Some(view.tip.revision),
            is_confirmed: &|app| view.approvals.has_confirmed(app, &view.history),
            now,
        });
        removals.remove.retain(|location| self.options.includes_scope(&location.scope));
        removals
    }

    /// What was found on the clusters that can be reached.
    fn found_inventories(&self, view: &View) -> Vec<FoundInventory<'_>> {
        // What is in a tier that is no more is reported; what is in a tier whose cluster is unreachable waits.
        let is_known = |scope: &Scope| {
            let environment = view.platform.environments.get(scope.tier());
            self.fleet.of_tier(scope.tier()).is_some() || environment.is_none_or(|item| item.get().is_none())
        };
        let mut found = Vec::new();
        for (id, cluster) in self.fleet.reached() {
            let known = self.inventories.on(id).filter(|inventory| is_known(inventory.scope()));
            found.extend(known.map(|inventory| FoundInventory {
                inventory,
                cluster: id,
                left_behind_on: self.fleet.is_left_behind(id, inventory.scope()).then(|| cluster.name()),
            }));
        }
        found
    }

    /// Whether everything of a scope is there and healthy.
    fn is_well(&self, scope: &Scope, view: &View, now: Timestamp) -> bool {
        match self.status_inputs(view, now).health(scope) {
            None => scope.app().is_none(),
            Some(health) => matches!(health, Health::Ready | Health::Waiting(_)),
        }
    }

    /// The plans that remove these.
    pub(crate) fn removal_work(&self, removals: &Removals, view: &View) -> Vec<Work> {
        let fresh = removals.remove.iter().filter(|location| !self.inventories.is_stale(location));
        let work = fresh.filter_map(|location| {
            let cluster = self.fleet.cluster(&location.cluster)?.clone();
            let inventory = self.inventories.get(location)?.clone();
            let plan = plan::plan_removal(&inventory, &cluster.observed());
            let last = LastPass { revision: Some(view.tip.revision), ..inventory.last().clone() };
            Some(Work { cluster, plan, inventory, last })
        });
        work.collect()
    }
}
