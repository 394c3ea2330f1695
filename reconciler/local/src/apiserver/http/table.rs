//! Objects as the table that `kubectl get` prints; the columns of each kind are data in `columns.json`.

use std::collections::HashMap;
use std::sync::LazyLock;

use serde::Deserialize;
use serde_json::{Value, json};

use super::representation::metadata_only;
use crate::apiserver::kinds::ServedKind;
use crate::apiserver::object::{at, list, text};
use crate::apiserver::select;

/// A column of a table.
#[derive(Debug, Deserialize)]
struct TableColumn {
    name: String,
    /// What a cell shows: text with `{.path.to.field}` or `{.path|otherwise}` in it, or a function, such as `@age`.
    value: String,
    /// A type of OpenAPI: string, integer or date.
    #[serde(default = "string")]
    r#type: String,
    /// 1: only in wide output (`kubectl get -o wide`).
    #[serde(default)]
    priority: u8,
}

fn string() -> String {
    "string".to_owned()
}

static COLUMNS: LazyLock<HashMap<String, Vec<TableColumn>>> =
    LazyLock::new(|| serde_json::from_slice(include_bytes!("columns.json")).unwrap_or_default());

/// Objects as a `meta.k8s.io/v1` Table, with or without its column definitions. Rows carry the objects whole, or only
/// their metadata.
pub(super) fn table(kind: &ServedKind, values: &[&Value], version: &str, with_columns: bool, whole: bool) -> Value {
    let columns = columns(&kind.group_resource);
    let definitions: Vec<Value> = columns.iter().map(definition).collect();
    let rows: Vec<Value> = values
        .iter()
        .map(|value| {
            let cells: Vec<Value> = columns.iter().map(|c| cell(c, value)).collect();
            let object = if whole { (*value).clone() } else { metadata_only(value) };
            json!({"cells": cells, "object": object})
        })
        .collect();
    json!({
        "kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": {"resourceVersion": version},
        "columnDefinitions": if with_columns { definitions } else { Vec::new() }, "rows": rows,
    })
}

fn columns(group_resource: &str) -> &'static [TableColumn] {
    COLUMNS.get(group_resource).or_else(|| COLUMNS.get("")).map(Vec::as_slice).unwrap_or_default()
}

fn definition(column: &TableColumn) -> Value {
    let format = if column.name == "Name" { "name" } else { "" };
    json!({
        "name": column.name, "type": column.r#type, "format": format, "priority": column.priority, "description": "",
    })
}

fn cell(column: &TableColumn, object: &Value) -> Value {
    let text = match column.value.strip_prefix('@') {
        Some(function) => evaluate(function, object),
        None => fill(&column.value, object),
    };
    match column.r#type.as_str() {
        "integer" => text.parse::<i64>().map_or(Value::Null, Value::from),
        _ => Value::String(text),
    }
}

/// Replaces each `{.path|otherwise}` with the value at the path.
fn fill(template: &str, object: &Value) -> String {
    let mut out = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        out.push_str(before);
        let Some((expression, tail)) = after.split_once('}') else { break };
        let (path, otherwise) = expression.split_once('|').unwrap_or((expression, ""));
        out.push_str(&shown(field(object, path)).unwrap_or_else(|| otherwise.to_owned()));
        rest = tail;
    }
    out.push_str(rest);
    out
}

fn field<'a>(object: &'a Value, path: &str) -> Option<&'a Value> {
    path.trim_start_matches('.').split('.').try_fold(object, |value, key| match value {
        Value::Array(items) => items.get(key.parse::<usize>().ok()?),
        _ => value.get(key),
    })
}

fn shown(value: Option<&Value>) -> Option<String> {
    match value? {
        Value::Null => None,
        Value::String(text) if text.is_empty() => None,
        Value::String(text) => Some(text.clone()),
        Value::Array(items) => Some(items.iter().filter_map(|i| shown(Some(i))).collect::<Vec<_>>().join(",")),
        other => Some(other.to_string()),
    }
}

fn evaluate(function: &str, object: &Value) -> String {
    let joined = |items: Vec<String>| if items.is_empty() { "<none>".to_owned() } else { items.join(",") };
    match function {
        "age" => age(text(object, &["metadata", "creationTimestamp"])),
        "lastSeen" => last_seen(object),
        "keys" => ["data", "binaryData"]
            .iter()
            .filter_map(|f| object.get(f)?.as_object())
            .map(|m| m.len())
            .sum::<usize>()
            .to_string(),
        "ports" => joined(list(object, &["spec", "ports"]).map(port).collect()),
        "selector" => Some(selector(object)).filter(|s| !s.is_empty()).unwrap_or_else(|| "<none>".to_owned()),
        "hosts" => hosts(object),
        "ingressPorts" => if list(object, &["spec", "tls"]).next().is_some() { "80, 443" } else { "80" }.to_owned(),
        "externalIp" => external_ip(object),
        "active" => list(object, &["status", "active"]).count().to_string(),
        "suspend" => {
            if at(object, &["spec", "suspend"]) == Some(&Value::Bool(true)) { "True" } else { "False" }.to_owned()
        }
        "lastSchedule" => match text(object, &["status", "lastScheduleTime"]) {
            "" => "<none>".to_owned(),
            time => age(time),
        },
        "containers" => joined(containers(object, "name")),
        "images" => joined(containers(object, "image")),
        "ready" => pod_ready(object),
        "restarts" => restarts(object).to_string(),
        "podStatus" => pod_status(object),
        "jobStatus" => job_status(object),
        "jobDuration" => job_duration(object),
        "accessModes" => joined(list(object, &["spec", "accessModes"]).filter_map(access_mode).collect()),
        "roleRef" => fill("{.roleRef.kind}/{.roleRef.name}", object),
        "targets" => targets(object),
        _ => String::new(),
    }
}

fn port(port: &Value) -> String {
    let number = shown(port.get("port")).unwrap_or_default();
    let protocol = shown(port.get("protocol")).unwrap_or_else(|| "TCP".to_owned());
    match shown(port.get("nodePort")) {
        Some(node) => format!("{number}:{node}/{protocol}"),
        None => format!("{number}/{protocol}"),
    }
}

fn selector(object: &Value) -> String {
    let selector = at(object, &["spec", "selector"]).or_else(|| at(object, &["spec", "podSelector"]));
    let Some(selector) = selector.and_then(Value::as_object) else { return String::new() };
    match text(object, &["kind"]) {
        "Service" | "ReplicationController" => {
            let labels = selector.iter().map(|(k, v)| format!("{k}={}", v.as_str().unwrap_or_default()));
            labels.collect::<Vec<_>>().join(",")
        }
        _ => select::written(selector),
    }
}

/// The first three hosts of an Ingress.
fn hosts(object: &Value) -> String {
    let hosts: Vec<String> = list(object, &["spec", "rules"]).filter_map(|rule| shown(rule.get("host"))).collect();
    match hosts.len() {
        0 => "*".to_owned(),
        n @ 4.. => format!("{} + {} more...", hosts[..3].join(","), n - 3),
        _ => hosts.join(","),
    }
}

fn external_ip(service: &Value) -> String {
    let own = list(service, &["spec", "externalIPs"]).filter_map(|ip| shown(Some(ip)));
    let given = |ingress: &Value| shown(ingress.get("ip")).or_else(|| shown(ingress.get("hostname")));
    let balanced = list(service, &["status", "loadBalancer", "ingress"]).filter_map(given);
    let (all, otherwise): (Vec<String>, _) = match text(service, &["spec", "type"]) {
        "ExternalName" => return text(service, &["spec", "externalName"]).to_owned(),
        "LoadBalancer" => (balanced.chain(own).collect(), "<pending>"),
        _ => (own.collect(), "<none>"),
    };
    if all.is_empty() { otherwise.to_owned() } else { all.join(",") }
}

fn containers(object: &Value, field: &str) -> Vec<String> {
    let template = match text(object, &["kind"]) {
        "Pod" => Some(object),
        "CronJob" => at(object, &["spec", "jobTemplate", "spec", "template"]),
        _ => at(object, &["spec", "template"]),
    };
    let containers = template.into_iter().flat_map(|t| list(t, &["spec", "containers"]));
    containers.filter_map(|c| shown(c.get(field))).collect()
}

fn pod_ready(pod: &Value) -> String {
    let ready = list(pod, &["status", "containerStatuses"]).filter(|c| c.get("ready") == Some(&Value::Bool(true)));
    format!("{}/{}", ready.count(), list(pod, &["spec", "containers"]).count())
}

fn restarts(pod: &Value) -> u64 {
    list(pod, &["status", "containerStatuses"]).filter_map(|c| c.get("restartCount")?.as_u64()).sum()
}

fn pod_status(pod: &Value) -> String {
    if at(pod, &["metadata", "deletionTimestamp"]).is_some() {
        return "Terminating".to_owned();
    }
    let waiting = |c: &Value| at(c, &["state", "waiting", "reason"])?.as_str().map(str::to_owned);
    let reason = list(pod, &["status", "containerStatuses"]).find_map(waiting);
    match (reason, text(pod, &["status", "phase"])) {
        (Some(reason), _) => reason,
        (None, "Succeeded") => "Completed".to_owned(),
        (None, phase) => phase.to_owned(),
    }
}

fn job_status(job: &Value) -> String {
    let is_true = |c: &&Value| c.get("status").and_then(Value::as_str) == Some("True");
    let mut conditions = list(job, &["status", "conditions"]).filter(is_true);
    let last = conditions.find_map(|c| match text(c, &["type"]) {
        condition @ ("Complete" | "Failed" | "Suspended") => Some(condition),
        _ => None,
    });
    last.unwrap_or("Running").to_owned()
}

fn job_duration(job: &Value) -> String {
    let time = |field| text(job, &["status", field]).parse::<jiff::Timestamp>().ok();
    let Some(start) = time("startTime") else { return String::new() };
    let end = time("completionTime").unwrap_or_else(jiff::Timestamp::now);
    human(end.as_second() - start.as_second())
}

fn access_mode(mode: &Value) -> Option<String> {
    let short = match mode.as_str()? {
        "ReadWriteOnce" => "RWO",
        "ReadOnlyMany" => "ROX",
        "ReadWriteMany" => "RWX",
        "ReadWriteOncePod" => "RWOP",
        other => other,
    };
    Some(short.to_owned())
}

fn targets(autoscaler: &Value) -> String {
    let metrics = list(autoscaler, &["spec", "metrics"]).map(|m| {
        let name = text(m, &["resource", "name"]);
        let target = shown(at(m, &["resource", "target", "averageUtilization"])).unwrap_or_else(|| "?".to_owned());
        format!("{name}: <unknown>/{target}%")
    });
    metrics.collect::<Vec<_>>().join(", ")
}

fn last_seen(event: &Value) -> String {
    let times = ["lastTimestamp", "eventTime", "firstTimestamp"].map(|f| text(event, &[f]));
    let series = text(event, &["series", "lastObservedTime"]);
    let found = std::iter::once(series).chain(times).find(|t| !t.is_empty());
    age(found.unwrap_or_else(|| text(event, &["metadata", "creationTimestamp"])))
}

/// The time that has passed since, in the words of kubectl.
fn age(time: &str) -> String {
    match time.parse::<jiff::Timestamp>() {
        Ok(then) => human(jiff::Timestamp::now().as_second() - then.as_second()),
        Err(_) => "<unknown>".to_owned(),
    }
}

/// Seconds as `90s`, `5m30s`, `3h`, `2d4h`, `400d`: with a second unit while the first is small.
fn human(seconds: i64) -> String {
    const MINUTE: i64 = 60;
    const HOUR: i64 = 60 * MINUTE;
    const DAY: i64 = 24 * HOUR;
    let two = |big: i64, big_unit: &str, small: i64, small_unit: &str| {
        let rest = seconds % big / small;
        let first = format!("{}{big_unit}", seconds / big);
        if rest == 0 { first } else { format!("{first}{rest}{small_unit}") }
    };
    match seconds.max(0) {
        s if s < 2 * MINUTE => format!("{s}s"),
        s if s < 10 * MINUTE => two(MINUTE, "m", 1, "s"),
        s if s < 3 * HOUR => format!("{}m", s / MINUTE),
        s if s < 8 * HOUR => two(HOUR, "h", MINUTE, "m"),
        s if s < 2 * DAY => format!("{}h", s / HOUR),
        s if s < 8 * DAY => two(DAY, "d", HOUR, "h"),
        s => format!("{}d", s / DAY),
    }
}
