//! The kinds of Kubernetes: their resources and the types of their fields, read from a table of data.
//!
//! The table (`schema/builtin.json`, distilled from Kubernetes' published OpenAPI v3) reads:
//!
//! ```json
//! {"version": "v1.36.2",
//!  "resources": [{"group": "", "version": "v1", "kind": "Service", "plural": "services", "namespaced": true,
//!                 "verbs": ["create"], "shortNames": ["svc"], "categories": ["all"], "type": "core.v1.Service",
//!                 "subresources": [{"name": "status", "group": "", "version": "v1", "kind": "Service",
//!                                   "verbs": ["get"], "type": "core.v1.Service"}]}],
//!  "types": {"core.v1.Service": {"fields": {"spec": "#core.v1.ServiceSpec"}, "required": [], "atomic": false}}}
//! ```
//!
//! A field is a type expression, or `{"type": expression}` with any of `default`, `enum`, `omit` (the zero value is
//! left out when an object is written), `nullable` (an absent value is written as null), `strategy` (the patch
//! strategies) and `key` (the patch merge key).
//!
//! A type expression is one of
//! `"string" "int32" "int64" "number" "boolean" "intOrString" "quantity" "bytes" "time" "microTime" "any"`,
//! `"#name"` for a named type, `{"ref": "#name", "atomic": true}` for a named type that is atomic in this place (or
//! `false` for one that is not), `{"list": item}` with `"set": true` or `"keys": [...]` unless the list is atomic, or
//! `{"map": value}`, with `"atomic": true` if the map is. What is atomic is owned as a whole.
//! A list key's default is the default of the item's field.

mod table;

use std::collections::{BTreeMap, HashMap};
use std::sync::OnceLock;

use serde_json::Value;

/// The number of a type in its [`ApiSchema`]; it means nothing in another schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TypeId(u32);

/// All kinds and their types.
#[derive(Debug)]
pub struct ApiSchema {
    version: String,
    resources: Vec<ApiResource>,
    types: Vec<SchemaType>,
    names: HashMap<String, TypeId>,
}

/// A resource of the API: what discovery lists and a URL addresses.
#[derive(Clone, Debug)]
pub struct ApiResource {
    /// Empty for the core group.
    pub group: String,
    pub version: String,
    pub kind: String,
    /// The name in URLs.
    pub plural: String,
    pub singular: String,
    /// Names that `kubectl` also accepts, such as `deploy`.
    pub short_names: Vec<String>,
    /// Groups of resources that `kubectl get` accepts in place of a resource, such as `all`.
    pub categories: Vec<String>,
    pub namespaced: bool,
    pub verbs: Vec<String>,
    pub subresources: Vec<Subresource>,
    /// The type of its objects.
    pub type_id: TypeId,
}

/// A part of a resource with its own URL.
#[derive(Clone, Debug)]
pub struct Subresource {
    /// The last segment of the URL.
    pub name: String,
    /// Group, version and kind of the objects that are sent and answered, such as `autoscaling/v1` Scale.
    pub group: String,
    pub version: String,
    pub kind: String,
    pub verbs: Vec<String>,
    /// The type of the objects that are sent and answered; none for streams.
    pub type_id: Option<TypeId>,
}

/// The type of a value.
#[derive(Clone, Debug)]
pub enum SchemaType {
    String,
    Int32,
    Int64,
    Number,
    Boolean,
    /// A whole number or a string, such as a port.
    IntOrString,
    /// An amount with a unit, such as `500m`.
    Quantity,
    /// Bytes as base64.
    Bytes,
    /// An RFC 3339 time in whole seconds.
    Time,
    /// An RFC 3339 time in microseconds.
    MicroTime,
    Any,
    /// An object with known fields.
    Struct(StructType),
    List(ListType),
    /// An object with arbitrary keys.
    Map {
        values: TypeId,
        /// It is owned as a whole.
        atomic: bool,
    },
}

/// An object with known fields.
#[derive(Clone, Debug)]
pub struct StructType {
    /// The name of the type, such as `core.v1.PodSpec`.
    pub name: String,
    pub fields: BTreeMap<String, StructField>,
    /// The fields that the published schema requires.
    pub required: Vec<String>,
    /// It is owned as a whole.
    pub atomic: bool,
}

#[derive(Clone, Debug)]
pub struct ListType {
    pub items: TypeId,
    pub kind: ListKind,
}

/// How the items of a list are told apart.
#[derive(Clone, Debug, PartialEq)]
pub enum ListKind {
    /// They are not: the list is owned as a whole.
    Atomic,
    /// By their value.
    Set,
    /// By some of their fields.
    Map {
        /// The fields, each with its default.
        keys: Vec<(String, Option<Value>)>,
    },
}

#[derive(Clone, Debug)]
pub struct StructField {
    pub type_id: TypeId,
    pub default: Option<Value>,
    /// The only values it may have.
    pub allowed: Option<Vec<Value>>,
    /// An absent value is written as null.
    pub nullable: bool,
    /// The zero value (empty, `0`, `false`) is left out when the object is written.
    pub omit_zero: bool,
    /// A strategic merge patch merges the items of this list; otherwise it replaces the list.
    pub patch_merge: bool,
    /// A strategic merge patch may name the keys to retain.
    pub patch_retain_keys: bool,
    /// The field of an item by which a strategic merge patch tells list items apart.
    pub patch_merge_key: Option<String>,
}

/// Why a table cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// Not JSON of the table's format.
    #[error("the schema table is not readable: {0}")]
    Format(#[from] serde_json::Error),
    /// A reference to a type that is not in the table.
    #[error("the schema table lacks the type {0}")]
    UnknownType(String),
}

impl ApiSchema {
    /// The built-in kinds of Kubernetes.
    ///
    /// # Panics
    /// If the table that is compiled in cannot be read, which a test rules out.
    pub fn builtin() -> &'static Self {
        static BUILTIN: OnceLock<ApiSchema> = OnceLock::new();
        BUILTIN.get_or_init(|| {
            table::read(include_bytes!("builtin.json")).expect("the compiled-in schema table is readable")
        })
    }

    /// The version of Kubernetes the table was made from, such as `v1.36.2`.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// All resources, those of one group and version side by side.
    pub fn resources(&self) -> &[ApiResource] {
        &self.resources
    }

    /// The type with a name, such as `meta.v1.DeleteOptions`.
    pub fn named(&self, name: &str) -> Option<TypeId> {
        self.names.get(&format!("#{name}")).copied()
    }

    /// The type of anything.
    pub fn any(&self) -> TypeId {
        table::ANY
    }

    pub fn get(&self, id: TypeId) -> &SchemaType {
        &self.types[id.0 as usize]
    }

    /// The type of a struct's field or of a map's value; none for an unknown field, a list or a scalar.
    pub fn child(&self, id: TypeId, name: &str) -> Option<TypeId> {
        match self.get(id) {
            SchemaType::Struct(struct_type) => struct_type.fields.get(name).map(|f| f.type_id),
            SchemaType::Map { values, .. } => Some(*values),
            SchemaType::Any => Some(id),
            _ => None,
        }
    }

    pub fn field(&self, id: TypeId, name: &str) -> Option<&StructField> {
        match self.get(id) {
            SchemaType::Struct(struct_type) => struct_type.fields.get(name),
            _ => None,
        }
    }
}

#[cfg(test)]
impl ApiSchema {
    /// The resource whose objects are of a kind.
    pub fn resource_of_kind(&self, group: &str, version: &str, kind: &str) -> Option<&ApiResource> {
        self.resources.iter().find(|r| r.kind == kind && r.group == group && r.version == version)
    }

    /// The type of a kind, be it of a resource or of a subresource.
    pub fn type_of(&self, group: &str, version: &str, kind: &str) -> Option<TypeId> {
        self.resource_of_kind(group, version, kind).map(|r| r.type_id).or_else(|| {
            let mut subresources = self.resources.iter().flat_map(|r| &r.subresources);
            subresources.find(|s| s.kind == kind && s.group == group && s.version == version)?.type_id
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(schema: &ApiSchema, kind: (&str, &str, &str), path: &[&str]) -> TypeId {
        path.iter().fold(schema.type_of(kind.0, kind.1, kind.2).unwrap(), |id, name| schema.child(id, name).unwrap())
    }

    #[test]
    fn the_builtin_table_names_services_ports_by_port_and_protocol() {
        let schema = ApiSchema::builtin();
        let ports = at(schema, ("", "v1", "Service"), &["spec", "ports"]);
        let SchemaType::List(ListType { kind: ListKind::Map { keys }, .. }) = schema.get(ports) else { panic!() };
        assert_eq!(keys[0].0, "port");
        assert_eq!(keys[1], ("protocol".to_owned(), Some("TCP".into())));
    }

    #[test]
    fn a_reference_can_be_atomic_where_it_is_used() {
        let schema = ApiSchema::builtin();
        let selector = at(schema, ("apps", "v1", "Deployment"), &["spec", "selector"]);
        let SchemaType::Struct(struct_type) = schema.get(selector) else { panic!() };
        assert!(struct_type.atomic);
        let volumes = at(schema, ("apps", "v1", "Deployment"), &["spec", "template", "spec"]);
        assert!(schema.field(volumes, "volumes").unwrap().patch_retain_keys);
    }

    #[test]
    fn resources_carry_their_subresources() {
        let schema = ApiSchema::builtin();
        let deployments = schema.resource_of_kind("apps", "v1", "Deployment").unwrap();
        assert_eq!(deployments.short_names, ["deploy"]);
        let names: Vec<_> = deployments.subresources.iter().map(|s| s.name.as_str()).collect();
        assert_eq!(names, ["scale", "status"]);
        assert!(schema.type_of("autoscaling", "v1", "Scale").is_some());
        assert!(schema.named("meta.v1.DeleteOptions").is_some());
    }
}
