//! The syntax of names, labels, annotations and keys. What is wrong with one is said with the messages of a real server.

const QUALIFIED: &str = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an \
                         alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for \
                         validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or \
                         '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used \
                         for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must \
                     start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for \
                     validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const LABEL_VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or \
                           '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or \
                           'my_value',  or '12345', regex used for validation is \
                           '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
const CONFIG_KEY: &str = "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. \
                          'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')";

fn is_word(text: &str) -> bool {
    let inner = |c: u8| c.is_ascii_alphanumeric() || b"-_.".contains(&c);
    let edge = |c: Option<u8>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    text.bytes().all(inner) && edge(text.bytes().next()) && edge(text.bytes().last())
}

fn is_label(text: &str) -> bool {
    let inner = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
    !text.is_empty() && text.bytes().all(inner) && !text.starts_with('-') && !text.ends_with('-')
}

fn too_long(limit: usize) -> String {
    format!("must be no more than {limit} bytes")
}

/// What is wrong with a DNS label.
pub fn dns_label(text: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    wrong.extend((text.len() > 63).then(|| too_long(63)));
    wrong.extend((!is_label(text)).then(|| LABEL.to_owned()));
    wrong
}

/// What is wrong with a DNS subdomain.
pub fn dns_subdomain(text: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    wrong.extend((text.len() > 253).then(|| too_long(253)));
    wrong.extend((!text.split('.').all(is_label)).then(|| SUBDOMAIN.to_owned()));
    wrong
}

/// What is wrong with the name of a label or an annotation: a word, or a subdomain, a slash and a word.
pub fn qualified(text: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    let name = match text.split_once('/') {
        None => text,
        Some((_, name)) if name.contains('/') => {
            return vec![format!(
                "a qualified name {QUALIFIED} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
            )];
        }
        Some(("", name)) => {
            wrong.push("prefix part must be non-empty".to_owned());
            name
        }
        Some((prefix, name)) => {
            wrong.extend(dns_subdomain(prefix).into_iter().map(|text| format!("prefix part {text}")));
            name
        }
    };
    if name.is_empty() {
        wrong.push("name part must be non-empty".to_owned());
    } else if name.len() > 63 {
        wrong.push(format!("name part {}", too_long(63)));
    }
    wrong.extend((!is_word(name)).then(|| format!("name part {QUALIFIED}")));
    wrong
}

/// What is wrong with the value of a label.
pub fn label_value(text: &str) -> Option<String> {
    if text.len() > 63 {
        return Some(too_long(63));
    }
    (!text.is_empty() && !is_word(text)).then(|| LABEL_VALUE.to_owned())
}

/// What is wrong with a key of a ConfigMap or a Secret.
pub fn config_key(text: &str) -> Option<String> {
    let inner = |c: u8| c.is_ascii_alphanumeric() || b"-_.".contains(&c);
    match text {
        _ if text.len() > 253 => Some(too_long(253)),
        _ if text.is_empty() || !text.bytes().all(inner) => Some(CONFIG_KEY.to_owned()),
        "." => Some("must not be '.'".to_owned()),
        ".." => Some("must not be '..'".to_owned()),
        _ => text.starts_with("..").then(|| "must not start with '..'".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_labels_and_keys_that_break_the_syntax_are_found() {
        for fine in ["a", "a.b-c_D", "example.com/a", &format!("{}/a", "b".repeat(63))] {
            assert!(qualified(fine).is_empty(), "{fine}");
        }
        for wrong in ["", "a b", "-a", "a/", "/a", "a/b/c", "A.com/a", &"a".repeat(64)] {
            assert!(!qualified(wrong).is_empty(), "{wrong}");
        }
        assert!(label_value("").is_none() && label_value("a.b").is_none());
        assert!(label_value("a b").is_some() && label_value("-").is_some());
        assert!(config_key("a.b").is_none() && config_key("a/b").is_some() && config_key("..x").is_some());
        assert!(dns_label("a-1").is_empty() && !dns_label("a.b").is_empty() && dns_subdomain("a.b").is_empty());
    }
}
