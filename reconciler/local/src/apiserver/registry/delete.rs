//! Deletion: preconditions, finalizers, propagation to dependents.

use std::sync::Arc;

use serde_json::Value;

use super::ObjectRegistry;
use super::filter::ObjectFilter;
use crate::apiserver::admission::{self, BUILTIN_NAMESPACES};
use crate::apiserver::object;
use crate::apiserver::resource_address::ResourceAddress;
use crate::apiserver::status::ApiError;
use crate::apiserver::store::{StoredObject, WriteRefusal};

/// The finalizers that keep an object until its dependents are deleted, or have lost their reference to it.
pub const FOREGROUND: &str = "foregroundDeletion";
pub const ORPHAN: &str = "orphan";

/// What a deletion does about the objects that the deleted one owns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PropagationPolicy {
    /// The garbage collector deletes them afterwards.
    Background,
    /// They are deleted first.
    Foreground,
    /// They stay, without the reference to their owner.
    Orphan,
}

impl PropagationPolicy {
    fn finalizer(self) -> Option<&'static str> {
        match self {
            Self::Background => None,
            Self::Foreground => Some(FOREGROUND),
            Self::Orphan => Some(ORPHAN),
        }
    }
}

/// Kubernetes' DeleteOptions.
pub struct DeleteOptions {
    /// A precondition.
    pub uid: Option<String>,
    /// A precondition.
    pub version: Option<String>,
    /// None leaves the finalizers of the object as they are.
    pub policy: Option<PropagationPolicy>,
    pub dry_run: bool,
}

/// What became of an object that was to be deleted.
pub enum DeleteOutcome {
    Removed(Arc<StoredObject>),
    /// Finalizers keep it: it is marked as being deleted.
    Marked(Arc<StoredObject>),
    /// As `Marked`, but nothing was written: it was marked already, or this is a dry run.
    Unwritten(Value),
}

impl ObjectRegistry {
    pub async fn delete(&self, address: &ResourceAddress, options: &DeleteOptions) -> Result<DeleteOutcome, ApiError> {
        let outcome = self.delete_unpersisted(address, options)?;
        if let (false, DeleteOutcome::Removed(object) | DeleteOutcome::Marked(object)) = (options.dry_run, &outcome) {
            self.persisted(object).await?;
        }
        Ok(outcome)
    }

    /// Deletes the objects of a kind that a filter matches. Returns them as they were, with the version of the list.
    pub async fn delete_collection(
        &self,
        address: &ResourceAddress,
        filter: &ObjectFilter,
        options: &DeleteOptions,
    ) -> Result<(Vec<Arc<StoredObject>>, u64), ApiError> {
        let (mut objects, version) = self.store.list(address.group_resource(), &filter.namespace);
        objects.retain(|object| filter.matches(object));
        for object in &objects {
            let address = ResourceAddress { name: object.key.name.clone(), ..address.clone() };
            match self.delete(&address, options).await {
                Err(error) if error.code == 404 => {}
                other => drop(other?),
            }
        }
        Ok((objects, version))
    }

    /// Deletes as the garbage collector and the deletion of a namespace do: only an object with this uid, and without
    /// waiting for the file.
    pub fn delete_in_background(&self, address: &ResourceAddress, uid: &str, policy: Option<PropagationPolicy>) {
        let options = DeleteOptions { uid: Some(uid.to_owned()), version: None, policy, dry_run: false };
        let _ = self.delete_unpersisted(address, &options); // an error: there is no such object any more
    }

    fn delete_unpersisted(
        &self,
        address: &ResourceAddress,
        options: &DeleteOptions,
    ) -> Result<DeleteOutcome, ApiError> {
        loop {
            let present = self.find(address)?;
            options.check_preconditions(address, &present)?;
            if address.group_resource() == "namespaces" && BUILTIN_NAMESPACES.contains(&address.name.as_str()) {
                return Err(ApiError::forbidden(address.subject(), "this namespace may not be deleted"));
            }
            let live = present.value();
            let marked = mark(&live, options.policy);
            let complete = admission::is_deletion_complete(&marked);
            if options.dry_run || (!complete && marked == live) {
                return Ok(if complete { DeleteOutcome::Removed(present) } else { DeleteOutcome::Unwritten(marked) });
            }
            let done = if complete {
                self.store.remove(&address.key(), present.version).map(DeleteOutcome::Removed)
            } else {
                self.store.replace(&address.key(), present.version, marked).map(DeleteOutcome::Marked)
            };
            match done {
                Err(WriteRefusal::Stale) => continue,
                Err(why) => return Err(admission::refusal_error(address, &why)),
                Ok(outcome) => return Ok(outcome),
            }
        }
    }
}

impl DeleteOptions {
    fn check_preconditions(&self, address: &ResourceAddress, present: &StoredObject) -> Result<(), ApiError> {
        let version = present.version.to_string();
        for (wanted, found, what) in [(&self.uid, &present.uid, "UID"), (&self.version, &version, "ResourceVersion")] {
            if let Some(wanted) = wanted
                && wanted != found
            {
                let why =
                    format!("Precondition failed: {what} in precondition: {wanted}, {what} in object meta: {found}");
                return Err(ApiError::conflict(address.subject(), &why));
            }
        }
        Ok(())
    }
}

/// The object as one that is being deleted: with the time, and with the finalizer of the policy.
fn mark(live: &Value, policy: Option<PropagationPolicy>) -> Value {
    let mut value = live.clone();
    if let Some(policy) = policy {
        let others = object::finalizers(live).filter(|f| ![FOREGROUND, ORPHAN].contains(f));
        let finalizers = others.chain(policy.finalizer()).map(str::to_owned).collect();
        object::set_finalizers(&mut value, finalizers);
    }
    if !object::is_deleting(live) {
        object::set_metadata(&mut value, "deletionTimestamp", object::now().into());
        object::set_metadata(&mut value, "deletionGracePeriodSeconds", 0.into());
        if object::generation(live) > 0 {
            object::set_metadata(&mut value, "generation", (object::generation(live) + 1).into());
        }
        if object::text(live, &["kind"]) == "Namespace"
            && let Some(status) = value.get_mut("status")
        {
            object::set_field(status, "phase", "Terminating".into());
        }
    }
    value
}
