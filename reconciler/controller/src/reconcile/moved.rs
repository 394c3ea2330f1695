//! Tiers that moved to another cluster: the old one is looked at again, for as long as something of ours is left on it.
//!
//! Which clusters those are stands in the ledger: each commit whose environments were approved says where its tiers were.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use dayfly_cluster::{ClusterError, ClusterErrorKind};
use dayfly_model::diagnostic::Diagnostic;
use dayfly_model::names::TierName;
use dayfly_model::platform::environment;
use dayfly_model::scope::Scope;

use super::observe::{Seen, unanswered};
use super::{Pass, Reconciler, Waits};
use crate::source::View;

/// How long a cluster is left in peace that could not be asked: it may be gone for good.
const PEACE: Duration = Duration::from_secs(600);

/// What a look at a cluster came to where tiers were before.
pub(super) enum Left {
    /// Nothing of ours is there.
    Nothing,
    /// It cannot be asked.
    Unknown(Instant, ClusterError),
}

/// A cluster where tiers were before.
struct Before {
    tiers: BTreeSet<TierName>,
    /// Whether the last approval moved them away: the next one lets a cluster rest that the kubeconfig has no more.
    is_last: bool,
}

impl Reconciler {
    /// Whether a scope that was found on a cluster has its home on another one.
    pub(super) fn is_left(&self, cluster: &str, scope: &Scope) -> bool {
        self.tiers.get(scope.tier()).is_some_and(|home| home.id() != cluster)
    }

    /// What was settled on one cluster is not on another, however long nobody could ask in between.
    pub(super) fn forget_moved(&mut self) {
        let mut moved = BTreeSet::new();
        for (tier, cluster) in &self.tiers {
            let before = self.homes.insert(tier.clone(), cluster.id().to_owned());
            moved.extend(before.filter(|before| before != cluster.id()).map(|_| tier.clone()));
        }
        self.settled.retain(|key, _| !moved.contains(&key.tier));
        self.settled_shared.retain(|tier, _| !moved.contains(tier));
        self.health.retain(|scope, _| !moved.contains(scope.tier()));
    }

    /// Reads what is left on clusters where tiers were before, and tells of those that cannot be asked.
    pub(super) async fn look_back(&mut self, view: &View, waits: Waits, pass: &mut Pass) {
        for (place, before) in self.places_before(view) {
            match self.left.get(&place) {
                Some(Left::Nothing) => continue,
                Some(Left::Unknown(since, error)) if since.elapsed() < PEACE => {
                    pass.diagnostics.extend(before.unknown(error));
                    continue;
                }
                _ => {}
            }
            match self.look_at(&place, waits, pass).await {
                Ok(true) => drop(self.left.remove(&place)),
                Ok(false) => drop(self.left.insert(place, Left::Nothing)),
                Err(error) => {
                    pass.diagnostics.extend(before.unknown(&error));
                    self.left.insert(place, Left::Unknown(Instant::now(), error));
                }
            }
        }
    }

    /// Whether something that has its home elsewhere is left on a cluster. One where nothing is left is let go.
    async fn look_at(
        &mut self,
        place: &environment::ClusterRef,
        waits: Waits,
        pass: &mut Pass,
    ) -> Result<bool, ClusterError> {
        let cluster = self.clusters.connect(place).await?;
        if !self.read.contains(cluster.name()) {
            let late = |_| unanswered(&cluster, waits.first_look);
            let seen = tokio::time::timeout(waits.first_look, Seen::of(&cluster)).await.map_err(late)??;
            if self.reached.contains_key(cluster.id()) {
                return Ok(false);
            }
            self.take_up(&cluster, seen, pass);
        }
        let inventories = self.inventories.get(cluster.id());
        if inventories.is_none_or(|inventories| inventories.is_empty()) {
            self.reached.remove(cluster.id());
            self.read.remove(cluster.name());
            self.clusters.disconnect(&cluster);
            return Ok(false);
        }
        self.reached.insert(cluster.id().to_owned(), cluster.clone());
        cluster.watch();
        cluster.ready().await;
        Ok(true)
    }

    /// The clusters that approved environments named before and name no more.
    fn places_before(&mut self, view: &View) -> BTreeMap<environment::ClusterRef, Before> {
        let environments = view.platform.environments.values().filter_map(|item| item.get());
        let named: BTreeSet<_> = environments.map(|environment| environment.cluster.clone()).collect();
        // Whoever comes back to a cluster may leave something there again.
        self.left.retain(|place, _| !named.contains(place));
        let mut places: BTreeMap<environment::ClusterRef, Before> = BTreeMap::new();
        let homes = self.source.homes_before(&view.approvals);
        let is_elsewhere = |tier: &TierName, place: &environment::ClusterRef| {
            let now = view.platform.environments.get(tier).and_then(|item| item.get());
            now.is_some_and(|now| now.cluster != *place)
        };
        let before = homes.iter().flat_map(|then| then.iter()).filter(|(tier, place)| is_elsewhere(tier, place));
        self.moved = before.map(|(tier, _)| tier.clone()).collect();
        for (index, then) in homes.iter().enumerate() {
            for (tier, place) in then.iter().filter(|(_, place)| !named.contains(place)) {
                let none = || Before { tiers: BTreeSet::new(), is_last: false };
                let before = places.entry(place.clone()).or_insert_with(none);
                before.tiers.insert(tier.clone());
                before.is_last |= index + 1 == homes.len();
            }
        }
        places
    }
}

impl Before {
    /// The finding that nobody knows what is left; none where people approved the platform without that cluster.
    fn unknown(&self, error: &ClusterError) -> Option<Diagnostic> {
        let is_configured = !matches!(error.kind, ClusterErrorKind::NotConfigured(_));
        let tiers: Vec<_> = self.tiers.iter().map(ToString::to_string).collect();
        let (place, tiers) = (format!("{}: {}", error.cluster, error.subject), tiers.join(", "));
        let fact = format!("{tiers} was there before, and what it left runs on: {}", error.kind);
        let help = match is_configured {
            true => "bring the cluster back, so that Dayfly removes it; or take it out of the kubeconfig if it is gone",
            false => "bring its context back, so that Dayfly removes it; or, if it is gone, approve that: dayfly adopt",
        };
        let found = Diagnostic::warning("remove/unknown", place, fact).help(help);
        (is_configured || self.is_last).then_some(found)
    }
}
