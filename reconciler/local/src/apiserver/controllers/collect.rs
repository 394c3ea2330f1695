//! Garbage collection by owner references, and the deletion of namespaces with all that is in them.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{address_of, condition};
use crate::apiserver::object;
use crate::apiserver::registry::ObjectRegistry;
use crate::apiserver::registry::delete::{FOREGROUND, ORPHAN, PropagationPolicy};
use crate::apiserver::store::{StoreKey, StoredObject, WriteRefusal};

/// Deletes an object that had owners of which none exists any more.
pub(super) fn delete_if_unowned(registry: &ObjectRegistry, key: &StoreKey) {
    let Some(stored) = registry.store.get(key).filter(|e| !e.deleting && !e.owners.is_empty()) else { return };
    let exists = |uid: &String| {
        let owner = registry.store.by_uid(uid);
        owner.is_some_and(|o| o.namespace.is_empty() || o.namespace == key.namespace)
    };
    if !stored.owners.iter().any(exists) {
        delete(registry, &stored, None);
    }
}

/// Continues the deletion of an object: deletes the content of a namespace, and does to dependents what the propagation
/// policy says.
pub(super) fn continue_deletion(registry: &ObjectRegistry, key: &StoreKey) {
    let Some(stored) = registry.store.get(key).filter(|e| e.deleting) else { return };
    let live = stored.value();
    if &*key.group_resource == "namespaces" {
        return namespace(registry, &stored, &live);
    }
    let finalizers: Vec<&str> = object::finalizers(&live).collect();
    if finalizers.contains(&ORPHAN) {
        for dependent in registry.store.dependents(&stored.uid) {
            disown(registry, &dependent, &stored.uid);
        }
        remove_finalizer(registry, &stored, &live, ORPHAN);
    } else if finalizers.contains(&FOREGROUND) {
        let dependents: Vec<_> =
            registry.store.dependents(&stored.uid).iter().filter_map(|k| registry.store.get(k)).collect();
        for dependent in dependents.iter().filter(|d| !d.deleting) {
            delete(registry, dependent, Some(PropagationPolicy::Foreground));
        }
        let blocked = dependents.iter().filter_map(|d| registry.store.get(&d.key)).any(|d| blocks(&d, &stored.uid));
        if !blocked {
            remove_finalizer(registry, &stored, &live, FOREGROUND);
        }
    }
}

pub(super) fn delete(registry: &ObjectRegistry, stored: &StoredObject, policy: Option<PropagationPolicy>) {
    if let Some(address) = address_of(registry, &stored.key) {
        registry.delete_in_background(&address, &stored.uid, policy);
    }
}

fn blocks(dependent: &StoredObject, owner: &str) -> bool {
    let value = dependent.value();
    object::owners(&value)
        .any(|o| object::text(o, &["uid"]) == owner && o.get("blockOwnerDeletion") == Some(&Value::Bool(true)))
}

/// Removes one finalizer. If the object has changed meanwhile, that change has put it in the queue again.
fn remove_finalizer(registry: &ObjectRegistry, stored: &StoredObject, live: &Value, finalizer: &str) {
    let mut value = live.clone();
    let left = object::finalizers(live).filter(|f| *f != finalizer).map(str::to_owned).collect();
    object::set_finalizers(&mut value, left);
    let _ = registry.replace_or_remove(&stored.key, stored.version, value);
}

/// Removes the reference to an owner.
fn disown(registry: &ObjectRegistry, key: &StoreKey, owner: &str) {
    while let Some(stored) = registry.store.get(key) {
        let mut value = stored.value();
        let left: Vec<Value> = object::owners(&value).filter(|o| object::text(o, &["uid"]) != owner).cloned().collect();
        if left.is_empty() {
            object::remove_metadata(&mut value, "ownerReferences");
        } else {
            object::set_metadata(&mut value, "ownerReferences", left.into());
        }
        if !matches!(registry.store.replace(key, stored.version, value), Err(WriteRefusal::Stale)) {
            return;
        }
    }
}

/// Deletes the content of a namespace, and then the namespace itself.
fn namespace(registry: &ObjectRegistry, stored: &StoredObject, live: &Value) {
    let name = &stored.key.name;
    let mut remaining: BTreeMap<String, usize> = BTreeMap::new();
    let mut finalizers: BTreeMap<String, usize> = BTreeMap::new();
    for kind in registry.store.kinds_in(name) {
        for object in registry.store.list(&kind, name).0 {
            if !object.deleting {
                delete(registry, &object, Some(PropagationPolicy::Background));
            }
            if let Some(left) = registry.store.get(&object.key) {
                *remaining.entry(kind.to_string()).or_default() += 1;
                for finalizer in object::finalizers(&left.value()) {
                    *finalizers.entry(finalizer.to_owned()).or_default() += 1;
                }
            }
        }
    }
    let mut value = live.clone();
    if remaining.is_empty() {
        if let Some(spec) = value.get_mut("spec") {
            *spec = json!({});
        }
    } else {
        let conditions = remaining_conditions(live, &remaining, &finalizers);
        if object::at(live, &["status", "conditions"]) == Some(&conditions) {
            return;
        }
        if let Some(status) = value.get_mut("status") {
            object::set_field(status, "conditions", conditions);
        }
    }
    let _ = registry.replace_or_remove(&stored.key, stored.version, value);
}

fn remaining_conditions(
    live: &Value,
    remaining: &BTreeMap<String, usize>,
    finalizers: &BTreeMap<String, usize>,
) -> Value {
    let listed = |counts: &BTreeMap<String, usize>, join: &str| {
        counts.iter().map(|(what, n)| format!("{what}{join}{n} resource instances")).collect::<Vec<_>>().join(", ")
    };
    let content = format!("Some resources are remaining: {}", listed(remaining, " has "));
    let held = format!("Some content in the namespace has finalizers remaining: {}", listed(finalizers, " in "));
    let mut conditions = vec![condition(live, "NamespaceContentRemaining", "True", "SomeResourcesRemain", &content)];
    if !finalizers.is_empty() {
        conditions.push(condition(live, "NamespaceFinalizersRemaining", "True", "SomeFinalizersRemain", &held));
    }
    conditions.into()
}
