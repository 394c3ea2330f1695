//! The errors that only HTTP requests can make: paths, methods and media types that are not served.

use serde_json::json;

use crate::apiserver::status::ApiError;

impl ApiError {
    /// A path, group, version or resource that is not served.
    pub fn unknown_path() -> Self {
        Self::new(404, "NotFound", "404 page not found")
    }

    pub fn method_not_allowed() -> Self {
        Self::new(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")
    }

    pub fn unsupported_media(accepted: &str) -> Self {
        let message =
            format!("the body of the request was in an unknown format - accepted media types include: {accepted}");
        Self::new(415, "UnsupportedMediaType", message)
    }

    pub fn not_acceptable() -> Self {
        let message = "only the following media types are accepted: application/json, application/yaml";
        Self::new(406, "NotAcceptable", message)
    }

    /// Something that a real server has and this one does not.
    pub fn not_implemented(what: &str) -> Self {
        Self::new(501, "NotImplemented", format!("this embedded API server does not serve {what}"))
    }

    pub fn with_retry_after(mut self, seconds: u64) -> Self {
        let details = self.details.get_or_insert_with(|| json!({}));
        if let Some(details) = details.as_object_mut() {
            details.insert("retryAfterSeconds".to_owned(), seconds.into());
        }
        self
    }

    /// Seconds, for the Retry-After header.
    pub fn retry_after(&self) -> Option<u64> {
        self.details.as_ref()?.get("retryAfterSeconds")?.as_u64()
    }
}
