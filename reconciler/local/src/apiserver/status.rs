//! Errors as Kubernetes words them: a `Status` object with code, reason, message and details.

use serde_json::{Map, Value, json};

/// One error on its way to the client.
#[derive(Clone, Debug, PartialEq)]
pub struct ApiError {
    pub code: u16,
    pub reason: &'static str,
    pub message: String,
    pub details: Option<Value>,
    /// Seconds for the Retry-After header.
    pub retry_after: Option<u64>,
}

/// The resource and name that an error is about.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    pub group: &'a str,
    /// The plural, such as `deployments`.
    pub resource: &'a str,
    pub name: &'a str,
}

impl Subject<'_> {
    /// `deployments.apps`, or `pods`.
    fn qualified(&self) -> String {
        if self.group.is_empty() { self.resource.to_owned() } else { format!("{}.{}", self.resource, self.group) }
    }

    fn details(&self) -> Map<String, Value> {
        let mut details = Map::new();
        for (key, text) in [("name", self.name), ("group", self.group), ("kind", self.resource)] {
            if !text.is_empty() {
                details.insert(key.to_owned(), text.into());
            }
        }
        details
    }
}

/// One cause of an `Invalid` or `Conflict` error.
#[derive(Clone, Debug)]
pub struct Cause {
    /// Such as `FieldValueRequired` or `FieldManagerConflict`.
    pub reason: String,
    pub message: String,
    pub field: String,
}

impl Cause {
    fn json(&self) -> Value {
        json!({"reason": self.reason, "message": self.message, "field": self.field})
    }
}

impl ApiError {
    pub fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self { code, reason, message: message.into(), details: None, retry_after: None }
    }

    fn about(code: u16, reason: &'static str, subject: Subject<'_>, message: String) -> Self {
        Self { details: Some(Value::Object(subject.details())), ..Self::new(code, reason, message) }
    }

    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(500, "InternalError", message)
    }

    /// A path, group, version or resource that is not served.
    pub fn unknown_path() -> Self {
        Self::new(404, "NotFound", "404 page not found")
    }

    pub fn not_found(subject: Subject<'_>) -> Self {
        let message = format!("{} {:?} not found", subject.qualified(), subject.name);
        Self::about(404, "NotFound", subject, message)
    }

    pub fn already_exists(subject: Subject<'_>) -> Self {
        let message = format!("{} {:?} already exists", subject.qualified(), subject.name);
        Self::about(409, "AlreadyExists", subject, message)
    }

    /// A write that does not fit the object's present version.
    pub fn conflict(subject: Subject<'_>, why: &str) -> Self {
        let message = format!("Operation cannot be fulfilled on {} {:?}: {why}", subject.qualified(), subject.name);
        Self::about(409, "Conflict", subject, message)
    }

    /// The usual conflict: someone wrote in between.
    pub fn modified(subject: Subject<'_>) -> Self {
        Self::conflict(
            subject,
            "the object has been modified; please apply your changes to the latest version and try again",
        )
    }

    /// A server-side apply that meets fields of other managers.
    pub fn apply_conflict(message: String, causes: &[Cause]) -> Self {
        let causes: Vec<Value> = causes.iter().map(Cause::json).collect();
        Self { details: Some(json!({"causes": causes})), ..Self::new(409, "Conflict", message) }
    }

    /// An object that breaks its kind's rules. `kind` is the Kind, not the resource.
    pub fn invalid(subject: Subject<'_>, kind: &str, causes: &[Cause]) -> Self {
        let of = if subject.group.is_empty() { kind.to_owned() } else { format!("{kind}.{}", subject.group) };
        let each: Vec<String> = causes.iter().map(|c| format!("{}: {}", c.field, c.message)).collect();
        let list = if let [only] = each.as_slice() { only.clone() } else { format!("[{}]", each.join(", ")) };
        let mut details = subject.details();
        details.insert("kind".to_owned(), kind.into());
        details.insert("causes".to_owned(), causes.iter().map(Cause::json).collect());
        let message = format!("{of} {:?} is invalid: {list}", subject.name);
        Self { details: Some(Value::Object(details)), ..Self::new(422, "Invalid", message) }
    }

    /// Options of a request that break their rules. `kind` is such as `DeleteOptions`.
    pub fn invalid_options(kind: &str, reason: &str, field: &str, message: impl Into<String>) -> Self {
        let subject = Subject { group: "meta.k8s.io", resource: "", name: "" };
        Self::invalid(
            subject,
            kind,
            &[Cause { reason: reason.to_owned(), message: message.into(), field: field.to_owned() }],
        )
    }

    pub fn forbidden(subject: Subject<'_>, why: &str) -> Self {
        let message = match subject.name {
            "" => format!("{} is forbidden: {why}", subject.qualified()),
            name => format!("{} {name:?} is forbidden: {why}", subject.qualified()),
        };
        Self::about(403, "Forbidden", subject, message)
    }

    /// A watch or list from a version whose history is forgotten.
    pub fn expired(asked: u64, oldest: u64) -> Self {
        Self::new(410, "Expired", format!("too old resource version: {asked} ({oldest})"))
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

    /// What a real server has and this one does not.
    pub fn not_implemented(what: &str) -> Self {
        Self::new(501, "NotImplemented", format!("this embedded API server does not serve {what}"))
    }

    pub fn with_retry_after(mut self, seconds: u64) -> Self {
        self.retry_after = Some(seconds);
        let details = self.details.get_or_insert_with(|| json!({}));
        if let Some(details) = details.as_object_mut() {
            details.insert("retryAfterSeconds".to_owned(), seconds.into());
        }
        self
    }

    /// The error as a `v1.Status`.
    pub fn body(&self) -> Value {
        let mut body = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {},
            "status": "Failure", "message": self.message, "reason": self.reason, "code": self.code,
        });
        if let (Some(details), Some(body)) = (&self.details, body.as_object_mut()) {
            body.insert("details".to_owned(), details.clone());
        }
        body
    }
}
