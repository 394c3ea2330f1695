//! Whether an applied object fits its schema, with the messages of a real server.

use serde_json::Value;

use super::fieldset::PathElement;
use super::typed::{item_element, items_of};
use crate::apiserver::schema::{ApiSchema, ListKind, ListType, SchemaType, TypeId};

/// Names the first field that is unknown, has a value of the wrong type, or is a duplicate item of its list.
pub fn check(schema: &ApiSchema, id: TypeId, value: &Value) -> Result<(), String> {
    check_at(schema, id, value, &mut Vec::new())
}

fn check_at(schema: &ApiSchema, id: TypeId, value: &Value, path: &mut Vec<PathElement>) -> Result<(), String> {
    if let Some(expected) = mismatch(schema.get(id), value) {
        return fail(path, format!("expected {expected}, got {}", shown(expected, value)));
    }
    for (name, value) in value.as_object().into_iter().flatten() {
        path.push(PathElement::field(name));
        match schema.child(id, name) {
            Some(inner) => check_at(schema, inner, value, path)?,
            None => return fail(path, "field not declared in schema".to_owned()),
        }
        path.pop();
    }
    match schema.get(id) {
        SchemaType::List(list) => check_items(schema, list, items_of(Some(value)), path),
        _ => Ok(()),
    }
}

fn check_items(
    schema: &ApiSchema,
    list: &ListType,
    items: &[Value],
    path: &mut Vec<PathElement>,
) -> Result<(), String> {
    let mut seen = Vec::new();
    for (place, item) in items.iter().enumerate() {
        let element = match list.kind {
            ListKind::Atomic => PathElement::Index(i64::try_from(place).unwrap_or(i64::MAX)),
            _ => item_element(list, item),
        };
        if let (ListKind::Map { keys }, PathElement::Key(named)) = (&list.kind, &element)
            && named.is_empty()
        {
            let keys: Vec<_> = keys.iter().map(|(name, _)| format!("{name:?}")).collect();
            let reason = format!(
                "element {place}: associative list with keys has an element that omits all key fields [{}] (and \
                 doesn't have default values for any key fields)",
                keys.join(" ")
            );
            return fail(path, reason);
        }
        if seen.contains(&element) {
            return fail(path, format!("duplicate entries for key {element}"));
        }
        path.push(element.clone());
        check_at(schema, list.items, item, path)?;
        path.pop();
        seen.push(element);
    }
    Ok(())
}

fn fail(path: &[PathElement], reason: String) -> Result<(), String> {
    let place: String = path.iter().map(ToString::to_string).collect();
    Err(if place.is_empty() { reason } else { format!("{place}: {reason}") })
}

/// What was expected, if a value does not fit its type.
fn mismatch(schema_type: &SchemaType, value: &Value) -> Option<&'static str> {
    let scalar = value.is_string() || value.is_number() || value.is_boolean();
    match schema_type {
        _ if value.is_null() => None,
        SchemaType::String | SchemaType::Bytes if !value.is_string() => Some("string"),
        SchemaType::Int32 | SchemaType::Int64 | SchemaType::Number if !value.is_number() => {
            Some("numeric (int or float)")
        }
        SchemaType::Boolean if !value.is_boolean() => Some("boolean"),
        SchemaType::IntOrString | SchemaType::Quantity | SchemaType::Time | SchemaType::MicroTime if !scalar => {
            Some("any scalar")
        }
        SchemaType::Struct(_) | SchemaType::Map { .. } if !value.is_object() => Some("map"),
        SchemaType::List(_) if !value.is_array() => Some("list"),
        _ => None,
    }
}

/// A value of the wrong type, as a real server shows it.
fn shown(expected: &str, value: &Value) -> String {
    match (expected, value) {
        ("string", _) => format!("&value.valueUnstructured{{Value:{value}}}"),
        ("numeric (int or float)", Value::String(_)) => "string".to_owned(),
        ("numeric (int or float)", Value::Bool(_)) => "bool".to_owned(),
        ("numeric (int or float)", Value::Array(_)) => "[]interface {}".to_owned(),
        ("numeric (int or float)", _) => "map[string]interface {}".to_owned(),
        (_, Value::Array(items)) => {
            let items: Vec<_> = items.iter().map(|i| i.as_str().map_or_else(|| i.to_string(), str::to_owned)).collect();
            format!("&{{[{}]}}", items.join(" "))
        }
        (_, Value::String(text)) => format!("&{{{text}}}"),
        _ => format!("&{{{value}}}"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_first_field_that_does_not_fit_is_named_by_its_path() {
        let schema = ApiSchema::builtin();
        let id = schema.type_of("apps", "v1", "Deployment").unwrap();
        let env = |env: Value| json!({"spec": {"template": {"spec": {"containers": [{"name": "a", "env": env}]}}}});
        for (object, message) in [
            (json!({"spec": {"foo": 1}}), ".spec.foo: field not declared in schema"),
            (json!({"spec": {"replicas": "1"}}), ".spec.replicas: expected numeric (int or float), got string"),
            (
                env(json!([{"name": "A"}, {"name": "A"}])),
                ".spec.template.spec.containers[name=\"a\"].env: duplicate entries for key [name=\"A\"]",
            ),
            (json!({"metadata": {"labels": ["a", "b"]}}), ".metadata.labels: expected map, got &{[a b]}"),
        ] {
            assert_eq!(check(schema, id, &object), Err(message.to_owned()));
        }
        assert_eq!(check(schema, id, &env(json!(null))), Ok(()));
    }
}
