//! Objects that are ready without pods: claims are bound, autoscalers and disruption budgets report.

use serde_json::{Value, json};

use super::super::Server;
use super::super::object::{self, at};
use super::super::store::Entry;
use super::{condition, failure, set_status, write_as_manager};

/// Binds a claim to a volume that is only a name.
pub(super) fn bind(server: &Server, entry: &Entry, live: &Value) {
    if failure(live).is_some() || object::text(live, &["status", "phase"]) == "Bound" {
        return;
    }
    let mut value = live.clone();
    if let Some(spec) = value.get_mut("spec").and_then(Value::as_object_mut) {
        spec.entry("volumeName").or_insert_with(|| format!("pvc-{}", entry.uid).into());
    }
    let storage = at(live, &["spec", "resources", "requests", "storage"]).cloned().unwrap_or_default();
    let modes = at(live, &["spec", "accessModes"]).cloned().unwrap_or_default();
    if let Some(fields) = value.as_object_mut() {
        let status = json!({"phase": "Bound", "accessModes": modes, "capacity": {"storage": storage}});
        fields.insert("status".to_owned(), status);
    }
    write_as_manager(server, entry, live, value, "");
}

/// Reports that the target has as many replicas as it may have at least.
pub(super) fn autoscaler(server: &Server, entry: &Entry, live: &Value) {
    let replicas = at(live, &["spec", "minReplicas"]).cloned().unwrap_or(1.into());
    let conditions = match failure(live) {
        None => vec![
            condition(live, "AbleToScale", "True", "ReadyForNewScale", "recommended size matches current size"),
            condition(live, "ScalingActive", "True", "ValidMetricFound", "metrics are simulated"),
        ],
        Some(reason) => vec![condition(live, "AbleToScale", "False", reason, "made to fail by an annotation")],
    };
    let status = json!({"currentReplicas": replicas, "desiredReplicas": replicas, "conditions": conditions});
    set_status(server, entry, live, status);
}

/// Reports that one pod may be disrupted.
pub(super) fn disruption_budget(server: &Server, entry: &Entry, live: &Value) {
    let allowed = i32::from(failure(live).is_none());
    let (holds, reason) = if allowed == 1 { ("True", "SufficientPods") } else { ("False", "InsufficientPods") };
    let status = json!({
        "observedGeneration": object::generation(live), "disruptionsAllowed": allowed, "currentHealthy": 1,
        "desiredHealthy": 1 - allowed, "expectedPods": 1,
        "conditions": [condition(live, "DisruptionAllowed", holds, reason, "")],
    });
    set_status(server, entry, live, status);
}
