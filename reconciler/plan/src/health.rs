//! Whether a live object does what it was asked to, read from its status alone, as kstatus reads it.

use std::fmt;

use serde_json::Value;

/// How a live object fares. The texts are one line, for people, and carry no values of the object's content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// It does what it was asked to; also what is scaled to zero on purpose.
    Ready,
    /// It is not complete, and nothing waits for it: a claim without a consumer, an address not yet given.
    Waiting(Box<str>),
    /// It is on its way.
    Progressing(Box<str>),
    /// It says itself that it will not get there.
    Failed(Box<str>),
    /// It is being deleted; the text names the finalizers that hold it.
    Terminating(Box<str>),
}

impl Health {
    /// Whether the next wave may start as far as this object is concerned.
    pub fn lets_pass(&self) -> bool {
        matches!(self, Self::Ready | Self::Waiting(_))
    }
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (word, why) = match self {
            Self::Ready => return f.write_str("ready"),
            Self::Waiting(why) => ("waiting", why),
            Self::Progressing(why) => ("progressing", why),
            Self::Failed(why) => ("failed", why),
            Self::Terminating(why) => ("terminating", why),
        };
        write!(f, "{word}: {why}")
    }
}

/// The health of an object as read from the API.
pub fn health(object: &Value) -> Health {
    health_as(object["kind"].as_str().unwrap_or_default(), object)
}

/// The health of an object that is known to be of this kind; items of lists do not say theirs.
pub fn health_as(kind: &str, object: &Value) -> Health {
    if object.pointer("/metadata/deletionTimestamp").is_some_and(|time| !time.is_null()) {
        return Health::Terminating(held_by(kind, object).into());
    }
    let generation = number(object, "/metadata/generation");
    if let Some(seen) = object.pointer("/status/observedGeneration").and_then(Value::as_i64)
        && seen < generation
    {
        return progressing("the latest change has not been seen by its controller");
    }
    match kind {
        "Deployment" => deployment(object),
        "StatefulSet" => stateful_set(object),
        "DaemonSet" => daemon_set(object),
        "Job" => job(object),
        "Namespace" if object.pointer("/status/phase").is_some_and(|phase| phase == "Terminating") => {
            Health::Terminating(held_by(kind, object).into())
        }
        "PersistentVolumeClaim" => claim(object),
        "Service" => service(object),
        _ => Health::Ready,
    }
}

fn deployment(object: &Value) -> Health {
    if let Some(stop) = condition(object, "Progressing").filter(|c| c["reason"] == "ProgressDeadlineExceeded") {
        return failed(stop, "the rollout made no progress in time");
    }
    if let Some(stop) = condition(object, "ReplicaFailure").filter(|c| c["status"] == "True") {
        return failed(stop, "its pods cannot be created");
    }
    let wanted = replicas(object);
    if wanted > 0 && object.pointer("/status/observedGeneration").is_none() {
        return progressing("its controller has not seen it yet");
    }
    let status = |field: &str| number(object, &format!("/status/{field}"));
    let updated = status("updatedReplicas");
    if updated < wanted {
        return progressing(&format!("{updated} of {wanted} replicas are updated"));
    }
    if status("replicas") > updated {
        return progressing(&format!("{} old replicas are ending", status("replicas") - updated));
    }
    let available = status("availableReplicas");
    if available < wanted {
        return progressing(&format!("{available} of {wanted} replicas are available"));
    }
    Health::Ready
}

fn stateful_set(object: &Value) -> Health {
    let wanted = replicas(object);
    if wanted > 0 && object.pointer("/status/observedGeneration").is_none() {
        return progressing("its controller has not seen it yet");
    }
    let status = |field: &str| number(object, &format!("/status/{field}"));
    if status("readyReplicas") < wanted {
        return progressing(&format!("{} of {wanted} replicas are ready", status("readyReplicas")));
    }
    if status("replicas") > wanted {
        return progressing(&format!("{} surplus replicas are ending", status("replicas") - wanted));
    }
    let strategy = object.pointer("/spec/updateStrategy/type").and_then(Value::as_str).unwrap_or("RollingUpdate");
    let to_update = (wanted - number(object, "/spec/updateStrategy/rollingUpdate/partition")).max(0);
    let rolled = object.pointer("/status/currentRevision") == object.pointer("/status/updateRevision");
    if strategy == "RollingUpdate" && !rolled && status("updatedReplicas") < to_update {
        return progressing(&format!("{} of {to_update} replicas are updated", status("updatedReplicas")));
    }
    Health::Ready
}

fn daemon_set(object: &Value) -> Health {
    if object.pointer("/status/observedGeneration").is_none() {
        return progressing("its controller has not seen it yet");
    }
    let status = |field: &str| number(object, &format!("/status/{field}"));
    let wanted = status("desiredNumberScheduled");
    let on_delete = object.pointer("/spec/updateStrategy/type").is_some_and(|kind| kind == "OnDelete");
    if !on_delete && status("updatedNumberScheduled") < wanted {
        return progressing(&format!("{} of {wanted} nodes are updated", status("updatedNumberScheduled")));
    }
    if status("numberAvailable") < wanted {
        return progressing(&format!("{} of {wanted} nodes are served", status("numberAvailable")));
    }
    Health::Ready
}

/// A job that runs is ready: how long it takes is its own matter.
fn job(object: &Value) -> Health {
    if let Some(stop) = condition(object, "Failed").filter(|c| c["status"] == "True") {
        return failed(stop, "the job failed");
    }
    let suspended = object.pointer("/spec/suspend").is_some_and(|suspend| suspend == true);
    if !suspended && object.pointer("/status/startTime").is_none() {
        return progressing("the job has not started");
    }
    Health::Ready
}

fn claim(object: &Value) -> Health {
    match object.pointer("/status/phase").and_then(Value::as_str) {
        Some("Bound") => Health::Ready,
        Some("Lost") => Health::Failed("its volume is lost".into()),
        _ => Health::Waiting("no volume is bound yet".into()),
    }
}

fn service(object: &Value) -> Health {
    let balancer = object.pointer("/spec/type").is_some_and(|kind| kind == "LoadBalancer");
    let addresses = object.pointer("/status/loadBalancer/ingress").and_then(Value::as_array);
    if balancer && addresses.is_none_or(Vec::is_empty) {
        return Health::Waiting("the load balancer has no address yet".into());
    }
    Health::Ready
}

/// Who holds an object that is being deleted: its finalizers, or the API server's reasons for a namespace.
fn held_by(kind: &str, object: &Value) -> String {
    if kind == "Namespace"
        && let Some(conditions) = object.pointer("/status/conditions").and_then(Value::as_array)
    {
        let reported: Vec<_> = conditions
            .iter()
            .filter(|condition| condition["status"] == "True")
            .filter_map(|condition| condition["message"].as_str())
            .collect();
        if !reported.is_empty() {
            return reported.join("; ");
        }
    }
    let finalizers: Vec<_> = object
        .pointer("/metadata/finalizers")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    if finalizers.is_empty() { "it is ending".into() } else { format!("held by finalizer {}", finalizers.join(", ")) }
}

fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    object.pointer("/status/conditions")?.as_array()?.iter().find(|condition| condition["type"] == kind)
}

fn replicas(object: &Value) -> i64 {
    object.pointer("/spec/replicas").and_then(Value::as_i64).unwrap_or(1)
}

fn number(object: &Value, pointer: &str) -> i64 {
    object.pointer(pointer).and_then(Value::as_i64).unwrap_or(0)
}

fn progressing(why: &str) -> Health {
    Health::Progressing(why.into())
}

fn failed(condition: &Value, otherwise: &str) -> Health {
    Health::Failed(condition["message"].as_str().filter(|text| !text.is_empty()).unwrap_or(otherwise).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(kind: &str, spec: Value, status: Value) -> Health {
        health(&json!({"kind": kind, "metadata": {"generation": 2}, "spec": spec, "status": status}))
    }

    #[test]
    fn a_deployment_is_ready_when_every_replica_is_new_and_available() {
        let all = json!({"observedGeneration": 2, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2});
        assert_eq!(of("Deployment", json!({"replicas": 2}), all), Health::Ready);
        let unseen = json!({"observedGeneration": 1, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2});
        assert!(!of("Deployment", json!({"replicas": 2}), unseen).lets_pass());
        assert!(!of("Deployment", json!({"replicas": 2}), json!({})).lets_pass());
        let old = json!({"observedGeneration": 2, "replicas": 3, "updatedReplicas": 2, "availableReplicas": 2});
        assert!(!of("Deployment", json!({"replicas": 2}), old).lets_pass());
    }

    #[test]
    fn a_deployment_scaled_to_zero_is_ready() {
        assert_eq!(of("Deployment", json!({"replicas": 0}), json!({"observedGeneration": 2})), Health::Ready);
    }

    #[test]
    fn a_refused_quota_shows_as_the_deployment_s_failure() {
        let refused = json!({"type": "ReplicaFailure", "status": "True", "message": "exceeded quota: sandbox"});
        let status = json!({"observedGeneration": 2, "conditions": [refused]});
        assert_eq!(of("Deployment", json!({}), status), Health::Failed("exceeded quota: sandbox".into()));
    }

    #[test]
    fn a_stateful_set_waits_for_its_revision_unless_it_updates_on_delete() {
        let status = json!({"observedGeneration": 2, "replicas": 1, "readyReplicas": 1, "updatedReplicas": 0,
            "currentRevision": "a", "updateRevision": "b"});
        assert!(!of("StatefulSet", json!({"replicas": 1}), status.clone()).lets_pass());
        let on_delete = json!({"replicas": 1, "updateStrategy": {"type": "OnDelete"}});
        assert!(of("StatefulSet", on_delete, status).lets_pass());
    }

    #[test]
    fn a_job_that_failed_says_why_and_one_that_runs_is_ready() {
        let stop =
            json!({"type": "Failed", "status": "True", "message": "Job has reached the specified backoff limit"});
        assert!(matches!(of("Job", json!({}), json!({"conditions": [stop]})), Health::Failed(_)));
        assert_eq!(of("Job", json!({}), json!({"startTime": "2026-11-20T00:00:00Z"})), Health::Ready);
        assert!(!of("Job", json!({}), json!({})).lets_pass());
        assert!(of("Job", json!({"suspend": true}), json!({})).lets_pass());
    }

    #[test]
    fn claims_and_addresses_never_gate() {
        assert!(of("PersistentVolumeClaim", json!({}), json!({"phase": "Pending"})).lets_pass());
        assert!(of("Service", json!({"type": "LoadBalancer"}), json!({})).lets_pass());
        assert!(of("Ingress", json!({}), json!({})).lets_pass());
        assert!(!of("PersistentVolumeClaim", json!({}), json!({"phase": "Lost"})).lets_pass());
    }

    #[test]
    fn what_is_being_deleted_names_its_finalizer() {
        let held = health(&json!({"kind": "ConfigMap", "metadata": {
            "deletionTimestamp": "2026-11-20T00:00:00Z", "finalizers": ["example.com/hold"]}}));
        assert_eq!(held, Health::Terminating("held by finalizer example.com/hold".into()));
    }
}
