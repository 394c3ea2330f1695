//! The first question to a cluster: which one is it, and what does Dayfly have there?

use std::time::Duration;

use dayfly_cluster::{Cluster, ClusterError, ClusterErrorKind};
use dayfly_plan::inventory::{Inventory, InventoryError};
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// A first question to a cluster that is under way.
pub(super) struct Probe {
    task: JoinHandle<Result<ProbeAnswer, ClusterError>>,
    /// How the one before ended.
    failure: Option<ClusterError>,
}

/// What a cluster answered.
pub(crate) struct ProbeAnswer {
    pub cluster: Cluster,
    pub inventories: Vec<Inventory>,
    /// The inventories that cannot be read.
    pub broken: Vec<InventoryError>,
    pub is_simulated: bool,
}

impl ProbeAnswer {
    /// Asks a cluster which one it is, and reads all its inventories.
    pub async fn of(cluster: &Cluster) -> Result<Self, ClusterError> {
        cluster.identify().await?;
        let (inventories, broken) = cluster.inventories().await?;
        let is_simulated = cluster.is_simulated().await;
        Ok(Self { cluster: cluster.clone(), inventories, broken, is_simulated })
    }
}

impl Probe {
    pub fn of(cluster: &Cluster, failure: Option<ClusterError>) -> Self {
        let cluster = cluster.clone();
        let ask = async move {
            // One that cannot be reached says so as soon as the first call is given up.
            let ready = async {
                cluster.ready().await;
                Ok(())
            };
            futures::try_join!(ready, cluster.identify())?;
            ProbeAnswer::of(&cluster).await
        };
        Self { task: tokio::spawn(ask), failure }
    }

    /// The answer, if it comes in time; a probe that failed begins anew.
    pub async fn wait(&mut self, cluster: &Cluster, until: Instant) -> Result<ProbeAnswer, ClusterError> {
        let began = Instant::now();
        match tokio::time::timeout_at(until, &mut self.task).await {
            Ok(Ok(Ok(answer))) => Ok(answer),
            Ok(Ok(Err(error))) => {
                *self = Self::of(cluster, Some(error.clone()));
                Err(error)
            }
            Ok(Err(_)) => {
                *self = Self::of(cluster, None);
                Err(unanswered(cluster, began.elapsed()))
            }
            Err(_) => Err(self.failure.clone().unwrap_or_else(|| unanswered(cluster, began.elapsed()))),
        }
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// That a cluster did not answer in time.
pub(super) fn unanswered(cluster: &Cluster, waited: Duration) -> ClusterError {
    let kind = ClusterErrorKind::TimedOut { what: "it has not answered yet".into(), waited };
    ClusterError { cluster: cluster.name().to_owned(), subject: "connection".into(), kind }
}
