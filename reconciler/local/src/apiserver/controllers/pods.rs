//! Simulated pods: they run at once, are done at once, or wait for the reason they are told to fail with.

use serde_json::{Map, Value, json};

use super::super::Server;
use super::super::object::{self, at};
use super::super::store::Entry;
use super::{adopt, failure, owner_reference, set_status};

/// What becomes of a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate<'a> {
    Runs,
    Succeeds,
    /// Waits for ever, with this reason.
    Waits(&'a str),
}

/// Creates a pod from its owner's template.
pub(super) fn create_from(server: &Server, owner: &Value, name: &str, labels: Map<String, Value>, fate: Fate<'_>) {
    let Some(kind) = server.kinds.by_key("pods") else { return };
    let template = at(owner, &["spec", "template"]).cloned().unwrap_or_default();
    let mut all_labels = at(&template, &["metadata", "labels"]).and_then(Value::as_object).cloned().unwrap_or_default();
    all_labels.extend(labels);
    let mut metadata = json!({
        "name": name, "namespace": object::namespace(owner), "labels": all_labels, "generation": 1,
        "ownerReferences": [owner_reference(owner)],
    });
    if let (Some(annotations), Some(metadata)) = (at(&template, &["metadata", "annotations"]), metadata.as_object_mut())
    {
        metadata.insert("annotations".to_owned(), annotations.clone());
    }
    let mut spec = template.get("spec").cloned().unwrap_or_default();
    if let (Some(spec), false) = (spec.as_object_mut(), matches!(fate, Fate::Waits(_))) {
        spec.insert("nodeName".to_owned(), "simulated".into());
    }
    let mut pod = json!({"metadata": metadata, "spec": spec});
    let status = status(&pod, fate);
    if let Some(pod) = pod.as_object_mut() {
        pod.insert("status".to_owned(), status);
    }
    adopt::create(server, kind, pod, owner);
}

/// Gives a pod its fate's status, if it has another.
pub(super) fn settle(server: &Server, entry: &Entry, fate: Fate<'_>) {
    let live = entry.value();
    let waiting = object::list(&live, &["status", "containerStatuses"])
        .find_map(|c| at(c, &["state", "waiting", "reason"]).and_then(Value::as_str));
    let settled = match fate {
        Fate::Runs => object::text(&live, &["status", "phase"]) == "Running",
        Fate::Succeeds => object::text(&live, &["status", "phase"]) == "Succeeded",
        Fate::Waits(reason) => waiting == Some(reason),
    };
    if !settled {
        set_status(server, entry, &live, status(&live, fate));
    }
}

/// A pod that no one owns.
pub(super) fn alone(server: &Server, entry: &Entry, live: &Value) {
    if entry.owners.is_empty() {
        settle(server, entry, failure(live).map_or(Fate::Runs, Fate::Waits));
    }
}

fn status(pod: &Value, fate: Fate<'_>) -> Value {
    let now = object::now();
    let (phase, ready) = match fate {
        Fate::Runs => ("Running", true),
        Fate::Succeeds => ("Succeeded", false),
        Fate::Waits(_) => ("Pending", false),
    };
    let state = match fate {
        Fate::Runs => json!({"running": {"startedAt": now}}),
        Fate::Succeeds => json!({
            "terminated": {"exitCode": 0, "reason": "Completed", "startedAt": now, "finishedAt": now}
        }),
        Fate::Waits(reason) => json!({"waiting": {"reason": reason, "message": "made to fail by an annotation"}}),
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
