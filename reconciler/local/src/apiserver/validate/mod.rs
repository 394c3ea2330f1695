//! The validation of objects.
//!
//! First come [`drop_unknown`] and [`decode`], on what was sent; then, when all defaults are filled in, [`values`].

mod amounts;
mod autoscaling;
mod decode;
mod field_rules;
mod kinds;
mod networks;
mod pods;
mod schedules;
mod struct_rules;
mod volumes;

use serde_json::Value;

use super::object::JsonObject;
use super::schema::{ApiSchema, SchemaType, TypeId};
use super::status::StatusCause;

pub use decode::{decode, drop_unknown};

/// All wrong values of an object that has its defaults. The name and changes of immutable fields are checked on
/// admission; the status is not checked.
pub fn values(schema: &ApiSchema, id: TypeId, object: &Value) -> Vec<StatusCause> {
    let mut report = ValidationReport::default();
    walk(schema, id, object, "", &mut report);
    report.0
}

/// The wrong values so far.
#[derive(Default)]
struct ValidationReport(Vec<StatusCause>);

impl ValidationReport {
    fn add(&mut self, reason: &'static str, field: String, what: &str, detail: &str) {
        let message = if detail.is_empty() { what.to_owned() } else { format!("{what}: {detail}") };
        self.0.push(StatusCause { reason, field, message });
    }

    fn required(&mut self, field: String, detail: &str) {
        self.add("FieldValueRequired", field, "Required value", detail);
    }

    fn invalid(&mut self, field: String, value: &Value, detail: &str) {
        self.add("FieldValueInvalid", field, &format!("Invalid value: {value}"), detail);
    }

    fn duplicate(&mut self, field: String, value: &Value) {
        self.add("FieldValueDuplicate", field, &format!("Duplicate value: {value}"), "");
    }

    fn not_found(&mut self, field: String, value: &str) {
        self.add("FieldValueNotFound", field, &format!("Not found: {value:?}"), "");
    }

    fn too_long(&mut self, field: String, limit: usize) {
        self.add("FieldValueTooLong", field, "Too long", &format!("may not be more than {limit} bytes"));
    }

    fn unsupported<'a>(&mut self, field: String, value: &Value, allowed: impl IntoIterator<Item = &'a str>) {
        let allowed: Vec<_> = allowed.into_iter().map(|value| format!("{value:?}")).collect();
        let detail = format!("supported values: {}", allowed.join(", "));
        self.add("FieldValueNotSupported", field, &format!("Unsupported value: {value}"), &detail);
    }
}

/// The path of a field within another.
fn below(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

fn walk(schema: &ApiSchema, id: TypeId, value: &Value, path: &str, report: &mut ValidationReport) {
    match (schema.get(id), value) {
        (SchemaType::Struct(struct_type), Value::Object(fields)) => {
            field_rules::check_fields(schema, struct_type, fields, path, report);
            if let Some(check) = struct_rules::rule_of(&struct_type.name) {
                check(fields, path, report);
            }
            for (name, value) in fields {
                let status = path.is_empty() && name == "status";
                if let Some(field) = struct_type.fields.get(name).filter(|_| !status) {
                    walk(schema, field.type_id, value, &below(path, name), report);
                }
            }
        }
        (SchemaType::Map { values, .. }, Value::Object(fields)) => {
            for (name, value) in fields {
                walk(schema, *values, value, &format!("{path}[{name}]"), report);
            }
        }
        (SchemaType::List(list), Value::Array(items)) => {
            for (index, item) in items.iter().enumerate() {
                walk(schema, list.items, item, &format!("{path}[{index}]"), report);
            }
        }
        _ => {}
    }
}

/// Requires a text that is not empty.
fn require_text(fields: &JsonObject, path: &str, name: &str, report: &mut ValidationReport) {
    if text(fields, name).is_empty() {
        report.required(below(path, name), "");
    }
}

fn text<'a>(fields: &'a JsonObject, name: &str) -> &'a str {
    fields.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn items<'a>(fields: &'a JsonObject, name: &str) -> &'a [Value] {
    fields.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn object<'a>(fields: &'a JsonObject, name: &str) -> Option<&'a JsonObject> {
    fields.get(name).and_then(Value::as_object)
}

#[cfg(test)]
mod tests;
