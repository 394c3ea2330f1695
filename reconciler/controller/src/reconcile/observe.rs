//! What a pass knows of the clusters: a first look at each, its inventories, and what became of them meanwhile.
//!
//! A first look takes as long as its cluster does, and goes on beside the passes: one that does not answer is told of, and
//! slows no other.

use std::collections::BTreeMap;
use std::time::Duration;

use dayfly_cluster::{Cluster, ClusterError, ClusterErrorKind};
use dayfly_model::scope::{Location, Scope};
use dayfly_plan::inventory::{Inventory, InventoryError};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::report::{trouble, troubles, unreadable};
use super::{Pass, Reconciler, Waits};
use crate::error::Error;
use crate::source::View;

/// A first look at a cluster that is under way.
pub(super) struct Look {
    task: JoinHandle<Result<Seen, ClusterError>>,
    /// How the one before ended.
    failure: Option<ClusterError>,
}

impl Drop for Look {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What a first look sees.
pub(super) struct Seen {
    inventories: Vec<Inventory>,
    broken: Vec<InventoryError>,
    is_simulated: bool,
}

impl Seen {
    /// Reads which cluster it is, and all its inventories.
    pub(super) async fn of(cluster: &Cluster) -> Result<Self, ClusterError> {
        cluster.identify().await?;
        let (inventories, broken) = cluster.inventories().await?;
        Ok(Self { inventories, broken, is_simulated: cluster.is_simulated().await })
    }
}

impl Look {
    fn at(cluster: &Cluster, failure: Option<ClusterError>) -> Self {
        let cluster = cluster.clone();
        let look = async move {
            // One that cannot be reached says so as soon as the first call is given up.
            let ready = async {
                cluster.ready().await;
                Ok(())
            };
            futures::try_join!(ready, cluster.identify())?;
            Seen::of(&cluster).await
        };
        Self { task: tokio::spawn(look), failure }
    }

    /// What it saw, if it ends in time; one that failed begins anew.
    async fn wait(&mut self, cluster: &Cluster, until: Instant) -> Result<Seen, ClusterError> {
        let began = Instant::now();
        match tokio::time::timeout_at(until, &mut self.task).await {
            Ok(Ok(Ok(seen))) => Ok(seen),
            Ok(Ok(Err(error))) => {
                *self = Self::at(cluster, Some(error.clone()));
                Err(error)
            }
            Ok(Err(_)) => {
                *self = Self::at(cluster, None);
                Err(unanswered(cluster, began.elapsed()))
            }
            Err(_) => Err(self.failure.clone().unwrap_or_else(|| unanswered(cluster, began.elapsed()))),
        }
    }
}

/// Whether an inventory is neither stored nor has anything.
pub(super) fn is_nothing(inventory: &Inventory) -> bool {
    inventory.resource_version().is_none() && inventory.is_empty()
}

pub(super) fn unanswered(cluster: &Cluster, waited: Duration) -> ClusterError {
    let kind = ClusterErrorKind::TimedOut { what: "it has not answered yet".into(), waited };
    ClusterError { cluster: cluster.name().to_owned(), subject: "connection".into(), kind }
}

impl Reconciler {
    /// Connects to the clusters of all environments, waits for a first look at them, and reads their inventories once.
    pub(super) async fn observe(&mut self, view: &View, waits: Waits, pass: &mut Pass) -> Result<(), Error> {
        self.tiers.clear();
        self.reached.clear();
        self.away.clear();
        for (tier, item) in &view.platform.environments {
            let Some(environment) = item.get() else { continue };
            match self.clusters.of(&environment.cluster).await {
                Ok(cluster) => drop(self.tiers.insert(tier.clone(), cluster)),
                Err(error) => {
                    pass.diagnostics.push(trouble(&error));
                    self.away.insert(tier.clone(), trouble(&error));
                }
            }
        }
        let clusters: BTreeMap<_, _> =
            self.tiers.values().map(|cluster| (cluster.name().to_owned(), cluster.clone())).collect();
        let began = Instant::now();
        let until = |wait: Duration| began + wait;
        // All looks begin before one is waited for.
        let is_new: Vec<_> = clusters.values().map(|cluster| self.begin_look(cluster)).collect();
        for ((name, cluster), is_new) in clusters.into_iter().zip(is_new) {
            let wait = if is_new { waits.first_look } else { waits.later_look };
            let mut errors = cluster.troubles();
            match self.look(&cluster, until(wait), pass).await {
                Ok(()) => errors = cluster.troubles(),
                Err(error) => {
                    // What runs there is unknown, so nothing is done there.
                    let lost = self.tiers.extract_if(.., |_, used| used.name() == name);
                    self.away.extend(lost.map(|(tier, _)| (tier, trouble(&error))));
                    errors.push(error);
                }
            }
            // What cannot be read is told of only while that is so.
            if !errors.is_empty() {
                self.health.clear();
            }
            pass.diagnostics.extend(troubles(&errors));
        }
        // How apps are that nobody can ask is not known.
        if !self.away.is_empty() {
            self.health.clear();
        }
        self.forget_moved();
        self.look_back(view, waits, pass).await;
        self.refresh(pass).await;
        self.refuse_unknown(view)?;
        self.refuse_rewritten(view)
    }

    /// Begins a first look where there was none. Returns whether it begins now.
    fn begin_look(&mut self, cluster: &Cluster) -> bool {
        let is_new = !self.read.contains(cluster.name()) && !self.looks.contains_key(cluster.name());
        if is_new {
            self.looks.insert(cluster.name().to_owned(), Look::at(cluster, None));
        }
        is_new
    }

    /// Takes up what the first look at a cluster sees, once.
    async fn look(&mut self, cluster: &Cluster, until: Instant, pass: &mut Pass) -> Result<(), ClusterError> {
        if let Some(look) = self.looks.get_mut(cluster.name()) {
            let seen = look.wait(cluster, until).await?;
            self.looks.remove(cluster.name());
            self.take_up(cluster, seen, pass);
        }
        self.reached.insert(cluster.id().to_owned(), cluster.clone());
        Ok(())
    }

    /// Takes up the inventories of a cluster.
    pub(super) fn take_up(&mut self, cluster: &Cluster, seen: Seen, pass: &mut Pass) {
        let id = cluster.id().to_owned();
        for error in seen.broken {
            match error.name.parse::<Scope>() {
                Ok(scope) if self.tiers.get(scope.tier()).is_some_and(|home| home.name() == cluster.name()) => {
                    self.stale.insert(Location { cluster: id.clone(), scope });
                }
                _ => pass.diagnostics.push(unreadable(&error)),
            }
        }
        let inventories = seen.inventories.into_iter().map(|inventory| (inventory.scope().clone(), inventory));
        self.inventories.entry(id.clone()).or_default().extend(inventories);
        if seen.is_simulated {
            self.simulated.insert(cluster.name().to_owned());
        }
        self.read.insert(cluster.name().to_owned());
        self.reached.insert(id, cluster.clone());
        self.proven = None;
        self.health.clear();
    }

    /// Reads again what somebody else wrote. What cannot be read is not absent: nothing of it is changed or deleted.
    async fn refresh(&mut self, pass: &mut Pass) {
        for place in self.stale.clone() {
            let scope = &place.scope;
            let is_wanted = self.only.is_empty() || scope.app().is_some_and(|app| self.only.contains(app));
            let Some(cluster) = self.reached.get(&place.cluster).filter(|_| is_wanted) else { continue };
            let inventories = self.inventories.entry(place.cluster.clone()).or_default();
            match cluster.inventory(scope).await {
                Ok(inventory) => {
                    match is_nothing(&inventory) {
                        true => inventories.remove(scope),
                        false => inventories.insert(scope.clone(), inventory),
                    };
                    self.stale.remove(&place);
                    self.health.remove(scope);
                    self.proven = None;
                }
                Err(error) => {
                    inventories.remove(scope);
                    pass.fail(scope, &error);
                }
            }
        }
    }

    /// Refuses an app that was asked for and that neither git nor a cluster has.
    fn refuse_unknown(&self, view: &View) -> Result<(), Error> {
        let runs = |app| self.inventories.values().flat_map(BTreeMap::keys).any(|scope| scope.app() == Some(app));
        let mut unknown = self.only.iter().filter(|app| !view.platform.apps.contains_key(*app) && !runs(app));
        match unknown.next() {
            None => Ok(()),
            Some(app) => {
                Err(Error::refused(format!("{app}: no such app under apps/"), "`dayfly status` lists all apps"))
            }
        }
    }
}
