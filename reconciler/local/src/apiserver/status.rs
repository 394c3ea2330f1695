//! Errors as Kubernetes words them: a `v1.Status` with code, reason, message and details.

use serde_json::{Map, Value, json};

/// An error that a client is to be told.
#[derive(Clone, Debug, PartialEq)]
pub struct ApiError {
    pub code: u16,
    pub reason: &'static str,
    pub message: String,
    pub details: Option<Value>,
}

/// The resource and name that an error is about.
#[derive(Clone, Copy, Debug)]
pub struct ErrorSubject<'a> {
    pub group: &'a str,
    /// The plural, such as `deployments`.
    pub resource: &'a str,
    pub name: &'a str,
}

impl ErrorSubject<'_> {
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

/// One cause of an `Invalid` or `Conflict` error: a line of `status.details.causes`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusCause {
    /// Such as `FieldValueInvalid` or `FieldManagerConflict`.
    pub reason: &'static str,
    /// What is wrong, such as `Required value`.
    pub message: String,
    /// Such as `spec.ports[0].port`.
    pub field: String,
}

impl StatusCause {
    fn json(&self) -> Value {
        json!({"reason": self.reason, "message": self.message, "field": self.field})
    }
}

impl ApiError {
    pub fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self { code, reason, message: message.into(), details: None }
    }

    fn about(code: u16, reason: &'static str, subject: ErrorSubject<'_>, message: String) -> Self {
        Self { details: Some(Value::Object(subject.details())), ..Self::new(code, reason, message) }
    }

    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(500, "InternalError", message)
    }

    pub fn not_found(subject: ErrorSubject<'_>) -> Self {
        let message = format!("{} {:?} not found", subject.qualified(), subject.name);
        Self::about(404, "NotFound", subject, message)
    }

    pub fn already_exists(subject: ErrorSubject<'_>) -> Self {
        let message = format!("{} {:?} already exists", subject.qualified(), subject.name);
        Self::about(409, "AlreadyExists", subject, message)
    }

    /// A write whose preconditions the present object does not meet.
    pub fn conflict(subject: ErrorSubject<'_>, why: &str) -> Self {
        let message = format!("Operation cannot be fulfilled on {} {:?}: {why}", subject.qualified(), subject.name);
        Self::about(409, "Conflict", subject, message)
    }

    /// A write to a version that is no longer the latest.
    pub fn modified(subject: ErrorSubject<'_>) -> Self {
        Self::conflict(
            subject,
            "the object has been modified; please apply your changes to the latest version and try again",
        )
    }

    /// A server-side apply to fields that other managers own.
    pub fn apply_conflict(message: String, causes: &[StatusCause]) -> Self {
        let causes: Vec<Value> = causes.iter().map(StatusCause::json).collect();
        Self { details: Some(json!({"causes": causes})), ..Self::new(409, "Conflict", message) }
    }

    /// An object that breaks its kind's rules. `kind` is the Kind, not the resource.
    pub fn invalid(subject: ErrorSubject<'_>, kind: &str, causes: &[StatusCause]) -> Self {
        let of = if subject.group.is_empty() { kind.to_owned() } else { format!("{kind}.{}", subject.group) };
        let each: Vec<String> = causes.iter().map(|c| format!("{}: {}", c.field, c.message)).collect();
        let list = if let [only] = each.as_slice() { only.clone() } else { format!("[{}]", each.join(", ")) };
        let mut details = subject.details();
        details.insert("kind".to_owned(), kind.into());
        details.insert("causes".to_owned(), causes.iter().map(StatusCause::json).collect());
        let message = format!("{of} {:?} is invalid: {list}", subject.name);
        Self { details: Some(Value::Object(details)), ..Self::new(422, "Invalid", message) }
    }

    /// Options of a request that break their rules. `kind` is such as `DeleteOptions`.
    pub fn invalid_options(kind: &str, reason: &'static str, field: &str, message: impl Into<String>) -> Self {
        let subject = ErrorSubject { group: "meta.k8s.io", resource: "", name: "" };
        Self::invalid(subject, kind, &[StatusCause { reason, message: message.into(), field: field.to_owned() }])
    }

    pub fn forbidden(subject: ErrorSubject<'_>, why: &str) -> Self {
        let message = match subject.name {
            "" => format!("{} is forbidden: {why}", subject.qualified()),
            name => format!("{} {name:?} is forbidden: {why}", subject.qualified()),
        };
        Self::about(403, "Forbidden", subject, message)
    }

    /// A watch from a version whose later events are no longer kept. `oldest` is the oldest version to watch from.
    pub fn expired(asked: u64, oldest: u64) -> Self {
        Self::new(410, "Expired", format!("too old resource version: {asked} ({oldest})"))
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
