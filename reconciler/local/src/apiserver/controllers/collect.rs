//! Garbage collection by owner references, and the deletion of namespaces with all that is in them.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::super::Server;
use super::super::delete::{FOREGROUND, ORPHAN, remove_quietly};
use super::super::object;
use super::super::store::{Entry, Key, Refused};
use super::super::write::replace_or_remove;
use super::{condition, place_of};

/// Deletes an object all of whose owners are gone.
pub(super) fn owned(server: &Server, key: &Key) {
    let Some(entry) = server.store.get(key).filter(|e| !e.deleting && !e.owners.is_empty()) else { return };
    let there = |uid: &String| {
        let owner = server.store.by_uid(uid);
        owner.is_some_and(|o| o.namespace.is_empty() || o.namespace == key.namespace)
    };
    if !entry.owners.iter().any(there) {
        delete(server, &entry, None);
    }
}

/// Carries a deletion on: a namespace's content, dependents in the foreground, or orphans.
pub(super) fn deleting(server: &Server, key: &Key) {
    let Some(entry) = server.store.get(key).filter(|e| e.deleting) else { return };
    let live = entry.value();
    if &*key.kind == "namespaces" {
        return namespace(server, &entry, &live);
    }
    let finalizers: Vec<&str> = object::finalizers(&live).collect();
    if finalizers.contains(&ORPHAN) {
        for dependent in server.store.dependents(&entry.uid) {
            disown(server, &dependent, &entry.uid);
        }
        finish(server, &entry, &live, ORPHAN);
    } else if finalizers.contains(&FOREGROUND) {
        let dependents: Vec<_> =
            server.store.dependents(&entry.uid).iter().filter_map(|k| server.store.get(k)).collect();
        for dependent in dependents.iter().filter(|d| !d.deleting) {
            delete(server, dependent, Some(FOREGROUND));
        }
        let blocked = dependents.iter().filter_map(|d| server.store.get(&d.key)).any(|d| blocks(&d, &entry.uid));
        if !blocked {
            finish(server, &entry, &live, FOREGROUND);
        }
    }
}

/// Deletes an object, with a finalizer of a propagation policy or none.
pub(super) fn delete(server: &Server, entry: &Entry, policy: Option<&'static str>) {
    if let Some(place) = place_of(server, &entry.key) {
        remove_quietly(server, &place, &entry.uid, policy);
    }
}

fn blocks(dependent: &Entry, owner: &str) -> bool {
    let value = dependent.value();
    object::owners(&value)
        .any(|o| object::text(o, &["uid"]) == owner && o.get("blockOwnerDeletion") == Some(&Value::Bool(true)))
}

/// Removes one finalizer; a version that changed meanwhile comes back in the queue.
fn finish(server: &Server, entry: &Entry, live: &Value, finalizer: &str) {
    let mut value = live.clone();
    let left = object::finalizers(live).filter(|f| *f != finalizer).map(str::to_owned).collect();
    object::set_finalizers(&mut value, left);
    let _ = replace_or_remove(server, &entry.key, entry.version, value);
}

/// Removes the reference to an owner.
fn disown(server: &Server, key: &Key, owner: &str) {
    while let Some(entry) = server.store.get(key) {
        let mut value = entry.value();
        let left: Vec<Value> = object::owners(&value).filter(|o| object::text(o, &["uid"]) != owner).cloned().collect();
        if left.is_empty() {
            object::remove_metadata(&mut value, "ownerReferences");
        } else {
            object::set_metadata(&mut value, "ownerReferences", left.into());
        }
        if !matches!(server.store.replace(key, entry.version, value), Err(Refused::Stale)) {
            return;
        }
    }
}

/// Deletes what is in a namespace; when all is gone, the namespace itself is.
fn namespace(server: &Server, entry: &Entry, live: &Value) {
    let name = &entry.key.name;
    let mut remaining: BTreeMap<String, usize> = BTreeMap::new();
    let mut finalizers: BTreeMap<String, usize> = BTreeMap::new();
    for kind in server.store.kinds_in(name) {
        for object in server.store.list(&kind, name).0 {
            if !object.deleting {
                delete(server, &object, Some(""));
            }
            if let Some(left) = server.store.get(&object.key) {
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
        if let Some(status) = value.get_mut("status").and_then(Value::as_object_mut) {
            status.insert("conditions".to_owned(), conditions);
        }
    }
    let _ = replace_or_remove(server, &entry.key, entry.version, value);
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
