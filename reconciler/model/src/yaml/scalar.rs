//! Scalars without quotes: null, true, numbers and text, as long as all readers of YAML agree on which.

use std::borrow::Cow;

use serde_json::{Number, Value};

/// A plain scalar that YAML's versions take differently.
pub(super) struct AmbiguousScalar {
    pub text: String,
    /// What some readers take it for.
    pub read: String,
}

/// The value of an unquoted scalar.
pub(super) fn plain(text: Cow<'_, str>) -> Result<Value, AmbiguousScalar> {
    let number_like = text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.'));
    if number_like {
        return match number(&text) {
            Some(number) => Ok(Value::Number(number)),
            None => match loose_number(&text) {
                Some(read) => Err(AmbiguousScalar { text: text.into_owned(), read }),
                None => Ok(Value::String(text.into_owned())),
            },
        };
    }
    let read = match &*text {
        "" | "~" | "null" | "Null" | "NULL" => return Ok(Value::Null),
        "true" | "True" | "TRUE" => return Ok(Value::Bool(true)),
        "false" | "False" | "FALSE" => return Ok(Value::Bool(false)),
        _ if text.len() > 5 => return Ok(Value::String(text.into_owned())),
        _ => match &*text.to_ascii_lowercase() {
            "null" => "null",
            "true" | "y" | "yes" | "on" => "true",
            "false" | "n" | "no" | "off" => "false",
            _ => return Ok(Value::String(text.into_owned())),
        },
    };
    Err(AmbiguousScalar { text: text.into_owned(), read: read.into() })
}

/// A number as JSON writes it, which all versions of YAML read alike; none if it is too large to be exact.
fn number(text: &str) -> Option<Number> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let leading_zero = digits.len() > 1 && digits.starts_with('0') && digits.as_bytes()[1].is_ascii_digit();
    if leading_zero || !digits.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    if digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse::<i64>().map(Number::from).or_else(|_| text.parse::<u64>().map(Number::from)).ok();
    }
    serde_json::from_str(text).ok()
}

/// What YAML 1.1 reads for a number that JSON does not write so.
fn loose_number(text: &str) -> Option<String> {
    let bare = text.replace('_', "");
    let (sign, digits) = match bare.as_bytes().first()? {
        b'-' => ("-", &bare[1..]),
        b'+' => ("", &bare[1..]),
        _ => ("", &*bare),
    };
    match digits {
        ".inf" | ".Inf" | ".INF" => return Some(format!("{sign}infinity")),
        ".nan" | ".NaN" | ".NAN" => return Some("no number".into()),
        _ => {}
    }
    let lower = digits.to_ascii_lowercase();
    let radix = |prefix: &str, radix| {
        lower
            .strip_prefix(prefix)
            .filter(|rest| !rest.starts_with('+'))
            .and_then(|rest| u64::from_str_radix(rest, radix).ok())
    };
    if let Some(read) = radix("0x", 16).or(radix("0b", 2)).or(radix("0o", 8)).or(radix("0", 8)) {
        return Some(format!("{sign}{read}"));
    }
    let float = digits.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && digits.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'E' | b'+' | b'-'));
    digits.parse::<f64>().ok().filter(|_| float).map(|read| format!("{sign}{read}"))
}
