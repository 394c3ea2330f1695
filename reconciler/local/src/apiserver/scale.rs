//! The scale subresource: a workload's replicas as an `autoscaling/v1` Scale.

use serde_json::{Value, json};

use super::object::{self, at};
use super::read::subject_of;
use super::route::Place;
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
    let version = object::resource_version(scale);
    if !version.is_empty() && version != object::resource_version(workload) {
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

/// The label selector as text, matchLabels only.
fn selector(live: &Value) -> String {
    let selector = at(live, &["spec", "selector"]);
    let labels = selector.and_then(|s| s.get("matchLabels").or(Some(s))).and_then(Value::as_object);
    let pairs = labels.into_iter().flatten().filter_map(|(k, v)| Some(format!("{k}={}", v.as_str()?)));
    pairs.collect::<Vec<_>>().join(",")
}
