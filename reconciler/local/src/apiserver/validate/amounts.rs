//! Amounts of resources: which names they have, and which are whole numbers.

use serde_json::{Value, json};

use super::{ValidationReport, below, items, object, text};
use crate::apiserver::names;
use crate::apiserver::object::JsonObject;
use crate::apiserver::quantity::Quantity;

const OF_CONTAINERS: [&str; 3] = ["cpu", "memory", "ephemeral-storage"];

/// What a quota counts in whole numbers.
const COUNTED: [&str; 9] = [
    "pods",
    "resourcequotas",
    "services",
    "replicationcontrollers",
    "secrets",
    "configmaps",
    "persistentvolumeclaims",
    "services.nodeports",
    "services.loadbalancers",
];

const OF_QUOTAS: [&str; 10] = [
    "cpu",
    "memory",
    "ephemeral-storage",
    "requests.cpu",
    "requests.memory",
    "requests.storage",
    "requests.ephemeral-storage",
    "limits.cpu",
    "limits.memory",
    "limits.ephemeral-storage",
];

const SCOPES: [&str; 7] = [
    "BestEffort",
    "CrossNamespacePodAffinity",
    "NotBestEffort",
    "NotTerminating",
    "PriorityClass",
    "Terminating",
    "VolumeAttributesClass",
];

/// The requests and limits of a container or pod.
pub(super) fn resources(fields: &JsonObject, path: &str, report: &mut ValidationReport) {
    for list in ["limits", "requests"] {
        not_negative(fields, path, list, report);
        for (name, amount) in object(fields, list).into_iter().flatten() {
            let field = format!("{}[{name}]", below(path, list));
            let huge = name.starts_with("hugepages-");
            let standard = huge || is_quota_name(name);
            let fits = huge || OF_CONTAINERS.contains(&name.as_str());
            check_name(name, standard, fits, "must be a standard resource for containers", &field, report);
            if is_extended(name) {
                check_whole(amount, &field, report);
            }
        }
    }
    let none = JsonObject::new();
    let limits = object(fields, "limits").unwrap_or(&none);
    for (name, request) in object(fields, "requests").unwrap_or(&none) {
        let limit = limits.get(name);
        let overcommits = !is_extended(name) && !name.starts_with("hugepages-");
        let Some((limit, most)) = limit.and_then(|limit| Some((limit, parse(limit)?))) else {
            if !overcommits {
                report.required(below(path, "limits"), "Limit must be set for non overcommitable resources");
            }
            continue;
        };
        let shown = limit.as_str().unwrap_or_default();
        match parse(request) {
            Some(asked) if overcommits && asked > most => {
                let detail = format!("must be less than or equal to {name} limit of {shown}");
                report.invalid(below(path, "requests"), request, &detail);
            }
            Some(asked) if !overcommits && asked != most => {
                report.invalid(below(path, "requests"), request, &format!("must be equal to {name} limit of {shown}"));
            }
            _ => {}
        }
    }
}

pub(super) fn quota(fields: &JsonObject, path: &str, report: &mut ValidationReport) {
    not_negative(fields, path, "hard", report);
    for (name, amount) in object(fields, "hard").into_iter().flatten() {
        let field = format!("{}[{name}]", below(path, "hard"));
        let known = is_quota_name(name);
        check_name(name, known, known, "must be a standard resource for quota", &field, report);
        if COUNTED.contains(&name.as_str()) || name.starts_with("count/") {
            check_whole(amount, &field, report);
        }
    }
    let scopes = items(fields, "scopes");
    let has = |scope: &str| scopes.iter().any(|s| s == scope);
    if scopes.iter().any(|scope| !SCOPES.iter().any(|known| scope == known)) {
        report.invalid(below(path, "scopes"), &fields["scopes"], "unsupported scope");
    } else if (has("BestEffort") && has("NotBestEffort")) || (has("Terminating") && has("NotTerminating")) {
        report.invalid(below(path, "scopes"), &fields["scopes"], "conflicting scopes");
    }
}

/// The storage that a claim requests.
pub(super) fn claim(fields: &JsonObject, path: &str, report: &mut ValidationReport) {
    let field = below(path, "resources[storage]");
    let storage = fields.get("resources").and_then(|r| r.pointer("/requests/storage"));
    match storage.map(|storage| (storage, parse(storage))) {
        None => report.required(field, ""),
        Some((shown, Some(amount))) if amount.is_negative() || shown == "0" => {
            report.invalid(field, shown, "must be greater than zero");
        }
        Some(_) => {}
    }
}

fn not_negative(fields: &JsonObject, path: &str, list: &str, report: &mut ValidationReport) {
    for (name, amount) in object(fields, list).into_iter().flatten() {
        if parse(amount).is_some_and(|quantity| quantity.is_negative()) {
            let field = format!("{}[{name}]", below(path, list));
            report.invalid(field, amount, "must be greater than or equal to 0");
        }
    }
}

fn check_name(name: &str, standard: bool, fits: bool, unfit: &str, field: &str, report: &mut ValidationReport) {
    let broken = names::qualified(name);
    for wrong in &broken {
        report.invalid(field.to_owned(), &json!(name), wrong);
    }
    if name.contains('/') {
        return;
    }
    if broken.is_empty() && !standard {
        report.invalid(field.to_owned(), &json!(name), "must be a standard resource type or fully qualified");
    }
    if !fits {
        report.invalid(field.to_owned(), &json!(name), unfit);
    }
}

fn check_whole(amount: &Value, field: &str, report: &mut ValidationReport) {
    if parse(amount).is_some_and(|quantity| !quantity.is_whole()) {
        report.invalid(field.to_owned(), amount, "must be an integer");
    }
}

fn is_quota_name(name: &str) -> bool {
    let huge = name.strip_prefix("requests.").unwrap_or(name).starts_with("hugepages-");
    huge || OF_QUOTAS.contains(&name) || COUNTED.contains(&name)
}

/// Whether a resource is defined by somebody else than Kubernetes.
fn is_extended(name: &str) -> bool {
    name.split_once('/').is_some_and(|(domain, _)| !domain.ends_with("kubernetes.io"))
}

fn parse(amount: &Value) -> Option<Quantity> {
    amount.as_str()?.parse().ok()
}

/// Whether a field is a quantity above zero.
pub(super) fn is_positive(fields: &JsonObject, name: &str) -> bool {
    text(fields, name).parse::<Quantity>().is_ok_and(|amount| !amount.is_negative() && !amount.is_zero())
}
