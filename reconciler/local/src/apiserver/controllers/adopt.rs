//! An owner whose object's name is in use: it adopts the present object if that has no controller, else it waits.

use std::sync::Arc;

use serde_json::Value;

use super::{collect, owner_reference, write_as_manager};
use crate::apiserver::kinds::ServedKind;
use crate::apiserver::object::{self, at};
use crate::apiserver::registry::ObjectRegistry;
use crate::apiserver::select::selects;
use crate::apiserver::store::{StoreKey, WriteRefusal};

/// Creates an object for its owner, or adopts the object that has its name.
pub(super) fn create(registry: &ObjectRegistry, kind: &Arc<ServedKind>, value: Value, owner: &Value) {
    let key = StoreKey::new(&kind.group_resource, object::namespace(&value), object::name(&value));
    if matches!(super::create(registry, kind, value), Err(WriteRefusal::Exists)) {
        adopt(registry, &key, owner);
    }
}

fn adopt(registry: &ObjectRegistry, key: &StoreKey, owner: &Value) {
    let Some(stored) = registry.store.get(key).filter(|e| !e.deleting) else { return };
    let live = stored.value();
    if object::owners(&live).any(|o| o.get("controller") == Some(&Value::Bool(true))) {
        // If that owner no longer exists, the object is deleted, and then the new owner's turn comes: see `waiting_for`.
        return collect::delete_if_unowned(registry, key);
    }
    let selector = at(owner, &["spec", "selector"]).and_then(Value::as_object);
    if selector.is_some_and(|selector| selects(selector, &stored.labels)) {
        let owners: Vec<Value> = object::owners(&live).cloned().chain([owner_reference(owner)]).collect();
        let mut value = live.clone();
        object::set_metadata(&mut value, "ownerReferences", owners.into());
        write_as_manager(registry, &stored, &live, value, "");
    }
}

/// Which workload may be waiting for the name of a deleted object. Its own name is how that name begins.
pub(super) fn waiting_for(deleted: &StoreKey) -> Option<StoreKey> {
    let kind = match &*deleted.group_resource {
        "replicasets.apps" => "deployments.apps",
        "pods" => "statefulsets.apps",
        _ => return None,
    };
    let (name, _) = deleted.name.rsplit_once('-')?;
    Some(StoreKey::new(&kind.into(), &deleted.namespace, name))
}
