//! Clusters where tiers were before: each is probed again, for as long as something of ours is left behind on it.
//!
//! Which clusters those are stands in the ledger: each commit whose environments were approved says where its tiers were.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use dayfly_cluster::{ClusterError, ClusterErrorKind};
use dayfly_model::diagnostic::Diagnostic;
use dayfly_model::names::TierName;
use dayfly_model::platform::environment::ClusterRef;
use dayfly_model::rule::Rule;
use dayfly_model::scope::Scope;
use dayfly_plan::inventory::InventoryError;

use super::Fleet;
use super::probe::{ProbeAnswer, unanswered};
use crate::inventories::Inventories;
use crate::view::View;
use crate::waits::Waits;

/// How long a cluster is not asked again that could not be reached: it may be gone for good.
const PAUSE: Duration = Duration::from_secs(600);

/// What is known of the clusters where tiers were before.
#[derive(Default)]
pub(super) struct FormerClusters {
    remains: BTreeMap<ClusterRef, Remains>,
    /// The tiers that an approved commit moved to another cluster.
    moved: BTreeSet<TierName>,
}

/// What is left behind on a cluster.
enum Remains {
    Nothing,
    /// It cannot be asked.
    Unknown {
        since: Instant,
        error: ClusterError,
    },
}

/// A cluster where tiers were before.
#[derive(Default)]
struct FormerCluster {
    tiers: BTreeSet<TierName>,
    /// Whether the last approval moved them away. After one more, nobody is warned any longer of a cluster whose context is gone.
    is_last: bool,
}

/// What the former clusters said.
#[derive(Default)]
pub(crate) struct FormerProbed {
    pub findings: Vec<Diagnostic>,
    /// Inventories that cannot be read, of scopes that do not belong there.
    pub broken: Vec<InventoryError>,
    /// Whether inventories were read.
    pub has_read: bool,
}

impl FormerClusters {
    pub fn moved(&self) -> &BTreeSet<TierName> {
        &self.moved
    }

    /// The clusters that approved environments named before and name no more.
    fn named_before(&mut self, view: &View) -> BTreeMap<ClusterRef, FormerCluster> {
        let environments = view.platform.environments.values().filter_map(|item| item.get());
        let named: BTreeSet<_> = environments.map(|environment| environment.cluster.clone()).collect();
        // Whoever comes back to a cluster may leave something there again.
        self.remains.retain(|cluster, _| !named.contains(cluster));
        let is_elsewhere = |tier: &TierName, cluster: &ClusterRef| {
            let now = view.platform.environments.get(tier).and_then(|item| item.get());
            now.is_some_and(|now| now.cluster != *cluster)
        };
        let before = view.former_homes.iter().flat_map(|homes| homes.iter());
        let moved = before.filter(|(tier, cluster)| is_elsewhere(tier, cluster)).map(|(tier, _)| tier.clone());
        self.moved = moved.collect();
        let mut former: BTreeMap<ClusterRef, FormerCluster> = BTreeMap::new();
        for (index, homes) in view.former_homes.iter().enumerate() {
            for (tier, cluster) in homes.iter().filter(|(_, cluster)| !named.contains(cluster)) {
                let of_cluster = former.entry(cluster.clone()).or_default();
                of_cluster.tiers.insert(tier.clone());
                of_cluster.is_last |= index + 1 == view.former_homes.len();
            }
        }
        former
    }
}

impl FormerCluster {
    /// The finding that nobody knows what is left behind; none where people approved the platform without that cluster.
    fn unknown(&self, error: &ClusterError) -> Option<Diagnostic> {
        let is_configured = !matches!(error.kind, ClusterErrorKind::NotConfigured(_));
        let tiers: Vec<_> = self.tiers.iter().map(ToString::to_string).collect();
        let (place, tiers) = (format!("{}: {}", error.cluster, error.subject), tiers.join(", "));
        let fact = format!("{tiers} was there before, and what it left runs on: {}", error.kind);
        let help = match is_configured {
            true => "bring the cluster back, so that Dayfly removes it; or take it out of the kubeconfig if it is gone",
            false => "bring its context back, so that Dayfly removes it; or, if it is gone, approve that: dayfly adopt",
        };
        let found = Diagnostic::new(Rule::REMOVE_UNKNOWN, place, fact).help(help);
        (is_configured || self.is_last).then_some(found)
    }
}

impl Fleet {
    /// Reads what is left behind on clusters where tiers were before, and reports those that cannot be asked.
    pub async fn probe_former(&mut self, view: &View, waits: Waits, inventories: &mut Inventories) -> FormerProbed {
        let mut probed = FormerProbed::default();
        for (cluster, former) in self.former.named_before(view) {
            match self.former.remains.get(&cluster) {
                Some(Remains::Nothing) => continue,
                Some(Remains::Unknown { since, error }) if since.elapsed() < PAUSE => {
                    probed.findings.extend(former.unknown(error));
                    continue;
                }
                _ => {}
            }
            let remains = match self.probe_one(&cluster, waits, inventories, &mut probed).await {
                Ok(true) => None,
                Ok(false) => Some(Remains::Nothing),
                Err(error) => {
                    probed.findings.extend(former.unknown(&error));
                    Some(Remains::Unknown { since: Instant::now(), error })
                }
            };
            match remains {
                Some(remains) => drop(self.former.remains.insert(cluster, remains)),
                None => drop(self.former.remains.remove(&cluster)),
            }
        }
        probed
    }

    /// Whether something that belongs elsewhere is left behind on a cluster. One where nothing is left is let go.
    async fn probe_one(
        &mut self,
        named: &ClusterRef,
        waits: Waits,
        inventories: &mut Inventories,
        probed: &mut FormerProbed,
    ) -> Result<bool, ClusterError> {
        let cluster = self.clusters.connect(named).await?;
        if !self.answered.contains(cluster.name()) {
            let late = |_| unanswered(&cluster, waits.first_probe);
            let answer = tokio::time::timeout(waits.first_probe, ProbeAnswer::of(&cluster)).await.map_err(late)??;
            if self.reached.contains_key(cluster.id()) {
                return Ok(false);
            }
            self.note(&answer);
            let is_home =
                |scope: &Scope| self.tiers.get(scope.tier()).is_some_and(|home| home.name() == cluster.name());
            probed.broken.extend(inventories.record_probe(answer, is_home));
            probed.has_read = true;
        }
        if inventories.on(cluster.id()).next().is_none() {
            self.reached.remove(cluster.id());
            self.answered.remove(cluster.name());
            self.clusters.disconnect(&cluster);
            return Ok(false);
        }
        self.reached.insert(cluster.id().to_owned(), cluster.clone());
        cluster.watch();
        cluster.ready().await;
        Ok(true)
    }
}
