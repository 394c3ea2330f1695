//! Create, replace, patch and apply, with optimistic concurrency.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;

use super::ObjectRegistry;
use crate::apiserver::admission::{self, services};
use crate::apiserver::kinds::ServedKind;
use crate::apiserver::resource_address::ResourceAddress;
use crate::apiserver::status::ApiError;
use crate::apiserver::store::{StoreKey, StoredObject, WriteRefusal};
use crate::apiserver::{defaults, merge, object, ssa, validate};

/// How often a write is tried that names no version, because other writes may come in between.
pub(super) const ATTEMPTS: usize = 10;

/// How a patch is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PatchType {
    Json,
    Merge,
    Strategic,
    Apply,
}

/// What to do about fields that a kind does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldValidation {
    Ignore,
    Warn,
    Strict,
}

/// The options that Kubernetes' CreateOptions, UpdateOptions and PatchOptions have in common.
#[derive(Clone, Debug)]
pub struct WriteOptions {
    /// The field manager.
    pub manager: String,
    pub field_validation: FieldValidation,
    pub dry_run: bool,
    /// An apply takes fields from other managers.
    pub force: bool,
}

/// How a write changes an object that exists.
pub enum Modification {
    Replace(Value),
    Patch(PatchType, Value),
}

impl Modification {
    pub(super) fn is_apply(&self) -> bool {
        matches!(self, Self::Patch(PatchType::Apply, _))
    }
}

/// The object after a write.
pub enum WrittenObject {
    Stored(Arc<StoredObject>),
    /// Of a dry run, which stores nothing.
    DryRun(Value),
}

/// A write that was made.
pub struct CompletedWrite {
    /// The object did not exist before.
    pub created: bool,
    pub object: WrittenObject,
    pub warnings: Vec<String>,
}

/// An object on its way to the store, with the warnings for the client so far.
struct PreparedWrite {
    value: Value,
    warnings: Vec<String>,
}

/// Writes to one address.
#[derive(Clone, Copy)]
pub struct ObjectWriter<'a> {
    pub registry: &'a ObjectRegistry,
    pub address: &'a ResourceAddress,
    pub options: &'a WriteOptions,
}

impl ObjectWriter<'_> {
    pub async fn create(&self, mut value: Value) -> Result<CompletedWrite, ApiError> {
        let mut warnings = self.check_fields(&mut value)?;
        admission::name_new(self.address, &mut value)?;
        let address = ResourceAddress { name: object::name(&value).to_owned(), ..self.address.clone() };
        let writer = ObjectWriter { address: &address, ..*self };
        let prepared = writer.prepare_new(value, false)?;
        warnings.extend(prepared.warnings);
        writer.store_new(PreparedWrite { value: prepared.value, warnings }).await
    }

    /// Replaces an object or a subresource of one as a whole.
    pub async fn replace(&self, mut value: Value) -> Result<CompletedWrite, ApiError> {
        let warnings = self.check_fields(&mut value)?;
        admission::match_address(self.address, &mut value)?;
        self.modify(&Modification::Replace(value), warnings).await
    }

    /// Changes some fields of an object or of a subresource of one. An apply may create the object.
    pub async fn patch(&self, patch_type: PatchType, patch: Value) -> Result<CompletedWrite, ApiError> {
        match patch_type {
            PatchType::Apply => self.apply(patch).await,
            _ => self.modify(&Modification::Patch(patch_type, patch), Vec::new()).await,
        }
    }

    async fn apply(&self, mut patch: Value) -> Result<CompletedWrite, ApiError> {
        let (api_version, kind) = self.address.body_type();
        if object::text(&patch, &["kind"]).is_empty() {
            return Err(ApiError::bad_request("invalid object type: /, Kind=: an apply names its apiVersion and kind"));
        }
        admission::expect_type(&mut patch, &api_version, kind)?;
        if object::name(&patch).is_empty() {
            object::set_metadata(&mut patch, "name", self.address.name.as_str().into());
        }
        admission::match_address(self.address, &mut patch)?;
        if self.address.subresource.is_none() && self.registry.store.get(&self.address.key()).is_none() {
            match self.apply_new(&patch).await {
                // Another request created the object meanwhile: apply to that.
                Err(error) if error.reason == "AlreadyExists" => {}
                done => return done,
            }
        }
        self.modify(&Modification::Patch(PatchType::Apply, patch), Vec::new()).await
    }

    async fn apply_new(&self, patch: &Value) -> Result<CompletedWrite, ApiError> {
        let uid = object::uid(patch);
        if !uid.is_empty() {
            let why = format!("Precondition failed: UID in precondition: {uid}, UID in object meta: ");
            return Err(ApiError::conflict(self.address.subject(), &why));
        }
        let mut value = self.applied(None, patch)?;
        // Like a real server: an apply with a resourceVersion creates the object where there is none.
        object::remove_metadata(&mut value, "resourceVersion");
        let prepared = self.prepare_new(value, true)?;
        self.store_new(prepared).await
    }

    async fn modify(&self, modification: &Modification, warnings: Vec<String>) -> Result<CompletedWrite, ApiError> {
        for _ in 0..ATTEMPTS {
            let present = self.registry.find(self.address)?;
            let live = present.value();
            let mut prepared = self.modified(&live, modification)?;
            prepared.warnings.extend(warnings.iter().cloned());
            let value = self.prepare_update(&live, prepared.value, modification.is_apply())?;
            let object = if live == value {
                WrittenObject::Stored(present)
            } else if self.options.dry_run {
                WrittenObject::DryRun(value)
            } else {
                match self.registry.replace_or_remove(&present.key, present.version, value) {
                    Err(WriteRefusal::Stale) => continue,
                    Err(why) => return Err(admission::refusal_error(self.address, &why)),
                    Ok(new) => {
                        self.registry.persisted(&new).await?;
                        WrittenObject::Stored(new)
                    }
                }
            };
            return Ok(CompletedWrite { created: false, object, warnings: prepared.warnings });
        }
        Err(ApiError::modified(self.address.subject()))
    }

    /// The object as the modification alone makes it.
    fn modified(&self, live: &Value, modification: &Modification) -> Result<PreparedWrite, ApiError> {
        let kind = &self.address.kind;
        let mut value = match modification {
            Modification::Replace(value) => {
                admission::require_version(self.address, value)?;
                return Ok(PreparedWrite { value: value.clone(), warnings: Vec::new() });
            }
            Modification::Patch(PatchType::Apply, patch) => {
                return Ok(PreparedWrite { value: self.applied(Some(live), patch)?, warnings: Vec::new() });
            }
            Modification::Patch(PatchType::Json, patch) => merge::json_patch(live, patch).map_err(patch_error)?,
            Modification::Patch(PatchType::Merge, patch) => merge::json(live, patch),
            Modification::Patch(PatchType::Strategic, patch) => {
                merge::strategic(self.registry.schema, kind.resource.type_id, live, patch).map_err(patch_error)?
            }
        };
        admission::expect_type(&mut value, &kind.api_version(), &kind.resource.kind)?;
        let warnings = self.check_fields(&mut value)?;
        admission::match_address(self.address, &mut value)?;
        Ok(PreparedWrite { value, warnings })
    }

    fn applied(&self, live: Option<&Value>, patch: &Value) -> Result<Value, ApiError> {
        let api_version = self.address.kind.api_version();
        let value = self.managed_write(&api_version).apply(live, patch, self.options.force).map_err(apply_error)?;
        let type_id = self.address.kind.resource.type_id;
        validate::decode(self.registry.schema, type_id, &value).map_err(ApiError::bad_request)?;
        Ok(value)
    }

    fn managed_write<'a>(&'a self, api_version: &'a str) -> ssa::ManagedWrite<'a> {
        let (manager, subresource) = (&self.options.manager, self.address.subresource_name());
        self.registry.managed_write(&self.address.kind, api_version, manager, subresource)
    }

    /// Applies the server's own rules to a new object. An apply has already recorded who owns its fields.
    fn prepare_new(&self, mut value: Value, is_apply: bool) -> Result<PreparedWrite, ApiError> {
        let kind = &self.address.kind;
        let warnings = admission::admit_new(&self.registry.store, self.address, &mut value)?;
        defaults::apply(self.registry.schema, kind.resource.type_id, &mut value);
        if !is_apply {
            value = self.managed_write(&kind.api_version()).track(None, value);
        }
        self.complete_service(None, &mut value);
        self.check_values(None, &value)?;
        Ok(PreparedWrite { value, warnings })
    }

    /// Applies the server's own rules to a new version of an object.
    pub(super) fn prepare_update(&self, live: &Value, mut value: Value, is_apply: bool) -> Result<Value, ApiError> {
        let kind = &self.address.kind;
        admission::admit_update(self.address, live, &mut value)?;
        defaults::apply(self.registry.schema, kind.resource.type_id, &mut value);
        admission::count_generation(self.address, live, &mut value);
        if !is_apply {
            value = self.managed_write(&kind.api_version()).track(Some(live), value);
        }
        self.complete_service(Some(live), &mut value);
        self.check_values(Some(live), &value)?;
        Ok(ssa::ignore_times(live, value))
    }

    /// Gives a Service its addresses. No field manager owns them, so this comes after the owners are recorded.
    fn complete_service(&self, live: Option<&Value>, value: &mut Value) {
        if self.address.group_resource() == "services"
            && self.address.subresource.is_none()
            && let Some(spec) = value.get_mut("spec")
        {
            services::complete(&self.registry.service_addresses, live.and_then(|live| live.get("spec")), spec);
        }
    }

    async fn store_new(&self, prepared: PreparedWrite) -> Result<CompletedWrite, ApiError> {
        let refused = |why| admission::refusal_error(self.address, &why);
        let (store, key) = (&self.registry.store, self.address.key());
        let object = if self.options.dry_run {
            if store.get(&key).is_some() {
                return Err(refused(WriteRefusal::Exists));
            }
            WrittenObject::DryRun(prepared.value)
        } else {
            let new = store.create(&key, prepared.value).map_err(refused)?;
            self.registry.persisted(&new).await?;
            WrittenObject::Stored(new)
        };
        Ok(CompletedWrite { created: true, object, warnings: prepared.warnings })
    }

    /// Refuses values of the wrong type and removes fields that the kind does not have, with a warning, an error or
    /// nothing, as the options say.
    pub(super) fn check_fields(&self, value: &mut Value) -> Result<Vec<String>, ApiError> {
        let (api_version, kind) = self.address.body_type();
        let version = api_version.rsplit('/').next().unwrap_or_default();
        let refused = |why: String| {
            ApiError::bad_request(format!("{kind} in version {version:?} cannot be handled as a {kind}: {why}"))
        };
        let of_subresource = self.address.served_subresource().and_then(|subresource| subresource.type_id);
        let type_id = of_subresource.unwrap_or(self.address.kind.resource.type_id);
        let unknown = validate::drop_unknown(self.registry.schema, type_id, value);
        validate::decode(self.registry.schema, type_id, value).map_err(refused)?;
        match self.options.field_validation {
            FieldValidation::Strict if !unknown.is_empty() => {
                Err(refused(format!("strict decoding error: {}", unknown.join(", "))))
            }
            FieldValidation::Strict | FieldValidation::Ignore => Ok(Vec::new()),
            FieldValidation::Warn => Ok(unknown),
        }
    }

    fn check_values(&self, live: Option<&Value>, value: &Value) -> Result<(), ApiError> {
        let resource = self.address.kind.resource;
        let mut causes = admission::broken_rules(self.address, live, value);
        causes.extend(validate::values(self.registry.schema, resource.type_id, value));
        if causes.is_empty() {
            return Ok(());
        }
        Err(ApiError::invalid(self.address.subject(), &resource.kind, &causes))
    }
}

impl ObjectRegistry {
    /// A write that keeps account of who owns which fields.
    pub fn managed_write<'a>(
        &'a self,
        kind: &ServedKind,
        api_version: &'a str,
        manager: &'a str,
        subresource: &'a str,
    ) -> ssa::ManagedWrite<'a> {
        ssa::ManagedWrite {
            schema: self.schema,
            type_id: kind.resource.type_id,
            api_version,
            kind: &kind.resource.kind,
            manager,
            subresource,
            reset: ssa::reset_fields(kind.resource, subresource),
            now: Timestamp::now(),
        }
    }

    /// Stores the next version of an object, or removes the object if its deletion has nothing left to wait for.
    pub fn replace_or_remove(
        &self,
        key: &StoreKey,
        version: u64,
        value: Value,
    ) -> Result<Arc<StoredObject>, WriteRefusal> {
        if admission::is_deletion_complete(&value) {
            self.store.remove(key, version)
        } else {
            self.store.replace(key, version, value)
        }
    }

    /// Waits until a write is in the store's file.
    pub async fn persisted(&self, object: &StoredObject) -> Result<(), ApiError> {
        let written = self.store.persisted(object.version).await;
        written.map_err(|why| ApiError::internal(format!("the store refuses writes: {why}")))
    }
}

pub(super) fn patch_error(error: merge::PatchError) -> ApiError {
    match error {
        merge::PatchError::Malformed(_) => ApiError::bad_request(error.to_string()),
        merge::PatchError::NotApplicable(_) => {
            let message = format!("the server rejected our request due to an error in our request: {error}");
            ApiError::new(422, "Invalid", message)
        }
    }
}

fn apply_error(error: ssa::ApplyError) -> ApiError {
    match error {
        ssa::ApplyError::Conflict(_) => ApiError::apply_conflict(error.to_string(), &error.causes()),
        ssa::ApplyError::Type { .. } | ssa::ApplyError::ManagedFields => ApiError::bad_request(error.to_string()),
    }
}
