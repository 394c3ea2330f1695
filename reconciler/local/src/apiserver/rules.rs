//! Rules that no schema states: what a name may be, and which fields stay as they were created.

use serde_json::{Map, Value};

use super::names;
use super::object::{self, at};
use super::quantity::Quantity;
use super::route::Place;
use super::status::Cause;

/// Fields that never change, by kind.
const FIXED: [(&str, &[&str]); 22] = [
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

/// What of a StatefulSet's specification may change.
const STATEFUL_SET_FREE: [&str; 7] = [
    "replicas",
    "ordinals",
    "template",
    "updateStrategy",
    "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy",
    "minReadySeconds",
];

/// Whether a replacement has to name the version that it replaces.
pub(super) fn needs_version(key: &str) -> bool {
    const KINDS: [&str; 6] = [
        "csidrivers.storage.k8s.io",
        "csinodes.storage.k8s.io",
        "csistoragecapacities.storage.k8s.io",
        "leases.coordination.k8s.io",
        "poddisruptionbudgets.policy",
        "volumeattachments.storage.k8s.io",
    ];
    KINDS.contains(&key) || key.ends_with(".admissionregistration.k8s.io")
}

/// The rules that an object, as the next version of `live`, breaks.
pub(super) fn broken_rules(place: &Place, live: Option<&Value>, value: &Value) -> Vec<Cause> {
    match live {
        None => name_rule(&place.kind.key, &place.name),
        Some(live) if place.subresource.as_deref() != Some("status") => changed_rules(&place.kind.key, live, value),
        Some(_) => Vec::new(),
    }
}

pub(super) fn cause(reason: &str, field: &str, message: String) -> Cause {
    Cause { reason: reason.to_owned(), message, field: field.to_owned() }
}

fn changed_rules(key: &str, live: &Value, value: &Value) -> Vec<Cause> {
    let mut causes: Vec<Cause> = FIXED
        .iter()
        .filter(|(kind, path)| *kind == key && at(live, path) != at(value, path))
        .map(|(_, path)| {
            let shown = at(value, path).cloned().unwrap_or_default();
            let why = if path == &["roleRef"] { "cannot change roleRef" } else { "field is immutable" };
            cause("FieldValueInvalid", &path.join("."), format!("Invalid value: {shown}: {why}"))
        })
        .collect();
    causes.extend(match key {
        "configmaps" | "secrets" => immutable_data(live, value),
        "services" => cluster_ip(live, value),
        "statefulsets.apps" => stateful_set(live, value),
        "persistentvolumeclaims" => claim(live, value),
        "pods" => pod(live, value),
        _ => None,
    });
    causes
}

fn immutable_data(live: &Value, value: &Value) -> Option<Cause> {
    if live.get("immutable") != Some(&Value::Bool(true)) {
        return None;
    }
    let changed = ["data", "binaryData", "immutable"].into_iter().find(|f| live.get(f) != value.get(f))?;
    Some(cause("FieldValueForbidden", changed, "Forbidden: field is immutable when `immutable` is set".to_owned()))
}

fn cluster_ip(live: &Value, value: &Value) -> Option<Cause> {
    let external = |v: &Value| object::text(v, &["spec", "type"]) == "ExternalName";
    let (old, new) = (object::text(live, &["spec", "clusterIP"]), object::text(value, &["spec", "clusterIP"]));
    if old == new || old.is_empty() || external(live) || external(value) {
        return None;
    }
    let message = format!("Invalid value: [\"{new}\"]: may not change once set");
    Some(cause("FieldValueInvalid", "spec.clusterIPs[0]", message))
}

fn stateful_set(live: &Value, value: &Value) -> Option<Cause> {
    if without(live.get("spec"), &STATEFUL_SET_FREE) == without(value.get("spec"), &STATEFUL_SET_FREE) {
        return None;
    }
    let message = "Forbidden: updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', \
                   'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and \
                   'minReadySeconds' are forbidden";
    Some(cause("FieldValueForbidden", "spec", message.to_owned()))
}

fn claim(live: &Value, value: &Value) -> Option<Cause> {
    const FREE: [&str; 3] = ["resources", "volumeAttributesClassName", "volumeName"];
    let bound = object::text(live, &["status", "phase"]) == "Bound";
    let free = if bound { &FREE[..] } else { &["volumeName"] };
    if without(live.get("spec"), free) != without(value.get("spec"), free) {
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

fn pod(live: &Value, value: &Value) -> Option<Cause> {
    let fixed = |v: &Value| {
        const FREE: [&str; 3] = ["activeDeadlineSeconds", "tolerations", "terminationGracePeriodSeconds"];
        let mut spec = without(v.get("spec"), &FREE);
        for list in ["containers", "initContainers"] {
            for container in spec.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
                container.as_object_mut().and_then(|c| c.shift_remove("image"));
            }
        }
        spec
    };
    if fixed(live) == fixed(value) {
        return None;
    }
    let message = "Forbidden: pod updates may not change fields other than `spec.containers[*].image`,\
                   `spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to \
                   existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was \
                   previously negative)";
    Some(cause("FieldValueForbidden", "spec", message.to_owned()))
}

fn without(value: Option<&Value>, fields: &[&str]) -> Map<String, Value> {
    let mut map = value.and_then(Value::as_object).cloned().unwrap_or_default();
    map.retain(|key, _| !fields.contains(&key.as_str()));
    map
}

fn name_rule(key: &str, name: &str) -> Vec<Cause> {
    let broken = match key {
        "namespaces" => names::dns_label(name),
        "cronjobs.batch" => {
            let long = (name.len() > 52).then(|| "must be no more than 52 characters".to_owned());
            names::dns_subdomain(name).into_iter().chain(long).collect()
        }
        "services" => service_rule(name).into_iter().collect(),
        _ if key.ends_with(".rbac.authorization.k8s.io") => segment_rule(name).into_iter().collect(),
        _ => names::dns_subdomain(name),
    };
    let said = |why| cause("FieldValueInvalid", "metadata.name", format!("Invalid value: {name:?}: {why}"));
    broken.into_iter().map(said).collect()
}

fn service_rule(name: &str) -> Option<String> {
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

fn segment_rule(name: &str) -> Option<String> {
    match name {
        "." | ".." => Some(format!("may not be '{name}'")),
        _ => name.chars().find(|c| ['/', '%'].contains(c)).map(|c| format!("may not contain '{c}'")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_claim_does_not_shrink_and_grows_only_when_it_is_bound() {
        let claim = |size: &str, phase: &str| {
            json!({"spec": {"resources": {"requests": {"storage": size}}},
                   "status": {"phase": phase, "capacity": {"storage": "2Gi"}}})
        };
        let refused = |phase: &str, size: &str| {
            changed_rules("persistentvolumeclaims", &claim("2Gi", phase), &claim(size, phase)).len()
        };
        assert_eq!(refused("Bound", "2048Mi") + refused("Bound", "3Gi") + refused("Pending", "2Gi"), 0);
        assert_eq!((refused("Bound", "1Gi"), refused("Pending", "3Gi")), (1, 1));
    }

    #[test]
    fn a_pod_stays_on_its_node_and_a_quota_keeps_its_scopes() {
        let pod = |node: &str| json!({"spec": {"nodeName": node}});
        assert_eq!(changed_rules("pods", &pod("a"), &pod("b"))[0].field, "spec");
        let quota = |scope: &str| json!({"spec": {"scopes": [scope]}});
        let refused = changed_rules("resourcequotas", &quota("BestEffort"), &quota("NotBestEffort"));
        assert_eq!(refused[0].field, "spec.scopes");
    }
}
