//! Questions about access, answered by a server that has no authorization: everyone may do everything.

use serde_json::{Value, json};

use super::http::{Answer, Call};
use super::status::ApiError;

/// Answers a review; those that need tokens are refused.
pub(super) fn review(call: &Call) -> Result<Answer, ApiError> {
    let kind = &call.place.kind;
    let mut value = call.object(&kind.api_version(), &kind.resource.kind)?;
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
    if let Some(fields) = value.as_object_mut() {
        fields.entry("metadata").or_insert_with(|| Value::Object(serde_json::Map::new()));
        fields.insert("status".to_owned(), status);
    }
    Ok(Answer::json(201, &value))
}
