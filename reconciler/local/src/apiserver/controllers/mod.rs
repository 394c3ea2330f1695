//! What the server does by itself after a write: garbage collection, namespace deletion, and simulated workloads.
//!
//! One task works off a queue of keys and reads each object when its turn comes. The event of an object queues the
//! object and those that depend on it. A start queues all objects, so that what an earlier run began is completed.

mod adopt;
mod claims;
mod collect;
mod deployments;
mod pods;
mod workloads;

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::admission::BUILTIN_NAMESPACES;
use super::kinds::ServedKind;
use super::object;
use super::registry::ObjectRegistry;
use super::resource_address::ResourceAddress;
use super::store::{EventType, StoreEvent, StoreKey, StoredObject, WriteRefusal};

/// An object with this annotation does not become ready; its value is the reason.
pub const FAIL_ANNOTATION: &str = "local.dayfly.dev/fail";

/// The field manager of what the controllers write.
const MANAGER: &str = "kube-controller-manager";
/// After this many items the task lets others run.
const TURN: usize = 64;

/// An object, and what is to be done about it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum WorkItem {
    /// Delete it if it has no owner any more.
    CheckOwners(StoreKey),
    ContinueDeletion(StoreKey),
    /// Bring its status and its dependents in line with its specification.
    Simulate(StoreKey),
}

/// Starts the task. Without `simulate` it only collects garbage and looks after namespaces.
pub(super) fn start(registry: Arc<ObjectRegistry>, simulate: bool, mut stop: watch::Receiver<bool>) -> JoinHandle<()> {
    let mut events = registry.store.listen();
    for name in BUILTIN_NAMESPACES {
        ensure_namespace(&registry, name);
    }
    let mut queue = WorkQueue { simulate, ..WorkQueue::default() };
    for object in registry.store.all() {
        queue.add_concerned(&registry, &StoreEvent { event_type: EventType::Added, object, previous: None });
    }
    tokio::spawn(async move {
        loop {
            while let Ok(event) = events.try_recv() {
                queue.add_concerned(&registry, &event);
            }
            if queue.work_off(&registry) {
                tokio::task::yield_now().await;
                if *stop.borrow() {
                    return;
                }
                continue;
            }
            tokio::select! {
                event = events.recv() => match event {
                    Some(event) => queue.add_concerned(&registry, &event),
                    None => return,
                },
                _ = stop.changed() => return,
            }
        }
    })
}

#[derive(Default)]
struct WorkQueue {
    items: VecDeque<WorkItem>,
    queued: HashSet<WorkItem>,
    simulate: bool,
}

impl WorkQueue {
    fn push(&mut self, work: WorkItem) {
        if self.queued.insert(work.clone()) {
            self.items.push_back(work);
        }
    }

    /// Works off at most [`TURN`] items. Returns whether there was any.
    fn work_off(&mut self, registry: &ObjectRegistry) -> bool {
        for done in 0..TURN {
            let Some(work) = self.items.pop_front() else { return done > 0 };
            self.queued.remove(&work);
            match work {
                WorkItem::CheckOwners(key) => collect::delete_if_unowned(registry, &key),
                WorkItem::ContinueDeletion(key) => collect::continue_deletion(registry, &key),
                WorkItem::Simulate(key) => simulate(registry, &key),
            }
        }
        true
    }

    /// Queues the objects that an event concerns.
    fn add_concerned(&mut self, registry: &ObjectRegistry, event: &StoreEvent) {
        let object = &event.object;
        match event.event_type {
            EventType::Deleted => self.add_after_deletion(registry, object),
            EventType::Added | EventType::Modified => self.add_after_write(object, event.previous.as_deref()),
        }
        for owner in object.owners.iter().filter_map(|uid| registry.store.by_uid(uid)) {
            if event.event_type == EventType::Deleted {
                self.push(WorkItem::ContinueDeletion(owner.clone()));
            }
            if self.simulate && is_simulated(&owner.group_resource) {
                self.push(WorkItem::Simulate(owner));
            }
        }
    }

    fn add_after_deletion(&mut self, registry: &ObjectRegistry, object: &StoredObject) {
        for dependent in registry.store.dependents(&object.uid) {
            self.push(WorkItem::CheckOwners(dependent));
        }
        if let Some(waiting) = adopt::waiting_for(&object.key).filter(|_| self.simulate) {
            self.push(WorkItem::Simulate(waiting));
        }
        if object.key.namespace.is_empty() {
            return;
        }
        let namespace = StoreKey::new(&"namespaces".into(), "", &object.key.namespace);
        if registry.store.get(&namespace).is_some_and(|n| n.deleting) {
            self.push(WorkItem::ContinueDeletion(namespace));
        } else if &*object.key.group_resource == "serviceaccounts" {
            self.push(WorkItem::Simulate(namespace));
        }
    }

    fn add_after_write(&mut self, object: &StoredObject, previous: Option<&StoredObject>) {
        if !object.owners.is_empty() && previous.is_none_or(|p| p.owners != object.owners) {
            self.push(WorkItem::CheckOwners(object.key.clone()));
        }
        if object.deleting {
            self.push(WorkItem::ContinueDeletion(object.key.clone()));
        }
        let group_resource = &*object.key.group_resource;
        if group_resource == "namespaces" || (self.simulate && is_simulated(group_resource)) {
            self.push(WorkItem::Simulate(object.key.clone()));
        }
    }
}

fn is_simulated(group_resource: &str) -> bool {
    matches!(
        group_resource,
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

fn simulate(registry: &ObjectRegistry, key: &StoreKey) {
    let Some(stored) = registry.store.get(key).filter(|e| !e.deleting) else { return };
    let live = stored.value();
    match &*key.group_resource {
        "namespaces" => ensure_service_account(registry, &key.name),
        "deployments.apps" => deployments::deployment(registry, &stored, &live),
        "replicasets.apps" => workloads::replica_set(registry, &stored, &live),
        "statefulsets.apps" => workloads::stateful_set(registry, &stored, &live),
        "daemonsets.apps" => workloads::daemon_set(registry, &stored, &live),
        "jobs.batch" => workloads::job(registry, &stored, &live),
        "pods" => pods::without_owner(registry, &stored, &live),
        "persistentvolumeclaims" => claims::bind(registry, &stored, &live),
        "horizontalpodautoscalers.autoscaling" => claims::autoscaler(registry, &stored, &live),
        "poddisruptionbudgets.policy" => claims::disruption_budget(registry, &stored, &live),
        _ => {}
    }
}

fn ensure_namespace(registry: &ObjectRegistry, name: &str) {
    if let Some(kind) = registry.kinds.by_group_resource("namespaces") {
        let value = json!({
            "metadata": {"name": name, "labels": {"kubernetes.io/metadata.name": name}},
            "spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"},
        });
        let _ = create(registry, kind, value); // nothing to do if it exists
    }
}

fn ensure_service_account(registry: &ObjectRegistry, namespace: &str) {
    if let Some(kind) = registry.kinds.by_group_resource("serviceaccounts") {
        let account = json!({"metadata": {"name": "default", "namespace": namespace}});
        let _ = create(registry, kind, account); // nothing to do if it exists
    }
}

/// Creates an object with the metadata that the server sets.
fn create(
    registry: &ObjectRegistry,
    kind: &Arc<ServedKind>,
    mut value: Value,
) -> Result<Arc<StoredObject>, WriteRefusal> {
    object::set_field(&mut value, "apiVersion", kind.api_version().into());
    object::set_field(&mut value, "kind", kind.resource.kind.as_str().into());
    object::set_metadata(&mut value, "uid", object::new_uid().into());
    object::set_metadata(&mut value, "creationTimestamp", object::now().into());
    let key = StoreKey::new(&kind.group_resource, object::namespace(&value), object::name(&value));
    registry.store.create(&key, value)
}

/// Writes an object's status if it differs.
fn set_status(registry: &ObjectRegistry, stored: &StoredObject, live: &Value, status: Value) {
    if live.get("status") == Some(&status) {
        return;
    }
    let mut value = live.clone();
    object::set_field(&mut value, "status", status);
    write_as_manager(registry, stored, live, value, "status");
}

/// Writes the next version of an object in the name of the controllers. If the object has changed meanwhile, nothing is
/// written: that change has put the object in the queue again.
fn write_as_manager(registry: &ObjectRegistry, stored: &StoredObject, live: &Value, value: Value, subresource: &str) {
    let value = tracked(registry, stored, live, value, subresource);
    let _ = registry.replace_or_remove(&stored.key, stored.version, value);
}

/// Makes the controllers own what they change, if the object has managed fields at all.
fn tracked(registry: &ObjectRegistry, stored: &StoredObject, live: &Value, value: Value, subresource: &str) -> Value {
    let is_managed = object::at(live, &["metadata", "managedFields"]).is_some();
    match registry.kinds.by_group_resource(&stored.key.group_resource).filter(|_| is_managed) {
        Some(kind) => registry.managed_write(kind, &kind.api_version(), MANAGER, subresource).track(Some(live), value),
        None => value,
    }
}

/// The objects of a kind that an object owns and that are not being deleted.
fn children(registry: &ObjectRegistry, uid: &str, group_resource: &str) -> Vec<Arc<StoredObject>> {
    let keys = registry.store.dependents(uid).into_iter().filter(|k| &*k.group_resource == group_resource);
    keys.filter_map(|k| registry.store.get(&k)).filter(|e| !e.deleting).collect()
}

fn owner_reference(owner: &Value) -> Value {
    json!({
        "apiVersion": object::text(owner, &["apiVersion"]), "kind": object::text(owner, &["kind"]),
        "name": object::name(owner), "uid": object::uid(owner), "controller": true, "blockOwnerDeletion": true,
    })
}

/// The reason with which an object is made to fail, if it is.
fn failure(value: &Value) -> Option<&str> {
    object::annotation(value, FAIL_ANNOTATION)
}

fn address_of(registry: &ObjectRegistry, key: &StoreKey) -> Option<ResourceAddress> {
    Some(ResourceAddress {
        kind: registry.kinds.by_group_resource(&key.group_resource)?.clone(),
        namespace: key.namespace.clone(),
        name: key.name.clone(),
        subresource: None,
    })
}

/// A condition of an object's status; its times stay as they are unless its status changes.
fn condition(live: &Value, kind: &str, status: &str, reason: &str, message: &str) -> Value {
    let present = object::list(live, &["status", "conditions"])
        .find(|c| object::text(c, &["type"]) == kind && object::text(c, &["status"]) == status);
    let time = |field: &str| {
        let kept = present.map(|c| object::text(c, &[field])).filter(|t| !t.is_empty());
        kept.map_or_else(object::now, str::to_owned)
    };
    let mut condition = json!({"type": kind, "status": status, "lastTransitionTime": time("lastTransitionTime")});
    if object::text(live, &["kind"]) == "Deployment" {
        object::set_field(&mut condition, "lastUpdateTime", time("lastUpdateTime").into());
    }
    object::set_field(&mut condition, "reason", reason.into());
    object::set_field(&mut condition, "message", message.into());
    condition
}
