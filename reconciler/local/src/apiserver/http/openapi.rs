//! OpenAPI v3 documents made from the schema table: what kubectl needs to validate, merge and diff.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::discovery::{group_versions, root};
use super::response::ApiResponse;
use crate::apiserver::kinds::ServedKind;
use crate::apiserver::object::{self, JsonObject};
use crate::apiserver::registry::ObjectRegistry;
use crate::apiserver::schema::{ApiSchema, ListKind, SchemaType, StructField, StructType, TypeId};
use crate::apiserver::status::ApiError;

/// `/openapi/v3`: the URLs of the documents.
pub(super) fn index(registry: &ObjectRegistry) -> ApiResponse {
    let mut paths = JsonObject::new();
    for (group, version) in group_versions(&registry.kinds) {
        let path = root(group, version);
        let hash = registry.schema.version();
        let entry = json!({"serverRelativeURL": format!("/openapi/v3{path}?hash={hash}")});
        paths.insert(path.trim_start_matches('/').to_owned(), entry);
    }
    ApiResponse::json(200, &json!({"paths": paths}))
}

/// The document of one group and version.
pub(super) fn document(registry: &ObjectRegistry, group: &str, version: &str) -> Result<ApiResponse, ApiError> {
    let kinds: Vec<&ServedKind> = registry.kinds.of_group_version(group, version).map(AsRef::as_ref).collect();
    if kinds.is_empty() {
        return Err(ApiError::unknown_path());
    }
    let mut writer = SchemaWriter { schema: registry.schema, unwritten: Vec::new(), seen: BTreeSet::new() };
    let mut paths = JsonObject::new();
    let mut schemas = JsonObject::new();
    for kind in &kinds {
        kind_paths(kind, &mut paths);
        writer.refer(kind.resource.type_id);
    }
    while let Some((name, struct_type)) = writer.unwritten.pop() {
        let mut schema = writer.object(struct_type);
        let gvks: Vec<Value> =
            kinds.iter().filter(|k| is_type_of(registry.schema, k, &name)).map(|k| group_version_kind(k)).collect();
        if !gvks.is_empty() {
            object::set_field(&mut schema, "x-kubernetes-group-version-kind", gvks.into());
        }
        schemas.insert(name, schema);
    }
    let document = json!({
        "openapi": "3.0.0", "info": {"title": "Kubernetes", "version": registry.schema.version()},
        "paths": paths, "components": {"schemas": schemas},
    });
    Ok(ApiResponse::json(200, &document))
}

fn is_type_of(schema: &ApiSchema, kind: &ServedKind, name: &str) -> bool {
    matches!(schema.get(kind.resource.type_id), SchemaType::Struct(struct_type) if struct_type.name == name)
}

fn group_version_kind(kind: &ServedKind) -> Value {
    let resource = kind.resource;
    json!({"group": resource.group, "version": resource.version, "kind": resource.kind})
}

/// The paths of a kind, with the parameters for which clients look here before they send them.
fn kind_paths(kind: &ServedKind, paths: &mut JsonObject) {
    let resource = kind.resource;
    let namespaced = if resource.namespaced { "/namespaces/{namespace}" } else { "" };
    let collection = format!("{}{namespaced}/{}", root(&resource.group, &resource.version), resource.plural);
    let operation = |action: &str| {
        let names = ["dryRun", "fieldManager", "fieldValidation"];
        let parameters: Vec<Value> = if ["post", "put", "patch"].contains(&action) {
            names.iter().map(|n| json!({"name": n, "in": "query", "schema": {"type": "string"}})).collect()
        } else {
            Vec::new()
        };
        json!({
            "x-kubernetes-action": action, "x-kubernetes-group-version-kind": group_version_kind(kind),
            "parameters": parameters, "responses": {"200": {"description": "OK"}},
        })
    };
    let operations = |actions: &[&str]| -> Value {
        actions.iter().map(|action| ((*action).to_owned(), operation(action))).collect::<JsonObject>().into()
    };
    paths.insert(format!("{collection}/{{name}}"), operations(&["get", "put", "patch", "delete"]));
    paths.insert(collection, operations(&["get", "post", "delete"]));
}

/// Writes types as OpenAPI schemas.
struct SchemaWriter {
    schema: &'static ApiSchema,
    /// Structs that were referred to and are not written yet.
    unwritten: Vec<(String, &'static StructType)>,
    seen: BTreeSet<String>,
}

impl SchemaWriter {
    fn refer(&mut self, id: TypeId) {
        if let SchemaType::Struct(struct_type) = self.schema.get(id)
            && self.seen.insert(struct_type.name.clone())
        {
            self.unwritten.push((struct_type.name.clone(), struct_type));
        }
    }

    fn object(&mut self, struct_type: &StructType) -> Value {
        let mut names: Vec<&String> = struct_type.fields.keys().collect();
        names.sort();
        let properties: JsonObject = names
            .into_iter()
            .filter_map(|name| Some((name.clone(), self.field(struct_type.fields.get(name)?))))
            .collect();
        let mut schema = json!({"type": "object", "properties": properties});
        if !struct_type.required.is_empty() {
            object::set_field(&mut schema, "required", struct_type.required.clone().into());
        }
        if struct_type.atomic {
            object::set_field(&mut schema, "x-kubernetes-map-type", "atomic".into());
        }
        schema
    }

    fn field(&mut self, field: &StructField) -> Value {
        let mut schema = self.schema_type(field.type_id);
        if let Some(default) = &field.default {
            object::set_field(&mut schema, "default", default.clone());
        }
        if let Some(allowed) = &field.allowed {
            object::set_field(&mut schema, "enum", allowed.clone().into());
        }
        let mut strategies = Vec::new();
        if field.patch_retain_keys {
            strategies.push("retainKeys");
        }
        if field.patch_merge {
            strategies.push("merge");
        }
        if !strategies.is_empty() {
            object::set_field(&mut schema, "x-kubernetes-patch-strategy", strategies.join(",").into());
        }
        if let Some(key) = &field.patch_merge_key {
            object::set_field(&mut schema, "x-kubernetes-patch-merge-key", key.as_str().into());
        }
        schema
    }

    fn schema_type(&mut self, id: TypeId) -> Value {
        match self.schema.get(id) {
            SchemaType::String | SchemaType::Quantity => json!({"type": "string"}),
            SchemaType::Int32 => json!({"type": "integer", "format": "int32"}),
            SchemaType::Int64 => json!({"type": "integer", "format": "int64"}),
            SchemaType::Number => json!({"type": "number"}),
            SchemaType::Boolean => json!({"type": "boolean"}),
            SchemaType::IntOrString => {
                json!({"format": "int-or-string", "oneOf": [{"type": "integer"}, {"type": "string"}]})
            }
            SchemaType::Bytes => json!({"type": "string", "format": "byte"}),
            SchemaType::Time | SchemaType::MicroTime => json!({"type": "string", "format": "date-time"}),
            SchemaType::Any => json!({}),
            SchemaType::Struct(struct_type) => {
                self.refer(id);
                json!({"allOf": [{"$ref": format!("#/components/schemas/{}", struct_type.name)}]})
            }
            SchemaType::Map { values, atomic } => {
                let mut schema = json!({"type": "object", "additionalProperties": self.schema_type(*values)});
                if *atomic {
                    object::set_field(&mut schema, "x-kubernetes-map-type", "atomic".into());
                }
                schema
            }
            SchemaType::List(list) => {
                let mut schema = json!({"type": "array", "items": self.schema_type(list.items)});
                let kind = match &list.kind {
                    ListKind::Atomic => "atomic",
                    ListKind::Set => "set",
                    ListKind::Map { keys } => {
                        let keys: Vec<&str> = keys.iter().map(|(key, _)| key.as_str()).collect();
                        object::set_field(&mut schema, "x-kubernetes-list-map-keys", json!(keys));
                        "map"
                    }
                };
                object::set_field(&mut schema, "x-kubernetes-list-type", kind.into());
                schema
            }
        }
    }
}
