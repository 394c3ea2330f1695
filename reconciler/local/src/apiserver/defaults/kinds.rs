//! The defaults of Services, Secrets, Namespaces, PersistentVolumes, LimitRanges, NetworkPolicies and role bindings.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{set, set_all, text, within};
use crate::apiserver::canonical::is_zero;
use crate::apiserver::object::JsonObject;

pub(super) fn service(fields: &mut JsonObject) {
    let spec = within(fields, "spec");
    set_all(spec, &[("type", json!("ClusterIP")), ("sessionAffinity", json!("None"))]);
    match text(spec, "sessionAffinity") {
        "None" => {
            spec.shift_remove("sessionAffinityConfig");
        }
        "ClientIP" => {
            let client = within(within(spec, "sessionAffinityConfig"), "clientIP");
            set(client, "timeoutSeconds", json!(10800));
        }
        _ => {}
    }
    for port in spec.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten() {
        let Some(port) = port.as_object_mut() else { continue };
        let unset = port.get("targetPort").is_none_or(is_zero);
        if unset {
            let number = port.get("port").cloned().unwrap_or(json!(0));
            port.insert("targetPort".to_owned(), number);
        }
    }
    let kind = text(spec, "type").to_owned();
    let external = matches!(kind.as_str(), "NodePort" | "LoadBalancer");
    if external || (kind == "ClusterIP" && spec.get("externalIPs").is_some_and(|ips| !is_zero(ips))) {
        set(spec, "externalTrafficPolicy", json!("Cluster"));
    }
    if external || kind == "ClusterIP" {
        set(spec, "internalTrafficPolicy", json!("Cluster"));
    }
    if kind == "LoadBalancer" {
        set(spec, "allocateLoadBalancerNodePorts", json!(true));
    }
}

/// A Secret may be written with texts, which are stored as bytes.
pub(super) fn secret(fields: &mut JsonObject) {
    set(fields, "type", json!("Opaque"));
    if let Some(Value::Object(texts)) = fields.shift_remove("stringData") {
        let data = within(fields, "data");
        for (key, text) in texts {
            data.insert(key, json!(STANDARD.encode(text.as_str().unwrap_or_default())));
        }
    }
}

pub(super) fn namespace(fields: &mut JsonObject) {
    let metadata = within(fields, "metadata");
    let name = text(metadata, "name").to_owned();
    if !name.is_empty() {
        within(metadata, "labels").insert("kubernetes.io/metadata.name".to_owned(), json!(name));
    }
    set(within(fields, "status"), "phase", json!("Active"));
}

pub(super) fn persistent_volume(fields: &mut JsonObject) {
    set(within(fields, "status"), "phase", json!("Pending"));
    let defaults = [("persistentVolumeReclaimPolicy", json!("Retain")), ("volumeMode", json!("Filesystem"))];
    set_all(within(fields, "spec"), &defaults);
}

pub(super) fn limit_range_item(fields: &mut JsonObject) {
    if text(fields, "type") != "Container" {
        return;
    }
    for (to, from) in [("default", "max"), ("defaultRequest", "default"), ("defaultRequest", "min")] {
        if let Some(from) = fields.get(from).and_then(Value::as_object).cloned() {
            let to = within(fields, to);
            from.into_iter().for_each(|(name, amount)| set(to, &name, amount));
        }
    }
}

pub(super) fn network_policy(fields: &mut JsonObject) {
    let spec = within(fields, "spec");
    let egress = spec.get("egress").is_some_and(|rules| !is_zero(rules));
    let types = if egress { json!(["Ingress", "Egress"]) } else { json!(["Ingress"]) };
    set(spec, "policyTypes", types);
}

pub(super) fn subject(fields: &mut JsonObject) {
    if matches!(text(fields, "kind"), "User" | "Group") {
        set(fields, "apiGroup", json!("rbac.authorization.k8s.io"));
    }
}
