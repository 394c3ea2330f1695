//! Which rules concern one field each, as a table.

use serde_json::Value;

use super::{ValidationReport, below};
use crate::apiserver::canonical::is_zero;
use crate::apiserver::names;
use crate::apiserver::object::JsonObject;
use crate::apiserver::schema::{ApiSchema, SchemaType, StructType};

enum FieldRule {
    AtLeast(i64),
    Port,
    /// A DNS label.
    Label,
    NumberOrPercentage,
    /// A number, or a percentage up to 100.
    NumberOrPart,
}

const PERCENT: &str = "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or \
                       '93%', regex used for validation is '[0-9]+%')";
const NOT_NEGATIVE: FieldRule = FieldRule::AtLeast(0);

/// The type, the fields that follow a rule if they are present, and the rule.
const RULES: [(&str, &[&str], FieldRule); 19] = [
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
    ("core.v1.ServicePort", &["port", "targetPort"], FieldRule::Port),
    ("core.v1.HTTPGetAction", &["port"], FieldRule::Port),
    ("core.v1.TCPSocketAction", &["port"], FieldRule::Port),
    ("core.v1.GRPCAction", &["port"], FieldRule::Port),
    ("core.v1.Volume", &["name"], FieldRule::Label),
    ("core.v1.Container", &["name"], FieldRule::Label),
    ("apps.v1.RollingUpdateDeployment", &["maxSurge"], FieldRule::NumberOrPercentage),
    ("apps.v1.RollingUpdateDeployment", &["maxUnavailable"], FieldRule::NumberOrPart),
    ("apps.v1.RollingUpdateDaemonSet", &["maxSurge", "maxUnavailable"], FieldRule::NumberOrPart),
    ("apps.v1.RollingUpdateStatefulSetStrategy", &["maxUnavailable"], FieldRule::NumberOrPart),
    ("policy.v1.PodDisruptionBudgetSpec", &["minAvailable", "maxUnavailable"], FieldRule::NumberOrPart),
];

/// Required fields that may be empty, or whose absence has a message of its own.
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

/// Checks that required fields are present, that fields have one of the allowed values, and the rules of the table.
pub(super) fn check_fields(
    schema: &ApiSchema,
    struct_type: &StructType,
    fields: &JsonObject,
    path: &str,
    report: &mut ValidationReport,
) {
    let name = struct_type.name.as_str();
    for required in &struct_type.required {
        let Some(field) = struct_type.fields.get(required) else { continue };
        let value = fields.get(required).unwrap_or(&Value::Null);
        let missing = match schema.get(field.type_id) {
            SchemaType::String | SchemaType::List(_) => is_zero(value),
            SchemaType::Int32 | SchemaType::Int64 | SchemaType::Number | SchemaType::Boolean => false,
            _ => value.is_null(),
        };
        if missing && !MAY_BE_EMPTY.contains(&(name, required.as_str())) {
            report.required(below(path, required), "");
        }
    }
    for (field_name, value) in fields {
        let allowed = struct_type.fields.get(field_name).and_then(|field| field.allowed.as_ref());
        let has_own_message = name == "apps.v1.DeploymentStrategy";
        if let Some(allowed) =
            allowed.filter(|allowed| !has_own_message && !value.is_null() && !allowed.contains(value))
        {
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

impl FieldRule {
    fn check(&self, value: &Value, path: &str, report: &mut ValidationReport) {
        match (self, value) {
            (Self::AtLeast(least), Value::Number(number)) if number.as_i64().is_some_and(|n| n < *least) => {
                report.invalid(path.to_owned(), value, &format!("must be greater than or equal to {least}"));
            }
            (Self::NumberOrPercentage | Self::NumberOrPart, Value::Number(number))
                if number.as_i64().is_some_and(|n| n < 0) =>
            {
                report.invalid(path.to_owned(), value, "must be greater than or equal to 0");
            }
            (Self::NumberOrPercentage | Self::NumberOrPart, Value::String(text)) => {
                match text.strip_suffix('%').map(str::parse::<u32>) {
                    Some(Ok(percent)) if percent > 100 && matches!(self, Self::NumberOrPart) => {
                        report.invalid(path.to_owned(), value, "must not be greater than 100%");
                    }
                    Some(Ok(_)) => {}
                    _ => report.invalid(path.to_owned(), value, PERCENT),
                }
            }
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
pub(super) fn port(value: &Value, path: &str, report: &mut ValidationReport) {
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
