//! Objects whose name is taken: an owner adopts what nobody controls, and waits for the end of what another did.

use std::sync::Arc;

use serde_json::Value;

use super::super::Server;
use super::super::object::{self, at};
use super::super::route::Kind;
use super::super::select::selects;
use super::super::store::{Key, Refused};
use super::{collect, owner_reference, write_as_manager};

/// Creates an object for its owner, or takes over the one that has its name.
pub(super) fn create(server: &Server, kind: &Arc<Kind>, value: Value, owner: &Value) {
    let key = Key::new(&kind.key, object::namespace(&value), object::name(&value));
    if matches!(super::create(server, kind, value), Err(Refused::Exists)) {
        take_over(server, &key, owner);
    }
}

fn take_over(server: &Server, key: &Key, owner: &Value) {
    let Some(entry) = server.store.get(key).filter(|e| !e.deleting) else { return };
    let live = entry.value();
    if object::owners(&live).any(|o| o.get("controller") == Some(&Value::Bool(true))) {
        // If that owner is gone this goes, too, and its end brings the new owner back: see `waiting`.
        return collect::owned(server, key);
    }
    let selector = at(owner, &["spec", "selector"]).and_then(Value::as_object);
    if selector.is_some_and(|selector| selects(selector, &entry.labels)) {
        let owners: Vec<Value> = object::owners(&live).cloned().chain([owner_reference(owner)]).collect();
        let mut value = live.clone();
        object::set_metadata(&mut value, "ownerReferences", owners.into());
        write_as_manager(server, &entry, &live, value, "");
    }
}

/// Who may wait for the name of an object that is gone: the workload that its name begins with.
pub(super) fn waiting(gone: &Key) -> Option<Key> {
    let kind = match &*gone.kind {
        "replicasets.apps" => "deployments.apps",
        "pods" => "statefulsets.apps",
        _ => return None,
    };
    let (name, _) = gone.name.rsplit_once('-')?;
    Some(Key::new(&kind.into(), &gone.namespace, name))
}
