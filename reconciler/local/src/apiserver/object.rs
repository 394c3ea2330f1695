//! What every Kubernetes object has (type, metadata, owners, finalizers), read from JSON and written into it.

use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use serde_json::{Map, Value};

/// The fields of an object, or of an object within it.
pub type JsonObject = Map<String, Value>;

/// The text at a path of keys, or `""`.
pub fn text<'a>(value: &'a Value, path: &[&str]) -> &'a str {
    at(value, path).and_then(Value::as_str).unwrap_or_default()
}

/// The value at a path of keys.
pub fn at<'a>(value: &'a Value, path: &[&str]) -> Option<&'a Value> {
    path.iter().try_fold(value, |v, key| v.get(key))
}

pub fn name(value: &Value) -> &str {
    text(value, &["metadata", "name"])
}

pub fn namespace(value: &Value) -> &str {
    text(value, &["metadata", "namespace"])
}

pub fn uid(value: &Value) -> &str {
    text(value, &["metadata", "uid"])
}

pub fn resource_version(value: &Value) -> &str {
    text(value, &["metadata", "resourceVersion"])
}

/// Whether it has a deletionTimestamp.
pub fn is_deleting(value: &Value) -> bool {
    at(value, &["metadata", "deletionTimestamp"]).is_some_and(|v| !v.is_null())
}

pub fn generation(value: &Value) -> i64 {
    at(value, &["metadata", "generation"]).and_then(Value::as_i64).unwrap_or(0)
}

pub fn finalizers(value: &Value) -> impl Iterator<Item = &str> {
    list(value, &["metadata", "finalizers"]).filter_map(Value::as_str)
}

pub fn owners(value: &Value) -> impl Iterator<Item = &Value> {
    list(value, &["metadata", "ownerReferences"])
}

/// The items at a path; nothing if there is no list.
pub fn list<'a>(value: &'a Value, path: &[&str]) -> impl Iterator<Item = &'a Value> {
    at(value, path).and_then(Value::as_array).into_iter().flatten()
}

pub fn annotation<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    at(value, &["metadata", "annotations", key])?.as_str()
}

/// The object's metadata, which is added if absent.
pub fn metadata_mut(value: &mut Value) -> Option<&mut JsonObject> {
    let object = value.as_object_mut()?;
    object.entry("metadata").or_insert_with(|| Value::Object(Map::new())).as_object_mut()
}

pub fn set_metadata(value: &mut Value, field: &str, content: Value) {
    if let Some(metadata) = metadata_mut(value) {
        metadata.insert(field.to_owned(), content);
    }
}

/// Sets a field of an object; what is no object stays as it is.
pub fn set_field(value: &mut Value, field: &str, content: Value) {
    if let Some(fields) = value.as_object_mut() {
        fields.insert(field.to_owned(), content);
    }
}

pub fn remove_metadata(value: &mut Value, field: &str) {
    if let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.shift_remove(field);
    }
}

/// Copies a field of the metadata from another version of the object, or removes it if that has none.
pub fn keep_metadata(value: &mut Value, from: &Value, field: &str) {
    match at(from, &["metadata", field]) {
        Some(content) => set_metadata(value, field, content.clone()),
        None => remove_metadata(value, field),
    }
}

/// Sets the finalizers. Without any, the field is removed.
pub fn set_finalizers(value: &mut Value, finalizers: Vec<String>) {
    match finalizers.is_empty() {
        true => remove_metadata(value, "finalizers"),
        false => set_metadata(value, "finalizers", finalizers.into()),
    }
}

/// Copies a top-level field from another version of the object, or removes it if that has none.
pub fn keep_field(value: &mut Value, from: &Value, field: &str) {
    let Some(object) = value.as_object_mut() else { return };
    match from.get(field) {
        Some(content) => drop(object.insert(field.to_owned(), content.clone())),
        None => drop(object.shift_remove(field)),
    }
}

/// The object as JSON that begins with apiVersion, kind and metadata, and where metadata begins.
pub fn bytes_type_first(value: &Value) -> (Bytes, usize) {
    let mut out = Vec::with_capacity(1024);
    let empty = Map::new();
    let object = value.as_object().unwrap_or(&empty);
    let first = ["apiVersion", "kind", "metadata"];
    let mut metadata_at = 0;
    out.push(b'{');
    for key in first.into_iter().chain(object.keys().map(String::as_str).filter(|k| !first.contains(k))) {
        let Some(content) = object.get(key) else { continue };
        if out.len() > 1 {
            out.push(b',');
        }
        if key == "metadata" {
            metadata_at = out.len();
        }
        write_json(&mut out, &key);
        out.push(b':');
        write_json(&mut out, content);
    }
    out.push(b'}');
    (out.into(), metadata_at)
}

/// Where metadata begins in what `bytes_type_first` wrote.
pub fn metadata_position(bytes: &[u8]) -> usize {
    const MARK: &[u8] = b"\"metadata\":";
    bytes.windows(MARK.len()).position(|w| w == MARK).unwrap_or(0)
}

/// Appends a value as JSON.
pub fn write_json<T: serde::Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) {
    // Writing JSON of this kind into memory has no way to fail.
    let _ = serde_json::to_writer(out, value);
}

/// The present time to the second, in the form in which metadata has times.
pub fn now() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// A new random uid (RFC 9562, version 4).
pub fn new_uid() -> String {
    let (a, b) = (random(), random());
    let variant = 0x8 | (b >> 62);
    format!(
        "{:08x}-{:04x}-4{:03x}-{variant:x}{:03x}-{:012x}",
        a >> 32,
        (a >> 16) & 0xffff,
        a & 0xfff,
        (b >> 48) & 0xfff,
        b & 0xffff_ffff_ffff
    )
}

/// `length` random characters for a generated name, as in Kubernetes without vowels, so that they form no words.
pub fn random_suffix(length: usize) -> String {
    suffix(random(), length)
}

/// The same, determined by `bits`.
pub fn suffix(mut bits: u64, length: usize) -> String {
    const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    let size = ALPHABET.len() as u64;
    let mut out = String::with_capacity(length);
    for _ in 0..length {
        out.push(char::from(ALPHABET.get((bits % size) as usize).copied().unwrap_or(b'x')));
        bits /= size;
    }
    out
}

fn random() -> u64 {
    static KEYS: LazyLock<RandomState> = LazyLock::new(RandomState::new);
    static COUNT: AtomicU64 = AtomicU64::new(0);
    KEYS.hash_one((COUNT.fetch_add(1, Ordering::Relaxed), jiff::Timestamp::now().as_nanosecond()))
}
