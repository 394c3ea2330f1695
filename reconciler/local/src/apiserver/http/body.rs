//! Bodies of requests: objects and patches as JSON or YAML. Other media types are refused with advice.

use serde_json::Value;

use super::protobuf;
use super::request::ObjectRequest;
use crate::apiserver::admission::expect_type;
use crate::apiserver::registry::write::PatchType;
use crate::apiserver::status::ApiError;

const OBJECTS: &str = "application/json, application/yaml";
const PATCHES: &str = "application/json-patch+json, application/merge-patch+json, \
                       application/strategic-merge-patch+json, application/apply-patch+yaml";
const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";

impl ObjectRequest {
    fn media(&self) -> &str {
        self.content_type.split(';').next().unwrap_or_default().trim()
    }

    pub fn patch_type(&self) -> Result<PatchType, ApiError> {
        match self.media() {
            "application/json-patch+json" => Ok(PatchType::Json),
            "application/merge-patch+json" => Ok(PatchType::Merge),
            "application/strategic-merge-patch+json" => Ok(PatchType::Strategic),
            "application/apply-patch+yaml" => Ok(PatchType::Apply),
            _ => Err(ApiError::unsupported_media(PATCHES)),
        }
    }

    /// The body as an object of a kind. Where apiVersion and kind are absent, they are filled in.
    pub fn object(&self, api_version: &str, kind: &str) -> Result<Value, ApiError> {
        let mut value = match self.media() {
            "" | "application/json" => json(&self.body)?,
            "application/yaml" => yaml(&self.body)?,
            PROTOBUF => protobuf::object(&self.body).ok_or_else(no_protobuf)?,
            _ => return Err(ApiError::unsupported_media(OBJECTS)),
        };
        expect_type(&mut value, api_version, kind)?;
        Ok(value)
    }

    /// The body as a patch of this type.
    pub fn patch(&self, patch: PatchType) -> Result<Value, ApiError> {
        match patch {
            PatchType::Apply => yaml(&self.body),
            _ => json(&self.body),
        }
    }

    /// The body of a delete: nothing, or `DeleteOptions`.
    pub fn delete_body(&self) -> Result<Value, ApiError> {
        match self.media() {
            _ if self.body.is_empty() => Ok(Value::Null),
            PROTOBUF => Err(no_protobuf()),
            "application/yaml" => yaml(&self.body),
            _ => json(&self.body),
        }
    }
}

fn no_protobuf() -> ApiError {
    let mut error = ApiError::unsupported_media(OBJECTS);
    error.message.push_str(
        "; protobuf is read for a few kinds only: write the object with --dry-run=client -o yaml and pipe it to kubectl apply -f -",
    );
    error
}

fn json(bytes: &[u8]) -> Result<Value, ApiError> {
    serde_json::from_slice(bytes)
        .map_err(|e| ApiError::bad_request(format!("the body of the request is not readable as JSON: {e}")))
}

/// YAML, JSON included. Two equal keys are an error.
fn yaml(bytes: &[u8]) -> Result<Value, ApiError> {
    if bytes.trim_ascii_start().starts_with(b"{") {
        return json(bytes);
    }
    let unreadable =
        |e: serde_yaml::Error| ApiError::bad_request(format!("the body of the request is not readable as YAML: {e}"));
    let value: serde_yaml::Value = serde_yaml::from_slice(bytes).map_err(unreadable)?;
    serde_json::to_value(value)
        .map_err(|e| ApiError::bad_request(format!("the body of the request has no form in JSON: {e}")))
}
