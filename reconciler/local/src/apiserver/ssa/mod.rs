//! Server-side apply: who owns which field, and what an apply does to an object.
//!
//! The fields of an object form a set. Each manager owns a subset, and managers may share fields. An apply merges the
//! applied fields into the object and removes those that the manager applied before and now leaves out, unless another
//! manager owns them. It fails if it would change a field of another manager. Any other write makes its writer the owner
//! of the fields that it changes.

mod check;
pub mod fieldset;
pub mod managers;
pub mod typed;

use std::cmp::Ordering;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::canonical::canonicalize;
use super::object;
use super::schema::{ApiResource, ApiSchema, TypeId};
use super::status::StatusCause;

use fieldset::{FieldSet, compare_values};
use managers::{FieldConflict, FieldManager, FieldManagers, ManagerOperation, OwnedFields};

const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// One write by one manager.
#[derive(Clone, Debug)]
pub struct ManagedWrite<'a> {
    pub schema: &'a ApiSchema,
    /// The type of the object.
    pub type_id: TypeId,
    /// Such as `apps/v1`.
    pub api_version: &'a str,
    pub kind: &'a str,
    /// The name of the field manager.
    pub manager: &'a str,
    /// The subresource that is written; empty for the object itself.
    pub subresource: &'a str,
    /// The fields that this write can neither change nor own: see [`reset_fields`].
    pub reset: &'a [&'a str],
    pub now: Timestamp,
}

/// Why an apply is refused.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// It would change fields of other managers (409 Conflict).
    #[error("{}", conflict_message(.0))]
    Conflict(Vec<FieldConflict>),
    /// The applied object does not fit the schema (500 in Kubernetes; 400 says it better).
    #[error("failed to create typed patch object ({object}; {api_version}, Kind={kind}): {reason}")]
    Type {
        /// The object, as `namespace/name`.
        object: String,
        api_version: String,
        kind: String,
        /// What does not fit.
        reason: String,
    },
    /// The applied object has `managedFields` of its own (400 Bad Request).
    #[error("metadata.managedFields must be nil")]
    ManagedFields,
}

impl ApplyError {
    /// The causes of a conflict.
    pub fn causes(&self) -> Vec<StatusCause> {
        let Self::Conflict(conflicts) = self else { return Vec::new() };
        let cause = |conflict: &FieldConflict| StatusCause {
            reason: "FieldManagerConflict",
            message: format!("conflict with {}", conflict.manager.describe()),
            field: conflict.path.to_string(),
        };
        conflicts.iter().map(cause).collect()
    }
}

fn conflict_message(conflicts: &[FieldConflict]) -> String {
    if let [conflict] = conflicts {
        return format!(
            "Apply failed with 1 conflict: conflict with {}: {}",
            conflict.manager.describe(),
            conflict.path
        );
    }
    let mut lines = Vec::new();
    let mut last = None;
    for conflict in conflicts {
        if last != Some(&conflict.manager) {
            lines.push(format!("conflicts with {}:", conflict.manager.describe()));
            last = Some(&conflict.manager);
        }
        lines.push(format!("- {}", conflict.path));
    }
    format!("Apply failed with {} conflicts: {}", conflicts.len(), lines.join("\n"))
}

/// The fields that a write to an object or to one of its subresources does not change.
pub fn reset_fields(resource: &ApiResource, subresource: &str) -> &'static [&'static str] {
    let has_status = resource.subresources.iter().any(|s| s.name == "status");
    match (subresource, resource.plural.as_str()) {
        ("", _) if has_status => &["status"],
        ("status", "deployments") => &["spec", "metadata.labels"],
        ("status", "pods") => &["spec", "metadata.deletionTimestamp", "metadata.ownerReferences"],
        ("status", _) => &["spec"],
        _ => &[],
    }
}

/// The object after a write, but as it was before if nothing differs except the times of its managers.
pub fn ignore_times(before: &Value, after: Value) -> Value {
    let timeless = |object: &Value| {
        let mut object = object.clone();
        let entries = object.pointer_mut("/metadata/managedFields").and_then(Value::as_array_mut);
        for entry in entries.into_iter().flatten().filter_map(Value::as_object_mut) {
            entry.shift_remove("time");
        }
        object
    };
    if same(&timeless(before), &timeless(&after)) { before.clone() } else { after }
}

fn same(a: &Value, b: &Value) -> bool {
    compare_values(a, b) == Ordering::Equal
}

impl ManagedWrite<'_> {
    /// Applies a configuration to an object, or to none, which makes a new one. The result is in canonical form, without
    /// the defaults that depend on other fields.
    pub fn apply(&self, live: Option<&Value>, applied: &Value, force: bool) -> Result<Value, ApplyError> {
        if applied.pointer("/metadata/managedFields").is_some_and(|fields| !fields.is_null()) {
            return Err(ApplyError::ManagedFields);
        }
        check::check(self.schema, self.type_id, applied).map_err(|reason| self.type_error(applied, reason))?;
        let (live, entries) = take_managers(live.cloned().unwrap_or_else(|| self.empty()));
        let mut managers = FieldManagers::decode(&entries).unwrap_or_default();
        if managers.is_empty() {
            let change = self.compare(&self.empty(), &live);
            let owned = change.modified.union(&change.added).difference(&never_owned());
            managers.add(self.updater("before-first-apply"), self.api_version, &owned, self.now);
        }
        let allowed = match force {
            true => None,
            false => Some(self.last_applied(&live).unwrap_or_default()),
        };
        let (mut object, managers) = self.apply_to(&live, applied, managers, allowed.as_ref())?;
        canonicalize(self.schema, self.type_id, &mut object);
        if self.manager == "kubectl" && last_applied_text(&object).is_some() {
            object["metadata"]["annotations"][LAST_APPLIED] = Value::from(without_last_applied(applied));
        }
        Ok(put_managers(object, &managers))
    }

    /// Records who owns what after any other write. `after` is the object as it will be stored, in canonical form and
    /// with its defaults. Its own `managedFields` count, unless the write is to a subresource.
    pub fn track(&self, before: Option<&Value>, after: Value) -> Value {
        let (after, sent) = take_managers(after);
        let (old, stored) = take_managers(before.cloned().unwrap_or_else(|| self.empty()));
        let stored = FieldManagers::decode(&stored).unwrap_or_default();
        let reset = sent.as_array().is_some_and(|e| e.is_empty() || (e.len() == 1 && e[0] == json!({})));
        let mut managers = match FieldManagers::decode(&sent).filter(|managers| !managers.is_empty()) {
            _ if !self.subresource.is_empty() => stored,
            _ if reset => FieldManagers::default(),
            Some(managers) => managers,
            None => stored,
        };
        if managers.is_empty() && before.is_some() {
            return after;
        }
        let change = self.compare(&old, &after);
        managers.release(None, &change);
        let taken = change.modified.union(&change.added).difference(&never_owned());
        managers.add(self.updater(self.manager), self.api_version, &taken, self.now);
        managers.cap();
        put_managers(after, &managers)
    }

    /// An object of this kind to which nothing has been written yet.
    fn empty(&self) -> Value {
        let mut object = json!({"apiVersion": self.api_version, "kind": self.kind});
        canonicalize(self.schema, self.type_id, &mut object);
        object
    }

    fn updater(&self, name: &str) -> FieldManager {
        FieldManager {
            name: if name.is_empty() { "unknown".to_owned() } else { name.to_owned() },
            operation: ManagerOperation::Update,
            api_version: self.api_version.to_owned(),
            subresource: self.subresource.to_owned(),
        }
    }

    fn compare(&self, old: &Value, new: &Value) -> typed::Comparison {
        typed::compare(self.schema, self.type_id, old, new).without(&FieldSet::of_fields(self.reset))
    }

    /// Merges, prunes and records who owns what. Conflicts over fields in `allowed` are ignored; if it is none, all are.
    fn apply_to(
        &self,
        live: &Value,
        applied: &Value,
        mut managers: FieldManagers,
        allowed: Option<&FieldSet>,
    ) -> Result<(Value, FieldManagers), ApplyError> {
        let me = FieldManager {
            operation: ManagerOperation::Apply,
            api_version: String::new(),
            ..self.updater(self.manager)
        };
        let before = managers.get(&me).cloned();
        let applied_set = typed::field_set(self.schema, self.type_id, applied);
        let fields = applied_set.difference_with_below(&FieldSet::of_fields(self.reset));
        let mut owned = OwnedFields {
            api_version: self.api_version.to_owned(),
            fields,
            time: before.as_ref().and_then(|b| b.time.clone()),
        };
        managers.set(me.clone(), owned.clone());
        let mut object = typed::merge(self.schema, self.type_id, live, applied);
        if let Some(before) = before {
            object = self.prune(&object, &before.fields, &managers.all_fields());
        }
        let change = self.compare(live, &object);
        if let Some(allowed) = allowed {
            let mut conflicts = managers.conflicts(&me, &change);
            conflicts.retain(|conflict| !allowed.has(&conflict.path.0));
            if !conflicts.is_empty() {
                return Err(ApplyError::Conflict(conflicts));
            }
        }
        managers.release(Some(&me), &change);
        if !same(live, &object) {
            owned.time = Some(managers::seconds(self.now));
        }
        owned.fields = owned.fields.difference(&never_owned());
        managers.set(me, owned);
        Ok((object, managers))
    }

    /// Removes the fields that were applied before and that no manager, the applier included, owns any more.
    fn prune(&self, merged: &Value, before: &FieldSet, managed: &FieldSet) -> Value {
        let named = |set: &FieldSet| typed::with_named_fields(self.schema, self.type_id, set);
        let fields_of = |object: &Value| named(&typed::field_set(self.schema, self.type_id, object));
        let without = |gone: &FieldSet| typed::remove(self.schema, self.type_id, merged, gone);
        let (all, before) = (fields_of(merged), named(before));
        // This removes items that were applied with all that is in them, so put back what others own,
        let pruned = without(&before);
        let pruned = without(&all.difference(&fields_of(&pruned).union(&named(managed))));
        // and what nobody owned before.
        without(&all.difference(&fields_of(&pruned)).intersection(&before))
    }

    /// The fields that a client-side `kubectl apply` set and that have not changed since. `kubectl` may take these over
    /// without a conflict.
    fn last_applied(&self, live: &Value) -> Option<FieldSet> {
        let text = last_applied_text(live).filter(|_| self.manager == "kubectl")?;
        let last: Value = serde_json::from_str(text).ok()?;
        if last.get("apiVersion")?.as_str()? != self.api_version {
            return None;
        }
        let change = typed::compare(self.schema, self.type_id, &last, live);
        let fields = typed::field_set(self.schema, self.type_id, &last);
        Some(fields.difference(&change.modified).difference(&change.added).difference(&change.removed))
    }

    fn type_error(&self, applied: &Value, reason: String) -> ApplyError {
        let text = |pointer: &str| applied.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        ApplyError::Type {
            object: format!("{}/{}", text("/metadata/namespace"), text("/metadata/name")),
            api_version: match self.api_version.contains('/') {
                true => self.api_version.to_owned(),
                false => format!("/{}", self.api_version),
            },
            kind: self.kind.to_owned(),
            reason,
        }
    }
}

/// The fields that the server sets, and those that name the object.
fn never_owned() -> FieldSet {
    FieldSet::of_fields(&[
        "apiVersion",
        "kind",
        "metadata",
        "metadata.name",
        "metadata.namespace",
        "metadata.creationTimestamp",
        "metadata.selfLink",
        "metadata.uid",
        "metadata.clusterName",
        "metadata.generation",
        "metadata.managedFields",
        "metadata.resourceVersion",
    ])
}

fn last_applied_text(object: &Value) -> Option<&str> {
    object.get("metadata")?.get("annotations")?.get(LAST_APPLIED)?.as_str().filter(|text| !text.is_empty())
}

fn without_last_applied(applied: &Value) -> String {
    let mut applied = applied.clone();
    if let Some(annotations) = applied.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut) {
        annotations.shift_remove(LAST_APPLIED);
    }
    format!("{applied}\n")
}

fn take_managers(mut object: Value) -> (Value, Value) {
    let metadata = object.get_mut("metadata").and_then(Value::as_object_mut);
    let entries = metadata.and_then(|metadata| metadata.shift_remove("managedFields")).unwrap_or(Value::Null);
    (object, entries)
}

fn put_managers(mut object: Value, managers: &FieldManagers) -> Value {
    if !managers.is_empty() {
        object::set_metadata(&mut object, "managedFields", managers.encode());
    }
    object
}

#[cfg(test)]
mod tests;
