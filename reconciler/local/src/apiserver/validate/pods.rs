//! The rules of pods and their containers.

use super::rules::{port as check_port, port_name};
use super::{Report, below};
use crate::apiserver::names;
use serde_json::{Map, Value, json};

type Fields = Map<String, Value>;

fn items<'a>(fields: &'a Fields, name: &str) -> &'a [Value] {
    fields.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

pub(super) fn pod(fields: &Fields, path: &str, report: &mut Report) {
    let volumes: Vec<&str> = items(fields, "volumes").iter().map(|volume| text(volume, "name")).collect();
    for (place, name) in volumes.iter().enumerate() {
        let field = format!("{}[{place}]", below(path, "volumes"));
        if !name.is_empty() && volumes[..place].contains(name) {
            report.duplicate(below(&field, "name"), &json!(name));
        }
        let sources = items(fields, "volumes")[place].as_object().into_iter().flatten();
        if sources.filter(|(name, _)| *name != "name").count() > 1 {
            report.add("FieldValueForbidden", field, "Forbidden", "may not specify more than 1 volume type");
        }
    }
    let mut seen: Vec<&str> = Vec::new();
    for list in ["initContainers", "containers"] {
        for (place, container) in items(fields, list).iter().enumerate() {
            let field = format!("{}[{place}]", below(path, list));
            let name = text(container, "name");
            if !name.is_empty() && seen.contains(&name) {
                report.duplicate(below(&field, "name"), &json!(name));
            }
            seen.push(name);
            mounts(container, &volumes, &field, report);
        }
    }
}

fn mounts(container: &Value, volumes: &[&str], path: &str, report: &mut Report) {
    let mut paths: Vec<&str> = Vec::new();
    for (place, mount) in container["volumeMounts"].as_array().into_iter().flatten().enumerate() {
        let field = format!("{}[{place}]", below(path, "volumeMounts"));
        let (name, mount_path) = (text(mount, "name"), text(mount, "mountPath"));
        if !name.is_empty() && !volumes.contains(&name) {
            report.not_found(below(&field, "name"), name);
        }
        if !mount_path.is_empty() && paths.contains(&mount_path) {
            report.invalid(below(&field, "mountPath"), &json!(mount_path), "must be unique");
        }
        paths.push(mount_path);
    }
}

pub(super) fn container(fields: &Fields, path: &str, report: &mut Report) {
    let image = fields.get("image").and_then(Value::as_str).unwrap_or_default();
    if image.is_empty() {
        report.required(below(path, "image"), "");
    } else if image.trim() != image {
        report.invalid(below(path, "image"), &json!(image), "must not have leading or trailing whitespace");
    }
    let names: Vec<&str> = items(fields, "ports").iter().map(|port| text(port, "name")).collect();
    for (place, name) in names.iter().enumerate().filter(|(_, name)| !name.is_empty()) {
        if names[..place].contains(name) {
            report.duplicate(format!("{}[{place}].name", below(path, "ports")), &json!(name));
        }
    }
}

pub(super) fn port(fields: &Fields, path: &str, report: &mut Report) {
    match fields.get("containerPort") {
        None | Some(Value::Null) => report.required(below(path, "containerPort"), ""),
        Some(port) if port == 0 => report.required(below(path, "containerPort"), ""),
        Some(port) => check_port(port, &below(path, "containerPort"), report),
    }
    if let Some(port) = fields.get("hostPort") {
        check_port(port, &below(path, "hostPort"), report);
    }
    let name = fields.get("name").and_then(Value::as_str).unwrap_or_default();
    if let Some(wrong) = port_name(name).filter(|_| !name.is_empty()) {
        report.invalid(below(path, "name"), &json!(name), &wrong);
    }
}

pub(super) fn env(fields: &Fields, path: &str, report: &mut Report) {
    let name = fields.get("name").and_then(Value::as_str).unwrap_or_default();
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

/// Variables from all of a ConfigMap or Secret. As the real server has it, the number of the source is not told.
pub(super) fn env_from(fields: &Fields, path: &str, report: &mut Report) {
    let list = path.rsplit_once('[').map_or(path, |(list, _)| list).to_owned();
    match ["configMapRef", "secretRef"].iter().filter(|name| fields.contains_key(**name)).count() {
        0 => report.invalid(list, &json!(""), "must specify one of: `configMapRef` or `secretRef`"),
        1 => {}
        _ => report.invalid(list, &json!(""), "may not have more than one field specified at a time"),
    }
}

/// A key of a ConfigMap or Secret.
pub(super) fn key_of(fields: &Fields, path: &str, report: &mut Report) {
    let name = fields.get("name").and_then(Value::as_str).unwrap_or_default();
    for wrong in names::dns_subdomain(name) {
        report.invalid(below(path, "name"), &json!(name), &wrong);
    }
}

pub(super) fn probe(fields: &Fields, path: &str, report: &mut Report) {
    handler(fields, path, &["exec", "httpGet", "tcpSocket", "grpc"], report);
    let until_ready = path.ends_with("livenessProbe") || path.ends_with("startupProbe");
    if let Some(number) = fields.get("successThreshold").filter(|n| until_ready && n.as_i64().is_some_and(|n| n > 1)) {
        report.invalid(below(path, "successThreshold"), number, "must be 1");
    }
}

pub(super) fn lifecycle(fields: &Fields, path: &str, report: &mut Report) {
    handler(fields, path, &["exec", "httpGet", "tcpSocket", "sleep"], report);
}

fn handler(fields: &Fields, path: &str, kinds: &[&str], report: &mut Report) {
    let mut present = kinds.iter().filter(|kind| fields.get(**kind).is_some_and(|handler| !handler.is_null()));
    if present.next().is_none() {
        report.required(path.to_owned(), "must specify a handler type");
    }
    for other in present {
        report.add("FieldValueForbidden", below(path, other), "Forbidden", "may not specify more than 1 handler type");
    }
}
