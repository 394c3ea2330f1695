//! How objects are written in responses: whole, only their metadata, or as a table for people.

use std::sync::Arc;

use axum::body::Bytes;
use serde_json::{Value, json};

use super::table;
use crate::apiserver::kinds::ServedKind;
use crate::apiserver::object;
use crate::apiserver::status::ApiError;
use crate::apiserver::store::StoredObject;

/// What a client accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Accept {
    Whole,
    Metadata,
    Table,
    /// Of discovery: all groups in one document.
    Discovery,
}

/// How objects are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Representation {
    Whole,
    Metadata,
    /// The rows carry the objects whole, or only their metadata.
    Table {
        whole: bool,
    },
}

impl Accept {
    /// The first media type of an Accept header that this server can write.
    pub fn parse(header: &str) -> Result<Self, ApiError> {
        if header.trim().is_empty() {
            return Ok(Self::Whole);
        }
        header.split(',').find_map(Self::of_media).ok_or_else(ApiError::not_acceptable)
    }

    fn of_media(range: &str) -> Option<Self> {
        let mut parts = range.split(';').map(str::trim);
        let media = parts.next()?;
        if !["application/json", "application/*", "*/*"].contains(&media) {
            return None;
        }
        let parameters: Vec<(&str, &str)> = parts.filter_map(|p| p.split_once('=')).collect();
        let parameter = |name| parameters.iter().find(|(k, _)| *k == name).map_or("", |(_, v)| *v);
        match (parameter("as"), parameter("g"), parameter("v")) {
            ("", ..) => Some(Self::Whole),
            ("Table", "meta.k8s.io", "v1") => Some(Self::Table),
            ("PartialObjectMetadata" | "PartialObjectMetadataList", "meta.k8s.io", "v1") => Some(Self::Metadata),
            ("APIGroupDiscoveryList", "apidiscovery.k8s.io", "v2") => Some(Self::Discovery),
            _ => None,
        }
    }

    /// How to write objects; `include_object` is the query parameter of that name.
    pub fn representation(self, include_object: &str) -> Representation {
        match self {
            Self::Whole | Self::Discovery => Representation::Whole,
            Self::Metadata => Representation::Metadata,
            Self::Table => Representation::Table { whole: include_object == "Object" },
        }
    }
}

impl Representation {
    pub fn stored(self, kind: &Arc<ServedKind>, stored: &StoredObject) -> Bytes {
        match self {
            Self::Whole => stored.bytes.clone(),
            _ => self.value(kind, &stored.value()),
        }
    }

    /// An object that is not stored, such as the outcome of a dry run.
    pub fn value(self, kind: &Arc<ServedKind>, value: &Value) -> Bytes {
        match self {
            Self::Whole => object::bytes_type_first(value).0,
            Self::Metadata => json_bytes(&metadata_only(value)),
            Self::Table { whole } => {
                json_bytes(&table::table(kind, &[value], object::resource_version(value), true, whole))
            }
        }
    }

    pub fn list(self, kind: &Arc<ServedKind>, objects: &[Arc<StoredObject>], version: u64) -> Bytes {
        match self {
            Self::Whole => whole_list(kind, objects, version),
            Self::Metadata => {
                let items: Vec<Value> = objects.iter().map(|stored| metadata_only(&stored.value())).collect();
                json_bytes(&json!({
                    "kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1",
                    "metadata": {"resourceVersion": version.to_string()}, "items": items,
                }))
            }
            Self::Table { whole } => {
                let values: Vec<Value> = objects.iter().map(|stored| stored.value()).collect();
                let values: Vec<&Value> = values.iter().collect();
                json_bytes(&table::table(kind, &values, &version.to_string(), true, whole))
            }
        }
    }

    /// Appends an object as a watch event has it. In a table, only the first event names the columns.
    pub fn event(self, out: &mut Vec<u8>, kind: &Arc<ServedKind>, stored: &StoredObject, first: bool) {
        match self {
            Self::Whole => out.extend_from_slice(&stored.bytes),
            Self::Metadata => object::write_json(out, &metadata_only(&stored.value())),
            Self::Table { whole } => {
                let version = stored.version.to_string();
                object::write_json(out, &table::table(kind, &[&stored.value()], &version, first, whole));
            }
        }
    }

    /// The kind and apiVersion of the objects that are written.
    pub fn written_type(self, kind: &ServedKind) -> (&str, String) {
        match self {
            Self::Whole => (&kind.resource.kind, kind.api_version()),
            Self::Metadata => ("PartialObjectMetadata", "meta.k8s.io/v1".to_owned()),
            Self::Table { .. } => ("Table", "meta.k8s.io/v1".to_owned()),
        }
    }
}

pub(super) fn json_bytes(value: &Value) -> Bytes {
    let mut out = Vec::new();
    object::write_json(&mut out, value);
    out.into()
}

/// An object's metadata as a `PartialObjectMetadata`.
pub(super) fn metadata_only(value: &Value) -> Value {
    json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": value.get("metadata")})
}

/// Joins the stored bytes, so that no object has to be parsed.
fn whole_list(kind: &ServedKind, objects: &[Arc<StoredObject>], version: u64) -> Bytes {
    let size = objects.iter().map(|stored| stored.item().len() + 2).sum::<usize>();
    let mut out = Vec::with_capacity(size + 256);
    let head = format!(
        "{{\"kind\":\"{}List\",\"apiVersion\":\"{}\",\"metadata\":{{\"resourceVersion\":\"{version}\"}},\"items\":[",
        kind.resource.kind,
        kind.api_version()
    );
    out.extend_from_slice(head.as_bytes());
    for (index, stored) in objects.iter().enumerate() {
        out.extend_from_slice(if index == 0 { b"{" } else { b",{" });
        out.extend_from_slice(stored.item());
    }
    out.extend_from_slice(b"]}");
    out.into()
}
