//! What the server decides about every object that comes in: name, namespace, metadata, status.
//!
//! Not enforced here, and listed among the laxities of the server: ResourceQuota, LimitRange, Pod Security levels,
//! webhooks and admission policies, authorization.

use serde_json::{Value, json};

use super::Server;
use super::object;
use super::read::subject_of;
use super::route::{Kind, Place};
use super::rules;
use super::status::{ApiError, Cause, Subject};
use super::store::Refused;

pub(super) use super::rules::broken_rules;

/// Kinds that are stored, but whose effect on others is not there.
const NOT_ENFORCED: [&str; 8] = [
    "resourcequotas",
    "limitranges",
    "mutatingwebhookconfigurations.admissionregistration.k8s.io",
    "validatingwebhookconfigurations.admissionregistration.k8s.io",
    "mutatingadmissionpolicies.admissionregistration.k8s.io",
    "mutatingadmissionpolicybindings.admissionregistration.k8s.io",
    "validatingadmissionpolicies.admissionregistration.k8s.io",
    "validatingadmissionpolicybindings.admissionregistration.k8s.io",
];

/// Kinds whose specification counts its changes in `metadata.generation`.
const COUNTED: [&str; 14] = [
    "daemonsets.apps",
    "deployments.apps",
    "replicasets.apps",
    "statefulsets.apps",
    "cronjobs.batch",
    "jobs.batch",
    "ingresses.networking.k8s.io",
    "networkpolicies.networking.k8s.io",
    "poddisruptionbudgets.policy",
    "pods",
    "replicationcontrollers",
    "priorityclasses.scheduling.k8s.io",
    "mutatingwebhookconfigurations.admissionregistration.k8s.io",
    "validatingwebhookconfigurations.admissionregistration.k8s.io",
];

/// Namespaces that no one can delete.
pub(super) const BUILTIN_NAMESPACES: [&str; 4] = ["default", "kube-node-lease", "kube-public", "kube-system"];

/// Gives a new object its namespace and, from generateName, its name.
pub(super) fn name_new(place: &Place, value: &mut Value) -> Result<(), ApiError> {
    fill_namespace(place, value)?;
    let base = object::text(value, &["metadata", "generateName"]);
    if object::name(value).is_empty() && !base.is_empty() {
        let base: String = base.chars().take(58).collect();
        let name = format!("{base}{}", object::random_suffix(5));
        object::set_metadata(value, "name", name.into());
    }
    if object::name(value).is_empty() {
        let cause = Cause {
            reason: "FieldValueRequired".to_owned(),
            message: "Required value: name or generateName is required".to_owned(),
            field: "metadata.name".to_owned(),
        };
        return Err(ApiError::invalid(subject_of(place), &place.kind.resource.kind, &[cause]));
    }
    Ok(())
}

/// Holds the body's name and namespace against the URL's, and fills the namespace in.
pub(super) fn fits_place(place: &Place, value: &mut Value) -> Result<(), ApiError> {
    let given = object::name(value);
    if given.is_empty() {
        return Err(ApiError::bad_request(format!(
            "the name of the object ({} based on URL) was undeterminable: name must be provided",
            place.name
        )));
    }
    if given != place.name {
        return Err(ApiError::bad_request(format!(
            "the name of the object ({given}) does not match the name on the URL ({})",
            place.name
        )));
    }
    fill_namespace(place, value)
}

fn fill_namespace(place: &Place, value: &mut Value) -> Result<(), ApiError> {
    let given = object::namespace(value);
    if !given.is_empty() && given != place.namespace {
        return Err(ApiError::bad_request(format!(
            "the namespace of the provided object does not match the namespace sent on the request ({given}, {})",
            place.namespace
        )));
    }
    match place.kind.resource.namespaced {
        true => object::set_metadata(value, "namespace", place.namespace.as_str().into()),
        false => object::remove_metadata(value, "namespace"),
    }
    Ok(())
}

/// Admits a new object: its namespace takes it, and the server's fields are set. Returns warnings for the client.
pub(super) fn admit_new(server: &Server, place: &Place, value: &mut Value) -> Result<Vec<String>, ApiError> {
    server.store.takes(&place.namespace).map_err(|why| refused(place, &why))?;
    if !object::resource_version(value).is_empty() {
        return Err(ApiError::bad_request("resourceVersion should not be set on objects to be created"));
    }
    for field in ["deletionTimestamp", "deletionGracePeriodSeconds", "generation", "selfLink"] {
        object::remove_metadata(value, field);
    }
    object::set_metadata(value, "uid", object::new_uid().into());
    object::set_metadata(value, "creationTimestamp", object::now().into());
    if COUNTED.contains(&&*place.kind.key) {
        object::set_metadata(value, "generation", 1.into());
    }
    if place.kind.subresource("status").is_some()
        && let Some(fields) = value.as_object_mut()
    {
        fields.insert("status".to_owned(), first_status(&place.kind));
    }
    if &*place.kind.key == "namespaces" {
        prepare_namespace(value);
    }
    let stored = NOT_ENFORCED.contains(&&*place.kind.key);
    let warning = || format!("{} is stored, but not enforced by this embedded API server", place.kind.resource.kind);
    Ok(stored.then(warning).into_iter().collect())
}

/// What the client is told when the store refuses a write.
pub(super) fn refused(place: &Place, refused: &Refused) -> ApiError {
    match refused {
        Refused::Exists => ApiError::already_exists(subject_of(place)),
        Refused::Missing => ApiError::not_found(subject_of(place)),
        Refused::Stale => ApiError::modified(subject_of(place)),
        Refused::TooDeep => ApiError::bad_request("the object is nested too deeply for this server to read it back"),
        Refused::NoNamespace => {
            ApiError::not_found(Subject { group: "", resource: "namespaces", name: &place.namespace })
        }
        Refused::Terminating => terminating(place),
    }
}

fn terminating(place: &Place) -> ApiError {
    let namespace = &place.namespace;
    let why = format!("unable to create new content in namespace {namespace} because it is being terminated");
    let mut error = ApiError::forbidden(subject_of(place), &why);
    let cause = json!([{
        "reason": "NamespaceTerminating", "field": "metadata.namespace",
        "message": format!("namespace {namespace} is being terminated"),
    }]);
    if let Some(details) = error.details.as_mut().and_then(Value::as_object_mut) {
        details.insert("causes".to_owned(), cause);
    }
    error
}

/// A replacement of an object of some kinds names the version that it replaces.
pub(super) fn names_version(place: &Place, value: &Value) -> Result<(), ApiError> {
    if !["", "0"].contains(&object::resource_version(value)) || !rules::needs_version(&place.kind.key) {
        return Ok(());
    }
    let why = "Invalid value: 0: must be specified for an update".to_owned();
    let cause = rules::cause("FieldValueInvalid", "metadata.resourceVersion", why);
    Err(ApiError::invalid(subject_of(place), &place.kind.resource.plural, &[cause]))
}

/// Admits a new version: it fits the present one, and only its own part of the object changes.
pub(super) fn admit_over(place: &Place, live: &Value, value: &mut Value) -> Result<(), ApiError> {
    let (given, present) = (object::uid(value).to_owned(), object::uid(live));
    if !given.is_empty() && given != present {
        let why = format!("Precondition failed: UID in precondition: {given}, UID in object meta: {present}");
        return Err(ApiError::conflict(subject_of(place), &why));
    }
    let version = object::resource_version(value);
    if !["", "0"].contains(&version) && version != object::resource_version(live) {
        return Err(ApiError::modified(subject_of(place)));
    }
    let kept = ["uid", "resourceVersion", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"];
    for field in kept.into_iter().chain(["generation", "selfLink"]) {
        object::keep_metadata(value, live, field);
    }
    match place.subresource.as_deref() {
        Some("status") => only_status(live, value),
        Some("finalize") => only_spec_finalizers(live, value),
        _ if place.kind.subresource("status").is_some() => object::keep_field(value, live, "status"),
        _ => {}
    }
    if &*place.kind.key == "namespaces" && place.subresource.as_deref() != Some("finalize") {
        object::keep_field(value, live, "spec");
        if let Some(labels) = object::metadata_mut(value).map(|m| m.entry("labels").or_insert_with(|| json!({}))) {
            set(labels, "kubernetes.io/metadata.name", place.name.as_str().into());
        }
    }
    no_new_finalizers(place, live, value)
}

/// Counts a change of the specification: of anything but metadata and status, and of a Deployment's annotations.
pub(super) fn count_generation(place: &Place, live: &Value, value: &mut Value) {
    if !COUNTED.contains(&&*place.kind.key) {
        return;
    }
    let specification = |v: &Value| -> Vec<(String, Value)> {
        let fields = v.as_object().into_iter().flatten();
        let mut kept: Vec<_> = fields
            .filter(|(key, _)| !["metadata", "status"].contains(&key.as_str()))
            .map(|(key, content)| (key.clone(), content.clone()))
            .collect();
        kept.sort_by(|a, b| a.0.cmp(&b.0));
        kept
    };
    let annotations = |v: &Value| object::at(v, &["metadata", "annotations"]).cloned();
    let annotated = &*place.kind.key == "deployments.apps" && annotations(live) != annotations(value);
    if annotated || specification(live) != specification(value) {
        object::set_metadata(value, "generation", (object::generation(live) + 1).into());
    }
}

/// It is being deleted, and nothing keeps it.
pub(super) fn is_finished(value: &Value) -> bool {
    object::is_deleting(value)
        && object::finalizers(value).next().is_none()
        && (object::text(value, &["kind"]) != "Namespace"
            || object::list(value, &["spec", "finalizers"]).next().is_none())
}

fn first_status(kind: &Kind) -> Value {
    match &*kind.key {
        "namespaces" => json!({"phase": "Active"}),
        "persistentvolumeclaims" | "pods" => json!({"phase": "Pending"}),
        "services" | "ingresses.networking.k8s.io" => json!({"loadBalancer": {}}),
        _ => json!({}),
    }
}

fn prepare_namespace(value: &mut Value) {
    let name = object::name(value).to_owned();
    if let Some(labels) = object::metadata_mut(value).map(|m| m.entry("labels").or_insert_with(|| json!({}))) {
        set(labels, "kubernetes.io/metadata.name", name.into());
    }
    set(value, "spec", json!({"finalizers": ["kubernetes"]}));
}

/// A write to `status` leaves the rest alone, but for labels, annotations, finalizers and the like.
fn only_status(live: &Value, value: &mut Value) {
    let others = |v: &Value| -> Vec<String> {
        let keys = v.as_object().into_iter().flatten().map(|(k, _)| k.clone());
        keys.filter(|k| !["metadata", "status"].contains(&k.as_str())).collect()
    };
    for field in others(live).into_iter().chain(others(value)) {
        object::keep_field(value, live, &field);
    }
    for field in ["labels", "annotations", "ownerReferences", "finalizers"] {
        object::keep_metadata(value, live, field);
    }
}

fn only_spec_finalizers(live: &Value, value: &mut Value) {
    let finalizers = object::at(value, &["spec", "finalizers"]).cloned().unwrap_or(json!([]));
    let version = object::resource_version(value).to_owned();
    *value = live.clone();
    object::set_metadata(value, "resourceVersion", version.into());
    if let Some(spec) = value.get_mut("spec") {
        set(spec, "finalizers", finalizers);
    }
}

fn no_new_finalizers(place: &Place, live: &Value, value: &Value) -> Result<(), ApiError> {
    if !object::is_deleting(live) {
        return Ok(());
    }
    let present: Vec<&str> = object::finalizers(live).collect();
    let new: Vec<String> =
        object::finalizers(value).filter(|f| !present.contains(f)).map(|f| format!("{f:?}")).collect();
    if new.is_empty() {
        return Ok(());
    }
    let message = format!(
        "Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
        new.join(", ")
    );
    let cause = rules::cause("FieldValueForbidden", "metadata.finalizers", message);
    Err(ApiError::invalid(subject_of(place), &place.kind.resource.kind, &[cause]))
}

fn set(value: &mut Value, field: &str, content: Value) {
    if let Some(fields) = value.as_object_mut() {
        fields.insert(field.to_owned(), content);
    }
}
