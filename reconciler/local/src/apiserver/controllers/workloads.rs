//! Simulated ReplicaSets, StatefulSets, DaemonSets and Jobs, down to their pods.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::pods::{self, PodOutcome};
use super::{children, collect, condition, create, failure, set_status};
use crate::apiserver::object::{self, JsonObject, at};
use crate::apiserver::registry::ObjectRegistry;
use crate::apiserver::store::StoredObject;

/// The most pods that are created for a workload; further replicas are only counted.
const MAX_PODS: i64 = 500;
/// The most pods that are created at a time. Their events queue the workload again, which then gets the next ones.
const BATCH: usize = 64;

/// Gives a ReplicaSet its pods.
pub(super) fn replica_set(registry: &ObjectRegistry, stored: &StoredObject, live: &Value) {
    let wanted = replicas(live);
    let outcome = failure(live).map_or(PodOutcome::Runs, PodOutcome::Waits);
    let simulated = usize::try_from(wanted.min(MAX_PODS)).unwrap_or(0);
    let pods = children(registry, &stored.uid, "pods");
    for pod in pods.iter().skip(simulated) {
        collect::delete(registry, pod, None);
    }
    let missing = simulated.saturating_sub(pods.len());
    for _ in 0..missing.min(BATCH) {
        let name = format!("{}-{}", object::name(live), object::random_suffix(5));
        pods::create_from(registry, live, &name, JsonObject::new(), outcome);
    }
    for pod in &pods {
        pods::update(registry, pod, outcome);
    }
    if missing > BATCH {
        return;
    }
    let ready = if outcome == PodOutcome::Runs { wanted } else { 0 };
    let status = nonzero(json!({
        "replicas": wanted, "fullyLabeledReplicas": wanted, "readyReplicas": ready, "availableReplicas": ready,
        "observedGeneration": object::generation(live),
    }));
    set_status(registry, stored, live, status);
}

/// Gives a StatefulSet its numbered pods, each with its claims. The claims are not deleted with it.
pub(super) fn stateful_set(registry: &ObjectRegistry, stored: &StoredObject, live: &Value) {
    let wanted = replicas(live);
    let outcome = failure(live).map_or(PodOutcome::Runs, PodOutcome::Waits);
    let revision = format!("{}-{}", object::name(live), template_hash(live));
    let names: Vec<String> = (0..wanted.min(MAX_PODS)).map(|index| format!("{}-{index}", object::name(live))).collect();
    let labels = JsonObject::from_iter([("controller-revision-hash".to_owned(), revision.clone().into())]);
    if !ensure_named_pods(registry, stored, live, &names, &labels, outcome) {
        return;
    }
    let ready = if outcome == PodOutcome::Runs { wanted } else { 0 };
    let status = json!({
        "observedGeneration": object::generation(live), "replicas": wanted, "readyReplicas": ready,
        "currentReplicas": wanted, "updatedReplicas": wanted, "availableReplicas": ready,
        "currentRevision": revision, "updateRevision": revision, "collisionCount": 0,
    });
    set_status(registry, stored, live, status);
}

/// Gives a DaemonSet one pod, as if there were one node.
pub(super) fn daemon_set(registry: &ObjectRegistry, stored: &StoredObject, live: &Value) {
    let outcome = failure(live).map_or(PodOutcome::Runs, PodOutcome::Waits);
    let name = format!("{}-{}", object::name(live), object::suffix(bits(&stored.uid), 5));
    let labels = JsonObject::from_iter([("controller-revision-hash".to_owned(), template_hash(live).into())]);
    ensure_named_pods(registry, stored, live, &[name], &labels, outcome);
    let ready = i64::from(outcome == PodOutcome::Runs);
    let status = json!({
        "observedGeneration": object::generation(live), "currentNumberScheduled": 1, "desiredNumberScheduled": 1,
        "updatedNumberScheduled": 1, "numberMisscheduled": 0, "numberReady": ready, "numberAvailable": ready,
        "numberUnavailable": 1 - ready,
    });
    set_status(registry, stored, live, status);
}

/// Completes a Job at once, unless it is suspended or made to fail.
pub(super) fn job(registry: &ObjectRegistry, stored: &StoredObject, live: &Value) {
    if at(live, &["spec", "suspend"]) == Some(&Value::Bool(true)) {
        let conditions = [condition(live, "Suspended", "True", "JobSuspended", "Job suspended")];
        return set_status(registry, stored, live, json!({"conditions": conditions}));
    }
    if !object::text(live, &["status", "startTime"]).is_empty() {
        return;
    }
    let now = object::now();
    let failing = failure(live);
    let completions = at(live, &["spec", "completions"]).and_then(Value::as_i64).unwrap_or(1);
    let name = format!("{}-{}", object::name(live), object::random_suffix(5));
    let labels = JsonObject::from_iter([("batch.kubernetes.io/job-name".to_owned(), object::name(live).into())]);
    pods::create_from(registry, live, &name, labels, failing.map_or(PodOutcome::Succeeds, PodOutcome::Waits));
    let status = match failing {
        None => json!({
            "startTime": now, "completionTime": now, "succeeded": completions, "ready": 0, "terminating": 0,
            "conditions": [
                condition(live, "SuccessCriteriaMet", "True", "CompletionsReached", "Reached expected number of succeeded pods"),
                condition(live, "Complete", "True", "CompletionsReached", "Reached expected number of succeeded pods"),
            ],
        }),
        Some(reason) => json!({
            "startTime": now, "failed": 1, "ready": 0, "terminating": 0,
            "conditions": [
                condition(live, "FailureTarget", "True", reason, "made to fail by an annotation"),
                condition(live, "Failed", "True", reason, "made to fail by an annotation"),
            ],
        }),
    };
    set_status(registry, stored, live, status);
}

/// Gives a workload pods with these names, and replaces those of an older template. Returns whether all are created.
fn ensure_named_pods(
    registry: &ObjectRegistry,
    stored: &StoredObject,
    live: &Value,
    names: &[String],
    labels: &JsonObject,
    outcome: PodOutcome<'_>,
) -> bool {
    let mut missing: BTreeSet<&String> = names.iter().collect();
    for pod in children(registry, &stored.uid, "pods") {
        let current = labels.iter().all(|(key, value)| pod.labels.get(key) == Some(value));
        if current && missing.remove(&pod.key.name) {
            pods::update(registry, &pod, outcome);
        } else {
            collect::delete(registry, &pod, None);
        }
    }
    for name in missing.iter().take(BATCH) {
        create_claims(registry, live, name);
        pods::create_from(registry, live, name, labels.clone(), outcome);
    }
    missing.len() <= BATCH
}

fn create_claims(registry: &ObjectRegistry, live: &Value, pod: &str) {
    let Some(kind) = registry.kinds.by_group_resource("persistentvolumeclaims") else { return };
    for template in object::list(live, &["spec", "volumeClaimTemplates"]) {
        let name = format!("{}-{pod}", object::name(template));
        let labels = at(live, &["spec", "selector", "matchLabels"]);
        let claim = json!({
            "metadata": {"name": name, "namespace": object::namespace(live), "labels": labels},
            "spec": template.get("spec"), "status": {"phase": "Pending"},
        });
        let _ = create(registry, kind, claim); // a claim that exists is used again
    }
}

/// A status without the fields that are zero, as a real server writes it; `replicas` is always written.
pub(super) fn nonzero(mut status: Value) -> Value {
    if let Some(fields) = status.as_object_mut() {
        fields.retain(|key, value| key == "replicas" || value != &json!(0));
    }
    status
}

pub(super) fn replicas(workload: &Value) -> i64 {
    at(workload, &["spec", "replicas"]).and_then(Value::as_i64).unwrap_or(1)
}

pub(super) fn count(workload: &Value, field: &str) -> i64 {
    at(workload, &["status", field]).and_then(Value::as_i64).unwrap_or(0)
}

/// A hash that does not depend on the order of fields.
pub(super) fn template_hash(workload: &Value) -> String {
    let mut template = at(workload, &["spec", "template"]).cloned().unwrap_or_default();
    template.sort_all_objects();
    object::suffix(bits(&template.to_string()), 10)
}

fn bits(text: &str) -> u64 {
    let digest = Sha256::digest(text.as_bytes());
    digest.iter().take(8).fold(0, |bits, byte| (bits << 8) | u64::from(*byte))
}
