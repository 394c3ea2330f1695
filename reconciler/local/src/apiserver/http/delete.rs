//! Deletion of objects and collections, with options from the query and the body.

use serde_json::{Value, json};

use super::request::ObjectRequest;
use super::response::ApiResponse;
use crate::apiserver::registry::ObjectRegistry;
use crate::apiserver::registry::delete::{DeleteOptions, DeleteOutcome, PropagationPolicy};
use crate::apiserver::status::ApiError;
use crate::apiserver::store::StoredObject;
use crate::apiserver::{admission, object, validate};

/// Kinds of which a real server answers a deletion with the object rather than with a Status.
const ANSWERED_WITH_OBJECT: [&str; 4] = ["pods", "services", "persistentvolumeclaims", "serviceaccounts"];

pub(super) async fn delete(registry: &ObjectRegistry, request: &ObjectRequest) -> Result<ApiResponse, ApiError> {
    let options = request.delete_options(registry)?;
    let (representation, kind) = (request.representation, &request.address.kind);
    match registry.delete(&request.address, &options).await? {
        DeleteOutcome::Unwritten(value) => Ok(ApiResponse::bytes(200, representation.value(kind, &value))),
        DeleteOutcome::Marked(object) => Ok(ApiResponse::bytes(200, representation.stored(kind, &object))),
        DeleteOutcome::Removed(object) if ANSWERED_WITH_OBJECT.contains(&request.address.group_resource()) => {
            Ok(ApiResponse::bytes(200, representation.stored(kind, &object)))
        }
        DeleteOutcome::Removed(object) => Ok(ApiResponse::json(200, &success(request, &object))),
    }
}

pub(super) async fn delete_collection(
    registry: &ObjectRegistry,
    request: &ObjectRequest,
) -> Result<ApiResponse, ApiError> {
    let options = request.delete_options(registry)?;
    let filter = request.filter()?;
    let (objects, version) = registry.delete_collection(&request.address, &filter, &options).await?;
    Ok(ApiResponse::bytes(200, request.representation.list(&request.address.kind, &objects, version)))
}

/// The Status of a deletion.
fn success(request: &ObjectRequest, removed: &StoredObject) -> Value {
    let resource = request.address.kind.resource;
    let mut details = json!({"name": removed.key.name, "kind": resource.plural, "uid": removed.uid});
    if !resource.group.is_empty() {
        object::set_field(&mut details, "group", resource.group.as_str().into());
    }
    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details})
}

impl ObjectRequest {
    /// Options are in the query, or in a body; of the propagation policy the query counts.
    fn delete_options(&self, registry: &ObjectRegistry) -> Result<DeleteOptions, ApiError> {
        let mut body = self.delete_body()?;
        if !body.is_null() {
            let version = object::text(&body, &["apiVersion"]).to_owned();
            admission::expect_type(&mut body, if version.is_empty() { "v1" } else { &version }, "DeleteOptions")?;
            let type_id = registry.schema.named("meta.v1.DeleteOptions").unwrap_or(registry.schema.any());
            validate::decode(registry.schema, type_id, &body).map_err(ApiError::bad_request)?;
        }
        let policy = self.propagation_policy(&body)?;
        if let Some(other) = object::list(&body, &["dryRun"]).find(|d| *d != "All") {
            let why = format!("Unsupported value: {other}: supported values: \"All\"");
            return Err(invalid("FieldValueNotSupported", "dryRun", &why));
        }
        let precondition =
            |field: &str| object::at(&body, &["preconditions", field]).and_then(Value::as_str).map(str::to_owned);
        let dry_run = self.query.dry_run() || object::list(&body, &["dryRun"]).next().is_some();
        Ok(DeleteOptions { uid: precondition("uid"), version: precondition("resourceVersion"), policy, dry_run })
    }

    fn propagation_policy(&self, body: &Value) -> Result<Option<PropagationPolicy>, ApiError> {
        let policy = match (self.query.get("propagationPolicy"), object::text(body, &["propagationPolicy"])) {
            ("", in_body) => in_body,
            (in_query, _) => in_query,
        };
        let in_query = !self.query.get("orphanDependents").is_empty();
        let orphan = match body.get("orphanDependents").and_then(Value::as_bool) {
            None => in_query.then(|| self.query.flag("orphanDependents")),
            in_body => in_body,
        };
        match (policy, orphan) {
            ("", Some(true)) => Ok(Some(PropagationPolicy::Orphan)),
            ("", _) => Ok(None),
            (_, Some(_)) => {
                let why = "Invalid value: orphanDependents and deletionPropagation cannot be both set";
                Err(invalid("FieldValueInvalid", "propagationPolicy", why))
            }
            ("Background", None) => Ok(Some(PropagationPolicy::Background)),
            ("Foreground", None) => Ok(Some(PropagationPolicy::Foreground)),
            ("Orphan", None) => Ok(Some(PropagationPolicy::Orphan)),
            (other, None) => {
                let why = format!(
                    "Unsupported value: {other:?}: supported values: \"Background\", \"Foreground\", \"Orphan\""
                );
                Err(invalid("FieldValueNotSupported", "propagationPolicy", &why))
            }
        }
    }
}

fn invalid(reason: &'static str, field: &str, why: &str) -> ApiError {
    ApiError::invalid_options("DeleteOptions", reason, field, why)
}
