//! The rules of services, ingresses and network policies.

use std::net::IpAddr;

use serde_json::{Value, json};

use super::field_rules::port as check_port;
use super::kinds::labels;
use super::{ValidationReport, below, items, object, text};
use crate::apiserver::canonical::is_zero;
use crate::apiserver::names;
use crate::apiserver::object::JsonObject;

pub(super) fn service(fields: &JsonObject, path: &str, report: &mut ValidationReport) {
    let ports: Vec<&JsonObject> = items(fields, "ports").iter().filter_map(Value::as_object).collect();
    let kind = text(fields, "type");
    if ports.is_empty() && kind != "ExternalName" && text(fields, "clusterIP") != "None" {
        report.required(below(path, "ports"), "");
    }
    if kind == "ExternalName" && text(fields, "externalName").is_empty() {
        report.required(below(path, "externalName"), "");
    }
    let external = text(fields, "externalName");
    for wrong in names::dns_subdomain(external.trim_end_matches('.'))
        .iter()
        .filter(|_| kind == "ExternalName" && !external.is_empty())
    {
        report.invalid(below(path, "externalName"), &json!(external), wrong);
    }
    for (index, ip) in items(fields, "externalIPs").iter().enumerate() {
        if ip.as_str().is_none_or(|ip| ip.parse::<IpAddr>().is_err()) {
            let field = format!("{}[{index}]", below(path, "externalIPs"));
            report.invalid(field, ip, "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)");
        }
    }
    for (index, port) in ports.iter().enumerate() {
        let field = format!("{}[{index}]", below(path, "ports"));
        let name = text(port, "name");
        if ports.len() > 1 && name.is_empty() {
            report.required(below(&field, "name"), "");
        }
        let earlier = &ports[..index];
        if !name.is_empty() && earlier.iter().any(|other| text(other, "name") == name) {
            report.duplicate(below(&field, "name"), &json!(name));
        }
        if earlier.iter().any(|other| ["port", "protocol"].iter().all(|key| other.get(*key) == port.get(*key))) {
            report.duplicate(field, &Value::Object((*port).clone()));
        }
    }
    labels(fields, path, "selector", report);
}

pub(super) fn service_port(fields: &JsonObject, path: &str, report: &mut ValidationReport) {
    let name = text(fields, "name");
    for wrong in names::dns_label(name).iter().filter(|_| !name.is_empty()) {
        report.invalid(below(path, "name"), &json!(name), wrong);
    }
}

pub(super) fn ingress(fields: &JsonObject, path: &str, report: &mut ValidationReport) {
    if items(fields, "rules").is_empty() && fields.get("defaultBackend").is_none() {
        let detail = "either `defaultBackend` or `rules` must be specified";
        report.invalid(path.to_owned(), &Value::Object(fields.clone()), detail);
    }
    for (index, rule) in items(fields, "rules").iter().enumerate() {
        let host = rule.get("host").and_then(Value::as_str).unwrap_or_default();
        let field = format!("{}[{index}].host", below(path, "rules"));
        if host.parse::<IpAddr>().is_ok() {
            report.invalid(field, &json!(host), "must be a DNS name, not an IP address");
        } else if !host.is_empty() {
            check_host(host, field, report);
        }
    }
    for (index, tls) in items(fields, "tls").iter().filter_map(Value::as_object).enumerate() {
        let field = |name: &str| format!("{}[{index}].{name}", below(path, "tls"));
        for (number, host) in items(tls, "hosts").iter().enumerate() {
            check_host(host.as_str().unwrap_or_default(), format!("{}[{number}]", field("hosts")), report);
        }
        let secret = text(tls, "secretName");
        for wrong in names::dns_subdomain(secret).iter().filter(|_| !secret.is_empty()) {
            report.invalid(field("secretName"), &json!(secret), wrong);
        }
    }
}

/// A host name, whose first part may be `*`.
fn check_host(host: &str, field: String, report: &mut ValidationReport) {
    let plain = host.strip_prefix("*.").unwrap_or(host);
    if let Some(wrong) = names::dns_subdomain(plain).first() {
        report.invalid(field, &json!(host), wrong);
    }
}

pub(super) fn ingress_path(fields: &JsonObject, path: &str, report: &mut ValidationReport) {
    let kind = text(fields, "pathType");
    if kind.is_empty() {
        return report.required(below(path, "pathType"), "pathType must be specified");
    }
    let url = text(fields, "path");
    let strict = kind == "Exact" || kind == "Prefix";
    if !url.starts_with('/') && (strict || !url.is_empty()) {
        report.invalid(below(path, "path"), &json!(url), "must be an absolute path");
    }
    let backend = fields.get("backend").unwrap_or(&Value::Null);
    match (backend.get("service"), backend.get("resource")) {
        (Some(_), Some(_)) => {
            report.invalid(below(path, "backend"), &json!(""), "cannot set both resource and service backends");
        }
        (None, None) => report.invalid(below(path, "backend"), &json!(""), "resource or service backend is required"),
        _ => {}
    }
}

pub(super) fn ingress_backend(fields: &JsonObject, path: &str, report: &mut ValidationReport) {
    let port = object(fields, "port");
    let named = port.is_some_and(|port| !text(port, "name").is_empty());
    let number = port.and_then(|port| port.get("number")).filter(|number| !is_zero(number));
    match number {
        None if !named => report.required(path.to_owned(), "port name or number is required"),
        Some(_) if named => report.invalid(path.to_owned(), &json!(""), "cannot set both port name & port number"),
        Some(number) => check_port(number, &below(path, "port.number"), report),
        None => {}
    }
}

pub(super) fn policy_port(fields: &JsonObject, path: &str, report: &mut ValidationReport) {
    let (port, end) = (fields.get("port"), fields.get("endPort"));
    if let Some(port) = port {
        check_port(port, &below(path, "port"), report);
    }
    let Some(end) = end else { return };
    let field = below(path, "endPort");
    match port {
        None => report.invalid(field, end, "may not be specified when `port` is not specified"),
        Some(Value::String(_)) => report.invalid(field, end, "may not be specified when `port` is non-numeric"),
        Some(port) if end.as_i64() < port.as_i64() => {
            report.invalid(field, port, "must be greater than or equal to `port`");
        }
        Some(_) => check_port(end, &field, report),
    }
}

pub(super) fn policy(fields: &JsonObject, path: &str, report: &mut ValidationReport) {
    let types = items(fields, "policyTypes");
    if types.len() > 2 {
        let detail = "may not specify more than two policyTypes";
        return report.invalid(below(path, "policyTypes"), &fields["policyTypes"], detail);
    }
    for (index, kind) in types.iter().enumerate().filter(|(_, kind)| *kind != "Ingress" && *kind != "Egress") {
        report.unsupported(format!("{}[{index}]", below(path, "policyTypes")), kind, ["Ingress", "Egress"]);
    }
}

pub(super) fn peer(fields: &JsonObject, path: &str, report: &mut ValidationReport) {
    let by_label = object(fields, "podSelector").or_else(|| object(fields, "namespaceSelector")).is_some();
    match (object(fields, "ipBlock").is_some(), by_label) {
        (false, false) => report.required(path.to_owned(), "must specify a peer"),
        (true, true) => {
            let detail = "may not specify both ipBlock and another peer";
            report.add("FieldValueForbidden", path.to_owned(), "Forbidden", detail);
        }
        _ => {}
    }
}

/// The address of a network, in the upper bits of the number, and the length of its prefix.
fn cidr(text: &str) -> Option<(u128, u32)> {
    let (address, bits) = text.split_once('/')?;
    let (value, width) = match address.parse::<IpAddr>().ok()? {
        IpAddr::V4(address) => (u128::from(u32::from(address)) << 96, 32),
        IpAddr::V6(address) => (u128::from(address), 128),
    };
    let bits: u32 = bits.parse().ok().filter(|bits| *bits <= width)?;
    Some((value, bits))
}

/// Whether bits beyond the prefix are set.
fn has_host_bits((address, bits): (u128, u32)) -> bool {
    address.checked_shl(bits).is_some_and(|rest| rest != 0)
}

pub(super) fn ip_block(fields: &JsonObject, path: &str, report: &mut ValidationReport) {
    const HOST_BITS: &str = "must not have bits set beyond the prefix length";
    const WRONG: &str = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";
    let block = text(fields, "cidr");
    if block.is_empty() {
        return report.required(below(path, "cidr"), "");
    }
    let Some((outer, outer_bits)) = cidr(block) else {
        return report.invalid(below(path, "cidr"), &json!(block), WRONG);
    };
    if has_host_bits((outer, outer_bits)) {
        report.invalid(below(path, "cidr"), &json!(block), HOST_BITS);
    }
    for (index, except) in items(fields, "except").iter().enumerate() {
        let field = format!("{}[{index}]", below(path, "except"));
        let Some((inner, bits)) = cidr(except.as_str().unwrap_or_default()) else {
            report.invalid(field, except, WRONG);
            continue;
        };
        if has_host_bits((inner, bits)) {
            report.invalid(field.clone(), except, HOST_BITS);
        }
        let prefix = |address: u128| address.checked_shr(128 - outer_bits).unwrap_or(0);
        if bits <= outer_bits || prefix(inner) != prefix(outer) {
            report.invalid(field, except, "must be a strict subset of `cidr`");
        }
    }
}
