//! Protobuf, as far as kubectl cannot do without: the metadata of objects that have nothing else, such as Namespaces.
//!
//! `kubectl create namespace` and `kubectl auth can-i` send protobuf, and do not fall back to JSON when it is refused.
//! Objects with other fields than metadata are refused: the numbers of those fields are not in the schema table.

use serde_json::{Value, json};

use crate::apiserver::object::JsonObject;

/// Kinds of which clients send only metadata, or of which this server needs only metadata.
const METADATA_ONLY: [&str; 7] = [
    "Namespace",
    "ServiceAccount",
    "SelfSubjectAccessReview",
    "SubjectAccessReview",
    "LocalSubjectAccessReview",
    "SelfSubjectRulesReview",
    "SelfSubjectReview",
];

/// Reads an object in Kubernetes' protobuf envelope. `None` if it is of another kind or not readable.
pub(super) fn object(bytes: &[u8]) -> Option<Value> {
    let envelope = bytes.strip_prefix(b"k8s\0")?;
    let (head, raw) = (field(envelope, 1)?, field(envelope, 2)?);
    let (api_version, kind) = (text(head, 1)?, text(head, 2)?);
    if !METADATA_ONLY.contains(&kind.as_str()) {
        return None;
    }
    Some(json!({"apiVersion": api_version, "kind": kind, "metadata": metadata(field(raw, 1).unwrap_or_default())?}))
}

/// The fields of `meta.v1.ObjectMeta` that clients set.
fn metadata(bytes: &[u8]) -> Option<Value> {
    let mut metadata = JsonObject::new();
    for (number, name) in [(1, "name"), (2, "generateName"), (3, "namespace")] {
        if let Some(text) = text(bytes, number).filter(|t| !t.is_empty()) {
            metadata.insert(name.to_owned(), text.into());
        }
    }
    for (number, name) in [(11, "labels"), (12, "annotations")] {
        let entries: Option<JsonObject> = fields(bytes)?
            .into_iter()
            .filter(|(n, _)| *n == number)
            .map(|(_, entry)| Some((text(entry, 1)?, text(entry, 2).unwrap_or_default().into())))
            .collect();
        if let Some(entries) = entries.filter(|e| !e.is_empty()) {
            metadata.insert(name.to_owned(), entries.into());
        }
    }
    Some(metadata.into())
}

fn field(bytes: &[u8], number: u64) -> Option<&[u8]> {
    fields(bytes)?.into_iter().find(|(n, _)| *n == number).map(|(_, content)| content)
}

fn text(bytes: &[u8], number: u64) -> Option<String> {
    String::from_utf8(field(bytes, number)?.to_vec()).ok()
}

/// The fields that have a length: texts, bytes and messages. Numbers are skipped.
fn fields(mut bytes: &[u8]) -> Option<Vec<(u64, &[u8])>> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let tag = varint(&mut bytes)?;
        match tag & 7 {
            0 => drop(varint(&mut bytes)?),
            1 => bytes = bytes.get(8..)?,
            2 => {
                let length = usize::try_from(varint(&mut bytes)?).ok()?;
                found.push((tag >> 3, bytes.get(..length)?));
                bytes = bytes.get(length..)?;
            }
            5 => bytes = bytes.get(4..)?,
            _ => return None,
        }
    }
    Some(found)
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&first, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_that_kubectl_sends_as_protobuf_is_read() {
        let bytes = b"k8s\0\n\x0f\n\x02v1\x12\tNamespace\x12\x1b\n\x13\n\x03foo\x12\0\x1a\0\"\0*\x002\x008\0B\0\x12\0\x1a\x02\n\0\x1a\0\"\0";
        assert_eq!(
            object(bytes).unwrap(),
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "foo"}})
        );
        assert_eq!(object(b"k8s\0\n\x0f\n\x02v1\x12\tConfigMap\x12\0"), None);
        for length in 0..bytes.len() {
            let _ = object(&bytes[..length]); // a cut body does not panic
        }
    }
}
