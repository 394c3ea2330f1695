//! The HTTP side of the server: it reads requests, has the objects side execute them, and writes responses.
//!
//! `listener` takes connections and decides who may ask. `route` reads the path: it leads to one of the server's own
//! `pages`, or to objects. A `request` for objects has a verb, a `query` and a `body`; `read`, `write`, `delete`, `watch`
//! and `reviews` execute it and answer in the `representation` that the client accepts. Tests can inject `faults` into it.

mod body;
mod delete;
mod discovery;
mod errors;
mod faults;
mod listener;
mod openapi;
mod pages;
mod protobuf;
mod query;
mod read;
mod representation;
mod request;
mod response;
mod reviews;
mod route;
mod table;
mod watch;
mod write;

use std::sync::Arc;

use tokio::sync::watch as channel;

use super::registry::ObjectRegistry;

pub use faults::{FaultRule, FaultRuleState, InjectedFault, RequestCounters};

pub(super) use faults::FaultInjector;
pub(super) use listener::serve;

/// What all requests share.
pub(super) struct HttpServer {
    registry: Arc<ObjectRegistry>,
    pub faults: FaultInjector,
    watch_interruptions: channel::Sender<watch::WatchInterruption>,
    stop: channel::Receiver<bool>,
}

impl HttpServer {
    pub fn new(registry: Arc<ObjectRegistry>, faults: FaultInjector, stop: channel::Receiver<bool>) -> Self {
        Self { registry, faults, watch_interruptions: channel::Sender::default(), stop }
    }

    /// Breaks the connections of all open watches.
    pub fn drop_watches(&self) {
        self.interrupt_watches(false);
    }

    /// Forgets all events and ends all open watches with 410.
    pub fn expire_watches(&self) {
        self.registry.store.compact();
        self.interrupt_watches(true);
    }

    fn interrupt_watches(&self, expire: bool) {
        self.watch_interruptions.send_modify(|last| {
            *last = watch::WatchInterruption { number: last.number + 1, expire };
        });
    }
}
