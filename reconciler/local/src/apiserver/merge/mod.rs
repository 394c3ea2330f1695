//! The three kinds of patches besides server-side apply: JSON Patch, JSON Merge Patch, and strategic merge patch.

mod json_patch;
mod strategic;

use serde_json::{Map, Value};

pub use json_patch::json_patch;
pub use strategic::strategic;

/// Why a patch cannot be carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatchError {
    /// The patch is not well-formed (400 Bad Request).
    #[error("error decoding patch: {0}")]
    Malformed(String),
    /// The patch does not fit the object (422 Unprocessable Entity).
    #[error("{0}")]
    NotApplicable(String),
}

/// Carries out a JSON Merge Patch (RFC 7386).
pub fn json(live: &Value, patch: &Value) -> Value {
    let Some(patch) = patch.as_object() else { return patch.clone() };
    let mut merged = live.as_object().cloned().unwrap_or_else(Map::new);
    for (name, value) in patch {
        if value.is_null() {
            merged.shift_remove(name);
        } else {
            let value = json(merged.get(name).unwrap_or(&Value::Null), value);
            merged.insert(name.clone(), value);
        }
    }
    Value::Object(merged)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_merge_patch_does_what_rfc_7386_says() {
        for (live, patch, merged) in [
            (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "b", "b": "c"}), json!({"a": null}), json!({"b": "c"})),
            (json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": {"b": "c"}}), json!({"a": {"b": "d", "c": null}}), json!({"a": {"b": "d"}})),
            (json!({"a": [{"b": "c"}]}), json!({"a": [1]}), json!({"a": [1]})),
            (json!({"a": "foo"}), json!("bar"), json!("bar")),
            (json!({}), json!({"a": {"bb": {"ccc": null}}}), json!({"a": {"bb": {}}})),
        ] {
            assert_eq!(json(&live, &patch), merged, "{patch}");
        }
    }
}
