//! Simulated workloads: Deployments with their ReplicaSets, StatefulSets, DaemonSets and Jobs, down to their pods.

use std::sync::Arc;

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::super::Server;
use super::super::object::{self, at};
use super::super::store::Entry;
use super::collect;
use super::pods::{self, Fate};
use super::{FAIL_ANNOTATION, children, condition, create, failure, owner_reference, set_status, write_as_manager};

const REVISION: &str = "deployment.kubernetes.io/revision";
const POD_HASH: &str = "pod-template-hash";

/// A Deployment has one ReplicaSet for each template it had; the newest gets all replicas once it can run them.
pub(super) fn deployment(server: &Server, entry: &Entry, live: &Value) {
    let wanted = replicas(live);
    let hash = template_hash(live);
    let name = format!("{}-{hash}", object::name(live));
    let sets = children(server, &entry.uid, "replicasets.apps");
    let Some(current) = sets.iter().find(|s| s.key.name == name) else {
        return create_replica_set(server, live, &name, &hash, latest(&sets) + 1);
    };
    let failing = failure(live);
    let mut value = current.value();
    let latest = latest(&sets);
    if revision(&value) < latest {
        set_revision(&mut value, latest + 1);
        return adjust(server, current, value, wanted, failing);
    }
    if replicas(&value) != wanted || failure(&value) != failing {
        return adjust(server, current, value, wanted, failing);
    }
    let ready = count(&value, "readyReplicas");
    let mut old = 0;
    for set in sets.iter().filter(|s| s.key.name != name) {
        let value = set.value();
        if ready >= wanted && replicas(&value) > 0 {
            adjust(server, set, value, 0, None);
        } else {
            old += count(&value, "readyReplicas");
        }
    }
    if revision(live) != latest {
        let mut numbered = live.clone();
        set_revision(&mut numbered, latest);
        return write_as_manager(server, entry, live, numbered, "");
    }
    set_status(server, entry, live, deployment_status(live, count(&value, "replicas"), ready, old));
}

fn revision(value: &Value) -> u64 {
    object::annotation(value, REVISION).and_then(|r| r.parse().ok()).unwrap_or(0)
}

fn latest(sets: &[Arc<Entry>]) -> u64 {
    sets.iter().map(|set| revision(&set.value())).max().unwrap_or(0)
}

fn set_revision(value: &mut Value, revision: u64) {
    let metadata = object::metadata_mut(value);
    let annotations = metadata.map(|m| m.entry("annotations").or_insert_with(|| json!({})));
    if let Some(annotations) = annotations.and_then(Value::as_object_mut) {
        annotations.insert(REVISION.to_owned(), revision.to_string().into());
    }
}

/// A ReplicaSet has as many pods as it wants.
pub(super) fn replica_set(server: &Server, entry: &Entry, live: &Value) {
    let wanted = replicas(live);
    let fate = failure(live).map_or(Fate::Runs, Fate::Waits);
    let pods = children(server, &entry.uid, "pods");
    for pod in pods.iter().skip(usize::try_from(wanted).unwrap_or(0)) {
        collect::delete(server, pod, None);
    }
    for _ in i64::try_from(pods.len()).unwrap_or(wanted)..wanted {
        let name = format!("{}-{}", object::name(live), object::random_suffix(5));
        pods::create_from(server, live, &name, Map::new(), fate);
    }
    for pod in &pods {
        pods::settle(server, pod, fate);
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
    let name_of = |index: i64| format!("{}-{index}", object::name(live));
    for index in 0..wanted {
        create_claims(server, live, &name_of(index));
    }
    let labels = Map::from_iter([("controller-revision-hash".to_owned(), revision.clone().into())]);
    numbered(server, entry, live, wanted, &name_of, &labels, fate);
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
    let name_of = |_| format!("{}-{}", object::name(live), object::suffix(bits(&entry.uid), 5));
    let labels = Map::from_iter([("controller-revision-hash".to_owned(), template_hash(live).into())]);
    numbered(server, entry, live, 1, &name_of, &labels, fate);
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

/// Pods with names that follow from their number; those of an older template are replaced.
fn numbered(
    server: &Server,
    entry: &Entry,
    live: &Value,
    wanted: i64,
    name_of: &dyn Fn(i64) -> String,
    labels: &Map<String, Value>,
    fate: Fate<'_>,
) {
    let names: Vec<String> = (0..wanted).map(name_of).collect();
    for pod in children(server, &entry.uid, "pods") {
        let current = labels.iter().all(|(key, value)| pod.labels.get(key) == Some(value));
        if names.contains(&pod.key.name) && current {
            pods::settle(server, &pod, fate);
        } else {
            collect::delete(server, &pod, None);
        }
    }
    for name in &names {
        pods::create_from(server, live, name, labels.clone(), fate); // makes only those that are missing
    }
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
        create(server, kind, claim);
    }
}

fn create_replica_set(server: &Server, deployment: &Value, name: &str, hash: &str, revision: u64) {
    let Some(kind) = server.kinds.by_key("replicasets.apps") else { return };
    let mut template = at(deployment, &["spec", "template"]).cloned().unwrap_or_default();
    let mut labels = at(&template, &["metadata", "labels"]).and_then(Value::as_object).cloned().unwrap_or_default();
    labels.insert(POD_HASH.to_owned(), hash.into());
    object::set_metadata(&mut template, "labels", labels.clone().into());
    let mut selector = at(deployment, &["spec", "selector"]).cloned().unwrap_or_default();
    if let Some(selector) = selector.as_object_mut() {
        let match_labels = selector.entry("matchLabels").or_insert_with(|| json!({}));
        if let Some(match_labels) = match_labels.as_object_mut() {
            match_labels.insert(POD_HASH.to_owned(), hash.into());
        }
    }
    let mut annotations = json!({REVISION: revision.to_string()});
    if let (Some(reason), Some(annotations)) = (failure(deployment), annotations.as_object_mut()) {
        annotations.insert(FAIL_ANNOTATION.to_owned(), reason.into());
    }
    let set = json!({
        "metadata": {
            "name": name, "namespace": object::namespace(deployment), "labels": labels, "annotations": annotations,
            "generation": 1, "ownerReferences": [owner_reference(deployment)],
        },
        "spec": {"replicas": replicas(deployment), "selector": selector, "template": template},
        "status": {"replicas": 0},
    });
    create(server, kind, set);
}

/// Gives a ReplicaSet other replicas and another fate.
fn adjust(server: &Server, set: &Arc<Entry>, mut value: Value, replicas: i64, failing: Option<&str>) {
    if let Some(spec) = value.get_mut("spec").and_then(Value::as_object_mut) {
        spec.insert("replicas".to_owned(), replicas.into());
    }
    if let Some(annotations) = value.get_mut("metadata").and_then(|m| m.get_mut("annotations"))
        && let Some(annotations) = annotations.as_object_mut()
    {
        annotations.shift_remove(FAIL_ANNOTATION);
        if let Some(reason) = failing {
            annotations.insert(FAIL_ANNOTATION.to_owned(), reason.into());
        }
    }
    let generation = object::generation(&value) + 1;
    object::set_metadata(&mut value, "generation", generation.into());
    let _ = server.store.replace(&set.key, set.version, value); // stale: its event brings the owner back
}

fn deployment_status(live: &Value, updated: i64, ready: i64, old: i64) -> Value {
    let wanted = replicas(live);
    let (total, available) = (updated + old, ready + old);
    let name = object::name(live);
    let done = ready >= wanted && updated >= wanted && old == 0;
    let availability = if available >= wanted {
        condition(live, "Available", "True", "MinimumReplicasAvailable", "Deployment has minimum availability.")
    } else {
        let message = "Deployment does not have minimum availability.";
        condition(live, "Available", "False", "MinimumReplicasUnavailable", message)
    };
    let progress = match failure(live) {
        Some(reason) => {
            let message = format!("Deployment {name:?} has timed out progressing: made to fail: {reason}");
            condition(live, "Progressing", "False", "ProgressDeadlineExceeded", &message)
        }
        None if done => {
            let message = format!("ReplicaSet \"{name}-{}\" has successfully progressed.", template_hash(live));
            condition(live, "Progressing", "True", "NewReplicaSetAvailable", &message)
        }
        None => condition(live, "Progressing", "True", "ReplicaSetUpdated", "Deployment is progressing."),
    };
    let mut status = nonzero(json!({
        "replicas": total, "updatedReplicas": updated, "readyReplicas": available, "availableReplicas": available,
        "unavailableReplicas": (wanted.max(total) - available).max(0),
    }));
    if let Some(fields) = status.as_object_mut() {
        fields.insert("observedGeneration".to_owned(), object::generation(live).into());
        fields.insert("conditions".to_owned(), json!([availability, progress]));
    }
    status
}

/// Without the zeros, as a real server writes statuses; `replicas` stays.
fn nonzero(mut status: Value) -> Value {
    if let Some(fields) = status.as_object_mut() {
        fields.retain(|key, value| key == "replicas" || value != &json!(0));
    }
    status
}

fn replicas(workload: &Value) -> i64 {
    at(workload, &["spec", "replicas"]).and_then(Value::as_i64).unwrap_or(1)
}

fn count(workload: &Value, field: &str) -> i64 {
    at(workload, &["status", field]).and_then(Value::as_i64).unwrap_or(0)
}

/// Equal for templates that are equal but for the order of their fields.
fn template_hash(workload: &Value) -> String {
    let mut template = at(workload, &["spec", "template"]).cloned().unwrap_or_default();
    template.sort_all_objects();
    object::suffix(bits(&template.to_string()), 10)
}

fn bits(text: &str) -> u64 {
    let digest = Sha256::digest(text.as_bytes());
    digest.iter().take(8).fold(0, |bits, byte| (bits << 8) | u64::from(*byte))
}
