//! The difference between two states of an object, as YAML text for people. What is secret by its type never shows.

use dayfly_model::object::ObjectKey;
use dayfly_model::yaml;
use serde_json::{Map, Value};
use similar::TextDiff;

/// Lines of context around a change.
const CONTEXT: usize = 3;
const SECRET: &str = "(secret)";
const SECRET_CHANGED: &str = "(secret, changed)";

/// The unified diff of an object from `before` to `after`; none on either side where it does not exist. Empty if they
/// differ in nothing that matters: the API server's own bookkeeping and status are left out on both sides.
pub fn unified(key: &ObjectKey, before: Option<&Value>, after: Option<&Value>) -> String {
    let (before, after) = mask(before.map(cleaned), after.map(cleaned));
    let (old, new) =
        (before.as_ref().map(yaml::emit).unwrap_or_default(), after.as_ref().map(yaml::emit).unwrap_or_default());
    if old == new {
        return String::new();
    }
    let name = |side: &Option<Value>, word: &str| {
        if side.is_some() { format!("{word}/{key}") } else { "/dev/null".to_owned() }
    };
    let diff = TextDiff::from_lines(&old, &new);
    diff.unified_diff().context_radius(CONTEXT).header(&name(&before, "live"), &name(&after, "git")).to_string()
}

/// An object as YAML, its secret values masked.
pub fn shown(object: &Value) -> String {
    mask(None, Some(object.clone())).1.as_ref().map(yaml::emit).unwrap_or_default()
}

/// The object without what the API server keeps for itself.
fn cleaned(object: &Value) -> Value {
    let mut object = object.clone();
    let Some(top) = object.as_object_mut() else { return object };
    top.shift_remove("status");
    if let Some(meta) = top.get_mut("metadata").and_then(Value::as_object_mut) {
        for noise in [
            "managedFields",
            "resourceVersion",
            "uid",
            "creationTimestamp",
            "generation",
            "selfLink",
            "ownerReferences",
        ] {
            meta.shift_remove(noise);
        }
        if let Some(annotations) = meta.get_mut("annotations").and_then(Value::as_object_mut) {
            annotations.shift_remove("kubectl.kubernetes.io/last-applied-configuration");
            annotations.shift_remove("deployment.kubernetes.io/revision");
            if annotations.is_empty() {
                meta.shift_remove("annotations");
            }
        }
    }
    sort(&mut object);
    object
}

/// Orders all keys, so that only values make a difference; `apiVersion`, `kind` and `metadata` come first by the alphabet.
fn sort(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.sort_keys();
            map.values_mut().for_each(sort);
        }
        Value::Array(items) => items.iter_mut().for_each(sort),
        _ => {}
    }
}

fn is_secret(object: Option<&Value>) -> bool {
    object.is_some_and(|object| object["kind"] == "Secret")
}

fn mask(mut before: Option<Value>, mut after: Option<Value>) -> (Option<Value>, Option<Value>) {
    if is_secret(before.as_ref()) || is_secret(after.as_ref()) {
        for field in ["data", "stringData"] {
            let old = before.as_mut().and_then(|object| object.get_mut(field));
            let new = after.as_mut().and_then(|object| object.get_mut(field));
            mask_field(old, new);
        }
        for object in [&mut before, &mut after].into_iter().flatten() {
            mask_annotations(object);
        }
    }
    (before, after)
}

/// Masks the values of one field on both sides; a field of an unexpected shape is masked as a whole.
fn mask_field(old: Option<&mut Value>, new: Option<&mut Value>) {
    let before = old.as_ref().map(|value| (**value).clone());
    if let Some(new) = new {
        let same = |name: &str, value: &Value| {
            before.as_ref().is_none_or(|before| before.get(name).is_none_or(|had| had == value))
        };
        match new {
            Value::Object(map) => {
                for (name, value) in map.iter_mut() {
                    *value = if same(name, value) { SECRET } else { SECRET_CHANGED }.into();
                }
            }
            other => {
                *other =
                    if before.as_ref().is_none_or(|before| before == other) { SECRET } else { SECRET_CHANGED }.into()
            }
        }
    }
    match old {
        Some(Value::Object(map)) => map.values_mut().for_each(|value| *value = SECRET.into()),
        Some(other) => *other = SECRET.into(),
        None => {}
    }
}

/// Tools copy whole objects into annotations: of a Secret's, only those with a name of ours keep their value.
fn mask_annotations(object: &mut Value) {
    let annotations: Option<&mut Map<_, _>> =
        object.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut);
    for (name, value) in annotations.into_iter().flatten() {
        if !name.starts_with("dayfly.dev/") {
            *value = SECRET.into();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dayfly_model::object::Object;
    use serde_json::json;

    fn diff(before: Option<Value>, after: Option<Value>) -> String {
        let key = Object::new(after.clone().or(before.clone()).unwrap()).unwrap().key().clone();
        unified(&key, before.as_ref(), after.as_ref())
    }

    fn config_map(value: &str) -> Value {
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "n"}, "data": {"k": value}})
    }

    #[test]
    fn a_diff_shows_the_changed_lines_and_no_bookkeeping() {
        let mut live = config_map("1");
        live["metadata"]["uid"] = "u".into();
        live["metadata"]["managedFields"] = json!([{"manager": "dayfly"}]);
        live["status"] = json!({"x": 1});
        assert_eq!(diff(Some(live.clone()), Some(config_map("1"))), "");
        let text = diff(Some(live), Some(config_map("2")));
        assert!(text.starts_with("--- live/ConfigMap/n/a\n+++ git/ConfigMap/n/a\n"), "{text}");
        assert!(text.contains("-  k: \"1\"\n+  k: \"2\"\n"), "{text}");
    }

    #[test]
    fn an_object_that_comes_or_goes_is_diffed_against_nothing() {
        assert!(diff(None, Some(config_map("1"))).starts_with("--- /dev/null\n"));
        assert!(diff(Some(config_map("1")), None).contains("+++ /dev/null\n"));
    }

    #[test]
    fn strings_that_other_readers_would_retype_are_quoted() {
        for text in ["no", "0777", "1_000", "2026-11-20", "1e3", "null", "~", "yes", "12:30:00", "0x1f", ""] {
            let shown = shown(&config_map(text));
            assert!(shown.contains(&format!("k: \"{text}\"")) || shown.contains(&format!("k: '{text}'")), "{shown}");
        }
    }

    #[test]
    fn secret_values_never_show_and_a_change_shows_as_changed() {
        const CANARY: &str = "c2VjcmV0LWNhbmFyeQ==";
        let secret = |value: &str| {
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a", "namespace": "n", "annotations":
                {"kubectl.kubernetes.io/last-applied-configuration": value, "tool.example.com/copy": value}},
                "data": {"changed": value, "same": CANARY}, "stringData": {"plain": value}})
        };
        let texts = [
            diff(Some(secret(CANARY)), Some(secret("b3RoZXItY2FuYXJ5"))),
            diff(None, Some(secret(CANARY))),
            diff(Some(secret(CANARY)), None),
            diff(
                Some(json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}, "data": CANARY})),
                Some(secret("b3RoZXItY2FuYXJ5")),
            ),
            shown(&secret(CANARY)),
        ];
        for text in &texts {
            assert!(!text.contains(CANARY) && !text.contains("b3RoZXItY2FuYXJ5"), "{text}");
        }
        assert!(texts[0].contains("changed: (secret, changed)"), "{}", texts[0]);
        assert!(!texts[0].contains("same: (secret, changed)"), "{}", texts[0]);
    }
}
