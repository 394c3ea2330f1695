//! The rules of pods and their containers.

use serde_json::{Value, json};

use super::field_rules::{port as check_port, port_name};
use super::{ValidationReport, below, items, require_text, text};
use crate::apiserver::names;
use crate::apiserver::object::JsonObject;

fn text_of<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

pub(super) fn pod(fields: &JsonObject, path: &str, report: &mut ValidationReport) {
    let volumes: Vec<&str> = items(fields, "volumes").iter().map(|volume| text_of(volume, "name")).collect();
    for (index, name) in volumes.iter().enumerate() {
        let field = format!("{}[{index}]", below(path, "volumes"));
        if !name.is_empty() && volumes[..index].contains(name) {
            report.duplicate(below(&field, "name"), &json!(name));
        }
        let sources = items(fields, "volumes")[index].as_object().into_iter().flatten();
        if sources.filter(|(name, _)| *name != "name").count() > 1 {
            report.add("FieldValueForbidden", field, "Forbidden", "may not specify more than 1 volume type");
        }
    }
    let mut seen: Vec<&str> = Vec::new();
    for list in ["initContainers", "containers"] {
        for (index, container) in items(fields, list).iter().enumerate() {
            let field = format!("{}[{index}]", below(path, list));
            let name = text_of(container, "name");
            if !name.is_empty() && seen.contains(&name) {
                report.duplicate(below(&field, "name"), &json!(name));
            }
            seen.push(name);
            mounts(container, &volumes, &field, report);
        }
    }
}

fn mounts(container: &Value, volumes: &[&str], path: &str, report: &mut ValidationReport) {
    let mut paths: Vec<&str> = Vec::new();
    for (index, mount) in container["volumeMounts"].as_array().into_iter().flatten().enumerate() {
        let field = format!("{}[{index}]", below(path, "volumeMounts"));
        let (name, mount_path) = (text_of(mount, "name"), text_of(mount, "mountPath"));
        if !name.is_empty() && !volumes.contains(&name) {
            report.not_found(below(&field, "name"), name);
        }
        if !mount_path.is_empty() && paths.contains(&mount_path) {
            report.invalid(below(&field, "mountPath"), &json!(mount_path), "must be unique");
        }
        paths.push(mount_path);
    }
}

pub(super) fn container(fields: &JsonObject, path: &str, report: &mut ValidationReport) {
    let image = text(fields, "image");
    if image.is_empty() {
        report.required(below(path, "image"), "");
    } else if image.trim() != image {
        report.invalid(below(path, "image"), &json!(image), "must not have leading or trailing whitespace");
    }
    let names: Vec<&str> = items(fields, "ports").iter().map(|port| text_of(port, "name")).collect();
    for (index, name) in names.iter().enumerate().filter(|(_, name)| !name.is_empty()) {
        if names[..index].contains(name) {
            report.duplicate(format!("{}[{index}].name", below(path, "ports")), &json!(name));
        }
    }
}

pub(super) fn port(fields: &JsonObject, path: &str, report: &mut ValidationReport) {
    match fields.get("containerPort") {
        None | Some(Value::Null) => report.required(below(path, "containerPort"), ""),
        Some(port) if port == 0 => report.required(below(path, "containerPort"), ""),
        Some(port) => check_port(port, &below(path, "containerPort"), report),
    }
    if let Some(port) = fields.get("hostPort") {
        check_port(port, &below(path, "hostPort"), report);
    }
    let name = text(fields, "name");
    if let Some(wrong) = port_name(name).filter(|_| !name.is_empty()) {
        report.invalid(below(path, "name"), &json!(name), &wrong);
    }
}

pub(super) fn env(fields: &JsonObject, path: &str, report: &mut ValidationReport) {
    let name = text(fields, "name");
    if name.contains('=') || !name.bytes().all(|c| (b' '..=b'~').contains(&c)) {
        let detail = "a valid environment variable name must consist only of printable ASCII characters other than '='";
        report.invalid(below(path, "name"), &json!(name), detail);
    }
    let Some(source) = fields.get("valueFrom").and_then(Value::as_object) else { return };
    let field = below(path, "valueFrom");
    if fields.get("value").and_then(Value::as_str).is_some_and(|value| !value.is_empty()) {
        report.invalid(field, &json!(""), "may not be specified when `value` is not empty");
    } else if source.is_empty() {
        let detail =
            "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`";
        report.invalid(field, &json!(""), detail);
    } else if source.len() > 1 {
        report.invalid(field, &json!(""), "may not have more than one field specified at a time");
    }
}

/// Variables from a whole ConfigMap or Secret. As on a real server, the message does not have the index of the source.
pub(super) fn env_from(fields: &JsonObject, path: &str, report: &mut ValidationReport) {
    let list = path.rsplit_once('[').map_or(path, |(list, _)| list).to_owned();
    match ["configMapRef", "secretRef"].iter().filter(|name| fields.contains_key(**name)).count() {
        0 => report.invalid(list, &json!(""), "must specify one of: `configMapRef` or `secretRef`"),
        1 => {}
        _ => report.invalid(list, &json!(""), "may not have more than one field specified at a time"),
    }
}

/// A ConfigMap or Secret from which variables come.
pub(super) fn env_source(fields: &JsonObject, path: &str, report: &mut ValidationReport) {
    require_text(fields, path, "name", report);
}

/// A key of a ConfigMap or Secret.
pub(super) fn key_of(fields: &JsonObject, path: &str, report: &mut ValidationReport) {
    let name = text(fields, "name");
    for wrong in names::dns_subdomain(name) {
        report.invalid(below(path, "name"), &json!(name), &wrong);
    }
}

pub(super) fn command(fields: &JsonObject, path: &str, report: &mut ValidationReport) {
    if items(fields, "command").is_empty() {
        report.required(below(path, "command"), "");
    }
}

pub(super) fn probe(fields: &JsonObject, path: &str, report: &mut ValidationReport) {
    handler(fields, path, &["exec", "httpGet", "tcpSocket", "grpc"], report);
    let until_ready = path.ends_with("livenessProbe") || path.ends_with("startupProbe");
    if let Some(number) = fields.get("successThreshold").filter(|n| until_ready && n.as_i64().is_some_and(|n| n > 1)) {
        report.invalid(below(path, "successThreshold"), number, "must be 1");
    }
}

pub(super) fn lifecycle(fields: &JsonObject, path: &str, report: &mut ValidationReport) {
    handler(fields, path, &["exec", "httpGet", "tcpSocket", "sleep"], report);
}

fn handler(fields: &JsonObject, path: &str, kinds: &[&str], report: &mut ValidationReport) {
    let mut present = kinds.iter().filter(|kind| fields.get(**kind).is_some_and(|handler| !handler.is_null()));
    if present.next().is_none() {
        report.required(path.to_owned(), "must specify a handler type");
    }
    for other in present {
        report.add("FieldValueForbidden", below(path, other), "Forbidden", "may not specify more than 1 handler type");
    }
}
