//! What requests and controllers work on: the objects of the kinds that are served, found, written and deleted.

pub mod delete;
pub mod filter;
pub mod scale;
pub mod write;

use std::path::Path;
use std::sync::Arc;

use super::admission::ServiceAddresses;
use super::kinds::ServedKinds;
use super::resource_address::ResourceAddress;
use super::schema::ApiSchema;
use super::status::ApiError;
use super::store::{DiskError, ObjectStore, StoredObject};

/// The kinds that are served, the store of their objects, and the addresses that Services are given.
pub struct ObjectRegistry {
    pub schema: &'static ApiSchema,
    pub kinds: ServedKinds,
    pub store: ObjectStore,
    pub service_addresses: ServiceAddresses,
}

impl ObjectRegistry {
    /// Opens the store in `folder`, which keeps `history` events of each kind.
    pub fn open(folder: &Path, history: usize) -> Result<Self, DiskError> {
        let schema = ApiSchema::builtin();
        let store = ObjectStore::open(folder, history)?;
        let service_addresses = ServiceAddresses::of(&store);
        Ok(Self { schema, kinds: ServedKinds::of(schema), store, service_addresses })
    }

    /// The object at an address.
    pub fn find(&self, address: &ResourceAddress) -> Result<Arc<StoredObject>, ApiError> {
        self.store.get(&address.key()).ok_or_else(|| ApiError::not_found(address.subject()))
    }
}
