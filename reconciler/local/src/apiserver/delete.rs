//! Deleting: preconditions, finalizers, propagation, single objects and collections.

use std::sync::Arc;

use serde_json::{Value, json};

use super::Server;
use super::admission::{self, BUILTIN_NAMESPACES};
use super::body;
use super::http::{Answer, Call};
use super::object;
use super::read::{Filter, find, key_of, subject_of};
use super::route::Place;
use super::status::ApiError;
use super::store::{Entry, Refused};
use super::validate;
use super::write::persisted;

pub(super) const FOREGROUND: &str = "foregroundDeletion";
pub(super) const ORPHAN: &str = "orphan";

/// Kinds of which a real server answers a delete with the object rather than a Status.
const ANSWERED_WITH_OBJECT: [&str; 4] = ["pods", "services", "persistentvolumeclaims", "serviceaccounts"];

/// What a delete is to mind.
struct Options {
    uid: Option<String>,
    version: Option<String>,
    /// The finalizer of the propagation policy; `None` leaves those that are there.
    policy: Option<&'static str>,
    dry_run: bool,
}

/// What became of the object.
enum Outcome {
    Gone(Arc<Entry>),
    /// Something keeps it: it is marked.
    Kept(Arc<Entry>),
    /// As `Kept`, but nothing was written.
    Would(Value),
}

pub(super) async fn delete(server: &Server, call: &Call) -> Result<Answer, ApiError> {
    let options = Options::of(server, call)?;
    match delete_one(server, &call.place, &options).await? {
        Outcome::Would(value) => Ok(Answer::bytes(200, call.render.value(&call.place.kind, &value))),
        Outcome::Kept(entry) => Ok(Answer::bytes(200, call.render.one(&call.place.kind, &entry))),
        Outcome::Gone(entry) if ANSWERED_WITH_OBJECT.contains(&&*call.place.kind.key) => {
            Ok(Answer::bytes(200, call.render.one(&call.place.kind, &entry)))
        }
        Outcome::Gone(entry) => {
            let resource = call.place.kind.resource;
            let mut details = json!({"name": entry.key.name, "kind": resource.plural, "uid": entry.uid});
            if !resource.group.is_empty()
                && let Some(details) = details.as_object_mut()
            {
                details.insert("group".to_owned(), resource.group.as_str().into());
            }
            Ok(Answer::json(
                200,
                &json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}),
            ))
        }
    }
}

pub(super) async fn delete_collection(server: &Server, call: &Call) -> Result<Answer, ApiError> {
    let options = Options::of(server, call)?;
    let filter = Filter::of(call)?;
    let (mut entries, version) = server.store.list(&call.place.kind.key, &filter.namespace);
    entries.retain(|e| filter.matches(e));
    for entry in &entries {
        let place = Place { name: entry.key.name.clone(), ..call.place.clone() };
        match delete_one(server, &place, &options).await {
            Err(error) if error.code == 404 => {}
            other => drop(other?),
        }
    }
    Ok(Answer::bytes(200, call.render.list(&call.place.kind, &entries, version)))
}

/// Deletes as the garbage collector and namespace deletion do: the object with this uid, without waiting for the file.
pub(super) fn remove_quietly(server: &Server, place: &Place, uid: &str, policy: Option<&'static str>) {
    let options = Options { uid: Some(uid.to_owned()), version: None, policy, dry_run: false };
    let _ = delete_now(server, place, &options); // gone or another object: nothing to do
}

impl Options {
    fn of(server: &Server, call: &Call) -> Result<Self, ApiError> {
        let mut body = call.delete_options()?;
        if !body.is_null() {
            let version = object::text(&body, &["apiVersion"]).to_owned();
            body::expect_type(&mut body, if version.is_empty() { "v1" } else { &version }, "DeleteOptions")?;
            let type_id = server.schema.named("meta.v1.DeleteOptions").unwrap_or(server.schema.any());
            validate::decode(server.schema, type_id, &body).map_err(ApiError::bad_request)?;
        }
        let policy = match (call.params.get("propagationPolicy"), object::text(&body, &["propagationPolicy"])) {
            ("", in_body) => in_body,
            (in_query, _) => in_query,
        };
        let in_query = !call.params.get("orphanDependents").is_empty();
        let orphan = match body.get("orphanDependents").and_then(Value::as_bool) {
            None => in_query.then(|| call.params.flag("orphanDependents")),
            in_body => in_body,
        };
        let policy = match (policy, orphan) {
            ("", Some(true)) => Some(ORPHAN),
            ("", _) => None,
            (_, Some(_)) => {
                let why = "Invalid value: orphanDependents and deletionPropagation cannot be both set";
                return Err(invalid("FieldValueInvalid", "propagationPolicy", why));
            }
            ("Background", None) => Some(""),
            ("Foreground", None) => Some(FOREGROUND),
            ("Orphan", None) => Some(ORPHAN),
            (other, None) => {
                let why = format!(
                    "Unsupported value: {other:?}: supported values: \"Background\", \"Foreground\", \"Orphan\""
                );
                return Err(invalid("FieldValueNotSupported", "propagationPolicy", &why));
            }
        };
        if let Some(other) = object::list(&body, &["dryRun"]).find(|d| *d != "All") {
            let why = format!("Unsupported value: {other}: supported values: \"All\"");
            return Err(invalid("FieldValueNotSupported", "dryRun", &why));
        }
        let precondition =
            |field: &str| object::at(&body, &["preconditions", field]).and_then(Value::as_str).map(str::to_owned);
        let dry_run = call.params.dry_run() || object::list(&body, &["dryRun"]).next().is_some();
        Ok(Self { uid: precondition("uid"), version: precondition("resourceVersion"), policy, dry_run })
    }

    fn check(&self, place: &Place, entry: &Entry) -> Result<(), ApiError> {
        let version = entry.version.to_string();
        for (wanted, found, what) in [(&self.uid, &entry.uid, "UID"), (&self.version, &version, "ResourceVersion")] {
            if let Some(wanted) = wanted
                && wanted != found
            {
                let why =
                    format!("Precondition failed: {what} in precondition: {wanted}, {what} in object meta: {found}");
                return Err(ApiError::conflict(subject_of(place), &why));
            }
        }
        Ok(())
    }
}

fn invalid(reason: &str, field: &str, why: &str) -> ApiError {
    ApiError::invalid_options("DeleteOptions", reason, field, why)
}

async fn delete_one(server: &Server, place: &Place, options: &Options) -> Result<Outcome, ApiError> {
    let outcome = delete_now(server, place, options)?;
    if let (false, Outcome::Gone(entry) | Outcome::Kept(entry)) = (options.dry_run, &outcome) {
        persisted(server, entry).await?;
    }
    Ok(outcome)
}

fn delete_now(server: &Server, place: &Place, options: &Options) -> Result<Outcome, ApiError> {
    loop {
        let entry = find(server, place)?;
        options.check(place, &entry)?;
        if &*place.kind.key == "namespaces" && BUILTIN_NAMESPACES.contains(&place.name.as_str()) {
            return Err(ApiError::forbidden(subject_of(place), "this namespace may not be deleted"));
        }
        let live = entry.value();
        let marked = mark(&live, options.policy);
        let finished = admission::is_finished(&marked);
        if options.dry_run || (!finished && marked == live) {
            return Ok(if finished { Outcome::Gone(entry) } else { Outcome::Would(marked) });
        }
        let done = if finished {
            server.store.remove(&key_of(place), entry.version).map(Outcome::Gone)
        } else {
            server.store.replace(&key_of(place), entry.version, marked).map(Outcome::Kept)
        };
        match done {
            Err(Refused::Stale) => continue,
            Err(why) => return Err(admission::refused(place, &why)),
            Ok(outcome) => return Ok(outcome),
        }
    }
}

/// The object as one that is to be deleted: with a time, and the finalizer of the policy.
fn mark(live: &Value, policy: Option<&'static str>) -> Value {
    let mut value = live.clone();
    if let Some(policy) = policy {
        let mut finalizers: Vec<String> =
            object::finalizers(live).filter(|f| ![FOREGROUND, ORPHAN].contains(f)).map(str::to_owned).collect();
        if !policy.is_empty() {
            finalizers.push(policy.to_owned());
        }
        object::set_finalizers(&mut value, finalizers);
    }
    if !object::is_deleting(live) {
        object::set_metadata(&mut value, "deletionTimestamp", object::now().into());
        object::set_metadata(&mut value, "deletionGracePeriodSeconds", 0.into());
        if object::generation(live) > 0 {
            object::set_metadata(&mut value, "generation", (object::generation(live) + 1).into());
        }
        if object::text(live, &["kind"]) == "Namespace"
            && let Some(status) = value.get_mut("status").and_then(Value::as_object_mut)
        {
            status.insert("phase".to_owned(), "Terminating".into());
        }
    }
    value
}
