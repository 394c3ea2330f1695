//! The write door to a cluster: what is live is observed here, and a plan is carried out here.

mod apply;
mod call;
pub mod clusters;
mod error;
mod health;
mod inventory;
mod kubeconfig;
mod limit;
mod observe;
mod preview;
mod prune;
mod request;

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, RwLockReadGuard};
use std::time::Duration;

use dayfly_model::kinds::Kinds;
use dayfly_model::platform::environment;
use dayfly_plan::observed::Observed;
use kube::Client;
use kube::config::Config;
use tokio::sync::OnceCell;
use tokio::task::AbortHandle;

pub use apply::{AppliedChange, ChangeSet, Failure, WaitLimits};
pub use error::{ClusterError, ClusterErrorKind};
pub use preview::DryRun;

use dayfly_calls::Calls;
use limit::Limiter;
use observe::ObservedStore;
use request::Request;

const CONNECT_PATIENCE: Duration = Duration::from_secs(10);

/// A cluster that Dayfly observes and writes to. Clones share everything; the watches end with the last of them.
#[derive(Clone)]
pub struct Cluster {
    inner: Arc<Inner>,
    watches: Arc<Watches>,
}

/// The tasks that watch. They hold the cluster without holding this, so dropping it ends them.
#[derive(Default)]
struct Watches(Mutex<Vec<AbortHandle>>);

impl Drop for Watches {
    fn drop(&mut self) {
        let tasks = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        tasks.iter().for_each(AbortHandle::abort);
    }
}

struct Inner {
    name: String,
    client: Client,
    calls: Calls,
    limiter: Limiter,
    store: Arc<ObservedStore>,
    simulated: OnceCell<bool>,
    id: OnceCell<String>,
}

impl Cluster {
    /// Prepares to talk to the cluster of an environment, by a name for people. Nothing is called yet.
    pub async fn connect(
        name: String,
        target: &environment::ClusterRef,
        kubeconfig: Option<&Path>,
        calls: Calls,
    ) -> Result<Self, ClusterError> {
        let unusable = |why: String| ClusterError {
            cluster: name.clone(),
            subject: "connection".into(),
            kind: ClusterErrorKind::NotConfigured(why),
        };
        let mut config = match target {
            environment::ClusterRef::InCluster => Config::incluster().map_err(|error| unusable(error.to_string()))?,
            environment::ClusterRef::Context(context) => {
                kubeconfig::config(context, kubeconfig).await.map_err(unusable)?
            }
        };
        // Retries are ours: bounded, counted, and never of what must not be sent twice.
        config.default_retry = false;
        config.connect_timeout = Some(CONNECT_PATIENCE);
        // What a credential plugin answers is first seen in here, and a token with a line break panics.
        let made = catch_unwind(AssertUnwindSafe(|| Client::try_from(config)));
        let made = made.map_err(|_| unusable("what the credential plugin answers cannot be sent".into()))?;
        let client = made.map_err(|error| unusable(error.to_string()))?;
        Ok(Self::with_client(name, client, calls))
    }

    /// A cluster behind a client that stands already.
    pub fn with_client(name: impl Into<String>, client: Client, calls: Calls) -> Self {
        let store = Arc::new(ObservedStore::new(Kinds::builtin()));
        let (limiter, simulated, id) = (Limiter::new(), OnceCell::new(), OnceCell::new());
        let inner = Inner { name: name.into(), client, calls, limiter, store, simulated, id };
        Self { inner: Arc::new(inner), watches: Arc::default() }
    }

    /// What a person finds it by: the cluster's name in the kubeconfig, and the user's where that is another.
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// Which cluster it is, by whatever connection: the UID of `kube-system`. Its name where it has no such namespace.
    pub async fn identify(&self) -> Result<&str, ClusterError> {
        let ask = async || {
            let request = Request::get(self.kind("Namespace")?, None, "kube-system");
            match self.call(request).await {
                Ok(answer) => {
                    let uid = answer.body.pointer("/metadata/uid").and_then(serde_json::Value::as_str);
                    Ok(uid.unwrap_or(self.name()).to_owned())
                }
                Err(error) if matches!(error.kind, ClusterErrorKind::NotFound | ClusterErrorKind::NamespaceMissing) => {
                    Ok(self.name().into())
                }
                Err(error) => Err(error),
            }
        };
        Ok(self.inner.id.get_or_try_init(ask).await?)
    }

    /// The same, once it is known; until then its name.
    pub fn id(&self) -> &str {
        self.inner.id.get().map_or(self.name(), String::as_str)
    }

    /// Whether nothing really runs there: an API server that only plays its controllers says so in the build metadata of
    /// its version, `v1.36.2+simulated`.
    pub async fn is_simulated(&self) -> bool {
        let version = async || {
            let version = self.client().apiserver_version().await;
            version.is_ok_and(|version| version.git_version.ends_with("+simulated"))
        };
        *self.inner.simulated.get_or_init(version).await
    }

    /// The calls that were made, here and on all clusters that share the counter.
    pub fn calls(&self) -> &Calls {
        &self.inner.calls
    }

    /// How many calls may run at once now.
    pub fn concurrency(&self) -> usize {
        self.inner.limiter.limit()
    }

    /// What is known of the cluster. Hold it only while planning: the watches wait.
    pub fn observed(&self) -> RwLockReadGuard<'_, Observed> {
        self.inner.store.observed()
    }

    fn client(&self) -> &Client {
        &self.inner.client
    }

    fn limiter(&self) -> &Limiter {
        &self.inner.limiter
    }

    fn store(&self) -> &Arc<ObservedStore> {
        &self.inner.store
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cluster({})", self.name())
    }
}
