//! One version of an object: its bytes, and what indexes and selectors need without parsing them.

use std::sync::Arc;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::object;

/// Where one object lives. `kind` is the resource with its group, such as `deployments.apps`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    pub kind: Arc<str>,
    pub namespace: String,
    pub name: String,
}

impl Key {
    pub fn new(kind: &Arc<str>, namespace: &str, name: &str) -> Self {
        Self { kind: kind.clone(), namespace: namespace.to_owned(), name: name.to_owned() }
    }

    /// `namespace/name`; the order of lists.
    pub(super) fn path(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }
}

/// One version of an object: its bytes, and what indexes and selectors need without parsing them.
#[derive(Debug)]
pub struct Entry {
    pub key: Key,
    pub version: u64,
    pub uid: String,
    pub labels: Map<String, Value>,
    /// The uids of its owners.
    pub owners: Vec<String>,
    /// It has a deletionTimestamp.
    pub deleting: bool,
    pub bytes: Bytes,
    /// Where the fields after apiVersion and kind begin.
    head: usize,
}

impl Entry {
    /// The whole object.
    ///
    /// # Panics
    /// Only if its bytes cannot be read; none are stored or loaded before they were.
    pub fn value(&self) -> Value {
        serde_json::from_slice(&self.bytes).expect("an entry's bytes were read before it was kept")
    }

    /// The same state under another version.
    pub fn at_version(&self, version: u64) -> Self {
        entry(&self.key, version, self.value())
    }

    /// The bytes as an item of a list: without apiVersion and kind, as a real server writes them.
    pub fn item(&self) -> &[u8] {
        self.bytes.get(self.head..).unwrap_or_default()
    }
}

/// Where an object lives in the file.
pub(super) fn disk_path(key: &Key) -> String {
    format!("{}/{}/{}", key.kind, key.namespace, key.name)
}

/// Stamps the version on an object and writes it with its type first.
pub(super) fn entry(key: &Key, version: u64, mut value: Value) -> Entry {
    object::set_metadata(&mut value, "resourceVersion", Value::String(version.to_string()));
    let (bytes, head) = object::bytes_type_first(&value);
    let metadata = value.get("metadata").unwrap_or(&Value::Null);
    let labels = metadata.get("labels").and_then(Value::as_object).cloned().unwrap_or_default();
    let owners = object::owners(&value).filter_map(|o| o.get("uid")?.as_str().map(str::to_owned)).collect();
    let uid = object::uid(&value).to_owned();
    let deleting = object::is_deleting(&value);
    Entry { key: key.clone(), version, uid, labels, owners, deleting, bytes, head }
}

/// Readers end at a depth that writers do not have.
pub(super) fn is_readable(bytes: &[u8]) -> bool {
    serde_json::from_slice::<Value>(bytes).is_ok()
}

/// What indexes need of a stored object, read without building the rest.
#[derive(Deserialize)]
struct Stored {
    metadata: StoredMetadata,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct StoredMetadata {
    resource_version: String,
    #[serde(default)]
    uid: String,
    #[serde(default)]
    labels: Map<String, Value>,
    #[serde(default)]
    owner_references: Vec<StoredOwner>,
    deletion_timestamp: Option<String>,
}

#[derive(Deserialize)]
struct StoredOwner {
    uid: String,
}

/// Reads an entry back, all of it.
pub(super) fn restore(path: &str, bytes: Bytes) -> Option<Entry> {
    let mut parts = path.splitn(3, '/');
    let kind: Arc<str> = parts.next()?.into();
    let key = Key { kind, namespace: parts.next()?.to_owned(), name: parts.next()?.to_owned() };
    let Stored { metadata } = serde_json::from_slice(&bytes).ok().filter(|_| is_readable(&bytes))?;
    Some(Entry {
        key,
        version: metadata.resource_version.parse().ok()?,
        uid: metadata.uid,
        labels: metadata.labels,
        owners: metadata.owner_references.into_iter().map(|o| o.uid).collect(),
        deleting: metadata.deletion_timestamp.is_some(),
        head: object::head_length(&bytes),
        bytes,
    })
}
