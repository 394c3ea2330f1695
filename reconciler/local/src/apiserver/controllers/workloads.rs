//! Simulated ReplicaSets, StatefulSets, DaemonSets and Jobs, down to their pods.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::super::Server;
use super::super::object::{self, at};
use super::super::store::Entry;
use super::collect;
use super::pods::{self, Fate};
use super::{children, condition, create, failure, set_status};

/// Of a workload so many pods are made at most; the others are only counted.
const MOST: i64 = 500;
/// So many pods are made at a time; their events bring the workload back for more.
const AT_ONCE: usize = 64;

/// A ReplicaSet has as many pods as it wants.
pub(super) fn replica_set(server: &Server, entry: &Entry, live: &Value) {
    let wanted = replicas(live);
    let fate = failure(live).map_or(Fate::Runs, Fate::Waits);
    let simulated = usize::try_from(wanted.min(MOST)).unwrap_or(0);
    let pods = children(server, &entry.uid, "pods");
    for pod in pods.iter().skip(simulated) {
        collect::delete(server, pod, None);
    }
    let missing = simulated.saturating_sub(pods.len());
    for _ in 0..missing.min(AT_ONCE) {
        let name = format!("{}-{}", object::name(live), object::random_suffix(5));
        pods::create_from(server, live, &name, Map::new(), fate);
    }
    for pod in &pods {
        pods::settle(server, pod, fate);
    }
    if missing > AT_ONCE {
        return;
    }
    let ready = if fate == Fate::Runs { wanted } else { 0 };
    let status = nonzero(json!({
        "replicas": wanted, "fullyLabeledReplicas": wanted, "readyReplicas": ready, "availableReplicas": ready,
        "observedGeneration": object::generation(live),
    }));
    set_status(server, entry, live, status);
}

/// A StatefulSet has numbered pods, each with its claims; the claims stay when it goes.
pub(super) fn stateful_set(server: &Server, entry: &Entry, live: &Value) {
    let wanted = replicas(live);
    let fate = failure(live).map_or(Fate::Runs, Fate::Waits);
    let revision = format!("{}-{}", object::name(live), template_hash(live));
    let names: Vec<String> = (0..wanted.min(MOST)).map(|index| format!("{}-{index}", object::name(live))).collect();
    let labels = Map::from_iter([("controller-revision-hash".to_owned(), revision.clone().into())]);
    if !named(server, entry, live, &names, &labels, fate) {
        return;
    }
    let ready = if fate == Fate::Runs { wanted } else { 0 };
    let status = json!({
        "observedGeneration": object::generation(live), "replicas": wanted, "readyReplicas": ready,
        "currentReplicas": wanted, "updatedReplicas": wanted, "availableReplicas": ready,
        "currentRevision": revision, "updateRevision": revision, "collisionCount": 0,
    });
    set_status(server, entry, live, status);
}

/// A DaemonSet has one pod: there is one node, and it is simulated, too.
pub(super) fn daemon_set(server: &Server, entry: &Entry, live: &Value) {
    let fate = failure(live).map_or(Fate::Runs, Fate::Waits);
    let name = format!("{}-{}", object::name(live), object::suffix(bits(&entry.uid), 5));
    let labels = Map::from_iter([("controller-revision-hash".to_owned(), template_hash(live).into())]);
    named(server, entry, live, &[name], &labels, fate);
    let ready = i64::from(fate == Fate::Runs);
    let status = json!({
        "observedGeneration": object::generation(live), "currentNumberScheduled": 1, "desiredNumberScheduled": 1,
        "updatedNumberScheduled": 1, "numberMisscheduled": 0, "numberReady": ready, "numberAvailable": ready,
        "numberUnavailable": 1 - ready,
    });
    set_status(server, entry, live, status);
}

/// A Job is complete as soon as it is there, unless it is suspended or made to fail.
pub(super) fn job(server: &Server, entry: &Entry, live: &Value) {
    if at(live, &["spec", "suspend"]) == Some(&Value::Bool(true)) {
        let conditions = [condition(live, "Suspended", "True", "JobSuspended", "Job suspended")];
        return set_status(server, entry, live, json!({"conditions": conditions}));
    }
    if !object::text(live, &["status", "startTime"]).is_empty() {
        return;
    }
    let now = object::now();
    let failing = failure(live);
    let completions = at(live, &["spec", "completions"]).and_then(Value::as_i64).unwrap_or(1);
    let name = format!("{}-{}", object::name(live), object::random_suffix(5));
    let labels = Map::from_iter([("batch.kubernetes.io/job-name".to_owned(), object::name(live).into())]);
    pods::create_from(server, live, &name, labels, failing.map_or(Fate::Succeeds, Fate::Waits));
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
    set_status(server, entry, live, status);
}

/// Pods with these names; those of an older template are replaced. True when no more are to be made.
fn named(
    server: &Server,
    entry: &Entry,
    live: &Value,
    names: &[String],
    labels: &Map<String, Value>,
    fate: Fate<'_>,
) -> bool {
    let mut missing: BTreeSet<&String> = names.iter().collect();
    for pod in children(server, &entry.uid, "pods") {
        let current = labels.iter().all(|(key, value)| pod.labels.get(key) == Some(value));
        if current && missing.remove(&pod.key.name) {
            pods::settle(server, &pod, fate);
        } else {
            collect::delete(server, &pod, None);
        }
    }
    for name in missing.iter().take(AT_ONCE) {
        create_claims(server, live, name);
        pods::create_from(server, live, name, labels.clone(), fate);
    }
    missing.len() <= AT_ONCE
}

fn create_claims(server: &Server, live: &Value, pod: &str) {
    let Some(kind) = server.kinds.by_key("persistentvolumeclaims") else { return };
    for template in object::list(live, &["spec", "volumeClaimTemplates"]) {
        let name = format!("{}-{pod}", object::name(template));
        let labels = at(live, &["spec", "selector", "matchLabels"]);
        let claim = json!({
            "metadata": {"name": name, "namespace": object::namespace(live), "labels": labels},
            "spec": template.get("spec"), "status": {"phase": "Pending"},
        });
        let _ = create(server, kind, claim); // it is there: it is taken up again
    }
}

/// Without the zeros, as a real server writes statuses; `replicas` stays.
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

/// Equal for templates that are equal but for the order of their fields.
pub(super) fn template_hash(workload: &Value) -> String {
    let mut template = at(workload, &["spec", "template"]).cloned().unwrap_or_default();
    template.sort_all_objects();
    object::suffix(bits(&template.to_string()), 10)
}

fn bits(text: &str) -> u64 {
    let digest = Sha256::digest(text.as_bytes());
    digest.iter().take(8).fold(0, |bits, byte| (bits << 8) | u64::from(*byte))
}
