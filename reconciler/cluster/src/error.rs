//! What a cluster refuses or fails to do, in words: the cluster, the object, the fact, and the next step.

use std::time::Duration;

use dayfly_calls::Stopped;
use dayfly_model::rule::Rule;
use dayfly_plan::inventory::InventoryError;
use serde_json::Value;

use super::request::Request;

/// A call that did not do what it should. The text names the cluster and the object first.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{cluster}: {subject}: {kind}")]
pub struct ClusterError {
    /// The cluster's name.
    pub cluster: String,
    /// The object, or the part of the API, that the call was about.
    pub subject: String,
    /// What happened.
    pub kind: ClusterErrorKind,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClusterErrorKind {
    /// The connection details are absent or unusable.
    #[error("there is no usable connection: {0}")]
    NotConfigured(String),
    /// No answer: refused, timed out, cut off.
    #[error("the API server cannot be reached: {0}")]
    Unreachable(String),
    /// The credentials are not accepted.
    #[error("the credentials are not accepted: {0}")]
    Unauthorized(String),
    /// RBAC says no.
    #[error("Dayfly may not {verb} {resource}")]
    Forbidden {
        /// The RBAC verb that is absent.
        verb: &'static str,
        /// The RBAC resource, `deployments.apps`.
        resource: String,
    },
    /// A resource quota or a limit range says no.
    #[error("the quota refuses it: {0}")]
    Quota(String),
    /// A new resource quota was not counted yet.
    #[error("the quota of its namespace is new and not counted yet")]
    QuotaUncounted,
    /// An admission controller says no.
    #[error("it is refused: {0}")]
    Refused(String),
    /// An admission webhook did not answer.
    #[error("an admission webhook failed: {0}")]
    Webhook(String),
    /// The namespace is being deleted.
    #[error("its namespace is being deleted")]
    NamespaceTerminating,
    /// The namespace does not exist.
    #[error("its namespace does not exist")]
    NamespaceMissing,
    /// The API server does not know the kind.
    #[error("this cluster does not know the kind {0}")]
    KindMissing(String),
    /// The object is not there.
    #[error("it is not there")]
    NotFound,
    /// An object of that name exists, and it is not ours.
    #[error("it exists and is not Dayfly's, it belongs to {0}; left untouched")]
    Foreign(String),
    /// Other managers own fields that we would set.
    #[error("fields of it belong to others: {}", owned(.0))]
    Owned(Vec<(String, String)>),
    /// Somebody else was faster: the object is not the one, or not the version, that was planned for.
    #[error("it changed meanwhile: {0}")]
    Moved(String),
    /// A field cannot be changed in place.
    #[error("a field cannot be changed in place: {0}")]
    Immutable(String),
    /// The object is not valid.
    #[error("it is not valid: {0}")]
    Invalid(String),
    /// The API server is overloaded and stayed so.
    #[error("the API server is busy ({status}), {attempts} attempts")]
    Busy {
        /// The HTTP status.
        status: u16,
        /// How often it was tried.
        attempts: u32,
    },
    /// The API server has nowhere to write.
    #[error("the API server cannot store anything: {0}")]
    StorageRefuses(String),
    /// Another failure of the API server.
    #[error("the API server failed ({status}): {message}")]
    Server {
        /// The HTTP status.
        status: u16,
        /// What it says.
        message: String,
    },
    /// It did not get there in time.
    #[error("{what} after {} s", .waited.as_secs())]
    TimedOut {
        /// What was waited for, and what holds it.
        what: String,
        /// How long.
        waited: Duration,
    },
    /// An inventory cannot be read.
    #[error("{0}")]
    Inventory(#[from] InventoryError),
    /// The pass was told to stop.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

fn owned(fields: &[(String, String)]) -> String {
    let fields: Vec<_> = fields.iter().map(|(owner, field)| format!("{field} is {owner}'s")).collect();
    fields.join(", ")
}

impl ClusterError {
    /// The next step.
    pub fn help(&self) -> String {
        match &self.kind {
            ClusterErrorKind::NotConfigured(_) => "check --kubeconfig, and `cluster.context` in the environment".into(),
            ClusterErrorKind::Unreachable(_) => {
                format!("check that the cluster {} runs and can be reached; Dayfly tries again", self.cluster)
            }
            ClusterErrorKind::Unauthorized(_) => "renew the credentials of the context".into(),
            ClusterErrorKind::Forbidden { verb, resource } => {
                format!("give Dayfly's account the verb {verb} on {resource} (RBAC; the chart's ClusterRole has it)")
            }
            ClusterErrorKind::Quota(_) => "ask for less, remove what is not needed, or raise the tier's quota".into(),
            ClusterErrorKind::QuotaUncounted => "nothing to do: Dayfly tries again in a moment".into(),
            ClusterErrorKind::Refused(_) => "change what the message names, or ask the owner of that rule".into(),
            ClusterErrorKind::Webhook(_) => "ask the owner of the webhook; Dayfly tries again".into(),
            ClusterErrorKind::NamespaceTerminating => "nothing to do: Dayfly goes on as soon as it is gone".into(),
            ClusterErrorKind::NamespaceMissing => "the tier's environment must render the namespace".into(),
            ClusterErrorKind::KindMissing(_) => {
                "install what brings that kind (a CRD, a newer cluster), or leave it out".into()
            }
            ClusterErrorKind::NotFound | ClusterErrorKind::Moved(_) | ClusterErrorKind::Stopped(_) => {
                "nothing to do: the next pass plans anew".into()
            }
            ClusterErrorKind::Foreign(_) => {
                "delete it if nobody needs it, or give yours another name; Dayfly never takes over what others made"
                    .into()
            }
            ClusterErrorKind::Owned(_) => "leave those fields out in git, or let the others give them up".into(),
            ClusterErrorKind::Immutable(_) => {
                "undo the change, give the object another name, or annotate it `dayfly.dev/replace: \
                                   enabled` to let Dayfly delete and create it"
                    .into()
            }
            ClusterErrorKind::Invalid(_) => "correct the template or the environment that renders it".into(),
            ClusterErrorKind::Busy { .. } | ClusterErrorKind::Server { .. } => {
                "nothing to do: Dayfly tries again; if it stays, look at the API server".into()
            }
            ClusterErrorKind::StorageRefuses(_) => {
                "the API server's disk is full or cannot be written: free some space there; Dayfly tries again".into()
            }
            ClusterErrorKind::TimedOut { .. } => {
                "look at the object's events; Dayfly goes on as soon as it changes".into()
            }
            ClusterErrorKind::Inventory(error) => error.help(),
        }
    }

    /// The rule of findings about it; its name is a stable word for conditions and metrics.
    pub fn rule(&self) -> Rule {
        match &self.kind {
            ClusterErrorKind::NotConfigured(_) => Rule::CLUSTER_NOT_CONFIGURED,
            ClusterErrorKind::Unreachable(_) => Rule::CLUSTER_UNREACHABLE,
            ClusterErrorKind::Unauthorized(_) => Rule::CLUSTER_UNAUTHORIZED,
            ClusterErrorKind::Forbidden { .. } => Rule::CLUSTER_FORBIDDEN,
            ClusterErrorKind::Quota(_) => Rule::CLUSTER_QUOTA_EXCEEDED,
            ClusterErrorKind::QuotaUncounted => Rule::CLUSTER_QUOTA_UNCOUNTED,
            ClusterErrorKind::Refused(_) => Rule::CLUSTER_REFUSED,
            ClusterErrorKind::Webhook(_) => Rule::CLUSTER_WEBHOOK_FAILED,
            ClusterErrorKind::NamespaceTerminating => Rule::CLUSTER_NAMESPACE_TERMINATING,
            ClusterErrorKind::NamespaceMissing => Rule::CLUSTER_NAMESPACE_MISSING,
            ClusterErrorKind::KindMissing(_) => Rule::CLUSTER_KIND_MISSING,
            ClusterErrorKind::NotFound => Rule::CLUSTER_NOT_FOUND,
            ClusterErrorKind::Foreign(_) => Rule::CLUSTER_FOREIGN_OBJECT,
            ClusterErrorKind::Owned(_) => Rule::CLUSTER_FIELD_CONFLICT,
            ClusterErrorKind::Moved(_) => Rule::CLUSTER_MOVED,
            ClusterErrorKind::Immutable(_) => Rule::CLUSTER_IMMUTABLE,
            ClusterErrorKind::Invalid(_) => Rule::CLUSTER_INVALID,
            ClusterErrorKind::Busy { .. } => Rule::CLUSTER_BUSY,
            ClusterErrorKind::StorageRefuses(_) => Rule::CLUSTER_STORAGE_REFUSES,
            ClusterErrorKind::Server { .. } => Rule::CLUSTER_SERVER_ERROR,
            ClusterErrorKind::TimedOut { .. } => Rule::CLUSTER_TIMED_OUT,
            ClusterErrorKind::Inventory(_) => Rule::CLUSTER_INVENTORY_UNREADABLE,
            ClusterErrorKind::Stopped(_) => Rule::CLUSTER_STOPPED,
        }
    }

    /// Whether trying again later may help without anybody changing anything.
    pub fn is_transient(&self) -> bool {
        matches!(
            self.kind,
            ClusterErrorKind::Unreachable(_)
                | ClusterErrorKind::Webhook(_)
                | ClusterErrorKind::NamespaceTerminating
                | ClusterErrorKind::QuotaUncounted
                | ClusterErrorKind::NotFound
                | ClusterErrorKind::Moved(_)
                | ClusterErrorKind::Busy { .. }
                | ClusterErrorKind::StorageRefuses(_)
                | ClusterErrorKind::Server { .. }
                | ClusterErrorKind::TimedOut { .. }
                | ClusterErrorKind::Stopped(_)
        )
    }
}

/// What a refusal of the API server means. `body` is its `Status` object.
pub(super) fn classify(request: &Request, status: u16, body: &Value, attempts: u32) -> ClusterErrorKind {
    let message = body["message"].as_str().unwrap_or("no message").to_owned();
    let reason = body["reason"].as_str().unwrap_or_default();
    let causes = || body.pointer("/details/causes").and_then(Value::as_array).into_iter().flatten();
    let caused_by = |word: &str| causes().any(|cause| cause["reason"] == word);
    match status {
        401 => ClusterErrorKind::Unauthorized(message),
        403 if caused_by("NamespaceTerminating") || message.contains("because it is being terminated") => {
            ClusterErrorKind::NamespaceTerminating
        }
        403 if message.contains("status unknown for quota") => ClusterErrorKind::QuotaUncounted,
        403 if message.contains("exceeded quota") || message.contains("failed quota") => {
            ClusterErrorKind::Quota(message)
        }
        403 if message.contains(" cannot ") => {
            ClusterErrorKind::Forbidden { verb: request.rbac_verb(), resource: request.resource() }
        }
        403 => ClusterErrorKind::Refused(message),
        404 if !request.is_namespace() && names_namespace(body, &message) => ClusterErrorKind::NamespaceMissing,
        404 if message.contains("could not find the requested resource") || body["kind"] != "Status" => {
            ClusterErrorKind::KindMissing(request.resource())
        }
        404 => ClusterErrorKind::NotFound,
        409 if caused_by("FieldManagerConflict") => ClusterErrorKind::Owned(causes().filter_map(field_owner).collect()),
        409 => ClusterErrorKind::Moved(message),
        // A ValidatingAdmissionPolicy.
        422 if message.contains("denied request") => ClusterErrorKind::Refused(message),
        422 if message.contains("immutable")
            || message.contains("updates to statefulset spec for fields other than") =>
        {
            ClusterErrorKind::Immutable(message)
        }
        400 if message.contains("denied the request") => ClusterErrorKind::Refused(message),
        400 | 413 | 415 | 422 => ClusterErrorKind::Invalid(message),
        // How an API server answers an apply with a field that no schema has.
        500 if message.contains("failed to create typed patch object") => ClusterErrorKind::Invalid(message),
        _ if message.contains("webhook") => ClusterErrorKind::Webhook(message),
        // The embedded store; etcd.
        500 if message.contains("the store refuses writes") || message.contains("database space exceeded") => {
            ClusterErrorKind::StorageRefuses(message)
        }
        429 | 503 | 504 => ClusterErrorKind::Busy { status, attempts },
        _ => ClusterErrorKind::Server {
            status,
            message: if reason.is_empty() { message } else { format!("{reason}: {message}") },
        },
    }
}

fn names_namespace(body: &Value, message: &str) -> bool {
    body.pointer("/details/kind").is_some_and(|kind| kind == "namespaces") || message.starts_with("namespaces \"")
}

/// A cause such as `conflict with "kubectl-edit" using v1` at `.data.title`.
fn field_owner(cause: &Value) -> Option<(String, String)> {
    let owner = cause["message"].as_str()?.split('"').nth(1).unwrap_or("an unknown manager");
    Some((owner.to_owned(), cause["field"].as_str().unwrap_or("a field").to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use dayfly_model::kinds::Kinds;
    use serde_json::json;

    fn fact(status: u16, message: &str, details: Value) -> ClusterErrorKind {
        let request =
            Request::apply(Kinds::builtin().find("apps", "Deployment").unwrap(), Some("survey"), "web", &json!({}));
        let body = json!({"kind": "Status", "message": message, "details": details});
        classify(&request, status, &body, 1)
    }

    #[test]
    fn a_conflict_names_the_owner_and_the_fields() {
        let cause = json!({"reason": "FieldManagerConflict", "field": ".spec.replicas",
            "message": "conflict with \"kubectl-scale\" using apps/v1"});
        let error = ClusterError {
            cluster: "pilot".into(),
            subject: "apps/Deployment/survey/web".into(),
            kind: fact(409, "Apply failed with 1 conflict", json!({"causes": [cause]})),
        };
        assert_eq!(
            error.to_string(),
            "pilot: apps/Deployment/survey/web: fields of it belong to others: .spec.replicas is kubectl-scale's"
        );
    }

    #[test]
    fn a_missing_right_says_which() {
        let text = "deployments.apps \"web\" is forbidden: User \"x\" cannot patch resource \"deployments\"";
        let expected = ClusterErrorKind::Forbidden { verb: "patch", resource: "deployments.apps".into() };
        assert_eq!(fact(403, text, json!({})), expected);
    }

    #[test]
    fn the_refusals_of_a_cluster_are_told_apart() {
        let web = "deployments.apps \"web\"";
        for (status, message, reason) in [
            (403, "pods \"x\" is forbidden: exceeded quota: sandbox, requested: pods=1", "QuotaExceeded"),
            (
                403,
                "persistentvolumeclaims \"x\" is forbidden: status unknown for quota: a, resources: b",
                "QuotaUncounted",
            ),
            (
                422,
                "configmaps \"x\" is forbidden: ValidatingAdmissionPolicy 'a' with binding 'b' denied request: no",
                "Refused",
            ),
            (
                403,
                "unable to create new content in namespace survey because it is being terminated",
                "NamespaceTerminating",
            ),
            (403, "pods \"x\" is forbidden: violates PodSecurity \"restricted:latest\"", "Refused"),
            (400, "admission webhook \"guard.example.com\" denied the request: no", "Refused"),
            (500, "failed calling webhook \"guard.example.com\": context deadline exceeded", "WebhookFailed"),
            (404, "namespaces \"survey\" not found", "NamespaceMissing"),
            (404, "the server could not find the requested resource", "KindMissing"),
            (404, &format!("{web} not found"), "NotFound"),
            (409, &format!("Operation cannot be fulfilled on {web}: the object has been modified"), "Moved"),
            (422, &format!("{web} is invalid: spec.selector: Invalid value: {{}}: field is immutable"), "Immutable"),
            (422, &format!("{web} is invalid: spec.replicas: must be at least 0"), "Invalid"),
            (
                500,
                "failed to create typed patch object (a/b; apps/v1): .spec.x: field not declared in schema",
                "Invalid",
            ),
            (503, "etcd leader changed", "Busy"),
            (500, "the store refuses writes: No space left on device (os error 28)", "StorageRefuses"),
            (500, "etcdserver: mvcc: database space exceeded", "StorageRefuses"),
            (500, "something", "ServerError"),
        ] {
            let error =
                ClusterError { cluster: "c".into(), subject: "o".into(), kind: fact(status, message, json!({})) };
            assert_eq!(error.rule().name(), reason, "{message}");
            assert!(!error.help().is_empty());
        }
    }
}
