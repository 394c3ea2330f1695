//! OpenAPI v3 documents made from the schema table: what kubectl needs to validate, merge and diff.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::Server;
use super::discovery::{group_versions, root};
use super::http::Answer;
use super::route::Kind;
use super::schema::{Field, ListKind, Schema, Shape, Struct, TypeId};
use super::status::ApiError;

/// `/openapi/v3`: where each group and version's document is.
pub(super) fn index(server: &Server) -> Answer {
    let mut paths = Map::new();
    for (group, version) in group_versions(&server.kinds) {
        let path = root(group, version);
        let hash = server.schema.version();
        let entry = json!({"serverRelativeURL": format!("/openapi/v3{path}?hash={hash}")});
        paths.insert(path.trim_start_matches('/').to_owned(), entry);
    }
    Answer::json(200, &json!({"paths": paths}))
}

/// The document of one group and version.
pub(super) fn document(server: &Server, group: &str, version: &str) -> Result<Answer, ApiError> {
    let kinds: Vec<&Kind> = server
        .kinds
        .all()
        .iter()
        .map(AsRef::as_ref)
        .filter(|k| k.resource.group == group && k.resource.version == version)
        .collect();
    if kinds.is_empty() {
        return Err(ApiError::unknown_path());
    }
    let mut writer = Writer { schema: server.schema, wanted: Vec::new(), seen: BTreeSet::new() };
    let mut paths = Map::new();
    let mut schemas = Map::new();
    for kind in &kinds {
        kind_paths(kind, &mut paths);
        writer.want(kind.resource.type_id);
    }
    while let Some((name, shape)) = writer.wanted.pop() {
        let mut schema = writer.object(shape);
        let gvks: Vec<Value> =
            kinds.iter().filter(|k| is_type_of(server.schema, k, &name)).map(|k| group_version_kind(k)).collect();
        if !gvks.is_empty() {
            put(&mut schema, "x-kubernetes-group-version-kind", gvks.into());
        }
        schemas.insert(name, schema);
    }
    let document = json!({
        "openapi": "3.0.0", "info": {"title": "Kubernetes", "version": server.schema.version()},
        "paths": paths, "components": {"schemas": schemas},
    });
    Ok(Answer::json(200, &document))
}

fn is_type_of(schema: &Schema, kind: &Kind, name: &str) -> bool {
    matches!(schema.get(kind.resource.type_id), Shape::Struct(shape) if shape.name == name)
}

fn group_version_kind(kind: &Kind) -> Value {
    let resource = kind.resource;
    json!({"group": resource.group, "version": resource.version, "kind": resource.kind})
}

/// The paths of a kind, with the parameters that clients look for before they send them.
fn kind_paths(kind: &Kind, paths: &mut Map<String, Value>) {
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
        actions.iter().map(|action| ((*action).to_owned(), operation(action))).collect::<Map<_, _>>().into()
    };
    paths.insert(format!("{collection}/{{name}}"), operations(&["get", "put", "patch", "delete"]));
    paths.insert(collection, operations(&["get", "post", "delete"]));
}

struct Writer {
    schema: &'static Schema,
    wanted: Vec<(String, &'static Struct)>,
    seen: BTreeSet<String>,
}

impl Writer {
    fn want(&mut self, id: TypeId) {
        if let Shape::Struct(shape) = self.schema.get(id)
            && self.seen.insert(shape.name.clone())
        {
            self.wanted.push((shape.name.clone(), shape));
        }
    }

    fn object(&mut self, shape: &Struct) -> Value {
        let mut names: Vec<&String> = shape.fields.keys().collect();
        names.sort();
        let properties: Map<String, Value> =
            names.into_iter().filter_map(|name| Some((name.clone(), self.field(shape.fields.get(name)?)))).collect();
        let mut schema = json!({"type": "object", "properties": properties});
        if !shape.required.is_empty() {
            put(&mut schema, "required", shape.required.clone().into());
        }
        if shape.atomic {
            put(&mut schema, "x-kubernetes-map-type", "atomic".into());
        }
        schema
    }

    fn field(&mut self, field: &Field) -> Value {
        let mut schema = self.shape(field.type_id);
        if let Some(default) = &field.default {
            put(&mut schema, "default", default.clone());
        }
        if let Some(allowed) = &field.allowed {
            put(&mut schema, "enum", allowed.clone().into());
        }
        let mut strategies = Vec::new();
        if field.patch_retain_keys {
            strategies.push("retainKeys");
        }
        if field.patch_merge {
            strategies.push("merge");
        }
        if !strategies.is_empty() {
            put(&mut schema, "x-kubernetes-patch-strategy", strategies.join(",").into());
        }
        if let Some(key) = &field.patch_merge_key {
            put(&mut schema, "x-kubernetes-patch-merge-key", key.as_str().into());
        }
        schema
    }

    fn shape(&mut self, id: TypeId) -> Value {
        match self.schema.get(id) {
            Shape::String | Shape::Quantity => json!({"type": "string"}),
            Shape::Int32 => json!({"type": "integer", "format": "int32"}),
            Shape::Int64 => json!({"type": "integer", "format": "int64"}),
            Shape::Number => json!({"type": "number"}),
            Shape::Boolean => json!({"type": "boolean"}),
            Shape::IntOrString => {
                json!({"format": "int-or-string", "oneOf": [{"type": "integer"}, {"type": "string"}]})
            }
            Shape::Bytes => json!({"type": "string", "format": "byte"}),
            Shape::Time | Shape::MicroTime => json!({"type": "string", "format": "date-time"}),
            Shape::Any => json!({}),
            Shape::Struct(shape) => {
                self.want(id);
                json!({"allOf": [{"$ref": format!("#/components/schemas/{}", shape.name)}]})
            }
            Shape::Map { values, atomic } => {
                let mut schema = json!({"type": "object", "additionalProperties": self.shape(*values)});
                if *atomic {
                    put(&mut schema, "x-kubernetes-map-type", "atomic".into());
                }
                schema
            }
            Shape::List(list) => {
                let mut schema = json!({"type": "array", "items": self.shape(list.items)});
                let kind = match &list.kind {
                    ListKind::Atomic => "atomic",
                    ListKind::Set => "set",
                    ListKind::Map { keys } => {
                        let keys: Vec<&str> = keys.iter().map(|(key, _)| key.as_str()).collect();
                        put(&mut schema, "x-kubernetes-list-map-keys", json!(keys));
                        "map"
                    }
                };
                put(&mut schema, "x-kubernetes-list-type", kind.into());
                schema
            }
        }
    }
}

fn put(schema: &mut Value, key: &str, content: Value) {
    if let Some(schema) = schema.as_object_mut() {
        schema.insert(key.to_owned(), content);
    }
}
