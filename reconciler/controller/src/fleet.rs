//! The clusters: which one each tier is on, which of them can be reached, and which are being probed.
//!
//! A probe takes as long as its cluster does, and goes on beside the passes: a cluster that does not answer is reported, and
//! slows no other.

mod former;
mod probe;

use std::collections::{BTreeMap, BTreeSet};

use dayfly_calls::Calls;
use dayfly_cluster::clusters::{ClusterTarget, Clusters};
use dayfly_cluster::{Cluster, ClusterError};
use dayfly_model::diagnostic::Diagnostic;
use dayfly_model::names::TierName;
use dayfly_model::platform::Platform;
use dayfly_model::scope::{Location, Scope};
use former::FormerClusters;
use probe::Probe;
use tokio::time::Instant;

use crate::findings;
use crate::waits::Waits;
pub(crate) use probe::ProbeAnswer;

/// All clusters that git names, and those that it named before.
pub(crate) struct Fleet {
    clusters: Clusters,
    /// The cluster of each tier that can be reached.
    tiers: BTreeMap<TierName, Cluster>,
    /// Why there is none for the others.
    unreachable: BTreeMap<TierName, Diagnostic>,
    /// All clusters that can be reached, by id: those where a tier was before among them.
    reached: BTreeMap<String, Cluster>,
    /// The connections whose probe was answered: their inventories were read.
    answered: BTreeSet<String>,
    /// Probes that are under way, by connection.
    probes: BTreeMap<String, Probe>,
    /// The id of the cluster where each tier was found last.
    last_homes: BTreeMap<TierName, String>,
    former: FormerClusters,
    /// The clusters where nothing really runs.
    simulated: BTreeSet<String>,
}

/// What the clusters of all tiers said.
#[derive(Default)]
pub(crate) struct Probed {
    /// The first answers, each once.
    pub answers: Vec<ProbeAnswer>,
    /// What cannot be reached or read.
    pub findings: Vec<Diagnostic>,
    /// Whether what is observed may be incomplete.
    pub is_doubtful: bool,
    /// The tiers that were on another cluster when they were last reached.
    pub moved: BTreeSet<TierName>,
}

impl Fleet {
    /// Clusters to be found at `target`, none of them connected yet.
    pub fn new(target: ClusterTarget, calls: Calls) -> Self {
        Self {
            clusters: Clusters::new(target, calls),
            tiers: BTreeMap::new(),
            unreachable: BTreeMap::new(),
            reached: BTreeMap::new(),
            answered: BTreeSet::new(),
            probes: BTreeMap::new(),
            last_homes: BTreeMap::new(),
            former: FormerClusters::default(),
            simulated: BTreeSet::new(),
        }
    }

    /// The cluster that a tier is on, where it can be reached.
    pub fn of_tier(&self, tier: &TierName) -> Option<&Cluster> {
        self.tiers.get(tier)
    }

    /// A cluster that can be reached, by its id.
    pub fn cluster(&self, id: &str) -> Option<&Cluster> {
        self.reached.get(id)
    }

    /// All clusters that can be reached, by id.
    pub fn reached(&self) -> impl Iterator<Item = (&str, &Cluster)> {
        self.reached.iter().map(|(id, cluster)| (id.as_str(), cluster))
    }

    /// Where a scope belongs; none where its cluster cannot be reached.
    pub fn location(&self, scope: &Scope) -> Option<Location> {
        Some(Location { cluster: self.tiers.get(scope.tier())?.id().to_owned(), scope: scope.clone() })
    }

    /// Whether a scope that was found on a cluster belongs on another one.
    pub fn is_left_behind(&self, cluster: &str, scope: &Scope) -> bool {
        self.tiers.get(scope.tier()).is_some_and(|home| home.id() != cluster)
    }

    /// Why the cluster of a tier cannot be reached; none where it can.
    pub fn unreachable(&self, tier: &TierName) -> Option<&Diagnostic> {
        self.unreachable.get(tier)
    }

    /// The tiers whose cluster cannot be reached.
    pub fn unreachable_tiers(&self) -> impl Iterator<Item = &TierName> {
        self.unreachable.keys()
    }

    /// The tiers that an approved commit moved to another cluster.
    pub fn moved_by_approval(&self) -> &BTreeSet<TierName> {
        self.former.moved()
    }

    /// Whether nothing really runs where a tier is.
    pub fn is_simulated(&self, tier: &TierName) -> bool {
        self.tiers.get(tier).is_some_and(|cluster| self.simulated.contains(cluster.name()))
    }

    /// Waits until something of ours changed in a cluster, and returns whose.
    pub async fn changed(&self) -> BTreeSet<Scope> {
        self.clusters.touched().await
    }

    /// Connects to the clusters of all environments, and waits for the first answer of each.
    pub async fn probe(&mut self, platform: &Platform, waits: Waits) -> Probed {
        let mut probed = Probed::default();
        self.connect(platform, &mut probed).await;
        let clusters: BTreeMap<_, _> =
            self.tiers.values().map(|cluster| (cluster.name().to_owned(), cluster.clone())).collect();
        let began = Instant::now();
        // All probes begin before one is waited for.
        let are_new: Vec<_> = clusters.values().map(|cluster| self.begin_probe(cluster)).collect();
        for (cluster, is_new) in clusters.values().zip(are_new) {
            let until = began + if is_new { waits.first_probe } else { waits.later_probe };
            let mut errors = cluster.read_errors();
            match self.answer(cluster, until).await {
                Ok(answer) => {
                    probed.answers.extend(answer);
                    errors = cluster.read_errors();
                }
                Err(error) => {
                    self.lose(cluster, &error);
                    errors.push(error);
                }
            }
            probed.is_doubtful |= !errors.is_empty();
            probed.findings.extend(findings::of_cluster(&errors));
        }
        probed.is_doubtful |= !self.unreachable.is_empty();
        probed.moved = self.notice_moves();
        probed
    }

    async fn connect(&mut self, platform: &Platform, probed: &mut Probed) {
        self.tiers.clear();
        self.reached.clear();
        self.unreachable.clear();
        for (tier, item) in &platform.environments {
            let Some(environment) = item.get() else { continue };
            match self.clusters.of(&environment.cluster).await {
                Ok(cluster) => drop(self.tiers.insert(tier.clone(), cluster)),
                Err(error) => {
                    let found = findings::of_error(&error);
                    probed.findings.push(found.clone());
                    self.unreachable.insert(tier.clone(), found);
                }
            }
        }
    }

    /// Begins a probe where there was none. Returns whether it begins now.
    fn begin_probe(&mut self, cluster: &Cluster) -> bool {
        let is_new = !self.answered.contains(cluster.name()) && !self.probes.contains_key(cluster.name());
        if is_new {
            self.probes.insert(cluster.name().to_owned(), Probe::of(cluster, None));
        }
        is_new
    }

    /// What a cluster answered, where nobody has taken note of that yet.
    async fn answer(&mut self, cluster: &Cluster, until: Instant) -> Result<Option<ProbeAnswer>, ClusterError> {
        let mut answer = None;
        if let Some(probe) = self.probes.get_mut(cluster.name()) {
            answer = Some(probe.wait(cluster, until).await?);
            self.probes.remove(cluster.name());
        }
        self.reached.insert(cluster.id().to_owned(), cluster.clone());
        Ok(answer)
    }

    /// Takes note that a cluster answered, so that it is not probed again. Its inventories have to be recorded with it: a pass
    /// that is dropped in between probes it once more.
    pub fn note(&mut self, answer: &ProbeAnswer) {
        let cluster = &answer.cluster;
        if answer.is_simulated {
            self.simulated.insert(cluster.name().to_owned());
        }
        self.answered.insert(cluster.name().to_owned());
        self.reached.insert(cluster.id().to_owned(), cluster.clone());
    }

    /// What runs on a cluster that does not answer is unknown, so nothing is done there.
    fn lose(&mut self, cluster: &Cluster, error: &ClusterError) {
        let lost = self.tiers.extract_if(.., |_, used| used.name() == cluster.name());
        self.unreachable.extend(lost.map(|(tier, _)| (tier, findings::of_error(error))));
    }

    /// The tiers that are on another cluster than before, however long nobody could reach them in between.
    fn notice_moves(&mut self) -> BTreeSet<TierName> {
        let mut moved = BTreeSet::new();
        for (tier, cluster) in &self.tiers {
            let before = self.last_homes.insert(tier.clone(), cluster.id().to_owned());
            moved.extend(before.filter(|before| before != cluster.id()).map(|_| tier.clone()));
        }
        moved
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dayfly_cluster::WaitLimits;
    use dayfly_model::fixtures::shipped;
    use serde_json::json;
    use std::net::TcpListener;
    use std::time::Duration;
    use tempfile::TempDir;

    fn waits(probe: Duration) -> Waits {
        Waits { limits: WaitLimits::default(), first_probe: probe, later_probe: Duration::ZERO }
    }

    /// A kubeconfig whose contexts all lead to one address, and the folder that holds it.
    fn kubeconfig(contexts: &[&str], server: &str) -> (TempDir, ClusterTarget) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kubeconfig");
        let context = |name: &&str| json!({"name": name, "context": {"cluster": "local", "user": "local"}});
        let config = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "local", "cluster": {"server": server}}],
            "users": [{"name": "local", "user": {}}],
            "contexts": contexts.iter().map(context).collect::<Vec<_>>(),
        });
        std::fs::write(&path, config.to_string()).unwrap();
        (folder, ClusterTarget { kubeconfig: Some(path), context: None })
    }

    #[tokio::test]
    async fn a_tier_whose_context_is_absent_is_unreachable_and_says_why() {
        let (_folder, target) = kubeconfig(&[], "http://127.0.0.1:1");
        let mut fleet = Fleet::new(target, Calls::default());
        let probed = fleet.probe(&shipped(), waits(Duration::from_secs(5))).await;
        let tiers: Vec<_> = fleet.unreachable_tiers().map(ToString::to_string).collect();
        assert_eq!(tiers, ["pilot", "production", "sandbox"]);
        assert!(probed.is_doubtful && probed.answers.is_empty() && probed.findings.len() == 3, "{:?}", probed.findings);
        assert!(fleet.location(&"poll.sandbox".parse().unwrap()).is_none() && fleet.reached().next().is_none());
    }

    #[tokio::test]
    async fn a_cluster_that_does_not_answer_is_given_up_for_this_pass_and_its_probe_goes_on() {
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = format!("http://{}", silent.local_addr().unwrap());
        let (_folder, target) = kubeconfig(&["sandbox", "pilot", "production"], &server);
        let mut fleet = Fleet::new(target, Calls::default());
        for _ in 0..2 {
            let probed = fleet.probe(&shipped(), waits(Duration::from_millis(50))).await;
            assert!(probed.is_doubtful && probed.answers.is_empty());
            assert_eq!((fleet.unreachable_tiers().count(), fleet.probes.len()), (3, 1), "one connection, asked once");
        }
    }
}
