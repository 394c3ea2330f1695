//! Access reviews: this server has no authorization, so everybody may do everything.

use serde_json::json;

use super::request::ObjectRequest;
use super::response::ApiResponse;
use crate::apiserver::object::{self, JsonObject};
use crate::apiserver::status::ApiError;

/// Answers a review. Reviews of tokens are refused, as this server issues none.
pub(super) fn review(request: &ObjectRequest) -> Result<ApiResponse, ApiError> {
    let kind = &request.address.kind;
    let mut value = request.object(&kind.api_version(), &kind.resource.kind)?;
    let status = match kind.resource.kind.as_str() {
        "SelfSubjectAccessReview" | "SubjectAccessReview" | "LocalSubjectAccessReview" => {
            json!({"allowed": true, "reason": "this embedded API server has no authorization"})
        }
        "SelfSubjectRulesReview" => json!({
            "incomplete": false,
            "resourceRules": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}],
            "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
        }),
        "SelfSubjectReview" => json!({"userInfo": {"username": "local", "groups": ["system:authenticated"]}}),
        other => return Err(ApiError::not_implemented(other)),
    };
    if value.get("metadata").is_none() {
        object::set_field(&mut value, "metadata", JsonObject::new().into());
    }
    object::set_field(&mut value, "status", status);
    Ok(ApiResponse::json(201, &value))
}
