//! Whether an object fits its schema: unknown fields, and values of the wrong type.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::Value;

use crate::apiserver::quantity::Quantity;
use crate::apiserver::schema::{ApiSchema, SchemaType, TypeId};

/// Removes the fields that the schema does not know, and names each: `unknown field "spec.foo"`.
pub fn drop_unknown(schema: &ApiSchema, id: TypeId, value: &mut Value) -> Vec<String> {
    let mut unknown = Vec::new();
    drop_below(schema, id, value, "", &mut unknown);
    unknown
}

fn drop_below(schema: &ApiSchema, id: TypeId, value: &mut Value, path: &str, unknown: &mut Vec<String>) {
    let child_path = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    match (schema.get(id), value) {
        (SchemaType::Struct(struct_type), Value::Object(map)) => map.retain(|name, value| {
            let path = child_path(name);
            match struct_type.fields.get(name) {
                Some(field) => drop_below(schema, field.type_id, value, &path, unknown),
                None => unknown.push(format!("unknown field {path:?}")),
            }
            struct_type.fields.contains_key(name)
        }),
        (SchemaType::Map { values, .. }, Value::Object(map)) => {
            map.iter_mut().for_each(|(name, value)| drop_below(schema, *values, value, &child_path(name), unknown));
        }
        (SchemaType::List(list), Value::Array(items)) => {
            for (index, item) in items.iter_mut().enumerate() {
                drop_below(schema, list.items, item, &format!("{path}[{index}]"), unknown);
            }
        }
        _ => {}
    }
}

/// Names the first value of the wrong type with the message of a real server's decoder, such as
/// `json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32`.
pub fn decode(schema: &ApiSchema, id: TypeId, value: &Value) -> Result<(), String> {
    decode_below(schema, id, value, &mut DecodeContext::default())
}

/// Where the decoder is in an object.
#[derive(Clone, Default)]
struct DecodeContext {
    /// The type of the innermost struct.
    struct_name: String,
    /// The names of the fields from the top.
    path: Vec<String>,
}

fn decode_below(schema: &ApiSchema, id: TypeId, value: &Value, context: &mut DecodeContext) -> Result<(), String> {
    let schema_type = schema.get(id);
    if value.is_null() || matches!(schema_type, SchemaType::Any) {
        return Ok(());
    }
    match (schema_type, value) {
        (SchemaType::String, Value::String(_))
        | (SchemaType::Boolean, Value::Bool(_))
        | (SchemaType::Number, Value::Number(_)) => Ok(()),
        (SchemaType::Int64, Value::Number(number)) if number.is_i64() => Ok(()),
        (SchemaType::IntOrString, Value::String(_)) => Ok(()),
        (SchemaType::Int32 | SchemaType::IntOrString, Value::Number(number))
            if number.as_i64().is_some_and(|n| i32::try_from(n).is_ok()) =>
        {
            Ok(())
        }
        (SchemaType::Quantity, _) => {
            let text = value.as_str().map_or_else(|| value.to_string(), |text| text.trim().to_owned());
            text.parse::<Quantity>().map(|_| ()).map_err(|e| e.to_string())
        }
        (SchemaType::Bytes, Value::String(text)) => STANDARD.decode(text).map(|_| ()).map_err(|e| {
            let at = match e {
                base64::DecodeError::InvalidByte(at, _) | base64::DecodeError::InvalidLastSymbol(at, _) => at,
                _ => text.len(),
            };
            format!("illegal base64 data at input byte {at}")
        }),
        (SchemaType::Time | SchemaType::MicroTime, Value::String(text)) => {
            text.parse::<Timestamp>().map(|_| ()).map_err(|_| {
                format!("parsing time {text:?} as \"2006-01-02T15:04:05Z07:00\": cannot parse {text:?} as RFC 3339")
            })
        }
        (SchemaType::Struct(struct_type), Value::Object(map)) => {
            for (name, value) in map {
                let Some(field) = struct_type.fields.get(name) else { continue };
                let outer = std::mem::replace(&mut context.struct_name, short(&struct_type.name).to_owned());
                context.path.push(name.clone());
                decode_below(schema, field.type_id, value, context)?;
                context.path.pop();
                context.struct_name = outer;
            }
            Ok(())
        }
        (SchemaType::Map { values, .. }, Value::Object(map)) => {
            map.values().try_for_each(|value| decode_below(schema, *values, value, context))
        }
        (SchemaType::List(list), Value::Array(items)) => {
            items.iter().try_for_each(|item| decode_below(schema, list.items, item, context))
        }
        _ => Err(mistyped(schema, id, value, context)),
    }
}

fn mistyped(schema: &ApiSchema, id: TypeId, value: &Value, context: &DecodeContext) -> String {
    let found = match value {
        Value::Null => "null".to_owned(),
        Value::Bool(_) => "bool".to_owned(),
        Value::Number(number)
            if matches!(schema.get(id), SchemaType::Int32 | SchemaType::Int64 | SchemaType::IntOrString) =>
        {
            format!("number {number}")
        }
        Value::Number(_) => "number".to_owned(),
        Value::String(_) => "string".to_owned(),
        Value::Array(_) => "array".to_owned(),
        Value::Object(_) => "object".to_owned(),
    };
    let wanted = go_type(schema, id);
    let target = match context.path.is_empty() {
        true => format!("Go value of type {wanted}"),
        false => format!("Go struct field {}.{} of type {wanted}", context.struct_name, context.path.join(".")),
    };
    format!("json: cannot unmarshal {found} into {target}")
}

/// What the messages of a real server call a type.
fn go_type(schema: &ApiSchema, id: TypeId) -> String {
    match schema.get(id) {
        SchemaType::String | SchemaType::Quantity => "string".to_owned(),
        SchemaType::Int32 | SchemaType::IntOrString => "int32".to_owned(),
        SchemaType::Int64 => "int64".to_owned(),
        SchemaType::Number => "float64".to_owned(),
        SchemaType::Boolean => "bool".to_owned(),
        SchemaType::Bytes => "[]uint8".to_owned(),
        SchemaType::Time | SchemaType::MicroTime => "string".to_owned(),
        SchemaType::Any => "interface {}".to_owned(),
        SchemaType::Struct(struct_type) => {
            struct_type.name.split_once('.').map_or(&*struct_type.name, |(_, name)| name).to_owned()
        }
        SchemaType::List(list) => format!("[]{}", go_type(schema, list.items)),
        SchemaType::Map { values, .. } => format!("map[string]{}", go_type(schema, *values)),
    }
}

fn short(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn kind(name: (&str, &str, &str)) -> (&'static ApiSchema, TypeId) {
        (ApiSchema::builtin(), ApiSchema::builtin().type_of(name.0, name.1, name.2).unwrap())
    }

    #[test]
    fn unknown_fields_are_named_by_their_path_and_dropped() {
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
    fn wrong_types_are_refused_with_the_messages_of_a_real_server() {
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
