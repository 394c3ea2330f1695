//! What the server fills in: the schema's defaults, and those that depend on the kind or on other fields.

mod kinds;
mod pods;
mod workloads;

use serde_json::{Value, json};

use super::canonical::canonicalize;
use super::object::JsonObject;
use super::schema::{ApiSchema, SchemaType, TypeId};

/// Brings an object that fits its schema into canonical form and fills in all defaults. A second pass changes nothing.
pub fn apply(schema: &ApiSchema, id: TypeId, object: &mut Value) {
    canonicalize(schema, id, object);
    fill_below(schema, id, object);
}

fn fill_below(schema: &ApiSchema, id: TypeId, value: &mut Value) {
    match (schema.get(id), &mut *value) {
        (SchemaType::Struct(struct_type), Value::Object(fields)) => {
            if let Some(fill) = filler(&struct_type.name) {
                fill(fields);
            }
            for (name, value) in fields.iter_mut() {
                if let Some(field) = struct_type.fields.get(name) {
                    fill_below(schema, field.type_id, value);
                }
            }
            if struct_type.name == "core.v1.Pod" {
                pods::pod_resources(fields);
            }
        }
        (SchemaType::Map { values, .. }, Value::Object(fields)) => {
            fields.values_mut().for_each(|value| fill_below(schema, *values, value));
        }
        (SchemaType::List(list), Value::Array(items)) => {
            items.iter_mut().for_each(|item| fill_below(schema, list.items, item));
        }
        _ => {}
    }
}

/// The function that fills in the defaults of a type. It runs before those of the types within it.
fn filler(name: &str) -> Option<fn(&mut JsonObject)> {
    Some(match name {
        "apps.v1.Deployment" => workloads::deployment,
        "apps.v1.ReplicaSet" => |fields| set(within(fields, "spec"), "replicas", json!(1)),
        "apps.v1.StatefulSet" => workloads::stateful_set,
        "apps.v1.DaemonSet" => workloads::daemon_set,
        "batch.v1.Job" => workloads::job,
        "batch.v1.CronJob" => workloads::cron_job,
        "core.v1.PodSpec" => pods::pod_spec,
        "core.v1.Pod" => pods::pod,
        "core.v1.Container" | "core.v1.EphemeralContainer" => pods::container,
        "core.v1.Probe" => pods::probe,
        "core.v1.HTTPGetAction" => |fields| set_all(fields, &[("path", json!("/")), ("scheme", json!("HTTP"))]),
        "core.v1.GRPCAction" => |fields| set(fields, "service", json!("")),
        "core.v1.Volume" => pods::volume,
        "core.v1.SecretVolumeSource"
        | "core.v1.ConfigMapVolumeSource"
        | "core.v1.DownwardAPIVolumeSource"
        | "core.v1.ProjectedVolumeSource" => |fields| set(fields, "defaultMode", json!(0o644)),
        "core.v1.HostPathVolumeSource" => |fields| set(fields, "type", json!("")),
        "core.v1.ServiceAccountTokenProjection" => |fields| set(fields, "expirationSeconds", json!(3600)),
        "core.v1.ObjectFieldSelector" => |fields| set(fields, "apiVersion", json!("v1")),
        "core.v1.Service" => kinds::service,
        "core.v1.Secret" => kinds::secret,
        "core.v1.Namespace" => kinds::namespace,
        "core.v1.PersistentVolumeClaim" => |fields| set(within(fields, "status"), "phase", json!("Pending")),
        "core.v1.PersistentVolumeClaimSpec" => |fields| set(fields, "volumeMode", json!("Filesystem")),
        "core.v1.PersistentVolume" => kinds::persistent_volume,
        "core.v1.LimitRangeItem" => kinds::limit_range_item,
        "networking.v1.NetworkPolicy" => kinds::network_policy,
        "networking.v1.NetworkPolicyPort" | "discovery.v1.EndpointPort" => {
            |fields| set(fields, "protocol", json!("TCP"))
        }
        "rbac.v1.RoleBinding" | "rbac.v1.ClusterRoleBinding" => {
            |fields| set(within(fields, "roleRef"), "apiGroup", json!("rbac.authorization.k8s.io"))
        }
        "rbac.v1.Subject" => kinds::subject,
        "autoscaling.v2.HorizontalPodAutoscaler" => workloads::autoscaler,
        "autoscaling.v1.HorizontalPodAutoscaler" => |fields| set(within(fields, "spec"), "minReplicas", json!(1)),
        "storage.v1.StorageClass" => |fields| {
            set_all(fields, &[("reclaimPolicy", json!("Delete")), ("volumeBindingMode", json!("Immediate"))]);
        },
        "scheduling.v1.PriorityClass" => |fields| set(fields, "preemptionPolicy", json!("PreemptLowerPriority")),
        _ => return None,
    })
}

/// Sets a field that is absent, null or the empty text.
fn set(fields: &mut JsonObject, name: &str, value: Value) {
    if fields.get(name).is_none_or(|value| value.is_null() || value == "") {
        fields.insert(name.to_owned(), value);
    }
}

fn set_all(fields: &mut JsonObject, defaults: &[(&str, Value)]) {
    defaults.iter().for_each(|(name, value)| set(fields, name, value.clone()));
}

/// The object in a field, which is added if it is absent.
fn within<'a>(fields: &'a mut JsonObject, name: &str) -> &'a mut JsonObject {
    let value = fields.entry(name).or_insert(Value::Null);
    if !value.is_object() {
        *value = Value::Object(JsonObject::new());
    }
    match value {
        Value::Object(fields) => fields,
        _ => unreachable!("it was made an object"),
    }
}

fn text<'a>(fields: &'a JsonObject, name: &str) -> &'a str {
    fields.get(name).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests;
