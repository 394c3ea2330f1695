//! The addresses and node ports of Services, which depend on the type of the Service.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::ServiceAddresses;
use crate::apiserver::object::{list, set_field, text};

/// A condition on the specification of a Service.
type ServicePredicate = fn(&Value) -> bool;

/// Fields that are removed when a Service no longer meets a condition, unless the client has changed them.
const CONDITIONAL: [(ServicePredicate, &[&str]); 3] = [
    (needs_cluster_ip, &["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "internalTrafficPolicy"]),
    (is_load_balancer, &["allocateLoadBalancerNodePorts", "loadBalancerClass"]),
    (is_external, &["externalTrafficPolicy"]),
];

/// Gives a Service what its type needs, and removes what it no longer needs. `live` is its present specification.
pub fn complete(addresses: &ServiceAddresses, live: Option<&Value>, spec: &mut Value) {
    if let Some(live) = live {
        drop_unneeded(live, spec);
    }
    if needs_cluster_ip(spec) {
        give_address(addresses, live, spec);
    }
    if needs_node_ports(spec) {
        give_node_ports(addresses, live, spec);
    }
}

fn drop_unneeded(live: &Value, spec: &mut Value) {
    for (needs, fields) in CONDITIONAL {
        if !needs(live) || needs(spec) {
            continue;
        }
        for field in fields {
            if let Some(fields) = spec.as_object_mut().filter(|s| s.get(*field) == live.get(field)) {
                fields.shift_remove(*field);
            }
        }
    }
    let same = node_ports(live).eq(node_ports(spec));
    if needs_node_ports(live) && !needs_node_ports(spec) && same {
        for port in ports_mut(spec) {
            port.as_object_mut().and_then(|port| port.shift_remove("nodePort"));
        }
    }
}

fn give_address(addresses: &ServiceAddresses, live: Option<&Value>, spec: &mut Value) {
    if text(spec, &["clusterIP"]).is_empty() {
        let kept = live.map(|live| text(live, &["clusterIP"])).filter(|ip| !ip.is_empty());
        let address = kept.map_or_else(|| addresses.next_ip(), str::to_owned);
        set_field(spec, "clusterIP", address.into());
    }
    let address = spec.get("clusterIP").cloned().unwrap_or_default();
    set_field(spec, "clusterIPs", json!([address]));
    for (field, usual) in [("ipFamilies", json!(["IPv4"])), ("ipFamilyPolicy", json!("SingleStack"))] {
        if spec.get(field).is_none_or(Value::is_null) {
            set_field(spec, field, usual);
        }
    }
}

/// A port keeps the node port of the present port with the same name.
fn give_node_ports(addresses: &ServiceAddresses, live: Option<&Value>, spec: &mut Value) {
    let mut kept: HashMap<String, u64> = live
        .into_iter()
        .flat_map(|live| list(live, &["ports"]))
        .filter_map(|port| Some((text(port, &["name"]).to_owned(), node_port(port)?)))
        .collect();
    kept.retain(|_, kept| !node_ports(spec).any(|used| used == Some(*kept)));
    for port in ports_mut(spec) {
        if node_port(port).is_none() {
            let number = kept.remove(text(port, &["name"])).unwrap_or_else(|| addresses.next_port().into());
            set_field(port, "nodePort", number.into());
        }
    }
}

fn needs_cluster_ip(spec: &Value) -> bool {
    text(spec, &["type"]) != "ExternalName"
}

fn is_load_balancer(spec: &Value) -> bool {
    text(spec, &["type"]) == "LoadBalancer"
}

fn is_external(spec: &Value) -> bool {
    match text(spec, &["type"]) {
        "NodePort" | "LoadBalancer" => true,
        "ClusterIP" => list(spec, &["externalIPs"]).next().is_some(),
        _ => false,
    }
}

fn needs_node_ports(spec: &Value) -> bool {
    let asked = spec.get("allocateLoadBalancerNodePorts") != Some(&Value::Bool(false));
    text(spec, &["type"]) == "NodePort" || (is_load_balancer(spec) && asked)
}

fn ports_mut(spec: &mut Value) -> impl Iterator<Item = &mut Value> {
    spec.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten()
}

fn node_ports(spec: &Value) -> impl Iterator<Item = Option<u64>> {
    list(spec, &["ports"]).map(node_port)
}

fn node_port(port: &Value) -> Option<u64> {
    port.get("nodePort")?.as_u64().filter(|port| *port > 0)
}
