//! Simulated pods: at once they run, have succeeded, or wait with the reason with which they are made to fail.

use serde_json::{Value, json};

use super::{adopt, failure, owner_reference, set_status};
use crate::apiserver::object::{self, JsonObject, at};
use crate::apiserver::registry::ObjectRegistry;
use crate::apiserver::store::StoredObject;

/// What becomes of a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PodOutcome<'a> {
    Runs,
    Succeeds,
    /// Never starts, for this reason.
    Waits(&'a str),
}

/// Creates a pod from its owner's template.
pub(super) fn create_from(
    registry: &ObjectRegistry,
    owner: &Value,
    name: &str,
    labels: JsonObject,
    outcome: PodOutcome<'_>,
) {
    let Some(kind) = registry.kinds.by_group_resource("pods") else { return };
    let template = at(owner, &["spec", "template"]).cloned().unwrap_or_default();
    let mut all_labels = at(&template, &["metadata", "labels"]).and_then(Value::as_object).cloned().unwrap_or_default();
    all_labels.extend(labels);
    let mut metadata = json!({
        "name": name, "namespace": object::namespace(owner), "labels": all_labels, "generation": 1,
        "ownerReferences": [owner_reference(owner)],
    });
    if let Some(annotations) = at(&template, &["metadata", "annotations"]) {
        object::set_field(&mut metadata, "annotations", annotations.clone());
    }
    let mut spec = template.get("spec").cloned().unwrap_or_default();
    if !matches!(outcome, PodOutcome::Waits(_)) {
        object::set_field(&mut spec, "nodeName", "simulated".into());
    }
    let mut pod = json!({"metadata": metadata, "spec": spec});
    let status = status(&pod, outcome);
    object::set_field(&mut pod, "status", status);
    adopt::create(registry, kind, pod, owner);
}

/// Gives a pod the status of its outcome, unless it has it already.
pub(super) fn update(registry: &ObjectRegistry, stored: &StoredObject, outcome: PodOutcome<'_>) {
    let live = stored.value();
    let waiting = object::list(&live, &["status", "containerStatuses"])
        .find_map(|c| at(c, &["state", "waiting", "reason"]).and_then(Value::as_str));
    let up_to_date = match outcome {
        PodOutcome::Runs => object::text(&live, &["status", "phase"]) == "Running",
        PodOutcome::Succeeds => object::text(&live, &["status", "phase"]) == "Succeeded",
        PodOutcome::Waits(reason) => waiting == Some(reason),
    };
    if !up_to_date {
        set_status(registry, stored, &live, status(&live, outcome));
    }
}

/// A pod that no workload owns.
pub(super) fn without_owner(registry: &ObjectRegistry, stored: &StoredObject, live: &Value) {
    if stored.owners.is_empty() {
        update(registry, stored, failure(live).map_or(PodOutcome::Runs, PodOutcome::Waits));
    }
}

fn status(pod: &Value, outcome: PodOutcome<'_>) -> Value {
    let now = object::now();
    let (phase, ready) = match outcome {
        PodOutcome::Runs => ("Running", true),
        PodOutcome::Succeeds => ("Succeeded", false),
        PodOutcome::Waits(_) => ("Pending", false),
    };
    let state = match outcome {
        PodOutcome::Runs => json!({"running": {"startedAt": now}}),
        PodOutcome::Succeeds => json!({
            "terminated": {"exitCode": 0, "reason": "Completed", "startedAt": now, "finishedAt": now}
        }),
        PodOutcome::Waits(reason) => json!({"waiting": {"reason": reason, "message": "made to fail by an annotation"}}),
    };
    let containers: Vec<Value> = object::list(pod, &["spec", "containers"])
        .map(|c| {
            json!({
                "name": c.get("name"), "image": c.get("image"), "imageID": "", "ready": ready, "started": ready,
                "restartCount": 0, "state": state,
            })
        })
        .collect();
    let condition = |kind: &str, holds: bool| json!({"type": kind, "status": if holds { "True" } else { "False" }, "lastTransitionTime": now});
    json!({
        "phase": phase,
        "conditions": [
            condition("PodScheduled", true), condition("Initialized", true),
            condition("ContainersReady", ready), condition("Ready", ready),
        ],
        "containerStatuses": containers, "startTime": now, "qosClass": "Burstable",
    })
}
