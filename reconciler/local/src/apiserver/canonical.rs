//! The canonical form of objects: as Kubernetes writes them after it has read them into its types.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;

use super::object::JsonObject;
use super::quantity::Quantity;
use super::schema::{ApiSchema, SchemaType, StructField, TypeId};

/// Brings an object that fits its schema into canonical form: without nulls and the zero values that are not written,
/// with the schema's defaults, and with each quantity and time written in one way. A second pass changes nothing.
pub fn canonicalize(schema: &ApiSchema, id: TypeId, value: &mut Value) {
    match (schema.get(id), &mut *value) {
        (SchemaType::Struct(struct_type), Value::Object(map)) => canonicalize_fields(schema, &struct_type.fields, map),
        (SchemaType::Map { values, .. }, Value::Object(map)) => {
            for value in map.values_mut() {
                if value.is_null() && matches!(schema.get(*values), SchemaType::String | SchemaType::Bytes) {
                    *value = Value::from("");
                }
                canonicalize(schema, *values, value);
            }
        }
        (SchemaType::List(list), Value::Array(items)) => {
            items.iter_mut().for_each(|item| canonicalize(schema, list.items, item));
        }
        (SchemaType::Quantity, _) => {
            let text = value.as_str().map_or_else(|| value.to_string(), |text| text.trim().to_owned());
            if let Ok(quantity) = text.parse::<Quantity>() {
                *value = Value::from(quantity.to_string());
            }
        }
        (SchemaType::Time, Value::String(text)) => {
            if let Ok(time) = text.parse::<Timestamp>() {
                *text = time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
            }
        }
        (SchemaType::MicroTime, Value::String(text)) => {
            if let Ok(time) = text.parse::<Timestamp>() {
                *text = time.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string();
            }
        }
        _ => {}
    }
}

fn canonicalize_fields(schema: &ApiSchema, fields: &BTreeMap<String, StructField>, map: &mut JsonObject) {
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
    use serde_json::json;

    use super::*;

    #[test]
    fn empty_structs_are_added_and_zero_values_removed() {
        let schema = ApiSchema::builtin();
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
