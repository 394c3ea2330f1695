//! Which names an object may have, and which of its fields may not change.

use serde_json::Value;

use crate::apiserver::names;
use crate::apiserver::object::{self, JsonObject, at};
use crate::apiserver::quantity::Quantity;
use crate::apiserver::resource_address::ResourceAddress;
use crate::apiserver::status::StatusCause;

/// Fields that may not change, by kind.
const IMMUTABLE: [(&str, &[&str]); 22] = [
    ("deployments.apps", &["spec", "selector"]),
    ("daemonsets.apps", &["spec", "selector"]),
    ("replicasets.apps", &["spec", "selector"]),
    ("jobs.batch", &["spec", "selector"]),
    ("jobs.batch", &["spec", "template"]),
    ("jobs.batch", &["spec", "completionMode"]),
    ("jobs.batch", &["spec", "completions"]),
    ("jobs.batch", &["spec", "podFailurePolicy"]),
    ("resourcequotas", &["spec", "scopes"]),
    ("secrets", &["type"]),
    ("rolebindings.rbac.authorization.k8s.io", &["roleRef"]),
    ("clusterrolebindings.rbac.authorization.k8s.io", &["roleRef"]),
    ("storageclasses.storage.k8s.io", &["provisioner"]),
    ("storageclasses.storage.k8s.io", &["parameters"]),
    ("storageclasses.storage.k8s.io", &["reclaimPolicy"]),
    ("storageclasses.storage.k8s.io", &["volumeBindingMode"]),
    ("priorityclasses.scheduling.k8s.io", &["value"]),
    ("ingressclasses.networking.k8s.io", &["spec", "controller"]),
    ("persistentvolumes", &["spec", "storageClassName"]),
    ("controllerrevisions.apps", &["data"]),
    ("endpointslices.discovery.k8s.io", &["addressType"]),
    ("csidrivers.storage.k8s.io", &["spec", "attachRequired"]),
];

/// The fields of a StatefulSet's specification that may change.
const STATEFUL_SET_MUTABLE: [&str; 7] = [
    "replicas",
    "ordinals",
    "template",
    "updateStrategy",
    "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy",
    "minReadySeconds",
];

/// Whether a replacement has to name the version that it replaces.
pub fn needs_version(group_resource: &str) -> bool {
    const KINDS: [&str; 6] = [
        "csidrivers.storage.k8s.io",
        "csinodes.storage.k8s.io",
        "csistoragecapacities.storage.k8s.io",
        "leases.coordination.k8s.io",
        "poddisruptionbudgets.policy",
        "volumeattachments.storage.k8s.io",
    ];
    KINDS.contains(&group_resource) || group_resource.ends_with(".admissionregistration.k8s.io")
}

/// The rules that a new object breaks, or that an object breaks as the next version of `live`.
pub fn broken_rules(address: &ResourceAddress, live: Option<&Value>, value: &Value) -> Vec<StatusCause> {
    match live {
        None => broken_by_name(address.group_resource(), &address.name),
        Some(live) if address.subresource.as_deref() != Some("status") => {
            broken_by_change(address.group_resource(), live, value)
        }
        Some(_) => Vec::new(),
    }
}

pub fn cause(reason: &'static str, field: &str, message: String) -> StatusCause {
    StatusCause { reason, message, field: field.to_owned() }
}

fn broken_by_change(group_resource: &str, live: &Value, value: &Value) -> Vec<StatusCause> {
    let mut causes: Vec<StatusCause> = IMMUTABLE
        .iter()
        .filter(|(kind, path)| *kind == group_resource && at(live, path) != at(value, path))
        .map(|(_, path)| {
            let shown = at(value, path).cloned().unwrap_or_default();
            let why = if path == &["roleRef"] { "cannot change roleRef" } else { "field is immutable" };
            cause("FieldValueInvalid", &path.join("."), format!("Invalid value: {shown}: {why}"))
        })
        .collect();
    causes.extend(match group_resource {
        "configmaps" | "secrets" => immutable_data(live, value),
        "services" => cluster_ip(live, value),
        "statefulsets.apps" => stateful_set(live, value),
        "persistentvolumeclaims" => claim(live, value),
        "pods" => pod(live, value),
        _ => None,
    });
    causes
}

fn immutable_data(live: &Value, value: &Value) -> Option<StatusCause> {
    if live.get("immutable") != Some(&Value::Bool(true)) {
        return None;
    }
    let changed = ["data", "binaryData", "immutable"].into_iter().find(|f| live.get(f) != value.get(f))?;
    Some(cause("FieldValueForbidden", changed, "Forbidden: field is immutable when `immutable` is set".to_owned()))
}

fn cluster_ip(live: &Value, value: &Value) -> Option<StatusCause> {
    let external = |v: &Value| object::text(v, &["spec", "type"]) == "ExternalName";
    let (old, new) = (object::text(live, &["spec", "clusterIP"]), object::text(value, &["spec", "clusterIP"]));
    if old == new || old.is_empty() || external(live) || external(value) {
        return None;
    }
    let message = format!("Invalid value: [\"{new}\"]: may not change once set");
    Some(cause("FieldValueInvalid", "spec.clusterIPs[0]", message))
}

fn stateful_set(live: &Value, value: &Value) -> Option<StatusCause> {
    if without(live.get("spec"), &STATEFUL_SET_MUTABLE) == without(value.get("spec"), &STATEFUL_SET_MUTABLE) {
        return None;
    }
    let message = "Forbidden: updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', \
                   'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and \
                   'minReadySeconds' are forbidden";
    Some(cause("FieldValueForbidden", "spec", message.to_owned()))
}

fn claim(live: &Value, value: &Value) -> Option<StatusCause> {
    const MUTABLE: [&str; 3] = ["resources", "volumeAttributesClassName", "volumeName"];
    let bound = object::text(live, &["status", "phase"]) == "Bound";
    let mutable = if bound { &MUTABLE[..] } else { &["volumeName"] };
    if without(live.get("spec"), mutable) != without(value.get("spec"), mutable) {
        let message = "Forbidden: spec is immutable after creation except resources.requests and \
                       volumeAttributesClassName for bound claims";
        return Some(cause("FieldValueForbidden", "spec", message.to_owned()));
    }
    let amount = |v: &Value, path: &[&str]| object::text(v, path).parse::<Quantity>().ok();
    let requested = |v: &Value| amount(v, &["spec", "resources", "requests", "storage"]);
    let (old, new) = (requested(live)?, requested(value)?);
    let least = amount(live, &["status", "capacity", "storage"]).unwrap_or(old);
    let message = "Forbidden: field can not be less than status.capacity".to_owned();
    (new < old && new <= least).then(|| cause("FieldValueForbidden", "spec.resources.requests.storage", message))
}

fn pod(live: &Value, value: &Value) -> Option<StatusCause> {
    let immutable = |v: &Value| {
        const MUTABLE: [&str; 3] = ["activeDeadlineSeconds", "tolerations", "terminationGracePeriodSeconds"];
        let mut spec = without(v.get("spec"), &MUTABLE);
        for list in ["containers", "initContainers"] {
            for container in spec.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
                container.as_object_mut().and_then(|c| c.shift_remove("image"));
            }
        }
        spec
    };
    if immutable(live) == immutable(value) {
        return None;
    }
    let message = "Forbidden: pod updates may not change fields other than `spec.containers[*].image`,\
                   `spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to \
                   existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was \
                   previously negative)";
    Some(cause("FieldValueForbidden", "spec", message.to_owned()))
}

fn without(value: Option<&Value>, fields: &[&str]) -> JsonObject {
    let mut map = value.and_then(Value::as_object).cloned().unwrap_or_default();
    map.retain(|key, _| !fields.contains(&key.as_str()));
    map
}

fn broken_by_name(group_resource: &str, name: &str) -> Vec<StatusCause> {
    let broken = match group_resource {
        "namespaces" => names::dns_label(name),
        "cronjobs.batch" => {
            let long = (name.len() > 52).then(|| "must be no more than 52 characters".to_owned());
            names::dns_subdomain(name).into_iter().chain(long).collect()
        }
        "services" => wrong_service_name(name).into_iter().collect(),
        _ if group_resource.ends_with(".rbac.authorization.k8s.io") => wrong_path_segment(name).into_iter().collect(),
        _ => names::dns_subdomain(name),
    };
    let to_cause = |why| cause("FieldValueInvalid", "metadata.name", format!("Invalid value: {name:?}: {why}"));
    broken.into_iter().map(to_cause).collect()
}

fn wrong_service_name(name: &str) -> Option<String> {
    if name.starts_with(|c: char| c.is_ascii_lowercase()) && names::dns_label(name).is_empty() {
        return None;
    }
    if name.len() > 63 {
        return Some("must be no more than 63 bytes".to_owned());
    }
    Some(
        "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic \
         character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation \
         is '[a-z]([-a-z0-9]*[a-z0-9])?')"
            .to_owned(),
    )
}

fn wrong_path_segment(name: &str) -> Option<String> {
    match name {
        "." | ".." => Some(format!("may not be '{name}'")),
        _ => name.chars().find(|c| ['/', '%'].contains(c)).map(|c| format!("may not contain '{c}'")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_claim_cannot_shrink_and_can_grow_only_when_it_is_bound() {
        let claim = |size: &str, phase: &str| {
            json!({"spec": {"resources": {"requests": {"storage": size}}},
                   "status": {"phase": phase, "capacity": {"storage": "2Gi"}}})
        };
        let refused = |phase: &str, size: &str| {
            broken_by_change("persistentvolumeclaims", &claim("2Gi", phase), &claim(size, phase)).len()
        };
        assert_eq!(refused("Bound", "2048Mi") + refused("Bound", "3Gi") + refused("Pending", "2Gi"), 0);
        assert_eq!((refused("Bound", "1Gi"), refused("Pending", "3Gi")), (1, 1));
    }

    #[test]
    fn the_node_of_a_pod_and_the_scopes_of_a_quota_cannot_change() {
        let pod = |node: &str| json!({"spec": {"nodeName": node}});
        assert_eq!(broken_by_change("pods", &pod("a"), &pod("b"))[0].field, "spec");
        let quota = |scope: &str| json!({"spec": {"scopes": [scope]}});
        let refused = broken_by_change("resourcequotas", &quota("BestEffort"), &quota("NotBestEffort"));
        assert_eq!(refused[0].field, "spec.scopes");
    }
}
