//! The form in which Kubernetes keeps objects: what decoding into its types and encoding again makes of them.

use super::quantity::Quantity;
use super::schema::{Field, Schema, Shape, TypeId};
use jiff::Timestamp;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Brings an object that fits its schema into canonical form: nulls and zero values that are not written go, the
/// schema's defaults come, quantities and times are written one way. A second pass changes nothing.
pub fn canonicalize(schema: &Schema, id: TypeId, value: &mut Value) {
    match (schema.get(id), &mut *value) {
        (Shape::Struct(shape), Value::Object(map)) => canonicalize_fields(schema, &shape.fields, map),
        (Shape::Map { values, .. }, Value::Object(map)) => {
            for value in map.values_mut() {
                if value.is_null() && matches!(schema.get(*values), Shape::String | Shape::Bytes) {
                    *value = Value::from("");
                }
                canonicalize(schema, *values, value);
            }
        }
        (Shape::List(list), Value::Array(items)) => {
            items.iter_mut().for_each(|item| canonicalize(schema, list.items, item));
        }
        (Shape::Quantity, _) => {
            let text = value.as_str().map_or_else(|| value.to_string(), |text| text.trim().to_owned());
            if let Ok(quantity) = text.parse::<Quantity>() {
                *value = Value::from(quantity.to_string());
            }
        }
        (Shape::Time, Value::String(text)) => {
            if let Ok(time) = text.parse::<Timestamp>() {
                *text = time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
            }
        }
        (Shape::MicroTime, Value::String(text)) => {
            if let Ok(time) = text.parse::<Timestamp>() {
                *text = time.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string();
            }
        }
        _ => {}
    }
}

fn canonicalize_fields(schema: &Schema, fields: &BTreeMap<String, Field>, map: &mut Map<String, Value>) {
    map.retain(|name, value| match fields.get(name) {
        _ if value.is_null() => false,
        Some(field) => {
            canonicalize(schema, field.type_id, value);
            !(field.omit_zero && is_zero(value))
        }
        None => true,
    });
    for (name, field) in fields {
        if map.contains_key(name) {
            continue;
        }
        if let Some(default) = &field.default {
            let mut value = default.clone();
            canonicalize(schema, field.type_id, &mut value);
            map.insert(name.clone(), value);
        } else if field.nullable {
            map.insert(name.clone(), Value::Null);
        }
    }
}

/// Whether a value is empty, `0` or `false`.
pub fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(flag) => !flag,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn empty_structs_come_and_zero_values_go() {
        let schema = Schema::builtin();
        let id = schema.type_of("", "v1", "Pod").unwrap();
        let mut pod = json!({
            "metadata": {"labels": {}, "creationTimestamp": null},
            "spec": {"hostNetwork": false, "terminationGracePeriodSeconds": 0, "volumes": [{"name": "v", "emptyDir": {}}],
                "containers": [{"name": "a", "ports": [{"containerPort": 80}], "resources": {"limits": {"cpu": 0.5}}}]}
        });
        canonicalize(schema, id, &mut pod);
        let expected = json!({
            "metadata": {},
            "spec": {"terminationGracePeriodSeconds": 0, "volumes": [{"name": "v", "emptyDir": {}}],
                "containers": [{"name": "a", "ports": [{"containerPort": 80, "protocol": "TCP"}],
                                "resources": {"limits": {"cpu": "500m"}}}]},
            "status": {}
        });
        assert_eq!(pod, expected);
        let before = pod.clone();
        canonicalize(schema, id, &mut pod);
        assert_eq!(pod, before);
    }
}
