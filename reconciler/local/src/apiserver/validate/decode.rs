//! Whether an object fits its schema: fields it does not have, and values of the wrong type.

use crate::apiserver::quantity::Quantity;
use crate::apiserver::schema::{Schema, Shape, TypeId};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::Value;

/// Removes the fields that the schema does not know, and names each: `unknown field "spec.foo"`.
pub fn drop_unknown(schema: &Schema, id: TypeId, value: &mut Value) -> Vec<String> {
    let mut unknown = Vec::new();
    drop_below(schema, id, value, "", &mut unknown);
    unknown
}

fn drop_below(schema: &Schema, id: TypeId, value: &mut Value, path: &str, unknown: &mut Vec<String>) {
    let child_path = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    match (schema.get(id), value) {
        (Shape::Struct(shape), Value::Object(map)) => map.retain(|name, value| {
            let path = child_path(name);
            match shape.fields.get(name) {
                Some(field) => drop_below(schema, field.type_id, value, &path, unknown),
                None => unknown.push(format!("unknown field {path:?}")),
            }
            shape.fields.contains_key(name)
        }),
        (Shape::Map { values, .. }, Value::Object(map)) => {
            map.iter_mut().for_each(|(name, value)| drop_below(schema, *values, value, &child_path(name), unknown));
        }
        (Shape::List(list), Value::Array(items)) => {
            for (place, item) in items.iter_mut().enumerate() {
                drop_below(schema, list.items, item, &format!("{path}[{place}]"), unknown);
            }
        }
        _ => {}
    }
}

/// The first value that is of the wrong type, in the words of the real server's decoder, such as
/// `json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32`.
pub fn decode(schema: &Schema, id: TypeId, value: &Value) -> Result<(), String> {
    decode_below(schema, id, value, &mut Place::default())
}

/// Where a value is: the innermost struct, and the fields that lead there.
#[derive(Clone, Default)]
struct Place {
    within: String,
    path: Vec<String>,
}

fn decode_below(schema: &Schema, id: TypeId, value: &Value, place: &mut Place) -> Result<(), String> {
    let shape = schema.get(id);
    if value.is_null() || matches!(shape, Shape::Any) {
        return Ok(());
    }
    match (shape, value) {
        (Shape::String, Value::String(_)) | (Shape::Boolean, Value::Bool(_)) | (Shape::Number, Value::Number(_)) => {
            Ok(())
        }
        (Shape::Int64, Value::Number(number)) if number.is_i64() => Ok(()),
        (Shape::IntOrString, Value::String(_)) => Ok(()),
        (Shape::Int32 | Shape::IntOrString, Value::Number(number))
            if number.as_i64().is_some_and(|n| i32::try_from(n).is_ok()) =>
        {
            Ok(())
        }
        (Shape::Quantity, _) => {
            let text = value.as_str().map_or_else(|| value.to_string(), |text| text.trim().to_owned());
            text.parse::<Quantity>().map(|_| ()).map_err(|e| e.to_string())
        }
        (Shape::Bytes, Value::String(text)) => STANDARD.decode(text).map(|_| ()).map_err(|e| {
            let at = match e {
                base64::DecodeError::InvalidByte(at, _) | base64::DecodeError::InvalidLastSymbol(at, _) => at,
                _ => text.len(),
            };
            format!("illegal base64 data at input byte {at}")
        }),
        (Shape::Time | Shape::MicroTime, Value::String(text)) => text.parse::<Timestamp>().map(|_| ()).map_err(|_| {
            format!("parsing time {text:?} as \"2006-01-02T15:04:05Z07:00\": cannot parse {text:?} as RFC 3339")
        }),
        (Shape::Struct(shape), Value::Object(map)) => {
            for (name, value) in map {
                let Some(field) = shape.fields.get(name) else { continue };
                let outer = std::mem::replace(&mut place.within, short(&shape.name).to_owned());
                place.path.push(name.clone());
                decode_below(schema, field.type_id, value, place)?;
                place.path.pop();
                place.within = outer;
            }
            Ok(())
        }
        (Shape::Map { values, .. }, Value::Object(map)) => {
            map.values().try_for_each(|value| decode_below(schema, *values, value, place))
        }
        (Shape::List(list), Value::Array(items)) => {
            items.iter().try_for_each(|item| decode_below(schema, list.items, item, place))
        }
        _ => Err(mistyped(schema, id, value, place)),
    }
}

fn mistyped(schema: &Schema, id: TypeId, value: &Value, place: &Place) -> String {
    let found = match value {
        Value::Null => "null".to_owned(),
        Value::Bool(_) => "bool".to_owned(),
        Value::Number(number) if matches!(schema.get(id), Shape::Int32 | Shape::Int64 | Shape::IntOrString) => {
            format!("number {number}")
        }
        Value::Number(_) => "number".to_owned(),
        Value::String(_) => "string".to_owned(),
        Value::Array(_) => "array".to_owned(),
        Value::Object(_) => "object".to_owned(),
    };
    let wanted = go_type(schema, id);
    let target = match place.path.is_empty() {
        true => format!("Go value of type {wanted}"),
        false => format!("Go struct field {}.{} of type {wanted}", place.within, place.path.join(".")),
    };
    format!("json: cannot unmarshal {found} into {target}")
}

/// What the type is called in the real server's messages.
fn go_type(schema: &Schema, id: TypeId) -> String {
    match schema.get(id) {
        Shape::String | Shape::Quantity => "string".to_owned(),
        Shape::Int32 | Shape::IntOrString => "int32".to_owned(),
        Shape::Int64 => "int64".to_owned(),
        Shape::Number => "float64".to_owned(),
        Shape::Boolean => "bool".to_owned(),
        Shape::Bytes => "[]uint8".to_owned(),
        Shape::Time | Shape::MicroTime => "string".to_owned(),
        Shape::Any => "interface {}".to_owned(),
        Shape::Struct(shape) => shape.name.split_once('.').map_or(&*shape.name, |(_, name)| name).to_owned(),
        Shape::List(list) => format!("[]{}", go_type(schema, list.items)),
        Shape::Map { values, .. } => format!("map[string]{}", go_type(schema, *values)),
    }
}

fn short(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn kind(name: (&str, &str, &str)) -> (&'static Schema, TypeId) {
        (Schema::builtin(), Schema::builtin().type_of(name.0, name.1, name.2).unwrap())
    }

    #[test]
    fn unknown_fields_are_named_by_path_and_dropped() {
        let (schema, id) = kind(("apps", "v1", "Deployment"));
        let mut object = json!({"spec": {"replicsa": 3, "template": {"spec": {"containers": [
            {"name": "a", "prots": []}, {"name": "b", "env": [{"name": "A", "valeu": "1"}]}]}}}});
        assert_eq!(
            drop_unknown(schema, id, &mut object),
            [
                "unknown field \"spec.replicsa\"",
                "unknown field \"spec.template.spec.containers[0].prots\"",
                "unknown field \"spec.template.spec.containers[1].env[0].valeu\"",
            ]
        );
        assert!(drop_unknown(schema, id, &mut object).is_empty());
    }

    #[test]
    fn wrong_types_are_named_as_the_real_server_does() {
        let deployment = ("apps", "v1", "Deployment");
        for (name, object, message) in [
            (
                deployment,
                json!({"spec": {"replicas": "three"}}),
                "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32",
            ),
            (
                deployment,
                json!({"spec": {"replicas": 5_000_000_000_i64}}),
                "json: cannot unmarshal number 5000000000 into Go struct field DeploymentSpec.spec.replicas of type int32",
            ),
            (
                deployment,
                json!({"metadata": {"generation": u64::MAX}}),
                "json: cannot unmarshal number 18446744073709551615 into Go struct field ObjectMeta.metadata.generation of type int64",
            ),
            (
                ("", "v1", "ConfigMap"),
                json!({"data": {"a": 1}}),
                "json: cannot unmarshal number into Go struct field ConfigMap.data of type string",
            ),
            (
                ("", "v1", "ConfigMap"),
                json!({"data": []}),
                "json: cannot unmarshal array into Go struct field ConfigMap.data of type map[string]string",
            ),
            (
                ("", "v1", "Service"),
                json!({"spec": {"ports": [{"port": "80"}]}}),
                "json: cannot unmarshal string into Go struct field ServicePort.spec.ports.port of type int32",
            ),
            (("", "v1", "Secret"), json!({"data": {"a": "!"}}), "illegal base64 data at input byte 0"),
        ] {
            let (schema, id) = kind(name);
            assert_eq!(decode(schema, id, &object), Err(message.to_owned()));
        }
        let (schema, id) = kind(("", "v1", "Pod"));
        let fine = json!({"spec": {"activeDeadlineSeconds": 5_000_000_000_i64, "containers": [{"resources": {"limits": {"cpu": 1, "memory": "1Gi"}}, "args": null}]}});
        assert_eq!(decode(schema, id, &fine), Ok(()));
    }
}
