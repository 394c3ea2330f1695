//! What happens by itself after a write: garbage collection, namespace deletion, and simulated workloads.
//!
//! One task works off a queue of keys, each looked at as it is by then. An object's event puts itself and those that
//! depend on it in the queue; a restart puts everything there is in it, so nothing begun is left half done.

mod adopt;
mod claims;
mod collect;
mod deployments;
mod pods;
mod workloads;

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::Server;
use super::admission::BUILTIN_NAMESPACES;
use super::object;
use super::route::{Kind, Place};
use super::store::{Change, Entry, Event, Key, Refused};
use super::write::{replace_or_remove, writer};

/// An object with this annotation does not become ready; its value is the reason.
pub const FAIL_ANNOTATION: &str = "local.dayfly.dev/fail";

/// Whom status fields belong to.
const MANAGER: &str = "kube-controller-manager";
/// So many items are worked off before others get a turn.
const TURN: usize = 64;

/// Something to look at.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Work {
    /// Does it still have an owner?
    Owned(Key),
    /// It is being deleted: what keeps it?
    Deleting(Key),
    /// Is it as its specification says?
    Simulate(Key),
}

/// Starts the task. Without `simulate` only garbage is collected and namespaces are completed.
pub(super) fn start(server: Arc<Server>, simulate: bool) -> JoinHandle<()> {
    let mut events = server.store.listen();
    for name in BUILTIN_NAMESPACES {
        ensure_namespace(&server, name);
    }
    let mut stop = server.stop.clone();
    let mut queue = Queue { simulate, ..Queue::default() };
    for entry in server.store.all() {
        queue.notice(&server, &Event { change: Change::Added, entry, previous: None });
    }
    tokio::spawn(async move {
        loop {
            while let Ok(event) = events.try_recv() {
                queue.notice(&server, &event);
            }
            if queue.work_some(&server) {
                tokio::task::yield_now().await;
                if *stop.borrow() {
                    return;
                }
                continue;
            }
            tokio::select! {
                event = events.recv() => match event {
                    Some(event) => queue.notice(&server, &event),
                    None => return,
                },
                _ = stop.changed() => return,
            }
        }
    })
}

#[derive(Default)]
struct Queue {
    items: VecDeque<Work>,
    queued: HashSet<Work>,
    simulate: bool,
}

impl Queue {
    fn push(&mut self, work: Work) {
        if self.queued.insert(work.clone()) {
            self.items.push_back(work);
        }
    }

    /// Works off a turn; false when there was nothing to do.
    fn work_some(&mut self, server: &Server) -> bool {
        for done in 0..TURN {
            let Some(work) = self.items.pop_front() else { return done > 0 };
            self.queued.remove(&work);
            match work {
                Work::Owned(key) => collect::owned(server, &key),
                Work::Deleting(key) => collect::deleting(server, &key),
                Work::Simulate(key) => simulate(server, &key),
            }
        }
        true
    }

    /// Queues what an event concerns.
    fn notice(&mut self, server: &Server, event: &Event) {
        let entry = &event.entry;
        if event.change == Change::Deleted {
            for dependent in server.store.dependents(&entry.uid) {
                self.push(Work::Owned(dependent));
            }
            if let Some(waiting) = adopt::waiting(&entry.key).filter(|_| self.simulate) {
                self.push(Work::Simulate(waiting));
            }
            let namespace = Key::new(&"namespaces".into(), "", &entry.key.namespace);
            if !entry.key.namespace.is_empty() {
                if server.store.get(&namespace).is_some_and(|n| n.deleting) {
                    self.push(Work::Deleting(namespace));
                } else if &*entry.key.kind == "serviceaccounts" {
                    self.push(Work::Simulate(namespace));
                }
            }
        } else {
            if !entry.owners.is_empty() && event.previous.as_ref().is_none_or(|p| p.owners != entry.owners) {
                self.push(Work::Owned(entry.key.clone()));
            }
            if entry.deleting {
                self.push(Work::Deleting(entry.key.clone()));
            }
            if &*entry.key.kind == "namespaces" || (self.simulate && is_simulated(&entry.key.kind)) {
                self.push(Work::Simulate(entry.key.clone()));
            }
        }
        for owner in entry.owners.iter().filter_map(|uid| server.store.by_uid(uid)) {
            if event.change == Change::Deleted {
                self.push(Work::Deleting(owner.clone()));
            }
            if self.simulate && is_simulated(&owner.kind) {
                self.push(Work::Simulate(owner));
            }
        }
    }
}

fn is_simulated(kind: &str) -> bool {
    matches!(
        kind,
        "deployments.apps"
            | "replicasets.apps"
            | "statefulsets.apps"
            | "daemonsets.apps"
            | "jobs.batch"
            | "pods"
            | "persistentvolumeclaims"
            | "horizontalpodautoscalers.autoscaling"
            | "poddisruptionbudgets.policy"
    )
}

fn simulate(server: &Server, key: &Key) {
    let Some(entry) = server.store.get(key).filter(|e| !e.deleting) else { return };
    let live = entry.value();
    match &*key.kind {
        "namespaces" => ensure_service_account(server, &key.name),
        "deployments.apps" => deployments::deployment(server, &entry, &live),
        "replicasets.apps" => workloads::replica_set(server, &entry, &live),
        "statefulsets.apps" => workloads::stateful_set(server, &entry, &live),
        "daemonsets.apps" => workloads::daemon_set(server, &entry, &live),
        "jobs.batch" => workloads::job(server, &entry, &live),
        "pods" => pods::alone(server, &entry, &live),
        "persistentvolumeclaims" => claims::bind(server, &entry, &live),
        "horizontalpodautoscalers.autoscaling" => claims::autoscaler(server, &entry, &live),
        "poddisruptionbudgets.policy" => claims::disruption_budget(server, &entry, &live),
        _ => {}
    }
}

fn ensure_namespace(server: &Server, name: &str) {
    if let Some(kind) = server.kinds.by_key("namespaces") {
        let value = json!({
            "metadata": {"name": name, "labels": {"kubernetes.io/metadata.name": name}},
            "spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"},
        });
        let _ = create(server, kind, value); // it is there: all the better
    }
}

fn ensure_service_account(server: &Server, namespace: &str) {
    if let Some(kind) = server.kinds.by_key("serviceaccounts") {
        let account = json!({"metadata": {"name": "default", "namespace": namespace}});
        let _ = create(server, kind, account); // it is there: all the better
    }
}

/// Creates an object with the server's metadata.
fn create(server: &Server, kind: &Arc<Kind>, mut value: Value) -> Result<Arc<Entry>, Refused> {
    if let Some(fields) = value.as_object_mut() {
        fields.insert("apiVersion".to_owned(), kind.api_version().into());
        fields.insert("kind".to_owned(), kind.resource.kind.as_str().into());
    }
    object::set_metadata(&mut value, "uid", object::new_uid().into());
    object::set_metadata(&mut value, "creationTimestamp", object::now().into());
    let key = Key::new(&kind.key, object::namespace(&value), object::name(&value));
    server.store.create(&key, value)
}

/// Writes an object's status if it changed. One that meanwhile became another version comes back in the queue.
fn set_status(server: &Server, entry: &Entry, live: &Value, status: Value) {
    if live.get("status") == Some(&status) {
        return;
    }
    let mut value = live.clone();
    if let Some(fields) = value.as_object_mut() {
        fields.insert("status".to_owned(), status);
    }
    write_as_manager(server, entry, live, value, "status");
}

/// Writes an object's next version as the controllers' own.
fn write_as_manager(server: &Server, entry: &Entry, live: &Value, value: Value, part: &str) {
    let value = tracked(server, entry, live, value, part);
    let _ = replace_or_remove(server, &entry.key, entry.version, value); // stale: see above
}

/// The value with its changes owned by the controllers, if the object's fields have owners at all.
fn tracked(server: &Server, entry: &Entry, live: &Value, value: Value, part: &str) -> Value {
    let owned = object::at(live, &["metadata", "managedFields"]).is_some();
    match place_of(server, &entry.key).filter(|_| owned) {
        Some(place) => writer(server, &place, &place.kind.api_version(), MANAGER, part).track(Some(live), value),
        None => value,
    }
}

/// The objects of a kind that an object owns and that are to stay.
fn children(server: &Server, uid: &str, kind: &str) -> Vec<Arc<Entry>> {
    let keys = server.store.dependents(uid).into_iter().filter(|k| &*k.kind == kind);
    keys.filter_map(|k| server.store.get(&k)).filter(|e| !e.deleting).collect()
}

fn owner_reference(owner: &Value) -> Value {
    json!({
        "apiVersion": object::text(owner, &["apiVersion"]), "kind": object::text(owner, &["kind"]),
        "name": object::name(owner), "uid": object::uid(owner), "controller": true, "blockOwnerDeletion": true,
    })
}

/// Why an object is to fail, if it is.
fn failure(value: &Value) -> Option<&str> {
    object::annotation(value, FAIL_ANNOTATION)
}

fn place_of(server: &Server, key: &Key) -> Option<Place> {
    Some(Place {
        kind: server.kinds.by_key(&key.kind)?.clone(),
        namespace: key.namespace.clone(),
        name: key.name.clone(),
        subresource: None,
    })
}

/// A condition that keeps its transition time while its status stays the same.
fn condition(live: &Value, kind: &str, status: &str, reason: &str, message: &str) -> Value {
    let present = object::list(live, &["status", "conditions"])
        .find(|c| object::text(c, &["type"]) == kind && object::text(c, &["status"]) == status);
    let time = |field: &str| {
        let kept = present.map(|c| object::text(c, &[field])).filter(|t| !t.is_empty());
        kept.map_or_else(object::now, str::to_owned)
    };
    let mut condition = json!({"type": kind, "status": status, "lastTransitionTime": time("lastTransitionTime")});
    if let Some(fields) = condition.as_object_mut() {
        if object::text(live, &["kind"]) == "Deployment" {
            fields.insert("lastUpdateTime".to_owned(), time("lastUpdateTime").into());
        }
        fields.insert("reason".to_owned(), reason.into());
        fields.insert("message".to_owned(), message.into());
    }
    condition
}
