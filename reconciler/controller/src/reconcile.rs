//! One pass: from what git says to a cluster that agrees. Shared by `apply`, `run` and `up`, as straight-line code.
//!
//! read the tip -> retire what is due (a commit, then the new tip) -> judge -> observe -> decide what goes -> plan -> apply
//! in waves -> prune -> wait for health -> status

mod moved;
mod observe;
mod pass;
mod preview;
mod remove;
mod report;
mod retire;
mod rewritten;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dayfly_calls::Calls;
use dayfly_cluster::clusters::{self, Clusters};
use dayfly_cluster::{Cluster, WaitLimits};
use dayfly_git::Repository;
use dayfly_judge::evaluate::Evaluated;
use dayfly_judge::policy::Admitted;
use dayfly_judge::render::{self, Manifests};
use dayfly_lifecycle::ledger::Verifier;
use dayfly_model::diagnostic::Diagnostic;
use dayfly_model::digest::Digest;
use dayfly_model::names::{AppName, InstanceKey, TierName};
use dayfly_model::platform::environment::{self, Drift};
use dayfly_model::scope::{Location, Scope};
use dayfly_model::snapshot::Snapshot;
use dayfly_plan::health::Health;
use dayfly_plan::inventory::{Inventory, LastPass};
use dayfly_plan::observed::Observed;
use dayfly_plan::plan::{self, Plan, SkipReason, Skipped};
use dayfly_plan::status::Status;
use futures::{StreamExt as _, stream};
use jiff::Timestamp;
use moved::Left;
use observe::{Look, is_nothing};

use crate::error::Error;
use crate::source::{Source, View};
pub use pass::{Changed, Pass, Proposed, Retired};
pub use preview::{PlanPreview, PreviewedChange};
use report::stay;
use retire::Memory;
use rewritten::Basis;

/// How many instances are worked on at once; the cluster's own limiter decides how many calls run.
const INSTANCES: usize = 32;
/// How many are planned before the first of them is worked on: what they want is held meanwhile.
const PLANNED: usize = 512;

/// How long a pass waits.
#[derive(Clone, Copy)]
struct Waits {
    /// For what it changed.
    limits: WaitLimits,
    /// For the first look at a cluster.
    first_look: Duration,
    /// For one that began in an earlier pass.
    later_look: Duration,
}

/// A pass that somebody waits for.
const PATIENT: Waits = Waits {
    limits: WaitLimits { health: Duration::from_secs(120), deletion: Duration::from_secs(60) },
    first_look: Duration::from_secs(60),
    later_look: Duration::from_secs(60),
};
/// A controller's pass: the watches tell it when to go on, and one slow app or cluster slows nobody.
const IMPATIENT: Waits = Waits {
    limits: WaitLimits { health: Duration::from_secs(2), deletion: Duration::from_secs(2) },
    first_look: Duration::from_secs(10),
    later_look: Duration::ZERO,
};

/// Passes, one after the other, and what is remembered between them; all of it can be read again.
pub struct Reconciler {
    source: Source,
    clusters: Clusters,
    only: BTreeSet<AppName>,
    /// What is where: by the cluster's id, then by scope.
    inventories: BTreeMap<String, BTreeMap<Scope, Inventory>>,
    /// The connections by which inventories were read.
    read: BTreeSet<String>,
    /// The verdict that each scope was last brought to. What is absent or another allocation has to be planned.
    settled: BTreeMap<InstanceKey, Arc<Evaluated>>,
    /// The same for what a tier has once, by the digest of its folder.
    settled_shared: BTreeMap<TierName, Digest>,
    /// The cluster of each tier that can be reached.
    tiers: BTreeMap<TierName, Cluster>,
    /// The id of the cluster where each tier was seen last.
    homes: BTreeMap<TierName, String>,
    /// All clusters that can be reached, by id: also those where a tier was before.
    reached: BTreeMap<String, Cluster>,
    /// First looks that are under way, by connection.
    looks: BTreeMap<String, Look>,
    /// What became of looking back at the clusters where tiers were before.
    left: BTreeMap<environment::ClusterRef, Left>,
    /// The tiers that an approved commit moved to another cluster.
    moved: BTreeSet<TierName>,
    /// The clusters where nothing really runs.
    simulated: BTreeSet<String>,
    /// Why there is no cluster for a tier.
    away: BTreeMap<TierName, Diagnostic>,
    /// Scopes whose inventory has to be read again, since somebody else wrote it or it cannot be read. Until it was, nothing
    /// of theirs is touched.
    stale: BTreeSet<Location>,
    /// What is past its end and suspended, so that it has no routes.
    resting: BTreeSet<InstanceKey>,
    /// What the last plan of each scope left alone.
    notes: BTreeMap<Location, Vec<Skipped>>,
    /// How each scope was when it was last looked at. What is absent has to be looked at again.
    health: BTreeMap<Scope, Option<Health>>,
    /// What the watches told of since the last pass.
    touched: BTreeSet<Scope>,
    /// What was found to hold everything that was acted upon, for the inventories as they are.
    proven: Option<Basis>,
    memory: Memory,
    is_time_stated: bool,
}

/// One instance's part of a pass.
struct Work {
    cluster: Cluster,
    plan: Plan,
    inventory: Inventory,
    last: LastPass,
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
    /// What a tier has once.
    Shared(Manifests),
    /// What is there, without what lets traffic in: of an app that rests, and of which nothing is admitted.
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
    /// A reconciler of one repository.
    pub fn new(repository: Repository, verifier: Verifier, target: clusters::ClusterTarget) -> Self {
        Self::with_calls(repository, verifier, target, Calls::default())
    }

    /// The same, with its own count of calls.
    pub fn with_calls(
        repository: Repository,
        verifier: Verifier,
        target: clusters::ClusterTarget,
        calls: Calls,
    ) -> Self {
        Self {
            source: Source::new(repository, verifier),
            clusters: Clusters::new(target, calls),
            only: BTreeSet::new(),
            inventories: BTreeMap::new(),
            read: BTreeSet::new(),
            settled: BTreeMap::new(),
            settled_shared: BTreeMap::new(),
            tiers: BTreeMap::new(),
            homes: BTreeMap::new(),
            reached: BTreeMap::new(),
            looks: BTreeMap::new(),
            left: BTreeMap::new(),
            moved: BTreeSet::new(),
            simulated: BTreeSet::new(),
            away: BTreeMap::new(),
            stale: BTreeSet::new(),
            resting: BTreeSet::new(),
            notes: BTreeMap::new(),
            health: BTreeMap::new(),
            touched: BTreeSet::new(),
            proven: None,
            memory: Memory::default(),
            is_time_stated: false,
        }
    }

    /// The same, for these apps only; for all where none is named.
    pub fn only(mut self, apps: BTreeSet<AppName>) -> Self {
        self.only = apps;
        self
    }

    /// The same, remembering what was announced in that file.
    pub fn remembering(mut self, path: PathBuf) -> Self {
        self.memory = Memory::at(path);
        self
    }

    /// The same, at times that a person states and nobody doubts.
    pub fn at_stated_times(mut self, stated: bool) -> Self {
        self.is_time_stated = stated;
        self
    }

    /// The repository.
    pub fn repository(&self) -> &Repository {
        self.source.repository()
    }

    /// Waits until something of ours changed in a cluster.
    pub async fn cluster_changed(&mut self) {
        let touched = self.clusters.touched().await;
        self.touched.extend(touched);
    }
}

impl Reconciler {
    /// One full pass that waits for what it changed to become healthy.
    pub async fn pass(&mut self, now: Timestamp) -> Result<Pass, Error> {
        self.pass_within(now, PATIENT).await
    }

    /// One pass of a controller: it plans only what changed in git or in a cluster.
    pub async fn watch_pass(&mut self, now: Timestamp) -> Result<Pass, Error> {
        self.pass_within(now, IMPATIENT).await
    }

    /// How the apps are, and what somebody should know beside them, without changing anything.
    pub async fn status(&mut self, now: Timestamp) -> Result<(Vec<Status>, Vec<Diagnostic>), Error> {
        let view = self.source.read(now)?;
        let mut pass = Pass::new(&view, now);
        pass.diagnostics.extend(view.findings());
        self.observe(&view, PATIENT, &mut pass).await?;
        self.withdraw_routes(&view, now);
        let all: Vec<_> = self.scopes(&view).into_iter().collect();
        for scopes in all.chunks(PLANNED) {
            self.plan(&view, scopes, now, &mut pass);
        }
        let removals = self.removals(&view, now);
        pass.diagnostics.extend(removals.withheld.iter().map(stay));
        self.health.clear();
        self.report(&view, &removals, now, &mut pass);
        // What is about an app of the list is its message.
        let listed: BTreeSet<_> = pass.items.iter().map(|item| &item.app).collect();
        let is_asked_for = |app: &AppName| (self.only.is_empty() || self.only.contains(app)) && !listed.contains(app);
        pass.diagnostics.retain(|found| found.app.as_ref().is_none_or(&is_asked_for));
        Ok((pass.items, pass.diagnostics))
    }

    /// What a pass would change if these files were the tip.
    pub async fn preview(&mut self, files: Snapshot, now: Timestamp) -> Result<PlanPreview, Error> {
        let view = self.source.preview(files, now)?;
        let mut pass = Pass::new(&view, now);
        pass.diagnostics.extend(view.findings());
        self.observe(&view, PATIENT, &mut pass).await?;
        self.withdraw_routes(&view, now);
        let all: Vec<_> = self.scopes(&view).into_iter().collect();
        let mut plans: Vec<_> =
            self.plan(&view, &all, now, &mut pass).into_iter().map(|work| (work.cluster, work.plan)).collect();
        let removals = self.removals(&view, now);
        plans.extend(self.removal_work(&removals, &view).into_iter().map(|work| (work.cluster, work.plan)));
        pass.diagnostics.extend(removals.withheld.iter().map(stay));
        Ok(PlanPreview::of(plans, pass.diagnostics, self.away.keys().cloned().collect()).await)
    }

    async fn pass_within(&mut self, now: Timestamp, waits: Waits) -> Result<Pass, Error> {
        let began = Instant::now();
        let (reads, writes) = (self.clusters.calls().reads(), self.clusters.calls().writes());
        let mut view = self.source.read(now)?;
        let mut pass = Pass::new(&view, now);
        self.observe(&view, waits, &mut pass).await?;
        // Only where the history is the one that runs: a retirement on another one would be a deletion by mistake.
        let retirement = self.retire_due(&view, now)?;
        if retirement.has_committed {
            view = self.source.read(now)?;
            self.refuse_rewritten(&view)?;
            pass.takes_up(&view);
        }
        self.withdraw_routes(&view, now);
        pass.diagnostics.extend(view.findings());

        let touched = std::mem::take(&mut self.touched);
        touched.iter().for_each(|scope| drop(self.health.remove(scope)));
        let is_due = |scope: &Scope| {
            let is_away = self.away.contains_key(scope.tier());
            is_away || touched.contains(scope) || !self.is_settled(scope, &view)
        };
        let due: Vec<_> = self.scopes(&view).into_iter().filter(is_due).collect();
        for due in due.chunks(PLANNED) {
            let work = self.plan(&view, due, now, &mut pass);
            self.carry_out(work, &view, waits.limits, &mut pass).await;
        }
        let removals = self.removals(&view, now);
        let work = self.removal_work(&removals, &view);
        self.carry_out(work, &view, waits.limits, &mut pass).await;
        self.remove_shared(&view, now, &removals, waits.limits, &mut pass).await;
        pass.diagnostics.extend(removals.withheld.iter().map(stay));
        self.forget_notes(&view);
        self.report(&view, &removals, now, &mut pass);

        retirement.tell(&mut pass);
        pass.writes = (self.clusters.calls().writes() - writes) as usize;
        pass.calls = pass.writes + (self.clusters.calls().reads() - reads) as usize;
        pass.took = began.elapsed();
        Ok(pass)
    }

    /// Where a scope belongs; none where its cluster cannot be reached.
    fn home(&self, scope: &Scope) -> Option<Location> {
        Some(Location { cluster: self.tiers.get(scope.tier())?.id().to_owned(), scope: scope.clone() })
    }

    /// What a scope has where it belongs.
    fn inventory(&self, scope: &Scope) -> Option<&Inventory> {
        self.inventories.get(self.tiers.get(scope.tier())?.id())?.get(scope)
    }

    /// Everything that the tip wants to run.
    fn scopes(&self, view: &View) -> BTreeSet<Scope> {
        let wanted = |app: &AppName| self.only.is_empty() || self.only.contains(app);
        let instances = view.evaluation.instances.values().filter(|evaluated| wanted(&evaluated.app));
        let shared = view.platform.environments.keys().filter(|_| self.only.is_empty()).cloned().map(Scope::Shared);
        instances.filter_map(|evaluated| evaluated.key()).map(Scope::Instance).chain(shared).collect()
    }

    /// Whether a scope was brought to the very verdict that it has now.
    fn is_settled(&self, scope: &Scope, view: &View) -> bool {
        match scope {
            Scope::Instance(key) => match (self.settled.get(key), view.evaluation.instances.get(&key.app)) {
                (Some(settled), Some(evaluated)) => Arc::ptr_eq(settled, evaluated),
                _ => false,
            },
            Scope::Shared(tier) => {
                let folder = view.platform.environments.get(tier).map(|item| item.folder);
                folder.is_some() && self.settled_shared.get(tier) == folder.as_ref()
            }
        }
    }

    /// What is neither wanted any more nor there has nothing to be told of, whoever removed it.
    fn forget_notes(&mut self, view: &View) {
        let (inventories, instances) = (&self.inventories, &view.evaluation.instances);
        self.notes.retain(|place, _| {
            let is_there = inventories.get(&place.cluster).is_some_and(|there| there.contains_key(&place.scope));
            is_there || place.scope.app().is_none_or(|app| instances.contains_key(app))
        });
    }

    /// Plans these scopes; what has nothing to do is settled at once.
    fn plan(&mut self, view: &View, due: &[Scope], now: Timestamp, pass: &mut Pass) -> Vec<Work> {
        let mut work = Vec::new();
        for scope in due.iter().cloned() {
            if self.away.contains_key(scope.tier()) {
                pass.unfinished.insert(scope);
                continue;
            }
            let Some(cluster) = self.tiers.get(scope.tier()).cloned() else { continue };
            let place = Location { cluster: cluster.id().to_owned(), scope: scope.clone() };
            if self.stale.contains(&place) {
                continue;
            }
            let Some(target) = self.target(view, &scope, now, pass) else { continue };
            let inventory = self.inventory(&scope).cloned().unwrap_or_else(|| Inventory::new(scope.clone()));
            let (plan, last) = (target.plan(&inventory, &cluster.observed()), target.last);
            // Another replica may have written it meanwhile.
            if plan.notes().iter().any(|note| matches!(note.reason, SkipReason::Unrecorded(_))) {
                self.stale.insert(place.clone());
            }
            match plan.notes() {
                [] => drop(self.notes.remove(&place)),
                notes => drop(self.notes.insert(place, notes.to_vec())),
            }
            let has_problem = plan.notes().iter().any(Skipped::is_problem);
            if plan.is_empty() && plan.blocked() == 0 && !has_problem && *inventory.last() == last {
                self.settle(&scope, view);
            } else {
                work.push(Work { cluster, plan, inventory, last });
            }
        }
        work
    }

    /// What a scope is to be brought to; none where nothing may be done.
    fn target(&self, view: &View, scope: &Scope, now: Timestamp, pass: &mut Pass) -> Option<Target> {
        let environment = view.platform.environments.get(scope.tier())?.get()?;
        let (wanted, expires) = match scope {
            Scope::Instance(key) => {
                let evaluated = view.evaluation.instances.get(&key.app)?;
                let admitted = match evaluated.admitted().map(|sealed| sealed.open()).transpose() {
                    Ok(admitted) => admitted,
                    Err(error) => {
                        pass.diagnostics.push(error.about(&key.app));
                        return None;
                    }
                };
                let wanted = match (admitted, self.resting.contains(key)) {
                    (Some(admitted), false) => Wanted::Admitted(admitted),
                    (Some(admitted), true) => Wanted::Admitted(admitted.without_routes()),
                    (None, true) => Wanted::NoRoutes,
                    (None, false) => return None,
                };
                (wanted, view.expiry(&self.source, &key.app, now))
            }
            Scope::Shared(_) => match render::render_shared(environment) {
                Ok(manifests) => (Wanted::Shared(manifests), None),
                Err(errors) => {
                    pass.diagnostics.extend(errors.iter().cloned());
                    return None;
                }
            },
        };
        let before = self.inventory(scope).map(|inventory| inventory.last().clone()).unwrap_or_default();
        let rendered = wanted.manifests().map_or(before.rendered, |manifests| Some(manifests.digest));
        // The commit that what runs came with: a commit that changes nothing here is none.
        let is_known = before.revision.is_some_and(|revision| self.source.knows(&revision));
        let (revision, baseline) = match before.rendered == rendered && is_known {
            true => (before.revision, before.baseline),
            false => (Some(view.tip.revision), Some(view.approvals.baseline)),
        };
        let last = LastPass { revision, baseline, rendered, expires: expires.map(|at| at.to_string()) };
        Some(Target { wanted, drift: environment.drift, last })
    }

    fn settle(&mut self, scope: &Scope, view: &View) {
        match scope {
            Scope::Instance(key) => {
                if let Some(evaluated) = view.evaluation.instances.get(&key.app) {
                    self.settled.insert(key.clone(), evaluated.clone());
                }
            }
            Scope::Shared(tier) => {
                if let Some(item) = view.platform.environments.get(tier) {
                    self.settled_shared.insert(tier.clone(), item.folder);
                }
            }
        }
    }

    /// The next pass looks at it again, whatever made this one look.
    fn unsettle(&mut self, scope: &Scope) {
        match scope {
            Scope::Instance(key) => drop(self.settled.remove(key)),
            Scope::Shared(tier) => drop(self.settled_shared.remove(tier)),
        }
    }

    /// Carries out plans, many at once, and takes up what came of them.
    async fn carry_out(&mut self, work: Vec<Work>, view: &View, limits: WaitLimits, pass: &mut Pass) {
        let carried = stream::iter(work).map(|mut work| async move {
            let changes = work.cluster.apply(&work.plan, &mut work.inventory, work.last, limits).await;
            (work.cluster.id().to_owned(), work.inventory, changes)
        });
        let mut carried = carried.buffer_unordered(INSTANCES);
        while let Some((cluster, inventory, changes)) = carried.next().await {
            let scope = changes.scope.clone();
            self.health.remove(&scope);
            let place = Location { cluster, scope: scope.clone() };
            let inventories = self.inventories.entry(place.cluster.clone()).or_default();
            pass.take(&changes);
            if changes.failures.iter().any(|failure| failure.key.is_none()) {
                self.stale.insert(place.clone());
            } else if is_nothing(&inventory) {
                inventories.remove(&scope);
                self.notes.remove(&place);
            } else {
                inventories.insert(scope.clone(), inventory);
            }
            let is_home = self.home(&scope).as_ref() == Some(&place);
            if !changes.notes.is_empty() {
                self.notes.insert(place, changes.notes.clone());
            }
            match changes.complete {
                true if is_home => self.settle(&scope, view),
                true => {}
                false => {
                    self.unsettle(&scope);
                    pass.unfinished.insert(scope);
                }
            }
        }
    }
}
