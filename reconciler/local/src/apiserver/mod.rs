//! A Kubernetes-compatible API on loopback: real protocols, one process, state in one file.
//!
//! It serves the built-in kinds of the schema table to any Kubernetes client: get, list, watch, create, update,
//! patch, server-side apply, delete; status and scale; dry runs; discovery and OpenAPI; and a few simulated
//! controllers, so that workloads become ready although nothing runs. What it does not implement it refuses.
//!
//! Known laxities, where it is more lenient than a real server:
//! - No authentication and no authorization: it listens on loopback only and refuses browsers.
//! - ResourceQuota, LimitRange, webhooks and admission policies are stored and not enforced, and the client is warned;
//!   nor are NetworkPolicy and Pod Security levels. Built-in roles, priority and storage classes are not there.
//! - Each kind has one version; `events` and `events.k8s.io` do not show each other's objects.
//! - A list is always whole: `limit` is ignored. Lists and watches are always of the latest state.
//! - A deleted object is gone at once: no grace period.
//! - Cluster IPs and node ports that a client chooses are taken as they are.
//! - Not checked: that a time zone exists, the amounts in LimitRanges, paths of `fieldRef`, host bits of
//!   `loadBalancerSourceRanges`, multiples of huge pages, and whether a quota's scopes fit what it counts.
//! - A Deployment takes over a ReplicaSet without owner only if it has the name that the template gives it.
//! - Pods are simulated, at most 500 of a workload: no logs, exec, eviction or service account tokens; no Endpoints or
//!   EndpointSlices.
//! - JSON bodies with two equal keys are read with the last one. Protobuf bodies are read for Namespaces and access
//!   reviews only, because kubectl insists; all others are refused with advice.
//! - `/openapi/v2` is empty; `/openapi/v3` is not.
//! - No CustomResourceDefinitions, and no `autoscaling/v1` HorizontalPodAutoscalers: they are unknown paths.

mod addresses;
mod admission;
mod body;
mod call;
pub mod canonical;
mod controllers;
pub mod defaults;
mod delete;
mod discovery;
mod disk;
mod entry;
mod faults;
mod history;
mod http;
pub mod merge;
pub mod names;
mod object;
mod openapi;
mod pages;
mod params;
mod protobuf;
pub mod quantity;
mod read;
mod render;
mod reviews;
mod route;
mod rules;
mod scale;
pub mod schema;
pub mod select;
mod services;
pub mod ssa;
mod status;
mod store;
mod table;
pub mod validate;
mod watch;
mod write;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::watch as channel;
use tokio::task::JoinHandle;

pub use controllers::FAIL_ANNOTATION;
pub use disk::DiskError;
pub use faults::{Counters, Fault, Rule, RuleState};

use addresses::Addresses;
use faults::Faults;
use route::Kinds;
use schema::Schema;
use store::Store;

/// How to run a server.
#[derive(Clone, Debug)]
pub struct Config {
    /// The folder of its state; made if absent. A server that starts on the folder of another goes on from there.
    pub data_dir: PathBuf,
    /// Where to listen: a loopback address; port 0 takes a free one.
    pub addr: SocketAddr,
    /// Faults from the start.
    pub faults: Vec<Rule>,
    /// Whether workloads become ready, by controllers that simulate it.
    pub controllers: bool,
    /// How many events of each kind are kept for watches that come back, as far as 64 MiB hold them.
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
    /// The address is not a loopback address.
    #[error("{0}: not a loopback address; this server has no authentication")]
    NotLoopback(SocketAddr),
    /// The address cannot be listened on.
    #[error("{addr}: {source}")]
    Listen {
        /// The address.
        addr: SocketAddr,
        /// The system's reason.
        source: std::io::Error,
    },
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
        let store = Store::open(&config.data_dir, config.history)?;
        let (stopper, stop) = channel::channel(false);
        let schema = Schema::builtin();
        let server = Arc::new(Server {
            schema,
            kinds: Kinds::of(schema),
            addresses: Addresses::of(&store),
            store,
            faults: Faults::new(config.faults),
            orders: channel::Sender::default(),
            stop,
        });
        let controllers = controllers::start(server.clone(), config.controllers);
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
    server: Arc<Server>,
    stopper: channel::Sender<bool>,
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

    /// Replaces the faults in force; their counts begin anew.
    pub fn set_faults(&self, rules: Vec<Rule>) {
        self.server.faults.set(rules);
    }

    /// The faults in force, with how often they matched and hit.
    pub fn faults(&self) -> Vec<RuleState> {
        self.server.faults.states()
    }

    /// How many requests came in.
    pub fn counters(&self) -> Counters {
        self.server.faults.counters()
    }

    /// Counts from zero again.
    pub fn reset_counters(&self) {
        self.server.faults.reset_counters();
    }

    /// Breaks all open watches, as a network does.
    pub fn drop_watches(&self) {
        self.server.drop_watches();
    }

    /// Forgets all history and ends all open watches with 410.
    pub fn expire_watches(&self) {
        self.server.expire_watches();
    }

    /// Stops listening, drops all connections and closes the file.
    pub async fn shutdown(mut self) {
        self.stopper.send_replace(true);
        for task in std::mem::take(&mut self.tasks) {
            let _ = task.await; // a task that failed is over, too
        }
        // Connections let go of the server as they see the stop; the file closes with the last.
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

/// What all requests share.
struct Server {
    schema: &'static Schema,
    kinds: Kinds,
    store: Store,
    addresses: Addresses,
    faults: Faults,
    orders: channel::Sender<watch::Order>,
    stop: channel::Receiver<bool>,
}

impl Server {
    fn drop_watches(&self) {
        self.orders.send_modify(|order| *order = watch::Order { number: order.number + 1, expire: false });
    }

    fn expire_watches(&self) {
        self.store.compact();
        self.orders.send_modify(|order| *order = watch::Order { number: order.number + 1, expire: true });
    }
}
