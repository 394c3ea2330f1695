//! Label and field selectors: in the form in which queries have them, and in the form in which objects have them.

use serde_json::Value;

use super::object::{self, JsonObject};

/// A label selector: all its requirements must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LabelSelector(Vec<LabelRequirement>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct LabelRequirement {
    key: String,
    operator: LabelOperator,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum LabelOperator {
    Exists,
    Absent,
    In(Vec<String>),
    NotIn(Vec<String>),
    Above(i64),
    Below(i64),
}

/// A field selector: all its requirements must hold. A requirement is a field, whether it must be equal, and a value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldSelector(Vec<(String, bool, String)>);

/// The selector cannot be read, or names a field by which the kind cannot be selected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SelectorError(String);

impl LabelSelector {
    /// Reads `a=b,c!=d,e in (f,g),h notin (i),j,!k,l>1,m<2`. An empty text selects everything.
    pub fn parse(text: &str) -> Result<Self, SelectorError> {
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        split_outside_brackets(text)
            .into_iter()
            .map(|part| requirement(part.trim()))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    pub fn matches(&self, labels: &JsonObject) -> bool {
        self.0.iter().all(|requirement| {
            let value = labels.get(&requirement.key).and_then(Value::as_str);
            let number = || value.and_then(|value| value.parse::<i64>().ok());
            match &requirement.operator {
                LabelOperator::Exists => value.is_some(),
                LabelOperator::Absent => value.is_none(),
                LabelOperator::In(values) => value.is_some_and(|value| values.iter().any(|v| v == value)),
                LabelOperator::NotIn(values) => value.is_none_or(|value| values.iter().all(|v| v != value)),
                LabelOperator::Above(bound) => number().is_some_and(|number| number > *bound),
                LabelOperator::Below(bound) => number().is_some_and(|number| number < *bound),
            }
        })
    }
}

/// Whether a label selector in the form in which objects have it selects the labels.
pub fn selects(selector: &JsonObject, labels: &JsonObject) -> bool {
    let by_labels = matched(selector).all(|(name, value)| labels.get(name) == Some(value));
    let by_expressions = expressions(selector).all(|expression| {
        let label = labels.get(object::text(expression, &["key"]));
        let listed = label.is_some_and(|label| object::list(expression, &["values"]).any(|value| value == label));
        match object::text(expression, &["operator"]) {
            "In" => listed,
            "NotIn" => !listed,
            "Exists" => label.is_some(),
            _ => label.is_none(),
        }
    });
    by_labels && by_expressions
}

/// Turns a label selector from the form in which objects have it into that in which queries have it.
pub fn written(selector: &JsonObject) -> String {
    let by_labels = matched(selector).map(|(key, value)| {
        let value = value.as_str().unwrap_or_default();
        (key.as_str(), format!("{key}={value}"))
    });
    let by_expressions = expressions(selector).map(|expression| {
        let key = object::text(expression, &["key"]);
        let mut values: Vec<&str> = object::list(expression, &["values"]).filter_map(Value::as_str).collect();
        values.sort_unstable();
        let text = match object::text(expression, &["operator"]) {
            "In" => format!("{key} in ({})", values.join(",")),
            "NotIn" => format!("{key} notin ({})", values.join(",")),
            "Exists" => key.to_owned(),
            _ => format!("!{key}"),
        };
        (key, text)
    });
    let mut all: Vec<(&str, String)> = by_labels.chain(by_expressions).collect();
    all.sort_by_key(|(key, _)| *key);
    all.into_iter().map(|(_, text)| text).collect::<Vec<_>>().join(",")
}

fn matched(selector: &JsonObject) -> impl Iterator<Item = (&String, &Value)> {
    selector.get("matchLabels").and_then(Value::as_object).into_iter().flatten()
}

fn expressions(selector: &JsonObject) -> impl Iterator<Item = &Value> {
    selector.get("matchExpressions").and_then(Value::as_array).into_iter().flatten()
}

fn split_outside_brackets(text: &str) -> Vec<&str> {
    let mut depth = 0usize;
    text.split(|c: char| {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == ',' && depth == 0
    })
    .collect()
}

fn requirement(text: &str) -> Result<LabelRequirement, SelectorError> {
    let made = |key: &str, operator: LabelOperator| {
        let key = key.trim();
        if is_key(key) {
            Ok(LabelRequirement { key: key.to_owned(), operator })
        } else {
            Err(SelectorError(format!("unable to parse requirement: <nil>: Invalid value: {key:?}: not a label key")))
        }
    };
    if let Some(key) = text.strip_prefix('!') {
        return made(key, LabelOperator::Absent);
    }
    if let Some((key, values)) = text.split_once('(') {
        let (key, operator) = key.trim().rsplit_once(char::is_whitespace).unwrap_or((key.trim(), ""));
        let values = values.strip_suffix(')').ok_or_else(|| {
            SelectorError("unable to parse requirement: found '', expected: ',', ')' or identifier".to_owned())
        })?;
        let values = values.split(',').map(|value| checked(value.trim())).collect::<Result<_, _>>()?;
        return match operator {
            "in" => made(key, LabelOperator::In(values)),
            "notin" => made(key, LabelOperator::NotIn(values)),
            other => Err(SelectorError(format!("unable to parse requirement: found '{other}', expected: in, notin"))),
        };
    }
    for (operator, negative) in [("!=", true), ("==", false), ("=", false)] {
        if let Some((key, value)) = text.split_once(operator) {
            let values = vec![checked(value.trim())?];
            return made(key, if negative { LabelOperator::NotIn(values) } else { LabelOperator::In(values) });
        }
    }
    for (symbol, operator) in [('>', LabelOperator::Above as fn(i64) -> LabelOperator), ('<', LabelOperator::Below)] {
        if let Some((key, bound)) = text.split_once(symbol) {
            let bound = bound.trim().parse().map_err(|_| {
                SelectorError(format!(
                    "unable to parse requirement: {:?}: for 'Gt', 'Lt' operators, the value must be an integer",
                    bound.trim()
                ))
            })?;
            return made(key, operator(bound));
        }
    }
    made(text, LabelOperator::Exists)
}

fn checked(value: &str) -> Result<String, SelectorError> {
    if super::names::label_value(value).is_none() {
        return Ok(value.to_owned());
    }
    Err(SelectorError(format!("unable to parse requirement: values[0]: Invalid value: {value:?}: not a label value")))
}

fn is_key(key: &str) -> bool {
    super::names::qualified(key).is_empty()
}

/// The fields besides name and namespace by which objects can be selected, by group resource.
const SELECTABLE: [(&str, &[&str]); 10] = [
    (
        "pods",
        &[
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "spec.hostNetwork",
            "status.phase",
            "status.podIP",
            "status.nominatedNodeName",
        ],
    ),
    ("nodes", &["spec.unschedulable"]),
    ("namespaces", &["status.phase"]),
    ("secrets", &["type"]),
    ("services", &["spec.clusterIP", "spec.type"]),
    ("replicationcontrollers", &["status.replicas"]),
    ("replicasets.apps", &["status.replicas"]),
    ("jobs.batch", &["status.successful"]),
    ("events", EVENT),
    ("events.events.k8s.io", EVENT),
];

const EVENT: &[&str] = &[
    "involvedObject.kind",
    "involvedObject.namespace",
    "involvedObject.name",
    "involvedObject.uid",
    "involvedObject.apiVersion",
    "involvedObject.resourceVersion",
    "involvedObject.fieldPath",
    "reason",
    "reportingComponent",
    "source",
    "type",
];

impl FieldSelector {
    /// Reads `a=b,c!=d`. An empty text selects everything.
    pub fn parse(text: &str) -> Result<Self, SelectorError> {
        let parts = text.split(',').filter(|part| !part.is_empty());
        let read = parts.map(|part| {
            for (operator, equal) in [("!=", false), ("==", true), ("=", true)] {
                if let Some((field, value)) = part.split_once(operator) {
                    return Ok((field.to_owned(), equal, value.to_owned()));
                }
            }
            Err(SelectorError(format!("invalid selector: '{part}'; can't understand '{part}'")))
        });
        read.collect::<Result<_, _>>().map(Self)
    }

    /// Refuses fields by which objects of a kind cannot be selected.
    pub fn check(&self, group_resource: &str, namespaced: bool) -> Result<(), SelectorError> {
        let more = SELECTABLE.iter().find(|(kind, _)| *kind == group_resource).map_or(&[][..], |(_, fields)| fields);
        let mut known = vec!["metadata.name"];
        known.extend(namespaced.then_some("metadata.namespace"));
        match self.0.iter().find(|(field, ..)| !known.contains(&field.as_str()) && !more.contains(&field.as_str())) {
            None => Ok(()),
            Some((field, ..)) if more.is_empty() => {
                let known: Vec<_> = known.iter().map(|field| format!("{field:?}")).collect();
                Err(SelectorError(format!("{field:?} is not a known field selector: only {}", known.join(", "))))
            }
            Some((field, ..)) => Err(SelectorError(format!("field label not supported: {field}"))),
        }
    }

    /// Whether an object is selected. An absent field counts as an empty text.
    pub fn matches(&self, object: &Value) -> bool {
        self.0.iter().all(|(field, equal, value)| (shown(object, field) == *value) == *equal)
    }

    /// The name that a selected object must have, if the selector requires one.
    pub fn name(&self) -> Option<&str> {
        self.0.iter().find(|(field, equal, _)| *equal && field == "metadata.name").map(|(.., value)| value.as_str())
    }
}

fn shown(object: &Value, field: &str) -> String {
    let at = |path: &str| path.split('.').try_fold(object, |value, name| value.get(name));
    let found = match field {
        "status.successful" => at("status.succeeded"),
        "source" => at("source.component").or_else(|| at("reportingComponent")),
        _ => at(field).or_else(|| at(&field.replacen("involvedObject", "regarding", 1))),
    };
    match (field, found) {
        (_, Some(Value::String(text))) => text.clone(),
        ("spec.hostNetwork" | "spec.unschedulable", None) => "false".to_owned(),
        ("status.replicas" | "status.successful", None) => "0".to_owned(),
        (_, None | Some(Value::Null)) => String::new(),
        (_, Some(other)) => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn all_operators_of_label_selectors_are_understood() {
        let labels = json!({"app": "web", "tier": "1", "example.com/x": ""});
        let labels = labels.as_object().unwrap();
        for (selector, selected) in [
            ("", true),
            ("app=web", true),
            ("app==web,tier!=2", true),
            ("app!=web", false),
            ("none!=x", true),
            ("app in (a, web),tier", true),
            ("app notin (a,web)", false),
            ("none notin (a)", true),
            ("!app", false),
            ("!none,example.com/x", true),
            ("example.com/x=", true),
            ("tier>0,tier<2", true),
            ("tier>1", false),
        ] {
            assert_eq!(LabelSelector::parse(selector).unwrap().matches(labels), selected, "{selector}");
        }
        for wrong in [",", "a,", ",a", "a in (", "a of (b)", "a b", "=b", "a=b c", "a>b"] {
            assert!(LabelSelector::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn selectable_fields_are_compared_as_text_and_others_are_refused() {
        let pod = json!({"metadata": {"name": "a"}, "spec": {"nodeName": "n"}, "status": {"phase": "Running"}});
        let matches = |text: &str| FieldSelector::parse(text).unwrap().matches(&pod);
        assert!(matches("metadata.name=a,spec.nodeName==n,status.phase!=Failed,spec.hostNetwork=false"));
        assert!(!matches("spec.nodeName="));
        let check = |key: &str, text: &str| FieldSelector::parse(text).unwrap().check(key, true);
        assert!(check("pods", "status.phase=x").is_ok());
        assert_eq!(
            check("configmaps", "data.x=1").unwrap_err().to_string(),
            "\"data.x\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\""
        );
        assert_eq!(check("pods", "x=1").unwrap_err().to_string(), "field label not supported: x");
        assert_eq!(FieldSelector::parse("metadata.name=a").unwrap().name(), Some("a"));
        assert!(FieldSelector::parse("x").is_err());
    }
}
