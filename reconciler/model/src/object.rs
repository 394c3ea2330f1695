//! A Kubernetes object as data, and what identifies it.

use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use crate::digest::Digest;

/// What identifies an object in a cluster, whatever the version it is written in.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct ObjectKey {
    /// The API group; empty for the core group.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub group: String,
    /// The kind, such as `Deployment`.
    pub kind: String,
    /// The namespace; none for cluster-scoped kinds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The name.
    pub name: String,
}

/// `apps/Deployment/<namespace>/<name>`; the core group and an absent namespace leave their part out.
impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in
            [Some(self.group.as_str()).filter(|group| !group.is_empty()), Some(&self.kind), self.namespace.as_deref()]
                .into_iter()
                .flatten()
        {
            write!(f, "{part}/")?;
        }
        f.write_str(&self.name)
    }
}

impl fmt::Debug for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A rendered object: its key, its JSON, and the digest of that JSON. The debug form shows no content, since that may be
/// secret.
#[derive(Clone, PartialEq)]
pub struct Object {
    key: ObjectKey,
    value: Arc<Value>,
    digest: Digest,
}

impl Object {
    /// Reads the key from `apiVersion`, `kind` and `metadata`.
    ///
    /// # Errors
    /// What is absent, in words.
    pub fn new(value: Value) -> Result<Self, String> {
        let text = |pointer: &str| value.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty());
        let api_version = text("/apiVersion").ok_or("apiVersion is absent")?;
        let key = ObjectKey {
            group: api_version.split_once('/').map_or("", |(group, _)| group).to_owned(),
            kind: text("/kind").ok_or("kind is absent")?.to_owned(),
            namespace: text("/metadata/namespace").map(str::to_owned),
            name: text("/metadata/name").ok_or("metadata.name is absent")?.to_owned(),
        };
        let digest = Digest::of_json(&value);
        Ok(Self { key, value: Arc::new(value), digest })
    }

    /// What identifies it.
    pub fn key(&self) -> &ObjectKey {
        &self.key
    }

    /// The whole object.
    pub fn value(&self) -> &Arc<Value> {
        &self.value
    }

    /// The digest of the whole object.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// `apiVersion`, such as `apps/v1`.
    pub fn api_version(&self) -> &str {
        self.value["apiVersion"].as_str().unwrap_or_default()
    }
}

impl fmt::Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Object({} {})", self.key, self.digest.short())
    }
}
