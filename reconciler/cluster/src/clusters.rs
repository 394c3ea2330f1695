//! The clusters that the environments name: one connection each, shared by contexts that mean the same.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use dayfly_calls::Calls;
use dayfly_model::platform::environment;
use dayfly_model::scope::Scope;
use futures::FutureExt as _;
use futures::future::select_all;
use kube::config::Kubeconfig;

use crate::{Cluster, ClusterError};

/// Where clusters are found.
#[derive(Debug, Clone, Default)]
pub struct ClusterTarget {
    /// The kubeconfig file; the usual one where none is named.
    pub kubeconfig: Option<PathBuf>,
    /// A context that stands for every environment's own.
    pub context: Option<String>,
}

/// Connections, made when they are first needed and kept.
pub struct Clusters {
    target: ClusterTarget,
    calls: Calls,
    connected: BTreeMap<String, Cluster>,
}

impl Clusters {
    /// Clusters to be found at `target`, whose calls are counted together.
    pub fn new(target: ClusterTarget, calls: Calls) -> Self {
        Self { target, calls, connected: BTreeMap::new() }
    }

    /// The count of all calls.
    pub fn calls(&self) -> &Calls {
        &self.calls
    }

    /// Those that are connected.
    pub fn connected(&self) -> impl Iterator<Item = &Cluster> {
        self.connected.values()
    }

    /// The cluster of an environment, connected and watched.
    pub async fn of(&mut self, cluster: &environment::ClusterRef) -> Result<Cluster, ClusterError> {
        let cluster = self.connect(cluster).await?;
        cluster.watch();
        Ok(cluster)
    }

    /// The cluster of an environment, connected.
    pub async fn connect(&mut self, cluster: &environment::ClusterRef) -> Result<Cluster, ClusterError> {
        let wanted = match &self.target.context {
            Some(context) => environment::ClusterRef::Context(context.clone()),
            None => cluster.clone(),
        };
        let name = self.name(&wanted);
        if let Some(known) = self.connected.get(&name) {
            return Ok(known.clone());
        }
        let (kubeconfig, calls) = (self.target.kubeconfig.as_deref(), self.calls.clone());
        let cluster = Cluster::connect(name.clone(), &wanted, kubeconfig, calls).await?;
        self.connected.insert(name, cluster.clone());
        Ok(cluster)
    }

    /// Ends a connection that nobody needs any more.
    pub fn disconnect(&mut self, cluster: &Cluster) {
        self.connected.remove(cluster.name());
    }

    /// What a context means: its cluster and its user, told where its name is not the cluster's. Contexts that agree in
    /// both share one connection.
    fn name(&self, cluster: &environment::ClusterRef) -> String {
        let environment::ClusterRef::Context(name) = cluster else { return "in-cluster".into() };
        let file = match &self.target.kubeconfig {
            Some(path) => Kubeconfig::read_from(path),
            None => Kubeconfig::read(),
        };
        let context = file.ok().and_then(|file| file.contexts.into_iter().find(|context| context.name == *name));
        match context.and_then(|context| context.context) {
            Some(context) => match context.user.filter(|user| *user != context.cluster) {
                Some(user) => format!("{} as {user}", context.cluster),
                None => context.cluster,
            },
            None => name.clone(),
        }
    }

    /// Waits until something of known scopes changed in any cluster, and returns whose.
    pub async fn touched(&self) -> BTreeSet<Scope> {
        if self.connected.is_empty() {
            return std::future::pending().await;
        }
        select_all(self.connected.values().map(|cluster| cluster.touched().boxed())).await.0
    }
}
