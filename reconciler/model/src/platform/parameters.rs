//! A template's parameters: its JSON Schema checked and closed, and an app's values completed with its defaults.

use serde_json::{Map, Value, json};

use super::Spans;
use super::check::{Checker, SchemaRules};
use crate::diagnostic::Diagnostic;
use crate::rule::Rule;

const FIELD: &str = "spec.parameters";

/// Compiles a template's schema. What it does not name is refused, unless it says `additionalProperties`.
pub(super) fn compile(schema: &Map<String, Value>, spans: &Spans) -> Result<Checker, Vec<Diagnostic>> {
    let mut schema = Value::Object(schema.clone());
    if schema == json!({}) {
        schema = json!({"type": "object"});
    }
    let mut found = Vec::new();
    if schema["type"] != "object" {
        let wrong = spans.finding(Rule::TEMPLATE_SCHEMA, FIELD, "must be a JSON Schema of `type: object`");
        found.push(wrong.help("Write `type: object` in it."));
    }
    references(&schema, FIELD, spans, &mut found);
    if !found.is_empty() {
        return Err(found);
    }
    close(&mut schema, true);
    let checker =
        Checker::new(schema).map_err(|(pointer, message)| {
            let field = format!("{FIELD}{}", pointer.replace('/', "."));
            let found = spans.finding(Rule::TEMPLATE_SCHEMA, &field, message);
            vec![found.help(
                "Write plain JSON Schema: references that end, patterns without look-around and back references.",
            )]
        })?;
    let found = wrong_defaults(&checker, spans);
    if found.is_empty() { Ok(checker) } else { Err(found) }
}

/// The values with the schema's defaults where they say nothing.
pub(super) fn complete(values: &Map<String, Value>, schema: &Value) -> Map<String, Value> {
    let mut values = values.clone();
    fill(&mut values, schema);
    values
}

fn fill(values: &mut Map<String, Value>, schema: &Value) {
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        match (values.get_mut(name), property.get("default")) {
            (Some(Value::Object(inner)), _) => fill(inner, property),
            (None, Some(default)) => {
                values.insert(name.clone(), default.clone());
            }
            _ => {}
        }
    }
}

/// Refuses what would be fetched from elsewhere.
fn references(schema: &Value, field: &str, spans: &Spans, found: &mut Vec<Diagnostic>) {
    match schema {
        Value::Object(map) => {
            for (key, value) in map {
                let inner = format!("{field}.{key}");
                match (key.as_str(), value) {
                    ("$ref" | "$dynamicRef" | "$recursiveRef", Value::String(target)) if !target.starts_with('#') => {
                        let message = "points outside the file, and nothing is fetched";
                        let outside = spans.finding(Rule::TEMPLATE_REFERENCE, &inner, message);
                        found.push(outside.help("Write the schema out here."));
                    }
                    ("$id" | "$schema", Value::String(_)) => {
                        let impossible = spans.finding(Rule::TEMPLATE_REFERENCE, &inner, "is not possible here");
                        found.push(impossible.help("Remove the line."));
                    }
                    ("default" | "const" | "enum" | "examples", _) => {}
                    _ => references(value, &inner, spans, found),
                }
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                references(item, &format!("{field}[{index}]"), spans, found);
            }
        }
        _ => {}
    }
}

/// Refuses unknown fields wherever a schema lists its fields and says nothing else about others.
fn close(schema: &mut Value, root: bool) {
    const SPEAKS: [&str; 9] = [
        "additionalProperties",
        "patternProperties",
        "unevaluatedProperties",
        "allOf",
        "anyOf",
        "oneOf",
        "if",
        "$ref",
        "propertyNames",
    ];
    let Some(map) = schema.as_object_mut() else { return };
    if (root || map.contains_key("properties")) && !SPEAKS.iter().any(|keyword| map.contains_key(*keyword)) {
        map.insert("additionalProperties".into(), false.into());
    }
    for keyword in ["properties", "$defs", "definitions"] {
        for inner in map.get_mut(keyword).and_then(Value::as_object_mut).into_iter().flat_map(Map::values_mut) {
            close(inner, false);
        }
    }
    if let Some(items) = map.get_mut("items") {
        close(items, false);
    }
}

/// Defaults that their own schema refuses.
fn wrong_defaults(checker: &Checker, spans: &Spans) -> Vec<Diagnostic> {
    let properties = checker.schema()["properties"].as_object();
    let defaults = properties.into_iter().flatten().filter_map(|(name, schema)| Some((name, schema.get("default")?)));
    let mut found = Vec::new();
    for (name, default) in defaults {
        let field = format!("{FIELD}.properties.{name}.default");
        let inside = |path: &str| path.strip_prefix(name.as_str()).map(|rest| format!("{field}{rest}"));
        let wrong = checker.violations(&json!({name: default}), &SchemaRules::DEFAULT, inside, spans);
        found.extend(wrong.into_iter().map(|wrong| wrong.at(spans.position(&field))));
    }
    found
}
