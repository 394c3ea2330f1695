//! The scale subresource: a workload's replicas as an `autoscaling/v1` Scale.

use serde_json::{Value, json};

use super::write::{ATTEMPTS, Modification, ObjectWriter, PatchType, patch_error};
use crate::apiserver::object::{self, JsonObject, at};
use crate::apiserver::resource_address::ResourceAddress;
use crate::apiserver::status::{ApiError, StatusCause};
use crate::apiserver::store::WriteRefusal;
use crate::apiserver::{admission, merge, select};

/// The Scale of a workload.
pub fn scale_of(workload: &Value) -> Value {
    let field = |name: &str| at(workload, &["metadata", name]).cloned().unwrap_or_default();
    let replicas = |part: &str| at(workload, &[part, "replicas"]).and_then(Value::as_i64).unwrap_or(0);
    let mut status = json!({"replicas": replicas("status")});
    let selector = selector(workload);
    if !selector.is_empty() {
        object::set_field(&mut status, "selector", selector.into());
    }
    json!({
        "kind": "Scale", "apiVersion": "autoscaling/v1",
        "metadata": {
            "name": field("name"), "namespace": field("namespace"), "uid": field("uid"),
            "resourceVersion": field("resourceVersion"), "creationTimestamp": field("creationTimestamp"),
        },
        "spec": {"replicas": replicas("spec")},
        "status": status,
    })
}

impl ObjectWriter<'_> {
    /// Modifies the Scale of a workload, and thereby the workload. Returns the new Scale, and warnings for the client.
    pub async fn scale(&self, modification: &Modification) -> Result<(Value, Vec<String>), ApiError> {
        for _ in 0..ATTEMPTS {
            let present = self.registry.find(self.address)?;
            let live = present.value();
            let mut wanted = modified_scale(&scale_of(&live), modification)?;
            let (api_version, kind) = self.address.body_type();
            admission::expect_type(&mut wanted, &api_version, kind)?;
            let warnings = self.check_fields(&mut wanted)?;
            admission::match_address(self.address, &mut wanted)?;
            let mut value = live.clone();
            set_scale(self.address, &mut value, &wanted)?;
            let value = self.prepare_update(&live, value, modification.is_apply())?;
            if self.options.dry_run {
                return Ok((scale_of(&value), warnings));
            }
            let stored = match live == value {
                true => Ok(present),
                false => self.registry.store.replace(&present.key, present.version, value),
            };
            match stored {
                Err(WriteRefusal::Stale) => continue,
                Err(why) => return Err(admission::refusal_error(self.address, &why)),
                Ok(stored) => {
                    self.registry.persisted(&stored).await?;
                    return Ok((scale_of(&stored.value()), warnings));
                }
            }
        }
        Err(ApiError::modified(self.address.subject()))
    }
}

/// A Scale has no lists, so that a merge patch, a strategic merge patch and an apply do the same to it.
fn modified_scale(scale: &Value, modification: &Modification) -> Result<Value, ApiError> {
    match modification {
        Modification::Replace(value) => Ok(value.clone()),
        Modification::Patch(PatchType::Json, patch) => merge::json_patch(scale, patch).map_err(patch_error),
        Modification::Patch(_, patch) => Ok(merge::json(scale, patch)),
    }
}

/// Makes a workload have the replicas of a Scale.
fn set_scale(address: &ResourceAddress, workload: &mut Value, scale: &Value) -> Result<(), ApiError> {
    let (uid, present) = (object::uid(scale), object::uid(workload));
    if !uid.is_empty() && uid != present {
        let why = format!("Precondition failed: UID in precondition: {uid}, UID in object meta: {present}");
        return Err(ApiError::conflict(address.subject(), &why));
    }
    let version = object::resource_version(scale);
    if !["", "0"].contains(&version) && version != object::resource_version(workload) {
        return Err(ApiError::modified(address.subject()));
    }
    let replicas = at(scale, &["spec", "replicas"]).and_then(Value::as_i64).unwrap_or(0);
    if replicas < 0 {
        let message = "Invalid value: must be greater than or equal to 0".to_owned();
        let cause = StatusCause { reason: "FieldValueInvalid", field: "spec.replicas".to_owned(), message };
        return Err(ApiError::invalid(address.subject(), "Scale", &[cause]));
    }
    if let Some(spec) = workload.get_mut("spec") {
        object::set_field(spec, "replicas", replicas.into());
    }
    Ok(())
}

/// The label selector in the form in which queries have it.
fn selector(workload: &Value) -> String {
    let selector = at(workload, &["spec", "selector"]).and_then(Value::as_object).cloned().unwrap_or_default();
    match object::text(workload, &["kind"]) {
        "ReplicationController" => {
            select::written(&JsonObject::from_iter([("matchLabels".to_owned(), selector.into())]))
        }
        _ => select::written(&selector),
    }
}
