//! The query of a request for objects.

use std::collections::HashMap;
use std::time::Duration;

use crate::apiserver::registry::write::FieldValidation;
use crate::apiserver::status::ApiError;

/// The query parameters by name.
#[derive(Clone, Debug, Default)]
pub(super) struct QueryParams(HashMap<String, String>);

impl QueryParams {
    pub fn new(pairs: HashMap<String, String>) -> Self {
        Self(pairs)
    }

    /// A parameter, or `""`.
    pub fn get(&self, name: &str) -> &str {
        self.0.get(name).map(String::as_str).unwrap_or_default()
    }

    /// Whether a parameter is `name`, `name=`, `name=1` or `name=true`.
    pub fn flag(&self, name: &str) -> bool {
        self.0.get(name).is_some_and(|v| matches!(v.as_str(), "" | "1" | "true" | "True"))
    }

    pub fn dry_run(&self) -> bool {
        self.get("dryRun") == "All"
    }

    /// Refuses parameters with values that make no sense.
    pub fn check(&self) -> Result<(), ApiError> {
        let dry_run = self.get("dryRun");
        if !["", "All"].contains(&dry_run) {
            let message = format!("dryRun: Unsupported value: {dry_run:?}: supported values: \"All\"");
            return Err(ApiError::bad_request(message));
        }
        if !self.get("continue").is_empty() {
            // Lists are always whole, so this server never issues such a token.
            return Err(ApiError::bad_request("continue key is not valid: this server answers lists whole"));
        }
        for name in ["timeoutSeconds", "limit"] {
            let text = self.get(name);
            if !text.is_empty() && text.parse::<i64>().is_err() {
                return Err(ApiError::bad_request(format!("{name}: {text:?} is no number")));
            }
        }
        if self.get("fieldManager").len() > 128 {
            return Err(ApiError::bad_request("fieldManager: Too long: may not be more than 128 bytes"));
        }
        self.field_validation().map(drop)
    }

    pub fn field_validation(&self) -> Result<FieldValidation, ApiError> {
        match self.get("fieldValidation") {
            "" | "Warn" => Ok(FieldValidation::Warn),
            "Ignore" => Ok(FieldValidation::Ignore),
            "Strict" => Ok(FieldValidation::Strict),
            other => Err(ApiError::bad_request(format!(
                "fieldValidation: Unsupported value: {other:?}: supported values: \"Ignore\", \"Strict\", \"Warn\""
            ))),
        }
    }

    pub fn timeout(&self) -> Option<Duration> {
        self.get("timeoutSeconds").parse().ok().map(Duration::from_secs)
    }

    /// Refuses a `resourceVersionMatch` that does not exist or does not go with the `resourceVersion`.
    pub fn check_match(&self, version_needed: bool) -> Result<(), ApiError> {
        let (wanted, version) = (self.get("resourceVersionMatch"), self.get("resourceVersion"));
        let refused =
            |reason, why: String| Err(ApiError::invalid_options("ListOptions", reason, "resourceVersionMatch", why));
        match wanted {
            "" => Ok(()),
            "Exact" | "NotOlderThan" if version_needed && version.is_empty() => refused(
                "FieldValueForbidden",
                "Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided".to_owned(),
            ),
            "Exact" if version == "0" => refused(
                "FieldValueForbidden",
                "Forbidden: resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"".to_owned(),
            ),
            "Exact" | "NotOlderThan" => Ok(()),
            other => refused(
                "FieldValueNotSupported",
                format!("Unsupported value: {other:?}: supported values: \"Exact\", \"NotOlderThan\", \"\""),
            ),
        }
    }

    /// The version from which a list or watch is to start; none means any.
    pub fn resource_version(&self) -> Result<Option<u64>, ApiError> {
        match self.get("resourceVersion") {
            "" | "0" => Ok(None),
            text => text.parse().map(Some).map_err(|_| {
                ApiError::bad_request(format!("resourceVersion: Invalid value: {text:?}: must be a number"))
            }),
        }
    }
}
