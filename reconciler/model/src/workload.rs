//! The pods that objects make: every workload kind, every list of containers.

use serde_json::Value;

use crate::object::Object;

/// The lists of containers that a pod has.
pub const LISTS: [&str; 3] = ["containers", "initContainers", "ephemeralContainers"];

/// The pods that one object makes.
#[derive(Debug, Clone, Copy)]
pub struct Pods<'a> {
    /// The object.
    pub object: &'a Object,
    /// The pod's spec; null where the object has none, or something else in its place.
    pub spec: &'a Value,
}

impl<'a> Pods<'a> {
    /// The pods of an object, if it is of a kind that makes pods, whether Dayfly applies that kind or not.
    pub fn of(object: &'a Object) -> Option<Self> {
        let pointer = match object.key().kind.as_str() {
            "Pod" => "/spec",
            "PodTemplate" => "/template/spec",
            "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet" | "ReplicationController" | "Job" => {
                "/spec/template/spec"
            }
            "CronJob" => "/spec/jobTemplate/spec/template/spec",
            _ => return None,
        };
        Some(Self { object, spec: object.value().pointer(pointer).unwrap_or(&Value::Null) })
    }

    /// The containers with the name of their list.
    pub fn containers(self) -> impl Iterator<Item = (&'static str, &'a Value)> {
        LISTS.into_iter().flat_map(move |list| {
            self.spec.get(list).and_then(Value::as_array).into_iter().flatten().map(move |container| (list, container))
        })
    }

    /// What is not shaped as a pod is: what reads it would see no container where another program sees one.
    pub fn malformed(self) -> Option<String> {
        if !self.spec.is_object() {
            return Some("has no pod".into());
        }
        for list in LISTS {
            match self.spec.get(list) {
                None | Some(Value::Null) if list != "containers" => {}
                Some(Value::Array(items)) if items.iter().all(Value::is_object) => {}
                _ => return Some(format!("has {list} that are no list of containers")),
            }
        }
        None
    }
}
