//! The rules of metadata, workloads, configuration, claims, roles and disruption budgets.

use serde_json::{Value, json};

use super::{ValidationReport, below, items, object, text};
use crate::apiserver::canonical::is_zero;
use crate::apiserver::names;
use crate::apiserver::object::JsonObject;
use crate::apiserver::select::selects;

/// The most bytes of all annotations of an object, and of all data of a ConfigMap or Secret.
const MAX_ANNOTATIONS: usize = 256 * 1024;
const MAX_DATA: usize = 1024 * 1024;

pub(super) fn metadata(fields: &JsonObject, path: &str, report: &mut ValidationReport) {
    labels(fields, path, "labels", report);
    let field = below(path, "annotations");
    let mut size = 0;
    for (name, value) in object(fields, "annotations").into_iter().flatten() {
        for wrong in names::qualified(&name.to_lowercase()) {
            report.invalid(field.clone(), &json!(name), &wrong);
        }
        size += name.len() + value.as_str().map_or(0, str::len);
    }
    if size > MAX_ANNOTATIONS {
        report.too_long(field, MAX_ANNOTATIONS);
    }
    for (index, finalizer) in items(fields, "finalizers").iter().enumerate() {
        let name = finalizer.as_str().unwrap_or_default();
        let field = format!("{}[{index}]", below(path, "finalizers"));
        let standard = ["kubernetes", "orphan", "foregroundDeletion"].contains(&name);
        match names::qualified(name) {
            wrong if !wrong.is_empty() => report.invalid(field, finalizer, &wrong[0]),
            _ if !standard && !name.contains('/') => {
                report.invalid(field, finalizer, "name is neither a standard finalizer name nor is it fully qualified");
            }
            _ => {}
        }
    }
    for (index, owner) in items(fields, "ownerReferences").iter().enumerate() {
        for name in ["apiVersion", "kind", "name", "uid"] {
            if owner.get(name).is_none_or(is_zero) {
                let field = format!("{}[{index}].{name}", below(path, "ownerReferences"));
                report.invalid(field, &json!(""), &format!("{name} must not be empty"));
            }
        }
    }
}

pub(super) fn labels(fields: &JsonObject, path: &str, name: &str, report: &mut ValidationReport) {
    let field = below(path, name);
    for (label, value) in object(fields, name).into_iter().flatten() {
        for wrong in names::qualified(label) {
            report.invalid(field.clone(), &json!(label), &wrong);
        }
        if let Some(wrong) = names::label_value(value.as_str().unwrap_or_default()) {
            report.invalid(field.clone(), value, &wrong);
        }
    }
}

pub(super) fn label_selector(fields: &JsonObject, path: &str, report: &mut ValidationReport) {
    labels(fields, path, "matchLabels", report);
    for (index, expression) in items(fields, "matchExpressions").iter().filter_map(Value::as_object).enumerate() {
        let field = |name: &str| format!("{}[{index}].{name}", below(path, "matchExpressions"));
        let empty = items(expression, "values").is_empty();
        match text(expression, "operator") {
            "In" | "NotIn" if empty => {
                report.required(field("values"), "must be specified when `operator` is 'In' or 'NotIn'");
            }
            "Exists" | "DoesNotExist" if !empty => {
                let detail = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
                report.add("FieldValueForbidden", field("values"), "Forbidden", detail);
            }
            "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
            other => report.invalid(field("operator"), &json!(other), "not a valid selector operator"),
        }
    }
}

/// The rules that Deployments, ReplicaSets, StatefulSets and DaemonSets have in common.
pub(super) fn workload(fields: &JsonObject, path: &str, report: &mut ValidationReport) {
    let template = fields.get("template").unwrap_or(&Value::Null);
    let labels = template.pointer("/metadata/labels").unwrap_or(&Value::Null);
    let selector = object(fields, "selector");
    let selected = selector.is_some_and(|selector| selects(selector, labels.as_object().unwrap_or(&JsonObject::new())));
    match selector {
        Some(selector) if selector.values().all(is_zero) => {
            report.invalid(below(path, "selector"), &json!({}), "empty selector is invalid for deployment");
        }
        _ if !selected => {
            let field = below(path, "template.metadata.labels");
            report.invalid(field, labels, "`selector` does not match template `labels`");
        }
        _ => {}
    }
    let policy = template.pointer("/spec/restartPolicy").unwrap_or(&Value::Null);
    if ["Never", "OnFailure"].iter().any(|other| policy == other) {
        report.unsupported(below(path, "template.spec.restartPolicy"), policy, ["Always"]);
    }
    let seconds = |name: &str| fields.get(name).and_then(Value::as_i64).unwrap_or(0);
    if let Some(deadline) =
        fields.get("progressDeadlineSeconds").filter(|d| d.as_i64() <= Some(seconds("minReadySeconds")))
    {
        report.invalid(below(path, "progressDeadlineSeconds"), deadline, "must be greater than minReadySeconds");
    }
}

pub(super) fn deployment_strategy(fields: &JsonObject, path: &str, report: &mut ValidationReport) {
    let kind = text(fields, "type");
    let rolling = fields.get("rollingUpdate").unwrap_or(&Value::Null);
    match kind {
        "RollingUpdate" => {
            let none = |name: &str| rolling.get(name).is_some_and(|v| v == 0 || v == "0%");
            if none("maxUnavailable") && none("maxSurge") {
                let field = below(path, "rollingUpdate.maxUnavailable");
                report.invalid(field, &rolling["maxUnavailable"], "may not be 0 when `maxSurge` is 0");
            }
        }
        "Recreate" if !rolling.is_null() => {
            let detail = "may not be specified when strategy `type` is 'Recreate'";
            report.add("FieldValueForbidden", below(path, "rollingUpdate"), "Forbidden", detail);
        }
        "Recreate" => {}
        other => {
            report.unsupported(
                path.to_owned(),
                &json!({"Type": other, "RollingUpdate": rolling}),
                ["Recreate", "RollingUpdate"],
            );
        }
    }
}

pub(super) fn job(fields: &JsonObject, path: &str, report: &mut ValidationReport) {
    let policy = fields.get("template").and_then(|t| t.pointer("/spec/restartPolicy")).unwrap_or(&Value::Null);
    if policy == "Always" {
        let field = below(path, "template.spec.restartPolicy");
        report.required(field, "valid values: \"OnFailure\", \"Never\"");
    }
}

pub(super) fn data(fields: &JsonObject, path: &str, report: &mut ValidationReport) {
    let mut size = 0;
    let lists = ["data", "binaryData"];
    for list in lists {
        for (key, value) in object(fields, list).into_iter().flatten() {
            let field = format!("{}[{key}]", below(path, list));
            size += value.as_str().map_or(0, str::len);
            if let Some(wrong) = names::config_key(key) {
                report.invalid(field, &json!(key), &wrong);
            } else if list == "binaryData" && object(fields, "data").is_some_and(|data| data.contains_key(key)) {
                report.invalid(field, &json!(key), "duplicate of key present in data");
            }
        }
    }
    if size > MAX_DATA {
        report.too_long(below(path, "data"), MAX_DATA);
    }
    let needed: &[&str] = match text(fields, "type") {
        "kubernetes.io/tls" => &["tls.crt", "tls.key"],
        "kubernetes.io/dockerconfigjson" => &[".dockerconfigjson"],
        "kubernetes.io/ssh-auth" => &["ssh-privatekey"],
        _ => &[],
    };
    for key in needed.iter().filter(|key| object(fields, "data").is_none_or(|data| !data.contains_key(**key))) {
        report.required(format!("{}[{key}]", below(path, "data")), "");
    }
}

pub(super) fn claim(fields: &JsonObject, path: &str, report: &mut ValidationReport) {
    const MODES: [&str; 4] = ["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"];
    let modes = items(fields, "accessModes");
    if modes.is_empty() {
        report.required(below(path, "accessModes"), "at least 1 access mode is required");
    }
    for mode in modes.iter().filter(|mode| !MODES.iter().any(|known| *mode == known)) {
        report.unsupported(below(path, "accessModes"), mode, MODES);
    }
    super::amounts::claim(fields, path, report);
}

pub(super) fn policy_rule(fields: &JsonObject, path: &str, report: &mut ValidationReport) {
    let empty = |name: &str| items(fields, name).is_empty();
    if empty("verbs") {
        report.required(below(path, "verbs"), "verbs must contain at least one value");
    }
    if !empty("nonResourceURLs") {
        if !empty("apiGroups") || !empty("resources") || !empty("resourceNames") {
            let detail = "rules cannot apply to both regular resources and non-resource URLs";
            report.invalid(below(path, "nonResourceURLs"), &fields["nonResourceURLs"], detail);
        }
        return;
    }
    if empty("apiGroups") {
        report.required(below(path, "apiGroups"), "resource rules must supply at least one api group");
    }
    if empty("resources") {
        report.required(below(path, "resources"), "resource rules must supply at least one resource");
    }
}

pub(super) fn role_ref(fields: &JsonObject, path: &str, report: &mut ValidationReport) {
    const GROUP: &str = "rbac.authorization.k8s.io";
    if text(fields, "apiGroup") != GROUP {
        report.unsupported(below(path, "apiGroup"), &json!(text(fields, "apiGroup")), [GROUP]);
    }
    if !["Role", "ClusterRole"].contains(&text(fields, "kind")) {
        report.unsupported(below(path, "kind"), &json!(text(fields, "kind")), ["Role", "ClusterRole"]);
    }
}

pub(super) fn subject(fields: &JsonObject, path: &str, report: &mut ValidationReport) {
    const KINDS: [&str; 3] = ["ServiceAccount", "User", "Group"];
    let kind = text(fields, "kind");
    if !KINDS.contains(&kind) {
        report.unsupported(below(path, "kind"), &json!(kind), KINDS);
    }
}

/// A service account without a namespace is in that of its RoleBinding. A ClusterRoleBinding has no namespace.
pub(super) fn cluster_role_binding(fields: &JsonObject, path: &str, report: &mut ValidationReport) {
    let subjects = items(fields, "subjects").iter().filter_map(Value::as_object).enumerate();
    for (index, subject) in subjects.filter(|(_, subject)| text(subject, "kind") == "ServiceAccount") {
        if text(subject, "namespace").is_empty() {
            report.required(format!("{}[{index}].namespace", below(path, "subjects")), "");
        }
    }
}

pub(super) fn disruption_budget(fields: &JsonObject, path: &str, report: &mut ValidationReport) {
    if fields.get("minAvailable").is_some() && fields.get("maxUnavailable").is_some() {
        let detail = "minAvailable and maxUnavailable cannot be both set";
        report.invalid(path.to_owned(), &Value::Object(fields.clone()), detail);
    }
}
