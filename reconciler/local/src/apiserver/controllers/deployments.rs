//! Simulated Deployments: each template has a ReplicaSet, and the newest replaces the others once its pods are ready.

use std::sync::Arc;

use serde_json::{Value, json};

use super::workloads::{count, nonzero, replicas, template_hash};
use super::{
    FAIL_ANNOTATION, adopt, children, collect, condition, failure, owner_reference, set_status, write_as_manager,
};
use crate::apiserver::object::{self, at};
use crate::apiserver::registry::ObjectRegistry;
use crate::apiserver::store::StoredObject;

const REVISION: &str = "deployment.kubernetes.io/revision";
const POD_HASH: &str = "pod-template-hash";

/// Rolls a Deployment over to its template. While it is paused, it is only scaled.
pub(super) fn deployment(registry: &ObjectRegistry, stored: &StoredObject, live: &Value) {
    let sets = children(registry, &stored.uid, "replicasets.apps");
    if at(live, &["spec", "paused"]) == Some(&Value::Bool(true)) {
        paused(registry, stored, live, &sets);
    } else {
        rolling(registry, stored, live, &sets);
    }
}

fn paused(registry: &ObjectRegistry, stored: &StoredObject, live: &Value, sets: &[Arc<StoredObject>]) {
    let current = name_of_set(live);
    let (mut updated, mut ready, mut old) = (0, 0, 0);
    for set in sets {
        let value = set.value();
        if set.key.name == current {
            (updated, ready) = (count(&value, "replicas"), count(&value, "readyReplicas"));
        } else {
            old += count(&value, "readyReplicas");
        }
    }
    let newest_active = sets.iter().filter(|set| replicas(&set.value()) > 0).max_by_key(|set| revision(&set.value()));
    if let Some(set) = newest_active.or_else(|| sets.iter().max_by_key(|set| revision(&set.value()))) {
        let value = set.value();
        if replicas(&value) != replicas(live) || failure(&value) != failure(live) {
            return adjust(registry, set, value, replicas(live), failure(live));
        }
    }
    set_status(registry, stored, live, status(live, updated, ready, old));
}

fn rolling(registry: &ObjectRegistry, stored: &StoredObject, live: &Value, sets: &[Arc<StoredObject>]) {
    let (wanted, name, latest) = (replicas(live), name_of_set(live), latest(sets));
    let Some(current) = sets.iter().find(|s| s.key.name == name) else {
        return create_replica_set(registry, live, latest + 1);
    };
    let failing = failure(live);
    let mut value = current.value();
    if revision(&value) < latest {
        set_revision(&mut value, latest + 1);
        return adjust(registry, current, value, wanted, failing);
    }
    if replicas(&value) != wanted || failure(&value) != failing {
        return adjust(registry, current, value, wanted, failing);
    }
    let ready = count(&value, "readyReplicas");
    let mut old = 0;
    for set in sets.iter().filter(|s| s.key.name != name) {
        let value = set.value();
        if ready >= wanted && replicas(&value) > 0 {
            adjust(registry, set, value, 0, None);
        } else {
            old += count(&value, "readyReplicas");
        }
    }
    delete_oldest(registry, live, sets.iter().filter(|s| s.key.name != name));
    if revision(live) != latest {
        let mut numbered = live.clone();
        set_revision(&mut numbered, latest);
        return write_as_manager(registry, stored, live, numbered, "");
    }
    set_status(registry, stored, live, status(live, count(&value, "replicas"), ready, old));
}

/// Deletes ReplicaSets without pods, the oldest first, until there are no more than the Deployment's history may have.
fn delete_oldest<'a>(registry: &ObjectRegistry, live: &Value, old: impl Iterator<Item = &'a Arc<StoredObject>>) {
    let limit = at(live, &["spec", "revisionHistoryLimit"]).and_then(Value::as_u64).unwrap_or(10);
    let empty = old.map(|set| (revision(&set.value()), set)).filter(|(_, set)| {
        let value = set.value();
        replicas(&value) == 0 && count(&value, "replicas") == 0
    });
    let mut empty: Vec<_> = empty.collect();
    empty.sort_by_key(|(revision, _)| std::cmp::Reverse(*revision));
    for (_, set) in empty.into_iter().skip(usize::try_from(limit).unwrap_or(usize::MAX)) {
        collect::delete(registry, set, None);
    }
}

fn name_of_set(deployment: &Value) -> String {
    format!("{}-{}", object::name(deployment), template_hash(deployment))
}

fn revision(value: &Value) -> u64 {
    object::annotation(value, REVISION).and_then(|r| r.parse().ok()).unwrap_or(0)
}

fn latest(sets: &[Arc<StoredObject>]) -> u64 {
    sets.iter().map(|set| revision(&set.value())).max().unwrap_or(0)
}

fn set_revision(value: &mut Value, revision: u64) {
    if let Some(annotations) = object::metadata_mut(value).map(|m| m.entry("annotations").or_insert_with(|| json!({})))
    {
        object::set_field(annotations, REVISION, revision.to_string().into());
    }
}

fn create_replica_set(registry: &ObjectRegistry, deployment: &Value, revision: u64) {
    let Some(kind) = registry.kinds.by_group_resource("replicasets.apps") else { return };
    let mut template = at(deployment, &["spec", "template"]).cloned().unwrap_or_default();
    let mut labels = at(&template, &["metadata", "labels"]).and_then(Value::as_object).cloned().unwrap_or_default();
    let hash = template_hash(deployment);
    labels.insert(POD_HASH.to_owned(), hash.clone().into());
    object::set_metadata(&mut template, "labels", labels.clone().into());
    let mut selector = at(deployment, &["spec", "selector"]).cloned().unwrap_or_default();
    if let Some(selector) = selector.as_object_mut() {
        let match_labels = selector.entry("matchLabels").or_insert_with(|| json!({}));
        object::set_field(match_labels, POD_HASH, hash.into());
    }
    let mut annotations = json!({REVISION: revision.to_string()});
    if let Some(reason) = failure(deployment) {
        object::set_field(&mut annotations, FAIL_ANNOTATION, reason.into());
    }
    let set = json!({
        "metadata": {
            "name": name_of_set(deployment), "namespace": object::namespace(deployment), "labels": labels, "annotations": annotations,
            "generation": 1, "ownerReferences": [owner_reference(deployment)],
        },
        "spec": {"replicas": replicas(deployment), "selector": selector, "template": template},
        "status": {"replicas": 0},
    });
    adopt::create(registry, kind, set, deployment);
}

/// Gives a ReplicaSet other replicas, and a reason to fail or none.
fn adjust(registry: &ObjectRegistry, set: &Arc<StoredObject>, mut value: Value, replicas: i64, failing: Option<&str>) {
    if let Some(spec) = value.get_mut("spec") {
        object::set_field(spec, "replicas", replicas.into());
    }
    let annotations = object::metadata_mut(&mut value).map(|m| m.entry("annotations").or_insert_with(|| json!({})));
    if let Some(annotations) = annotations.and_then(Value::as_object_mut) {
        annotations.shift_remove(FAIL_ANNOTATION);
        if let Some(reason) = failing {
            annotations.insert(FAIL_ANNOTATION.to_owned(), reason.into());
        }
    }
    let generation = object::generation(&value) + 1;
    object::set_metadata(&mut value, "generation", generation.into());
    let _ = registry.store.replace(&set.key, set.version, value); // if it has changed meanwhile, its event queues the owner
}

fn status(live: &Value, updated: i64, ready: i64, old: i64) -> Value {
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
        _ if at(live, &["spec", "paused"]) == Some(&Value::Bool(true)) => {
            condition(live, "Progressing", "Unknown", "DeploymentPaused", "Deployment is paused")
        }
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
    object::set_field(&mut status, "observedGeneration", object::generation(live).into());
    object::set_field(&mut status, "conditions", json!([availability, progress]));
    status
}
