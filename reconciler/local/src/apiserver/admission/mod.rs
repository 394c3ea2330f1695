//! What the server decides about every object before it is stored: type, name, namespace, metadata, status.

mod rules;
mod service_addresses;
pub mod services;

use serde_json::{Value, json};

use super::kinds::ServedKind;
use super::object;
use super::resource_address::ResourceAddress;
use super::status::{ApiError, ErrorSubject};
use super::store::{ObjectStore, WriteRefusal};

pub use rules::broken_rules;
pub use service_addresses::ServiceAddresses;

/// Kinds whose objects restrict others on a real server, and are only stored on this one.
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

/// Kinds whose `metadata.generation` counts the changes of the specification.
const WITH_GENERATION: [&str; 14] = [
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

/// Namespaces that nobody can delete.
pub const BUILTIN_NAMESPACES: [&str; 4] = ["default", "kube-node-lease", "kube-public", "kube-system"];

/// Refuses another type than that of the address, and fills in the type where it is absent.
pub fn expect_type(value: &mut Value, api_version: &str, kind: &str) -> Result<(), ApiError> {
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

/// Gives a new object its namespace and, from generateName, its name.
pub fn name_new(address: &ResourceAddress, value: &mut Value) -> Result<(), ApiError> {
    fill_namespace(address, value)?;
    let base = object::text(value, &["metadata", "generateName"]);
    if object::name(value).is_empty() && !base.is_empty() {
        let base: String = base.chars().take(58).collect();
        let name = format!("{base}{}", object::random_suffix(5));
        object::set_metadata(value, "name", name.into());
    }
    if object::name(value).is_empty() {
        let message = "Required value: name or generateName is required".to_owned();
        let cause = rules::cause("FieldValueRequired", "metadata.name", message);
        return Err(ApiError::invalid(address.subject(), &address.kind.resource.kind, &[cause]));
    }
    Ok(())
}

/// Refuses another name or namespace than those of the address, and fills in the namespace.
pub fn match_address(address: &ResourceAddress, value: &mut Value) -> Result<(), ApiError> {
    let given = object::name(value);
    if given.is_empty() {
        return Err(ApiError::bad_request(format!(
            "the name of the object ({} based on URL) was undeterminable: name must be provided",
            address.name
        )));
    }
    if given != address.name {
        return Err(ApiError::bad_request(format!(
            "the name of the object ({given}) does not match the name on the URL ({})",
            address.name
        )));
    }
    fill_namespace(address, value)
}

fn fill_namespace(address: &ResourceAddress, value: &mut Value) -> Result<(), ApiError> {
    let given = object::namespace(value);
    if !given.is_empty() && given != address.namespace {
        return Err(ApiError::bad_request(format!(
            "the namespace of the provided object does not match the namespace sent on the request ({given}, {})",
            address.namespace
        )));
    }
    match address.kind.resource.namespaced {
        true => object::set_metadata(value, "namespace", address.namespace.as_str().into()),
        false => object::remove_metadata(value, "namespace"),
    }
    Ok(())
}

/// Sets the fields of a new object that the server sets. Returns warnings for the client.
pub fn admit_new(store: &ObjectStore, address: &ResourceAddress, value: &mut Value) -> Result<Vec<String>, ApiError> {
    store.accepts_new(&address.namespace).map_err(|why| refusal_error(address, &why))?;
    if !object::resource_version(value).is_empty() {
        return Err(ApiError::bad_request("resourceVersion should not be set on objects to be created"));
    }
    for field in ["deletionTimestamp", "deletionGracePeriodSeconds", "generation", "selfLink"] {
        object::remove_metadata(value, field);
    }
    object::set_metadata(value, "uid", object::new_uid().into());
    object::set_metadata(value, "creationTimestamp", object::now().into());
    if WITH_GENERATION.contains(&address.group_resource()) {
        object::set_metadata(value, "generation", 1.into());
    }
    if address.kind.subresource("status").is_some() {
        object::set_field(value, "status", first_status(&address.kind));
    }
    if address.group_resource() == "namespaces" {
        prepare_namespace(value);
    }
    let only_stored = NOT_ENFORCED.contains(&address.group_resource());
    let warning = || format!("{} is stored, but not enforced by this embedded API server", address.kind.resource.kind);
    Ok(only_stored.then(warning).into_iter().collect())
}

/// The error for the client when the store refuses a write.
pub fn refusal_error(address: &ResourceAddress, refusal: &WriteRefusal) -> ApiError {
    match refusal {
        WriteRefusal::Exists => ApiError::already_exists(address.subject()),
        WriteRefusal::Missing => ApiError::not_found(address.subject()),
        WriteRefusal::Stale => ApiError::modified(address.subject()),
        WriteRefusal::TooDeep => {
            ApiError::bad_request("the object is nested too deeply for this server to read it back")
        }
        WriteRefusal::NoNamespace => {
            ApiError::not_found(ErrorSubject { group: "", resource: "namespaces", name: &address.namespace })
        }
        WriteRefusal::Terminating => terminating(address),
    }
}

fn terminating(address: &ResourceAddress) -> ApiError {
    let namespace = &address.namespace;
    let why = format!("unable to create new content in namespace {namespace} because it is being terminated");
    let mut error = ApiError::forbidden(address.subject(), &why);
    let cause = json!([{
        "reason": "NamespaceTerminating", "field": "metadata.namespace",
        "message": format!("namespace {namespace} is being terminated"),
    }]);
    if let Some(details) = error.details.as_mut().and_then(Value::as_object_mut) {
        details.insert("causes".to_owned(), cause);
    }
    error
}

/// A replacement of an object of some kinds has to name the version that it replaces.
pub fn require_version(address: &ResourceAddress, value: &Value) -> Result<(), ApiError> {
    if !["", "0"].contains(&object::resource_version(value)) || !rules::needs_version(address.group_resource()) {
        return Ok(());
    }
    let why = "Invalid value: 0: must be specified for an update".to_owned();
    let cause = rules::cause("FieldValueInvalid", "metadata.resourceVersion", why);
    Err(ApiError::invalid(address.subject(), &address.kind.resource.plural, &[cause]))
}

/// Checks the preconditions of a new version of an object, and undoes changes of fields that this write may not change.
pub fn admit_update(address: &ResourceAddress, live: &Value, value: &mut Value) -> Result<(), ApiError> {
    let (given, present) = (object::uid(value).to_owned(), object::uid(live));
    if !given.is_empty() && given != present {
        let why = format!("Precondition failed: UID in precondition: {given}, UID in object meta: {present}");
        return Err(ApiError::conflict(address.subject(), &why));
    }
    let version = object::resource_version(value);
    if !["", "0"].contains(&version) && version != object::resource_version(live) {
        return Err(ApiError::modified(address.subject()));
    }
    let kept = ["uid", "resourceVersion", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"];
    for field in kept.into_iter().chain(["generation", "selfLink"]) {
        object::keep_metadata(value, live, field);
    }
    match address.subresource.as_deref() {
        Some("status") => keep_all_but_status(live, value),
        Some("finalize") => keep_all_but_spec_finalizers(live, value),
        _ if address.kind.subresource("status").is_some() => object::keep_field(value, live, "status"),
        _ => {}
    }
    if address.group_resource() == "namespaces" && address.subresource.as_deref() != Some("finalize") {
        object::keep_field(value, live, "spec");
        label_namespace(value, &address.name);
    }
    refuse_new_finalizers(address, live, value)
}

/// Counts a change of the specification, which is all but metadata and status; of a Deployment annotations count, too.
pub fn count_generation(address: &ResourceAddress, live: &Value, value: &mut Value) {
    if !WITH_GENERATION.contains(&address.group_resource()) {
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
    let annotated = address.group_resource() == "deployments.apps" && annotations(live) != annotations(value);
    if annotated || specification(live) != specification(value) {
        object::set_metadata(value, "generation", (object::generation(live) + 1).into());
    }
}

/// Whether an object is being deleted and no finalizer keeps it.
pub fn is_deletion_complete(value: &Value) -> bool {
    object::is_deleting(value)
        && object::finalizers(value).next().is_none()
        && (object::text(value, &["kind"]) != "Namespace"
            || object::list(value, &["spec", "finalizers"]).next().is_none())
}

fn first_status(kind: &ServedKind) -> Value {
    match &*kind.group_resource {
        "namespaces" => json!({"phase": "Active"}),
        "persistentvolumeclaims" | "pods" => json!({"phase": "Pending"}),
        "services" | "ingresses.networking.k8s.io" => json!({"loadBalancer": {}}),
        _ => json!({}),
    }
}

fn prepare_namespace(value: &mut Value) {
    let name = object::name(value).to_owned();
    label_namespace(value, &name);
    object::set_field(value, "spec", json!({"finalizers": ["kubernetes"]}));
}

fn label_namespace(value: &mut Value, name: &str) {
    if let Some(labels) = object::metadata_mut(value).map(|m| m.entry("labels").or_insert_with(|| json!({}))) {
        object::set_field(labels, "kubernetes.io/metadata.name", name.into());
    }
}

fn keep_all_but_status(live: &Value, value: &mut Value) {
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

fn keep_all_but_spec_finalizers(live: &Value, value: &mut Value) {
    let finalizers = object::at(value, &["spec", "finalizers"]).cloned().unwrap_or(json!([]));
    let version = object::resource_version(value).to_owned();
    *value = live.clone();
    object::set_metadata(value, "resourceVersion", version.into());
    if let Some(spec) = value.get_mut("spec") {
        object::set_field(spec, "finalizers", finalizers);
    }
}

fn refuse_new_finalizers(address: &ResourceAddress, live: &Value, value: &Value) -> Result<(), ApiError> {
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
    Err(ApiError::invalid(address.subject(), &address.kind.resource.kind, &[cause]))
}
