//! Bodies of requests: JSON or YAML objects, patches, and a helpful no to everything else.

use serde_json::Value;

use super::http::Call;
use super::object;
use super::protobuf;
use super::status::ApiError;

/// How a patch is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PatchType {
    Json,
    Merge,
    Strategic,
    Apply,
}

const OBJECTS: &str = "application/json, application/yaml";
const PATCHES: &str = "application/json-patch+json, application/merge-patch+json, \
                       application/strategic-merge-patch+json, application/apply-patch+yaml";
const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";

impl Call {
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

    /// The body as an object of the kind `api_version`, `kind`, which an empty body's type is filled in with.
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
    pub fn delete_options(&self) -> Result<Value, ApiError> {
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

/// Refuses another type than the URL's.
pub(super) fn expect_type(value: &mut Value, api_version: &str, kind: &str) -> Result<(), ApiError> {
    let (given_version, given_kind) = (object::text(value, &["apiVersion"]), object::text(value, &["kind"]));
    if !given_kind.is_empty() && given_kind != kind {
        return Err(ApiError::bad_request(format!(
            "{given_kind} in version {given_version:?} cannot be handled as a {kind}: converting ({given_version}.\
             {given_kind}) to ({api_version}.{kind}): unknown conversion"
        )));
    }
    if !given_version.is_empty() && given_version != api_version {
        return Err(ApiError::bad_request(format!(
            "the API version in the data ({given_version}) does not match the expected API version ({api_version})"
        )));
    }
    let Some(object) = value.as_object_mut() else {
        return Err(ApiError::bad_request("the body of the request is no object"));
    };
    object.insert("apiVersion".to_owned(), api_version.into());
    object.insert("kind".to_owned(), kind.into());
    Ok(())
}
