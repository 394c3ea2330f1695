//! What an app costs a month: at least what it requests, at most what its limits and its autoscaler allow.

use dayfly_model::object::Object;
use dayfly_model::platform::environment::Prices;
use dayfly_model::quantity;
use dayfly_model::workload::Pods;
use serde_json::Value;

use crate::render::Manifests;

/// Hours in a month, as cloud prices count them.
pub const HOURS: f64 = 730.0;

const GIB: f64 = 1_073_741_824.0;

/// The cost of one app in one tier, in whole cents of the currency.
#[derive(Debug, Clone, PartialEq, Default, serde::Serialize, serde::Deserialize)]
pub struct MonthlyCost {
    /// Requests, and the fewest replicas. Jobs count nothing.
    pub low: f64,
    /// Limits, and the most replicas. Jobs count as if they always ran.
    pub high: f64,
    /// ISO 4217.
    pub currency: String,
}

/// What the objects cost a month. An amount that cannot be read counts nothing: Kubernetes refuses it.
pub fn monthly(manifests: &Manifests, prices: &Prices) -> MonthlyCost {
    let objects = &manifests.objects;
    let (mut low, mut high) = (0.0, 0.0);
    for object in objects {
        if let Some(pods) = Pods::of(object) {
            let replicas = Replicas::of(object, objects);
            low += replicas.least * hour(pod(pods, objects, "requests"), prices) * HOURS;
            high += replicas.most * hour(pod(pods, objects, "limits"), prices) * HOURS;
            let claims = object.value().pointer("/spec/volumeClaimTemplates").and_then(Value::as_array);
            let storage: f64 = claims.into_iter().flatten().map(storage).sum::<f64>() * prices.storage_gib_month;
            // Volumes are kept when replicas go.
            low += replicas.least * storage;
            high += replicas.most.max(1.0) * storage;
        } else if object.key().kind == "PersistentVolumeClaim" {
            low += storage(object.value()) * prices.storage_gib_month;
            high += storage(object.value()) * prices.storage_gib_month;
        }
    }
    MonthlyCost { low: cents(low), high: cents(high.max(low)), currency: prices.currency.clone() }
}

fn cents(amount: f64) -> f64 {
    (amount * 100.0).round() / 100.0
}

struct Replicas {
    least: f64,
    most: f64,
}

impl Replicas {
    fn of(object: &Object, objects: &[Object]) -> Self {
        let spec = &object.value()["spec"];
        let number = |value: &Value| value.as_f64().filter(|number| *number >= 0.0);
        match object.key().kind.as_str() {
            "Job" | "CronJob" => {
                let job = if object.key().kind == "Job" { spec } else { &spec["jobTemplate"]["spec"] };
                let rests = spec["suspend"] == true;
                Self { least: 0.0, most: if rests { 0.0 } else { number(&job["parallelism"]).unwrap_or(1.0) } }
            }
            _ if spec["replicas"] == 0 => Self { least: 0.0, most: 0.0 },
            kind => {
                let replicas = number(&spec["replicas"]).unwrap_or(1.0);
                let scaler = objects.iter().map(|other| (other, &other.value()["spec"])).find(|(other, spec)| {
                    let target = &spec["scaleTargetRef"];
                    other.key().kind == "HorizontalPodAutoscaler"
                        && (target["kind"].as_str(), target["name"].as_str()) == (Some(kind), Some(&object.key().name))
                });
                match scaler {
                    Some((_, spec)) => {
                        let least = number(&spec["minReplicas"]).unwrap_or(1.0);
                        Self { least, most: number(&spec["maxReplicas"]).unwrap_or(replicas).max(least) }
                    }
                    None => Self { least: replicas, most: replicas },
                }
            }
        }
    }
}

#[derive(Clone, Copy, Default)]
struct Amount {
    cores: f64,
    bytes: f64,
}

fn hour(amount: Amount, prices: &Prices) -> f64 {
    amount.cores * prices.cpu_hour + amount.bytes / GIB * prices.memory_gib_hour
}

/// What a pod reserves (`requests`) or may use (`limits`): its containers and sidecars together, or the largest of the
/// containers that run before them.
fn pod(pods: Pods<'_>, objects: &[Object], which: &str) -> Amount {
    let (mut together, mut before) = (Amount::default(), Amount::default());
    for (list, container) in pods.containers() {
        let cores = amount(container, objects, which, "cpu");
        let bytes = amount(container, objects, which, "memory");
        if list == "initContainers" && container["restartPolicy"] != "Always" {
            before = Amount { cores: before.cores.max(cores), bytes: before.bytes.max(bytes) };
        } else {
            together = Amount { cores: together.cores + cores, bytes: together.bytes + bytes };
        }
    }
    Amount { cores: together.cores.max(before.cores), bytes: together.bytes.max(before.bytes) }
}

/// A container's amount: as written, or as the namespace's LimitRange and Kubernetes fill it in.
fn amount(container: &Value, objects: &[Object], which: &str, resource: &str) -> f64 {
    let written = |which: &str| quantity::of(&container["resources"][which][resource]);
    let filled = |field: &str| {
        let ranges = objects.iter().filter(|object| object.key().kind == "LimitRange");
        let limits = ranges.flat_map(|range| range.value()["spec"]["limits"].as_array().into_iter().flatten());
        limits.filter(|limit| limit["type"] == "Container").find_map(|limit| quantity::of(&limit[field][resource]))
    };
    let requests = || written("requests").or_else(|| written("limits")).or_else(|| filled("defaultRequest"));
    match which {
        "requests" => requests().or_else(|| filled("default")),
        _ => written("limits").or_else(|| filled("default")).or_else(requests),
    }
    .unwrap_or(0.0)
}

/// The GiB that a claim asks for.
fn storage(claim: &Value) -> f64 {
    quantity::of(&claim["spec"]["resources"]["requests"]["storage"]).unwrap_or(0.0) / GIB
}

#[cfg(test)]
mod tests {
    use super::*;
    use dayfly_model::fixtures::prices;
    use dayfly_model::kinds::Kinds;
    use serde_json::json;

    fn cost(objects: Vec<Value>) -> (f64, f64) {
        let objects = objects.into_iter().map(|object| Object::new(object).unwrap()).collect();
        let cost = monthly(&Manifests::new(objects, &Kinds::builtin()).unwrap(), &prices());
        assert_eq!(cost.currency, "USD");
        (cost.low, cost.high)
    }

    fn object(kind: &str, spec: Value) -> Value {
        json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": "a"}, "spec": spec})
    }

    fn container(requests: Value, limits: Value) -> Value {
        json!({"name": "c", "resources": {"requests": requests, "limits": limits}})
    }

    #[test]
    fn requests_are_the_least_and_limits_the_most() {
        let container = container(json!({"cpu": "100m", "memory": "512Mi"}), json!({"cpu": 1, "memory": "1Gi"}));
        let deployment =
            object("Deployment", json!({"replicas": 2, "template": {"spec": {"containers": [container]}}}));
        // 2 x 730 x (0.1 x 0.1 + 0.5 x 0.01), and 2 x 730 x (1 x 0.1 + 1 x 0.01)
        assert_eq!(cost(vec![deployment]), (21.9, 160.6));
    }

    #[test]
    fn an_autoscaler_says_how_many() {
        let container = container(json!({"cpu": "1"}), json!({"cpu": "1"}));
        let deployment = object("Deployment", json!({"template": {"spec": {"containers": [container]}}}));
        let target = json!({"kind": "Deployment", "name": "a"});
        let scaler = object("HorizontalPodAutoscaler", json!({"scaleTargetRef": target, "maxReplicas": 3}));
        assert_eq!(cost(vec![deployment, scaler]), (73.0, 219.0));
    }

    #[test]
    fn a_pod_needs_its_containers_together_or_the_largest_that_runs_before_them() {
        let one = |cpu: &str| container(json!({"cpu": cpu}), json!({"cpu": cpu}));
        let pod = |before: Value| {
            let spec = json!({"containers": [one("1"), one("1")], "initContainers": [before]});
            cost(vec![object("StatefulSet", json!({"template": {"spec": spec}}))]).0
        };
        assert_eq!(pod(one("1")), 146.0);
        assert_eq!(pod(one("3")), 219.0);
        let mut sidecar = one("1");
        sidecar["restartPolicy"] = "Always".into();
        assert_eq!(pod(sidecar), 219.0);
    }

    #[test]
    fn what_is_not_written_is_what_the_namespace_gives() {
        let range = json!({"type": "Container", "default": {"cpu": "1"}, "defaultRequest": {"cpu": "500m"}});
        let deployment = object("Deployment", json!({"template": {"spec": {"containers": [{"name": "c"}]}}}));
        assert_eq!(cost(vec![deployment, object("LimitRange", json!({"limits": [range]}))]), (36.5, 73.0));
    }

    #[test]
    fn a_rest_costs_only_storage_and_a_job_at_most_all_the_time() {
        let container = container(json!({"cpu": "1"}), json!({"cpu": "1"}));
        let template = json!({"spec": {"containers": [container]}});
        let rests = object("Deployment", json!({"replicas": 0, "template": template}));
        let claim = object("PersistentVolumeClaim", json!({"resources": {"requests": {"storage": "10Gi"}}}));
        assert_eq!(cost(vec![rests, claim]), (5.0, 5.0));
        assert_eq!(
            cost(vec![object("CronJob", json!({"jobTemplate": {"spec": {"template": template}}}))]),
            (0.0, 73.0)
        );
    }
}
