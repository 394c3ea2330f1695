//! The pass's part in applying: what is due is planned, a part at a time, and carried out for many scopes at once.

use std::sync::Arc;

use dayfly_cluster::{ChangeSet, Cluster, WaitLimits};
use dayfly_judge::policy::Admitted;
use dayfly_judge::render::Manifests;
use dayfly_model::names::InstanceKey;
use dayfly_model::platform::environment::Drift;
use dayfly_model::scope::{Location, Scope};
use dayfly_plan::inventory::{Inventory, LastPass};
use dayfly_plan::observed::Observed;
use dayfly_plan::plan::{self, Plan, SkipReason, Skipped};
use futures::{StreamExt as _, stream};
use jiff::Timestamp;

use crate::pass::Pass;
use crate::reconciler::Reconciler;
use crate::view::View;
use crate::waits::Waits;

/// How many scopes are worked on at once; the cluster's own limiter decides how many calls run.
const SCOPES: usize = 32;
/// How many are planned before the first of them is worked on: what they want is held meanwhile.
pub(crate) const PLANNED: usize = 512;

/// One scope's part of a pass.
pub(crate) struct Work {
    pub cluster: Cluster,
    pub plan: Plan,
    pub inventory: Inventory,
    pub last: LastPass,
}

/// What a scope is to be brought to.
struct Target {
    wanted: Wanted,
    drift: Drift,
    last: LastPass,
}

enum Wanted {
    /// What policy admitted.
    Admitted(Admitted),
    /// A tier's shared objects.
    Shared(Arc<Manifests>),
    /// What is there, without what lets traffic in: of an app that is past its end, and of which nothing is admitted.
    NoRoutes,
}

impl Wanted {
    fn manifests(&self) -> Option<&Manifests> {
        match self {
            Self::Admitted(admitted) => Some(admitted.manifests()),
            Self::Shared(manifests) => Some(manifests),
            Self::NoRoutes => None,
        }
    }
}

impl Target {
    fn plan(&self, inventory: &Inventory, observed: &Observed) -> Plan {
        match &self.wanted {
            Wanted::Admitted(admitted) => plan::plan(admitted, inventory, observed, self.drift),
            Wanted::Shared(manifests) => plan::plan_shared(manifests, inventory, observed, self.drift),
            Wanted::NoRoutes => plan::plan_no_routes(inventory, observed),
        }
    }
}

impl Reconciler {
    /// Brings every scope that is due to what git wants of it.
    pub(crate) async fn apply_due(&mut self, view: &View, now: Timestamp, waits: Waits, pass: &mut Pass) {
        let is_due =
            |scope: &Scope| self.fleet.unreachable(scope.tier()).is_some() || !self.progress.is_converged(scope, view);
        let due: Vec<_> = self.scopes(view).into_iter().filter(is_due).collect();
        for due in due.chunks(PLANNED) {
            let work = self.plan(view, due, now, pass).await;
            self.carry_out(work, view, waits.limits, pass).await;
        }
    }

    /// Everything that the tip wants to run.
    pub(crate) fn scopes(&self, view: &View) -> Vec<Scope> {
        let instances = view.evaluation.instances.values().filter(|evaluated| self.options.includes(&evaluated.app));
        let instances = instances.filter_map(|evaluated| evaluated.key()).map(Scope::Instance);
        let shared = view.platform.environments.keys().cloned().map(Scope::Shared);
        instances.chain(shared.filter(|scope| self.options.includes_scope(scope))).collect()
    }

    /// Plans scopes. What needs nothing has converged; the work for the others is returned.
    pub(crate) async fn plan(&mut self, view: &View, scopes: &[Scope], now: Timestamp, pass: &mut Pass) -> Vec<Work> {
        let mut work = Vec::new();
        for some in scopes.chunks(SCOPES) {
            work.extend(some.iter().filter_map(|scope| self.plan_scope(view, scope, now, pass)));
            // Whoever else waits for this thread comes in between.
            tokio::task::yield_now().await;
        }
        work
    }

    fn plan_scope(&mut self, view: &View, scope: &Scope, now: Timestamp, pass: &mut Pass) -> Option<Work> {
        if self.fleet.unreachable(scope.tier()).is_some() {
            pass.unfinished.insert(scope.clone());
            return None;
        }
        let cluster = self.fleet.of_tier(scope.tier())?.clone();
        let location = Location { cluster: cluster.id().to_owned(), scope: scope.clone() };
        if self.inventories.is_stale(&location) {
            return None;
        }
        let target = self.target(view, &location, now, pass)?;
        let inventory = self.inventories.get(&location).cloned().unwrap_or_else(|| Inventory::new(scope.clone()));
        let (plan, last) = (target.plan(&inventory, &cluster.observed()), target.last);
        // Another replica may have written it meanwhile.
        if plan.skipped().iter().any(|skipped| matches!(skipped.reason, SkipReason::Unrecorded(_))) {
            self.inventories.mark_stale(location.clone());
        }
        self.progress.set_skipped(location, plan.skipped());
        let has_problem = plan.skipped().iter().any(Skipped::is_problem);
        if plan.is_empty() && plan.blocked() == 0 && !has_problem && *inventory.last() == last {
            self.progress.converged(scope, view);
            return None;
        }
        Some(Work { cluster, plan, inventory, last })
    }

    /// What a scope is to be brought to; none where nothing may be done.
    fn target(&self, view: &View, location: &Location, now: Timestamp, pass: &mut Pass) -> Option<Target> {
        let scope = &location.scope;
        let environment = view.platform.environments.get(scope.tier())?.get()?;
        let (wanted, expires) = match scope {
            Scope::Instance(key) => (self.wanted(view, key, pass)?, view.expiry(&key.app, now)),
            Scope::Shared(tier) => match &view.shared.get(tier)?.manifests {
                Ok(manifests) => (Wanted::Shared(manifests.clone()), None),
                Err(errors) => {
                    pass.diagnostics.extend(errors.iter().cloned());
                    return None;
                }
            },
        };
        let before = self.inventories.get(location).map(|inventory| inventory.last().clone()).unwrap_or_default();
        let rendered = wanted.manifests().map_or(before.rendered, |manifests| Some(manifests.digest));
        // The commit that what runs came with: a commit that renders the same is not one.
        let is_known = before.revision.is_some_and(|revision| view.knows(&revision));
        let (revision, baseline) = match before.rendered == rendered && is_known {
            true => (before.revision, before.baseline),
            false => (Some(view.tip.revision), Some(view.approvals.baseline)),
        };
        let last = LastPass { revision, baseline, rendered, expires: expires.map(|at| at.to_string()) };
        Some(Target { wanted, drift: environment.drift, last })
    }

    /// What an instance is to be brought to; none where nothing is admitted.
    fn wanted(&self, view: &View, key: &InstanceKey, pass: &mut Pass) -> Option<Wanted> {
        let evaluated = view.evaluation.instances.get(&key.app)?;
        let admitted = match evaluated.admitted().map(|sealed| sealed.open()).transpose() {
            Ok(admitted) => admitted,
            Err(error) => {
                pass.diagnostics.push(error.about(&key.app));
                return None;
            }
        };
        match (admitted, self.progress.is_expired(key)) {
            (Some(admitted), false) => Some(Wanted::Admitted(admitted)),
            (Some(admitted), true) => {
                let kinds = &evaluated.instance.as_ref()?.environment.kinds;
                Some(Wanted::Admitted(admitted.without_routes(kinds)))
            }
            (None, true) => Some(Wanted::NoRoutes),
            (None, false) => None,
        }
    }

    /// Carries out plans, many at once, and records what came of them.
    pub(crate) async fn carry_out(&mut self, work: Vec<Work>, view: &View, limits: WaitLimits, pass: &mut Pass) {
        let carried = stream::iter(work).map(|mut work| async move {
            let changes = work.cluster.apply(&work.plan, &mut work.inventory, work.last, limits).await;
            (work.cluster.id().to_owned(), work.inventory, changes)
        });
        let mut carried = carried.buffer_unordered(SCOPES);
        while let Some((cluster, inventory, changes)) = carried.next().await {
            let location = Location { cluster, scope: changes.scope.clone() };
            pass.record(&changes);
            self.record(&location, inventory, &changes, view);
            if !changes.complete {
                pass.unfinished.insert(location.scope);
            }
        }
    }

    fn record(&mut self, location: &Location, inventory: Inventory, changes: &ChangeSet, view: &View) {
        let scope = &location.scope;
        if changes.failures.iter().any(|failure| failure.key.is_none()) {
            self.inventories.mark_stale(location.clone());
        } else {
            self.inventories.record(location, inventory);
            if self.inventories.get(location).is_none() {
                self.progress.set_skipped(location.clone(), &[]);
            }
        }
        if !changes.skipped.is_empty() {
            self.progress.set_skipped(location.clone(), &changes.skipped);
        }
        match changes.complete {
            true => self.progress.doubt_health_of(scope),
            // The next pass plans it again, whatever made this one plan it.
            false => self.progress.invalidate(scope),
        }
        if changes.complete && self.fleet.location(scope).as_ref() == Some(location) {
            self.progress.converged(scope, view);
        }
    }
}
