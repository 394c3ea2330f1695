//! Simulated claims, autoscalers and disruption budgets, which have no pods.

use serde_json::{Value, json};

use super::{condition, failure, set_status, write_as_manager};
use crate::apiserver::object::{self, at};
use crate::apiserver::registry::ObjectRegistry;
use crate::apiserver::store::StoredObject;

/// Binds a claim to the name of a volume that does not exist.
pub(super) fn bind(registry: &ObjectRegistry, stored: &StoredObject, live: &Value) {
    if failure(live).is_some() || object::text(live, &["status", "phase"]) == "Bound" {
        return;
    }
    let mut value = live.clone();
    if let Some(spec) = value.get_mut("spec").and_then(Value::as_object_mut) {
        spec.entry("volumeName").or_insert_with(|| format!("pvc-{}", stored.uid).into());
    }
    let storage = at(live, &["spec", "resources", "requests", "storage"]).cloned().unwrap_or_default();
    let modes = at(live, &["spec", "accessModes"]).cloned().unwrap_or_default();
    let status = json!({"phase": "Bound", "accessModes": modes, "capacity": {"storage": storage}});
    object::set_field(&mut value, "status", status);
    write_as_manager(registry, stored, live, value, "");
}

/// Reports that the target has the minimum of replicas.
pub(super) fn autoscaler(registry: &ObjectRegistry, stored: &StoredObject, live: &Value) {
    let replicas = at(live, &["spec", "minReplicas"]).cloned().unwrap_or(1.into());
    let conditions = match failure(live) {
        None => vec![
            condition(live, "AbleToScale", "True", "ReadyForNewScale", "recommended size matches current size"),
            condition(live, "ScalingActive", "True", "ValidMetricFound", "metrics are simulated"),
        ],
        Some(reason) => vec![condition(live, "AbleToScale", "False", reason, "made to fail by an annotation")],
    };
    let status = json!({"currentReplicas": replicas, "desiredReplicas": replicas, "conditions": conditions});
    set_status(registry, stored, live, status);
}

/// Reports that one pod may be disrupted, or none if the budget is made to fail.
pub(super) fn disruption_budget(registry: &ObjectRegistry, stored: &StoredObject, live: &Value) {
    let allowed = i32::from(failure(live).is_none());
    let (holds, reason) = if allowed == 1 { ("True", "SufficientPods") } else { ("False", "InsufficientPods") };
    let status = json!({
        "observedGeneration": object::generation(live), "disruptionsAllowed": allowed, "currentHealthy": 1,
        "desiredHealthy": 1 - allowed, "expectedPods": 1,
        "conditions": [condition(live, "DisruptionAllowed", holds, reason, "")],
    });
    set_status(registry, stored, live, status);
}
