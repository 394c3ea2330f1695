//! The rules that concern one field each, as a table.

use super::{Report, below};
use crate::apiserver::canonical::is_zero;
use crate::apiserver::names;
use crate::apiserver::schema::{Schema, Shape, Struct};
use serde_json::{Map, Value};

enum Rule {
    AtLeast(i64),
    Port,
    Label,
    /// A number or a percentage.
    Share,
    /// A number, or a percentage up to 100.
    Part,
}

const PERCENT: &str = "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or \
                       '93%', regex used for validation is '[0-9]+%')";
const NOT_NEGATIVE: Rule = Rule::AtLeast(0);

/// The fields of a type that follow a rule, if they are there.
const RULES: [(&str, &[&str], Rule); 19] = [
    (
        "apps.v1.DeploymentSpec",
        &["replicas", "minReadySeconds", "revisionHistoryLimit", "progressDeadlineSeconds"],
        NOT_NEGATIVE,
    ),
    ("apps.v1.ReplicaSetSpec", &["replicas", "minReadySeconds"], NOT_NEGATIVE),
    ("apps.v1.StatefulSetSpec", &["replicas", "minReadySeconds", "revisionHistoryLimit"], NOT_NEGATIVE),
    ("apps.v1.DaemonSetSpec", &["minReadySeconds", "revisionHistoryLimit"], NOT_NEGATIVE),
    (
        "batch.v1.JobSpec",
        &["parallelism", "completions", "activeDeadlineSeconds", "backoffLimit", "ttlSecondsAfterFinished"],
        NOT_NEGATIVE,
    ),
    (
        "batch.v1.CronJobSpec",
        &["startingDeadlineSeconds", "successfulJobsHistoryLimit", "failedJobsHistoryLimit"],
        NOT_NEGATIVE,
    ),
    ("core.v1.PodSpec", &["terminationGracePeriodSeconds"], NOT_NEGATIVE),
    (
        "core.v1.Probe",
        &["initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"],
        NOT_NEGATIVE,
    ),
    ("core.v1.ServicePort", &["port", "targetPort"], Rule::Port),
    ("core.v1.HTTPGetAction", &["port"], Rule::Port),
    ("core.v1.TCPSocketAction", &["port"], Rule::Port),
    ("core.v1.GRPCAction", &["port"], Rule::Port),
    ("core.v1.Volume", &["name"], Rule::Label),
    ("core.v1.Container", &["name"], Rule::Label),
    ("apps.v1.RollingUpdateDeployment", &["maxSurge"], Rule::Share),
    ("apps.v1.RollingUpdateDeployment", &["maxUnavailable"], Rule::Part),
    ("apps.v1.RollingUpdateDaemonSet", &["maxSurge", "maxUnavailable"], Rule::Part),
    ("apps.v1.RollingUpdateStatefulSetStrategy", &["maxUnavailable"], Rule::Part),
    ("policy.v1.PodDisruptionBudgetSpec", &["minAvailable", "maxUnavailable"], Rule::Part),
];

/// Required fields that may be empty, or whose absence is said in other words.
const MAY_BE_EMPTY: [(&str, &str); 8] = [
    ("core.v1.HTTPHeader", "value"),
    ("core.v1.Sysctl", "value"),
    ("networking.v1.HTTPIngressPath", "pathType"),
    ("networking.v1.IPBlock", "cidr"),
    ("rbac.v1.PolicyRule", "verbs"),
    ("rbac.v1.RoleRef", "kind"),
    ("rbac.v1.Subject", "kind"),
    ("batch.v1.CronJobSpec", "schedule"),
];

/// Checks each field of a struct for itself: required ones, those of a few allowed values, and those in the table.
pub(super) fn check_fields(
    schema: &Schema,
    shape: &Struct,
    fields: &Map<String, Value>,
    path: &str,
    report: &mut Report,
) {
    let name = shape.name.as_str();
    for required in &shape.required {
        let Some(field) = shape.fields.get(required) else { continue };
        let value = fields.get(required).unwrap_or(&Value::Null);
        let missing = match schema.get(field.type_id) {
            Shape::String | Shape::List(_) => is_zero(value),
            Shape::Int32 | Shape::Int64 | Shape::Number | Shape::Boolean => false,
            _ => value.is_null(),
        };
        if missing && !MAY_BE_EMPTY.contains(&(name, required.as_str())) {
            report.required(below(path, required), "");
        }
    }
    for (field_name, value) in fields {
        let allowed = shape.fields.get(field_name).and_then(|field| field.allowed.as_ref());
        let own_words = name == "apps.v1.DeploymentStrategy";
        if let Some(allowed) = allowed.filter(|allowed| !own_words && !value.is_null() && !allowed.contains(value)) {
            report.unsupported(below(path, field_name), value, allowed.iter().filter_map(Value::as_str));
        }
    }
    for (_, names, rule) in RULES.iter().filter(|(of, ..)| *of == name) {
        for field in *names {
            if let Some(value) = fields.get(*field).filter(|value| !value.is_null()) {
                rule.check(value, &below(path, field), report);
            }
        }
    }
}

impl Rule {
    fn check(&self, value: &Value, path: &str, report: &mut Report) {
        match (self, value) {
            (Self::AtLeast(least), Value::Number(number)) if number.as_i64().is_some_and(|n| n < *least) => {
                report.invalid(path.to_owned(), value, &format!("must be greater than or equal to {least}"));
            }
            (Self::Share | Self::Part, Value::Number(number)) if number.as_i64().is_some_and(|n| n < 0) => {
                report.invalid(path.to_owned(), value, "must be greater than or equal to 0");
            }
            (Self::Share | Self::Part, Value::String(text)) => match text.strip_suffix('%').map(str::parse::<u32>) {
                Some(Ok(percent)) if percent > 100 && matches!(self, Self::Part) => {
                    report.invalid(path.to_owned(), value, "must not be greater than 100%");
                }
                Some(Ok(_)) => {}
                _ => report.invalid(path.to_owned(), value, PERCENT),
            },
            (Self::Port, _) => port(value, path, report),
            (Self::Label, Value::String(text)) if !text.is_empty() => {
                for wrong in names::dns_label(text) {
                    report.invalid(path.to_owned(), value, &wrong);
                }
            }
            _ => {}
        }
    }
}

/// A port by number or by name.
pub(super) fn port(value: &Value, path: &str, report: &mut Report) {
    match value {
        Value::Number(number) if !number.as_i64().is_some_and(|port| (1..=65535).contains(&port)) => {
            report.invalid(path.to_owned(), value, "must be between 1 and 65535, inclusive");
        }
        Value::String(name) => {
            if let Some(wrong) = port_name(name) {
                report.invalid(path.to_owned(), value, &wrong);
            }
        }
        _ => {}
    }
}

/// What is wrong with the name of a port (RFC 6335).
pub(super) fn port_name(name: &str) -> Option<String> {
    let inner = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
    let wrong = match name {
        _ if name.len() > 15 => "must be no more than 15 bytes",
        _ if !name.bytes().all(inner) => "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)",
        _ if !name.bytes().any(|c| c.is_ascii_lowercase()) => "must contain at least one letter (a-z)",
        _ if name.contains("--") => "must not contain consecutive hyphens",
        _ if name.starts_with('-') || name.ends_with('-') => "must not begin or end with a hyphen",
        _ => return None,
    };
    Some(wrong.to_owned())
}
