//! The scale subresource: a workload's replicas as an `autoscaling/v1` Scale.

use serde_json::{Map, Value, json};

use super::object::{self, at};
use super::read::subject_of;
use super::route::Place;
use super::select;
use super::status::ApiError;

/// The Scale of a workload.
pub(super) fn of(live: &Value) -> Value {
    let field = |name: &str| at(live, &["metadata", name]).cloned().unwrap_or_default();
    let replicas = |part: &str| at(live, &[part, "replicas"]).and_then(Value::as_i64).unwrap_or(0);
    let mut status = json!({"replicas": replicas("status")});
    let selector = selector(live);
    if !selector.is_empty()
        && let Some(status) = status.as_object_mut()
    {
        status.insert("selector".to_owned(), selector.into());
    }
    json!({
        "kind": "Scale", "apiVersion": "autoscaling/v1",
        "metadata": {
            "name": field("name"), "namespace": field("namespace"), "uid": field("uid"),
            "resourceVersion": field("resourceVersion"), "creationTimestamp": field("creationTimestamp"),
        },
        "spec": {"replicas": replicas("spec")},
        "status": status,
    })
}

/// Makes a workload have the replicas of a Scale.
pub(super) fn set(place: &Place, workload: &mut Value, scale: &Value) -> Result<(), ApiError> {
    let (uid, present) = (object::uid(scale), object::uid(workload));
    if !uid.is_empty() && uid != present {
        let why = format!("Precondition failed: UID in precondition: {uid}, UID in object meta: {present}");
        return Err(ApiError::conflict(subject_of(place), &why));
    }
    let version = object::resource_version(scale);
    if !["", "0"].contains(&version) && version != object::resource_version(workload) {
        return Err(ApiError::modified(subject_of(place)));
    }
    let replicas = at(scale, &["spec", "replicas"]).and_then(Value::as_i64).unwrap_or(0);
    if replicas < 0 {
        let message = "Invalid value: must be greater than or equal to 0".to_owned();
        let cause = super::rules::cause("FieldValueInvalid", "spec.replicas", message);
        return Err(ApiError::invalid(subject_of(place), "Scale", &[cause]));
    }
    if let Some(spec) = workload.get_mut("spec").and_then(Value::as_object_mut) {
        spec.insert("replicas".to_owned(), replicas.into());
    }
    Ok(())
}

/// The label selector as text.
fn selector(live: &Value) -> String {
    let selector = at(live, &["spec", "selector"]).and_then(Value::as_object).cloned().unwrap_or_default();
    match object::text(live, &["kind"]) {
        "ReplicationController" => select::written(&Map::from_iter([("matchLabels".to_owned(), selector.into())])),
        _ => select::written(&selector),
    }
}
