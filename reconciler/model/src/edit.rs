//! One value of a YAML manifest changed in its bytes: comments, order and everything else stay as they are.

use std::ops::Range;

use serde_json::Value;

use crate::diagnostic::Position;
use crate::platform::format::hidden;
use crate::yaml::{self, FieldPositions, YamlError};

/// Why a manifest cannot be edited.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// It is no YAML that Dayfly reads.
    #[error(transparent)]
    Yaml(#[from] YamlError),
    /// The field around the value is no mapping with a value on one line to stand beside.
    #[error("{field}: cannot be written where nothing stands beside it")]
    NoPlace {
        /// The field.
        field: String,
    },
    /// The value spans lines or is a mapping or a list.
    #[error("{field}: is not one value on one line")]
    NotOneLine {
        /// The field.
        field: String,
    },
    /// The edited text does not read as intended.
    #[error("{field}: the change would alter more than this field")]
    Unsound {
        /// The field.
        field: String,
    },
}

/// Sets a field such as `spec.renewed` to a text, a number, or true or false. Where it is absent, its line is added after
/// the first of `beside` (fields of the same mapping) that stands there, else after the last that is one line.
pub fn set(bytes: &[u8], field: &str, value: &Value, beside: &[&str]) -> Result<Vec<u8>, EditError> {
    let (mut expected, places) = yaml::document(bytes, yaml::MANIFEST)?;
    let (at, text) = match places.get(field) {
        Some(place) if place.bytes.is_empty() => completion(bytes, field, place.key, value)?,
        Some(place) => replacement(bytes, field, place.bytes.clone(), value)?,
        None => insertion(bytes, field, value, beside, &places, &expected)?,
    };
    let mut edited = bytes.to_vec();
    edited.splice(at, text.into_bytes());
    let unsound = || EditError::Unsound { field: field.to_owned() };
    *slot(&mut expected, field).ok_or_else(unsound)? = value.clone();
    match yaml::document(&edited, yaml::MANIFEST) {
        Ok((read, _)) if read == expected => Ok(edited),
        _ => Err(unsound()),
    }
}

/// The place of a field in a value, made if its mapping is there.
fn slot<'v>(value: &'v mut Value, field: &str) -> Option<&'v mut Value> {
    let (parents, name) = field.rsplit_once('.').unwrap_or(("", field));
    let mut inner = value;
    for parent in parents.split('.').filter(|parent| !parent.is_empty()) {
        inner = inner.get_mut(parent)?;
    }
    Some(inner.as_object_mut()?.entry(name).or_insert(Value::Null))
}

/// What replaces a value that stands there.
fn replacement(
    bytes: &[u8],
    field: &str,
    at: Range<usize>,
    value: &Value,
) -> Result<(Range<usize>, String), EditError> {
    let not_one_line = || EditError::NotOneLine { field: field.to_owned() };
    let old = bytes.get(at.clone()).ok_or_else(not_one_line)?;
    if old.contains(&b'\n')
        || old.starts_with(b"|")
        || old.starts_with(b">")
        || old.starts_with(b"[")
        || old.starts_with(b"{")
    {
        return Err(not_one_line());
    }
    Ok((at, scalar(value)))
}

/// What follows a key that has no value.
fn completion(bytes: &[u8], field: &str, key: Position, value: &Value) -> Result<(Range<usize>, String), EditError> {
    let name = format!("{}:", field.rsplit('.').next().unwrap_or(field));
    let text = String::from_utf8_lossy(bytes);
    let lines = text.split_inclusive('\n').take(key.line.saturating_sub(1) as usize);
    let line: usize = lines.map(str::len).sum();
    let inside: usize = text[line..].chars().take(key.column.saturating_sub(1) as usize).map(char::len_utf8).sum();
    if !text[line + inside..].starts_with(&name) {
        return Err(EditError::NotOneLine { field: field.to_owned() });
    }
    let after = line + inside + name.len();
    Ok((after..after, format!(" {}", scalar(value))))
}

/// A new line beside another field, or a new first entry of a mapping in braces.
fn insertion(
    bytes: &[u8],
    field: &str,
    value: &Value,
    beside: &[&str],
    places: &FieldPositions,
    document: &Value,
) -> Result<(Range<usize>, String), EditError> {
    let no_place = || EditError::NoPlace { field: field.to_owned() };
    let (parent, name) = field.rsplit_once('.').ok_or_else(no_place)?;
    let around = places.get(parent).ok_or_else(no_place)?;
    let pointer = format!("/{}", parent.replace('.', "/"));
    let siblings = document.pointer(&pointer).and_then(Value::as_object).ok_or_else(no_place)?;
    let entry = format!("{name}: {}", scalar(value));
    if bytes.get(around.bytes.start) == Some(&b'{') {
        let after = around.bytes.start + 1;
        let comma = if siblings.is_empty() { "" } else { ", " };
        return Ok((after..after, format!("{entry}{comma}")));
    }
    let one_line = |name: &&str| {
        let scalar =
            siblings.get(*name).is_some_and(|value| !value.is_object() && !value.is_array() && !value.is_null());
        let place = places.get(&format!("{parent}.{name}")).filter(|_| scalar)?;
        let text = bytes.get(place.bytes.clone())?;
        (!text.contains(&b'\n') && !text.starts_with(b"|") && !text.starts_with(b">")).then_some(place)
    };
    let last = siblings.keys().rev().map(String::as_str);
    let sibling = beside.iter().copied().chain(last).find_map(|name| one_line(&name)).ok_or_else(no_place)?;
    let indent = " ".repeat(sibling.key.column.saturating_sub(1) as usize);
    let rest = &bytes[sibling.bytes.end..];
    Ok(match rest.iter().position(|byte| *byte == b'\n') {
        Some(end) => {
            let after = sibling.bytes.end + end + 1;
            let newline = if rest[..end].ends_with(b"\r") { "\r\n" } else { "\n" };
            (after..after, format!("{indent}{entry}{newline}"))
        }
        None => (bytes.len()..bytes.len(), format!("\n{indent}{entry}\n")),
    })
}

/// A value as YAML on one line: without quotes where every reader takes it for the same text.
pub fn scalar(value: &Value) -> String {
    match value {
        Value::String(text) => {
            let plain = text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'/' | b'@' | b'-'));
            let same = || {
                yaml::objects(&format!("v: {text}"), yaml::MANIFEST)
                    .is_ok_and(|read| read == [serde_json::json!({"v": text})])
            };
            if plain && text.starts_with(|c: char| c.is_ascii_alphanumeric()) && same() {
                text.clone()
            } else {
                value.to_string().chars().map(escaped).collect()
            }
        }
        other => other.to_string(),
    }
}

/// A character of a text in double quotes; what no YAML text may hold, or nobody sees, as its code.
fn escaped(c: char) -> String {
    if hidden(c) || matches!(c, '\u{fffe}' | '\u{ffff}') { format!("\\U{:08x}", u32::from(c)) } else { c.into() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn edited(text: &str, field: &str, value: Value) -> String {
        String::from_utf8(set(text.as_bytes(), field, &value, &["ttl", "expires"]).unwrap()).unwrap()
    }

    #[test]
    fn only_the_value_changes() {
        let text = "# top\nspec:   # here\n    renewed: '2026-01-01'   # by hand\r\n    b: [1,\n      2]\n";
        assert_eq!(edited(text, "spec.renewed", json!("2026-11-23")), text.replace("'2026-01-01'", "2026-11-23"));
        assert_eq!(edited("s: {a: x, b: z}", "s.a", json!("no")), "s: {a: \"no\", b: z}");
        assert_eq!(edited("s:\n  a:\n  b: 1\n", "s.a", json!(true)), "s:\n  a: true\n  b: 1\n");
    }

    #[test]
    fn an_absent_field_gets_a_line_of_its_own() {
        let text = "spec:\n  ttl: 14d # two weeks\n  # people\n  owner: maya\n  parameters:\n    title: x\n";
        assert_eq!(
            edited(text, "spec.renewed", json!("2026-11-23")),
            text.replace("weeks\n", "weeks\n  renewed: 2026-11-23\n")
        );
        assert_eq!(
            edited("spec:\r\n  ttl: 1d\r\n", "spec.suspend", json!(true)),
            "spec:\r\n  ttl: 1d\r\n  suspend: true\r\n"
        );
        assert_eq!(edited("spec:\n  a: 1", "spec.b", json!("x y")), "spec:\n  a: 1\n  b: \"x y\"\n");
        assert_eq!(edited("spec: {a: 1}\n", "spec.b", json!(2)), "spec: {b: 2, a: 1}\n");
        assert_eq!(edited("spec: {}\n", "spec.b", json!(2)), "spec: {b: 2}\n");
    }

    #[test]
    fn what_cannot_be_edited_says_so() {
        for (text, field) in
            [("a: |\n  x\n", "a"), ("a: [1]", "a"), ("a:\n  b: {x: 1}\n", "a.c"), ("a: 1", "b.c"), ("a: 1\na: 2", "a")]
        {
            assert!(set(text.as_bytes(), field, &json!("x"), &[]).is_err(), "{text}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]
        /// Whatever stands around it, a value reads back, and taking it out again leaves what was there.
        #[test]
        fn everything_else_stays(
            before in proptest::collection::vec("  [a-m]{1,6}: ([a-z ]{1,9}[a-z]|'[^'\\n]{0,9}'|\\[x, y\\]|\\{q: 1\\})( # [a-z]{0,5})?", 0..4),
            comment in "(  # [^\\n\\r\\x00-\\x1f\\x7f]{0,9}\n)?",
            value in "[^\\x00-\\x1f\\x7f]{0,12}",
        ) {
            let text = format!("# head\nspec:\n  ttl: 7d  # end\n{comment}{}{}tail: 1\n", before.join("\n"), if before.is_empty() { "" } else { "\n" });
            if let Ok((_, places)) = yaml::document(text.as_bytes(), yaml::MANIFEST) {
                let new = edited(&text, "spec.zz", json!(value));
                prop_assert_eq!(new.len(), text.len() + format!("  zz: {}\n", scalar(&json!(value))).len());
                prop_assert_eq!(new.replacen(&format!("  zz: {}\n", scalar(&json!(value))), "", 1), text.clone());
                let at = places["spec.ttl"].bytes.clone();
                let new = edited(&text, "spec.ttl", json!(value));
                prop_assert_eq!(&new[..at.start], &text[..at.start]);
                prop_assert!(new.ends_with(&text[at.end..]));
            }
        }

        #[test]
        fn no_text_panics(text in r#"(a|s|[ \n\t]|: |- |[\[\]{},&*!|>'"%#]|é){0,40}"#) {
            let _ = set(text.as_bytes(), "s.a", &json!("x"), &["a"]);
            let _ = set(text.as_bytes(), "a", &json!("x"), &[]);
        }
    }
}
