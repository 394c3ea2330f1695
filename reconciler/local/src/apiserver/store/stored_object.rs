//! One version of an object as the store keeps it: its bytes, and what indexes and selectors need of them.

use std::sync::Arc;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::apiserver::object;

/// Where the store has an object.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StoreKey {
    /// Such as `deployments.apps`.
    pub group_resource: Arc<str>,
    /// Empty for cluster-scoped objects.
    pub namespace: String,
    pub name: String,
}

impl StoreKey {
    pub fn new(group_resource: &Arc<str>, namespace: &str, name: &str) -> Self {
        Self { group_resource: group_resource.clone(), namespace: namespace.to_owned(), name: name.to_owned() }
    }

    /// `namespace/name`; lists are in this order.
    pub(super) fn path(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }

    /// `deployments.apps/namespace/name`; the file has objects under this.
    pub(super) fn disk_path(&self) -> String {
        format!("{}/{}/{}", self.group_resource, self.namespace, self.name)
    }

    fn of_disk_path(path: &str) -> Option<Self> {
        let mut parts = path.splitn(3, '/');
        let group_resource: Arc<str> = parts.next()?.into();
        Some(Self { group_resource, namespace: parts.next()?.to_owned(), name: parts.next()?.to_owned() })
    }
}

/// One version of an object.
#[derive(Debug)]
pub struct StoredObject {
    pub key: StoreKey,
    pub version: u64,
    pub uid: String,
    pub labels: Map<String, Value>,
    /// The uids of its owners.
    pub owners: Vec<String>,
    /// It has a deletionTimestamp.
    pub deleting: bool,
    /// The object as JSON that begins with apiVersion and kind.
    pub bytes: Bytes,
    /// Where in `bytes` the fields after apiVersion and kind begin.
    metadata_at: usize,
}

impl StoredObject {
    /// Writes the version into an object, and the object as JSON.
    pub(super) fn new(key: &StoreKey, version: u64, mut value: Value) -> Self {
        object::set_metadata(&mut value, "resourceVersion", Value::String(version.to_string()));
        let (bytes, metadata_at) = object::bytes_type_first(&value);
        let metadata = value.get("metadata").unwrap_or(&Value::Null);
        let labels = metadata.get("labels").and_then(Value::as_object).cloned().unwrap_or_default();
        let owners = object::owners(&value).filter_map(|o| o.get("uid")?.as_str().map(str::to_owned)).collect();
        let uid = object::uid(&value).to_owned();
        let deleting = object::is_deleting(&value);
        Self { key: key.clone(), version, uid, labels, owners, deleting, bytes, metadata_at }
    }

    /// Reads back what the file has.
    pub(super) fn restore(disk_path: &str, bytes: Bytes) -> Option<Self> {
        let key = StoreKey::of_disk_path(disk_path)?;
        let IndexedObject { metadata } = serde_json::from_slice(&bytes).ok().filter(|_| is_readable(&bytes))?;
        Some(Self {
            key,
            version: metadata.resource_version.parse().ok()?,
            uid: metadata.uid,
            labels: metadata.labels,
            owners: metadata.owner_references.into_iter().map(|o| o.uid).collect(),
            deleting: metadata.deletion_timestamp.is_some(),
            metadata_at: object::metadata_position(&bytes),
            bytes,
        })
    }

    /// The whole object.
    ///
    /// # Panics
    /// If its bytes cannot be read. That cannot happen: they were read before they were stored or loaded.
    pub fn value(&self) -> Value {
        serde_json::from_slice(&self.bytes).expect("stored bytes were read before they were kept")
    }

    /// The same object under another version.
    pub fn at_version(&self, version: u64) -> Self {
        Self::new(&self.key, version, self.value())
    }

    /// The bytes as an item of a list: without the opening brace, apiVersion and kind, as a real server writes items.
    pub fn item(&self) -> &[u8] {
        self.bytes.get(self.metadata_at..).unwrap_or_default()
    }
}

/// Whether JSON can be read back: the reader has a limit on nesting that the writer does not have.
pub(super) fn is_readable(bytes: &[u8]) -> bool {
    serde_json::from_slice::<Value>(bytes).is_ok()
}

/// What the indexes need of an object, read without building the rest.
#[derive(Deserialize)]
struct IndexedObject {
    metadata: IndexedMetadata,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct IndexedMetadata {
    resource_version: String,
    #[serde(default)]
    uid: String,
    #[serde(default)]
    labels: Map<String, Value>,
    #[serde(default)]
    owner_references: Vec<IndexedOwner>,
    deletion_timestamp: Option<String>,
}

#[derive(Deserialize)]
struct IndexedOwner {
    uid: String,
}
