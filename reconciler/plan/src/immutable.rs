//! The fields that Kubernetes never lets change, and which objects may be replaced for them.

use dayfly_model::digest::Digest;
use dayfly_model::object::{Object, ObjectKey};
use serde_json::{Map, Value};

/// The annotation by which an object agrees to be deleted and created anew: `dayfly.dev/replace: enabled`.
pub const REPLACE: &str = "dayfly.dev/replace";

/// The immutable fields of a kind, as JSON pointers.
fn pointers(kind: &str) -> &'static [&'static str] {
    match kind {
        "Deployment" | "DaemonSet" => &["/spec/selector"],
        "StatefulSet" => {
            &["/spec/selector", "/spec/serviceName", "/spec/podManagementPolicy", "/spec/volumeClaimTemplates"]
        }
        "Job" => &["/spec/selector", "/spec/template", "/spec/completionMode", "/spec/podReplacementPolicy"],
        "Service" => &["/spec/clusterIP", "/spec/clusterIPs"],
        "PersistentVolumeClaim" => &[
            "/spec/accessModes",
            "/spec/selector",
            "/spec/storageClassName",
            "/spec/volumeName",
            "/spec/volumeMode",
            "/spec/dataSource",
            "/spec/dataSourceRef",
        ],
        "RoleBinding" | "ClusterRoleBinding" => &["/roleRef"],
        _ => &[],
    }
}

/// The digest of an object's immutable fields; none for kinds without any.
pub fn digest(object: &Object) -> Option<Digest> {
    let value = object.value();
    let pointers = match object.key().kind.as_str() {
        "ConfigMap" if value["immutable"] == true => &["/data", "/binaryData"],
        kind => pointers(kind),
    };
    if pointers.is_empty() {
        return None;
    }
    let fixed: Map<_, _> =
        pointers.iter().filter_map(|at| Some(((*at).to_owned(), value.pointer(at)?.clone()))).collect();
    Some(Digest::of_json(&Value::Object(fixed)))
}

/// The names of a kind's immutable fields, for people.
pub fn names(kind: &str) -> String {
    let names: Vec<_> = pointers(kind).iter().map(|at| at[1..].replace('/', ".")).collect();
    if names.is_empty() { "data".into() } else { names.join(", ") }
}

/// Whether an object agrees to be replaced. What holds data never does.
pub fn may_replace(object: &Object) -> bool {
    !holds_data(object.key())
        && object.value().pointer("/metadata/annotations").is_some_and(|all| all[REPLACE] == "enabled")
}

/// Whether deleting the object loses data: volumes, and namespaces with all that is in them.
pub fn holds_data(key: &ObjectKey) -> bool {
    matches!(key.kind.as_str(), "PersistentVolumeClaim" | "Namespace")
}
