//! The rules of autoscalers and of their metrics.

use serde_json::{Value, json};

use super::amounts::is_positive;
use super::{ValidationReport, below, object, text};
use crate::apiserver::object::JsonObject;

/// The types of metrics, each with its field.
const METRICS: [(&str, &str); 5] = [
    ("ContainerResource", "containerResource"),
    ("External", "external"),
    ("Object", "object"),
    ("Pods", "pods"),
    ("Resource", "resource"),
];

pub(super) fn autoscaler(fields: &JsonObject, path: &str, report: &mut ValidationReport) {
    let number = |name: &str| fields.get(name).and_then(Value::as_i64).unwrap_or(0);
    let (least, most) = (number("minReplicas"), number("maxReplicas"));
    if least < 1 {
        report.invalid(below(path, "minReplicas"), &json!(least), "must be greater than or equal to 1");
    }
    if most < 1 {
        report.invalid(below(path, "maxReplicas"), &json!(most), "must be greater than 0");
    } else if most < least {
        report.invalid(below(path, "maxReplicas"), &json!(most), "must be greater than or equal to `minReplicas`");
    }
    let target = object(fields, "scaleTargetRef");
    let version = target.map(|target| text(target, "apiVersion")).unwrap_or_default();
    if target.is_some_and(|target| text(target, "kind") != "ReplicationController") && !version.contains('/') {
        let field = below(path, "scaleTargetRef.apiVersion");
        report.invalid(field, &json!(version), "apiVersion must specify API group");
    }
}

pub(super) fn metric(fields: &JsonObject, path: &str, report: &mut ValidationReport) {
    let Some((_, expected)) = METRICS.iter().find(|(kind, _)| *kind == text(fields, "type")) else {
        let field = below(path, "type");
        return report.unsupported(field, &json!(text(fields, "type")), METRICS.map(|(kind, _)| kind));
    };
    let present: Vec<&str> =
        METRICS.iter().map(|(_, field)| *field).filter(|field| object(fields, field).is_some()).collect();
    if !present.contains(expected) {
        report.required(below(path, expected), "must populate information for the given metric source");
    }
    for other in present.iter().filter(|other| present.len() > 1 && *other != expected) {
        let detail = "must populate the given metric source only";
        report.add("FieldValueForbidden", below(path, other), "Forbidden", detail);
    }
}

/// A metric of a resource: a percentage of the requests, or an amount.
pub(super) fn resource(fields: &JsonObject, path: &str, report: &mut ValidationReport) {
    let Some(target) = object(fields, "target") else { return };
    let field = below(path, "target.averageUtilization");
    match (target.get("averageUtilization"), target.get("averageValue")) {
        (None, None) => report.required(field, "must set either a target raw value or a target utilization"),
        (Some(_), Some(_)) => {
            let detail = "may not set both a target raw value and a target utilization";
            report.add("FieldValueForbidden", below(path, "target.averageValue"), "Forbidden", detail);
        }
        _ => {}
    }
}

pub(super) fn pods(fields: &JsonObject, path: &str, report: &mut ValidationReport) {
    if object(fields, "target").is_none_or(|target| !is_positive(target, "averageValue")) {
        report.required(below(path, "target.averageValue"), "must specify a positive target averageValue");
    }
}

/// A metric of another object, or of something outside of the cluster.
pub(super) fn other(fields: &JsonObject, path: &str, report: &mut ValidationReport) {
    let Some(target) = object(fields, "target") else { return };
    if target.get("value").is_none() && target.get("averageValue").is_none() {
        let detail = "must set either a target value for metric or a per-pod target";
        report.required(below(path, "target.averageValue"), detail);
    }
}

pub(super) fn target(fields: &JsonObject, path: &str, report: &mut ValidationReport) {
    let kind = text(fields, "type");
    if !["Utilization", "Value", "AverageValue"].contains(&kind) {
        report.invalid(below(path, "type"), &json!(kind), "must be either Utilization, Value, or AverageValue");
    }
    if let Some(share) = fields.get("averageUtilization").filter(|share| share.as_i64().is_some_and(|n| n < 1)) {
        report.invalid(below(path, "averageUtilization"), share, "must be greater than 0");
    }
    for name in ["value", "averageValue"] {
        if let Some(amount) = fields.get(name).filter(|amount| amount.is_string() && !is_positive(fields, name)) {
            report.invalid(below(path, name), amount, "must be positive");
        }
    }
}
