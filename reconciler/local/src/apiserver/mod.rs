//! A Kubernetes-compatible API on loopback: real protocols, one process, state in one file.
//!
//! It serves the built-in kinds of the schema table to any Kubernetes client: get, list, watch, create, update,
//! patch, server-side apply, delete; status and scale; dry runs; discovery and OpenAPI; and a few simulated
//! controllers, so that workloads become ready although nothing runs. What it does not implement it refuses.
//!
//! # Where things are
//!
//! `http` has all that concerns HTTP: connections, paths, queries, bodies, media types, and the pages of the server
//! itself. It calls the objects side, which is everything else and knows no HTTP. That is, from top to bottom:
//!
//! - `controllers` act by themselves after a write. They stand beside `http`, and neither knows the other.
//! - `registry` finds, writes and deletes objects, for both.
//! - `admission` decides what the server makes of an object before it is stored.
//! - `store` has the objects in memory and in a file, and the latest events for watches.
//! - `kinds`, `resource_address` and `status` say which kinds are served, which objects are meant, and what went wrong.
//! - `schema`, and what works on JSON with its help: `canonical`, `defaults`, `validate`, `merge` (all patches but apply),
//!   `ssa` (server-side apply), `select` (label and field selectors), `names`, `quantity`, `object`.
//!
//! # What it lacks
//!
//! In these points it is more lenient than a real server, or has less:
//!
//! - No authentication and no authorization: it listens on loopback only and refuses browsers. Access reviews allow
//!   everything; TokenReviews are refused.
//! - ResourceQuota, LimitRange, webhooks and admission policies are stored and not enforced, and the client is warned;
//!   nor are NetworkPolicy and Pod Security levels. Built-in roles, priority and storage classes are not there.
//! - Each kind has one version; `events` and `events.k8s.io` do not show each other's objects.
//! - A list always has all objects as they are now: `limit` and an exact `resourceVersion` are ignored.
//! - A deleted object that no finalizer keeps is gone at once: there is no grace period.
//! - Cluster IPs and node ports that a client chooses are taken as they are.
//! - Not checked: that a time zone exists, the amounts in LimitRanges, paths of `fieldRef`, `loadBalancerSourceRanges`,
//!   multiples of huge pages, and whether a quota's scopes fit what it counts.
//! - A Deployment adopts a ReplicaSet without owner only if it has the name that the template gives it.
//! - Pods are simulated, at most 500 of a workload, and one of a DaemonSet. CronJobs create no Jobs,
//!   ReplicationControllers no pods, and Services no Endpoints or EndpointSlices. The server creates
//!   neither Nodes nor PersistentVolumes.
//! - Jobs have no selector and no labels that are made of their uid, and claims that are in use are not protected.
//! - Of the subresources only `status`, `scale` and `finalize` are served: no logs, exec, eviction or service account
//!   tokens.
//! - Some refusals have another code than a real server's: mostly 400 where that answers 500 or 422.
//! - JSON bodies with two equal keys are read with the last one. Protobuf bodies are read for Namespaces, ServiceAccounts
//!   and access reviews only, because kubectl insists; all others are refused with advice.
//! - `/openapi/v2` is empty; `/openapi/v3` is not.
//! - No CustomResourceDefinitions, no `autoscaling/v1` HorizontalPodAutoscalers, and no groups that are not in the schema
//!   table: they are unknown paths.

mod admission;
mod canonical;
mod controllers;
mod defaults;
mod http;
mod kinds;
mod merge;
mod names;
mod object;
mod quantity;
mod registry;
mod resource_address;
mod schema;
mod select;
mod ssa;
mod status;
mod store;
mod validate;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub use controllers::FAIL_ANNOTATION;
pub use http::{FaultRule, FaultRuleState, InjectedFault, RequestCounters};
pub use store::DiskError;

use http::{FaultInjector, HttpServer};
use registry::ObjectRegistry;

/// How to run a server.
#[derive(Clone, Debug)]
pub struct Config {
    /// The folder of its state, which is created if absent. A server on the folder of an earlier one has its objects.
    pub data_dir: PathBuf,
    /// A loopback address. With port 0 the server takes a free port.
    pub addr: SocketAddr,
    /// The fault rules from the start.
    pub faults: Vec<FaultRule>,
    /// Whether controllers simulate that workloads become ready.
    pub controllers: bool,
    /// How many events of each kind are kept for watches that are resumed; fewer if they take more than 64 MiB.
    pub history: usize,
}

impl Config {
    /// A server on a free port, with controllers and without faults.
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: data_dir.into(),
            addr: SocketAddr::from(([127, 0, 0, 1], 0)),
            faults: Vec::new(),
            controllers: true,
            history: 8192,
        }
    }
}

/// Why a server does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("{0}: not a loopback address; this server has no authentication")]
    NotLoopback(SocketAddr),
    /// The address cannot be listened on.
    #[error("{addr}: {source}")]
    Listen { addr: SocketAddr, source: std::io::Error },
    /// The state cannot be opened.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

/// Starts servers.
#[derive(Debug)]
pub struct ApiServer;

impl ApiServer {
    /// Starts a server on the caller's tokio runtime.
    pub async fn start(config: Config) -> Result<Handle, StartError> {
        if !config.addr.ip().is_loopback() {
            return Err(StartError::NotLoopback(config.addr));
        }
        let failed = |source| StartError::Listen { addr: config.addr, source };
        let listener = TcpListener::bind(config.addr).await.map_err(failed)?;
        let addr = listener.local_addr().map_err(failed)?;
        let registry = Arc::new(ObjectRegistry::open(&config.data_dir, config.history)?);
        let (stopper, stop) = watch::channel(false);
        let controllers = controllers::start(registry.clone(), config.controllers, stop.clone());
        let server = Arc::new(HttpServer::new(registry, FaultInjector::new(config.faults), stop));
        let listening = tokio::spawn(http::serve(listener, server.clone()));
        Ok(Handle { addr, server, stopper, tasks: vec![listening, controllers], runtime: None })
    }

    /// Starts a server on a runtime of its own, with `threads` threads.
    pub fn start_apart(config: Config, threads: usize) -> Result<Handle, StartError> {
        let addr = config.addr;
        let failed = |source| StartError::Listen { addr, source };
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let runtime =
            builder.worker_threads(threads.max(1)).thread_name("apiserver").enable_all().build().map_err(failed)?;
        let mut handle = runtime.block_on(Self::start(config))?;
        handle.runtime = Some(runtime);
        Ok(handle)
    }
}

/// A running server. It stops when this is dropped.
pub struct Handle {
    addr: SocketAddr,
    server: Arc<HttpServer>,
    stopper: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
    runtime: Option<Runtime>,
}

impl Handle {
    /// The address it listens on.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// `http://127.0.0.1:<port>`.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// A kubeconfig with one context for this server.
    pub fn kubeconfig(&self, context: &str) -> String {
        format!(
            "apiVersion: v1\nkind: Config\nclusters:\n- name: local\n  cluster: {{server: \"{}\"}}\nusers:\n- name: \
             local\n  user: {{}}\ncontexts:\n- name: {context}\n  context: {{cluster: local, user: \
             local}}\ncurrent-context: {context}\n",
            self.url()
        )
    }

    /// Replaces the fault rules; the counts of the new ones start at zero.
    pub fn set_faults(&self, rules: Vec<FaultRule>) {
        self.server.faults.set_rules(rules);
    }

    /// The fault rules, with the numbers of requests to which they applied.
    pub fn faults(&self) -> Vec<FaultRuleState> {
        self.server.faults.rules()
    }

    pub fn counters(&self) -> RequestCounters {
        self.server.faults.counters()
    }

    /// Sets the counters to zero.
    pub fn reset_counters(&self) {
        self.server.faults.reset_counters();
    }

    /// Breaks the connections of all open watches, as a network may do.
    pub fn drop_watches(&self) {
        self.server.drop_watches();
    }

    /// Forgets all events and ends all open watches with 410.
    pub fn expire_watches(&self) {
        self.server.expire_watches();
    }

    /// Stops listening, drops all connections and closes the file.
    pub async fn shutdown(mut self) {
        self.stopper.send_replace(true);
        for task in std::mem::take(&mut self.tasks) {
            let _ = task.await; // a task that failed has ended, too
        }
        // The file is closed when no connection uses the server any more.
        while Arc::strong_count(&self.server) > 1 {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.stopper.send_replace(true);
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
