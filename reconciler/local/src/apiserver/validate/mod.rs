//! What of an object the server refuses.
//!
//! In this order: [`drop_unknown`] and [`decode`] on what was sent; then, with all defaults filled in, [`values`].

mod amounts;
mod autoscaling;
mod decode;
mod kinds;
mod networks;
mod pods;
mod rules;
mod schedules;
mod volumes;

pub use decode::{decode, drop_unknown};

use super::schema::{Schema, Shape, TypeId};
use serde_json::{Map, Value};

/// A value that is refused: one line of `status.details.causes`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Such as `FieldValueInvalid`.
    pub reason: &'static str,
    /// The field, such as `spec.ports[0].port`.
    pub field: String,
    /// What is wrong, such as `Required value`.
    pub message: String,
}

/// All values of a complete object that are refused. Names and what may not change are judged elsewhere; the status is
/// not judged.
pub fn values(schema: &Schema, id: TypeId, object: &Value) -> Vec<Violation> {
    let mut report = Report::default();
    walk(schema, id, object, "", &mut report);
    report.0
}

/// What was found so far.
#[derive(Default)]
struct Report(Vec<Violation>);

impl Report {
    fn add(&mut self, reason: &'static str, field: String, what: &str, detail: &str) {
        let message = if detail.is_empty() { what.to_owned() } else { format!("{what}: {detail}") };
        self.0.push(Violation { reason, field, message });
    }

    fn required(&mut self, field: String, detail: &str) {
        self.add("FieldValueRequired", field, "Required value", detail);
    }

    fn invalid(&mut self, field: String, value: &Value, detail: &str) {
        self.add("FieldValueInvalid", field, &format!("Invalid value: {value}"), detail);
    }

    fn duplicate(&mut self, field: String, value: &Value) {
        self.add("FieldValueDuplicate", field, &format!("Duplicate value: {value}"), "");
    }

    fn not_found(&mut self, field: String, value: &str) {
        self.add("FieldValueNotFound", field, &format!("Not found: {value:?}"), "");
    }

    fn too_long(&mut self, field: String, limit: usize) {
        self.add("FieldValueTooLong", field, "Too long", &format!("may not be more than {limit} bytes"));
    }

    fn unsupported<'a>(&mut self, field: String, value: &Value, allowed: impl IntoIterator<Item = &'a str>) {
        let allowed: Vec<_> = allowed.into_iter().map(|value| format!("{value:?}")).collect();
        let detail = format!("supported values: {}", allowed.join(", "));
        self.add("FieldValueNotSupported", field, &format!("Unsupported value: {value}"), &detail);
    }
}

/// A field's path below another.
fn below(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

fn walk(schema: &Schema, id: TypeId, value: &Value, path: &str, report: &mut Report) {
    match (schema.get(id), value) {
        (Shape::Struct(shape), Value::Object(fields)) => {
            rules::check_fields(schema, shape, fields, path, report);
            if let Some(check) = special(&shape.name) {
                check(fields, path, report);
            }
            for (name, value) in fields {
                let status = path.is_empty() && name == "status";
                if let Some(field) = shape.fields.get(name).filter(|_| !status) {
                    walk(schema, field.type_id, value, &below(path, name), report);
                }
            }
        }
        (Shape::Map { values, .. }, Value::Object(fields)) => {
            for (name, value) in fields {
                walk(schema, *values, value, &format!("{path}[{name}]"), report);
            }
        }
        (Shape::List(list), Value::Array(items)) => {
            for (place, item) in items.iter().enumerate() {
                walk(schema, list.items, item, &format!("{path}[{place}]"), report);
            }
        }
        _ => {}
    }
}

type Special = fn(&Map<String, Value>, &str, &mut Report);

/// The rules of a type that concern several of its fields.
fn special(name: &str) -> Option<Special> {
    Some(match name {
        "meta.v1.ObjectMeta" => kinds::metadata,
        "meta.v1.LabelSelector" => kinds::label_selector,
        "apps.v1.DeploymentSpec" | "apps.v1.ReplicaSetSpec" | "apps.v1.StatefulSetSpec" | "apps.v1.DaemonSetSpec" => {
            kinds::workload
        }
        "apps.v1.DeploymentStrategy" => kinds::deployment_strategy,
        "batch.v1.JobSpec" => kinds::job,
        "batch.v1.CronJobSpec" => schedules::cron_job,
        "core.v1.ConfigMap" | "core.v1.Secret" => kinds::data,
        "core.v1.ServiceSpec" => networks::service,
        "core.v1.ServicePort" => networks::service_port,
        "core.v1.PersistentVolumeClaimSpec" => kinds::claim,
        "core.v1.ResourceQuotaSpec" => amounts::quota,
        "core.v1.PodSpec" => pods::pod,
        "core.v1.Container" => pods::container,
        "core.v1.ContainerPort" => pods::port,
        "core.v1.EnvVar" => pods::env,
        "core.v1.ResourceRequirements" => amounts::resources,
        "core.v1.EnvFromSource" => pods::env_from,
        "core.v1.ConfigMapEnvSource" | "core.v1.SecretEnvSource" => {
            |fields, path, report| volumes::named(fields, path, "name", report)
        }
        "core.v1.ConfigMapKeySelector" | "core.v1.SecretKeySelector" => pods::key_of,
        "core.v1.Probe" => pods::probe,
        "core.v1.LifecycleHandler" => pods::lifecycle,
        "core.v1.ExecAction" => |fields, path, report| {
            if kinds::items(fields, "command").is_empty() {
                report.required(below(path, "command"), "");
            }
        },
        "core.v1.ConfigMapVolumeSource" => volumes::config_map,
        "core.v1.SecretVolumeSource" => volumes::secret,
        "core.v1.DownwardAPIVolumeSource" | "core.v1.ProjectedVolumeSource" => volumes::files,
        "core.v1.KeyToPath" | "core.v1.DownwardAPIVolumeFile" => volumes::file,
        "core.v1.HostPathVolumeSource" => volumes::host_path,
        "core.v1.VolumeMount" => volumes::mount,
        "autoscaling.v2.MetricSpec" => autoscaling::metric,
        "autoscaling.v2.ResourceMetricSource" | "autoscaling.v2.ContainerResourceMetricSource" => autoscaling::resource,
        "autoscaling.v2.PodsMetricSource" => autoscaling::pods,
        "autoscaling.v2.ObjectMetricSource" | "autoscaling.v2.ExternalMetricSource" => autoscaling::other,
        "autoscaling.v2.MetricTarget" => autoscaling::target,
        "networking.v1.NetworkPolicySpec" => networks::policy,
        "networking.v1.NetworkPolicyPeer" => networks::peer,
        "networking.v1.IngressSpec" => networks::ingress,
        "networking.v1.HTTPIngressPath" => networks::ingress_path,
        "networking.v1.IngressServiceBackend" => networks::ingress_backend,
        "networking.v1.NetworkPolicyPort" => networks::policy_port,
        "networking.v1.IPBlock" => networks::ip_block,
        "rbac.v1.PolicyRule" => kinds::policy_rule,
        "rbac.v1.RoleRef" => kinds::role_ref,
        "rbac.v1.Subject" => kinds::subject,
        "rbac.v1.ClusterRoleBinding" => kinds::cluster_role_binding,
        "autoscaling.v2.HorizontalPodAutoscalerSpec" => autoscaling::autoscaler,
        "policy.v1.PodDisruptionBudgetSpec" => kinds::disruption_budget,
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
