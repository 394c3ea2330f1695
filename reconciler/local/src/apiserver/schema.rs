//! The kinds the server knows: their resources and the shapes of their fields, as a table of data.
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
//! left out when an object is written), `nullable` (an absent value is written as null), `strategy` (the patch strategies) and `key` (the patch merge key).
//! A type expression is one of
//! `"string" "int32" "int64" "number" "boolean" "intOrString" "quantity" "bytes" "time" "microTime" "any"`,
//! `"#name"` for a named type, `{"ref": "#name", "atomic": true}` for a named type owned as a whole here (or not),
//! `{"list": item}` with `"set": true` or `"keys": [...]` unless atomic, or `{"map": value}` with `"atomic": true`
//! unless each entry has its own owner. A list key's default is the default of the item's field.

mod table;

use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::sync::OnceLock;

/// Names a shape of a [`Schema`]; meaningless in another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TypeId(u32);

/// All kinds and their shapes.
#[derive(Debug)]
pub struct Schema {
    version: String,
    resources: Vec<Resource>,
    shapes: Vec<Shape>,
    names: HashMap<String, TypeId>,
}

/// A resource of the API: what discovery lists and a URL addresses.
#[derive(Clone, Debug)]
pub struct Resource {
    /// The API group; empty for the core group.
    pub group: String,
    /// The version within the group.
    pub version: String,
    /// The kind of its objects.
    pub kind: String,
    /// The name in URLs.
    pub plural: String,
    /// The name of one, for people.
    pub singular: String,
    /// What `kubectl` also accepts.
    pub short_names: Vec<String>,
    /// The sets `kubectl get` knows it under, such as `all`.
    pub categories: Vec<String>,
    /// Whether its objects live in a namespace.
    pub namespaced: bool,
    /// The verbs it answers to.
    pub verbs: Vec<String>,
    /// Its subresources.
    pub subresources: Vec<Subresource>,
    /// The shape of its objects.
    pub type_id: TypeId,
}

/// A part of a resource with its own URL.
#[derive(Clone, Debug)]
pub struct Subresource {
    /// The last segment of the URL.
    pub name: String,
    /// The group of what is sent and answered.
    pub group: String,
    /// The version of what is sent and answered.
    pub version: String,
    /// The kind of what is sent and answered.
    pub kind: String,
    /// The verbs it answers to.
    pub verbs: Vec<String>,
    /// The shape of what is sent and answered, unless it is a stream.
    pub type_id: Option<TypeId>,
}

/// What a value may look like.
#[derive(Clone, Debug)]
pub enum Shape {
    /// A string.
    String,
    /// A whole number of 32 bits.
    Int32,
    /// A whole number of 64 bits.
    Int64,
    /// A number.
    Number,
    /// True or false.
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
    /// Anything.
    Any,
    /// An object with known fields.
    Struct(Struct),
    /// A list.
    List(List),
    /// An object with free keys.
    Map {
        /// The shape of its values.
        values: TypeId,
        /// Whether it has one owner as a whole.
        atomic: bool,
    },
}

/// An object with known fields.
#[derive(Clone, Debug)]
pub struct Struct {
    /// The name of the type, such as `core.v1.PodSpec`.
    pub name: String,
    /// Its fields.
    pub fields: BTreeMap<String, Field>,
    /// The fields that the published schema requires.
    pub required: Vec<String>,
    /// Whether it has one owner as a whole.
    pub atomic: bool,
}

/// A list.
#[derive(Clone, Debug)]
pub struct List {
    /// The shape of its items.
    pub items: TypeId,
    /// How its items are told apart.
    pub kind: ListKind,
}

/// How the items of a list are told apart.
#[derive(Clone, Debug, PartialEq)]
pub enum ListKind {
    /// They are not: the list has one owner as a whole.
    Atomic,
    /// By their value.
    Set,
    /// By some of their fields.
    Map {
        /// The fields and what stands for an absent one.
        keys: Vec<(String, Option<Value>)>,
    },
}

/// A field of a struct.
#[derive(Clone, Debug)]
pub struct Field {
    /// The shape of its value.
    pub type_id: TypeId,
    /// What the published schema fills in.
    pub default: Option<Value>,
    /// The only values it may have.
    pub allowed: Option<Vec<Value>>,
    /// Whether an absent value is written as null.
    pub nullable: bool,
    /// Whether the zero value (empty, `0`, `false`) is left out when the object is written.
    pub omit_zero: bool,
    /// A strategic merge patch merges the value; without it, replaces it (lists) or merges it (structs and maps).
    pub patch_merge: bool,
    /// A strategic merge patch may name the keys to retain.
    pub patch_retain_keys: bool,
    /// The item field by which a strategic merge patch tells list items apart.
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

impl Schema {
    /// The built-in kinds of Kubernetes.
    ///
    /// # Panics
    /// Only if the table that is compiled in cannot be read, which a test rules out.
    pub fn builtin() -> &'static Self {
        static BUILTIN: OnceLock<Schema> = OnceLock::new();
        BUILTIN.get_or_init(|| {
            Self::from_json(include_bytes!("schema/builtin.json")).expect("the compiled-in schema table is readable")
        })
    }

    /// Reads a table of the format this module describes.
    pub fn from_json(bytes: &[u8]) -> Result<Self, SchemaError> {
        table::read(bytes)
    }

    /// The version of Kubernetes the table was made from, such as `v1.36.2`.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// All resources, those of one group and version side by side.
    pub fn resources(&self) -> &[Resource] {
        &self.resources
    }

    /// The resource at a URL.
    pub fn resource(&self, group: &str, version: &str, plural: &str) -> Option<&Resource> {
        self.resources.iter().find(|r| r.plural == plural && r.group == group && r.version == version)
    }

    /// The resource whose objects are of a kind.
    pub fn resource_of_kind(&self, group: &str, version: &str, kind: &str) -> Option<&Resource> {
        self.resources.iter().find(|r| r.kind == kind && r.group == group && r.version == version)
    }

    /// The shape of a kind, of a resource or of a subresource's body.
    pub fn type_of(&self, group: &str, version: &str, kind: &str) -> Option<TypeId> {
        self.resource_of_kind(group, version, kind).map(|r| r.type_id).or_else(|| {
            let mut parts = self.resources.iter().flat_map(|r| &r.subresources);
            parts.find(|s| s.kind == kind && s.group == group && s.version == version)?.type_id
        })
    }

    /// A shape by the name of its type, such as `meta.v1.DeleteOptions`.
    pub fn named(&self, name: &str) -> Option<TypeId> {
        self.names.get(&format!("#{name}")).copied()
    }

    /// The shape of anything.
    pub fn any(&self) -> TypeId {
        table::ANY
    }

    /// The shape an id stands for.
    pub fn get(&self, id: TypeId) -> &Shape {
        &self.shapes[id.0 as usize]
    }

    /// The shape of a struct's field or of a map's value; none for an unknown field, a list or a scalar.
    pub fn child(&self, id: TypeId, name: &str) -> Option<TypeId> {
        match self.get(id) {
            Shape::Struct(shape) => shape.fields.get(name).map(|f| f.type_id),
            Shape::Map { values, .. } => Some(*values),
            Shape::Any => Some(id),
            _ => None,
        }
    }

    /// The field of a struct.
    pub fn field(&self, id: TypeId, name: &str) -> Option<&Field> {
        match self.get(id) {
            Shape::Struct(shape) => shape.fields.get(name),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(schema: &Schema, kind: (&str, &str, &str), path: &[&str]) -> TypeId {
        path.iter().fold(schema.type_of(kind.0, kind.1, kind.2).unwrap(), |id, name| schema.child(id, name).unwrap())
    }

    #[test]
    fn the_builtin_table_names_services_ports_by_port_and_protocol() {
        let schema = Schema::builtin();
        let ports = at(schema, ("", "v1", "Service"), &["spec", "ports"]);
        let Shape::List(List { kind: ListKind::Map { keys }, .. }) = schema.get(ports) else { panic!() };
        assert_eq!(keys[0].0, "port");
        assert_eq!(keys[1], ("protocol".to_owned(), Some("TCP".into())));
    }

    #[test]
    fn a_reference_can_be_atomic_where_it_is_used() {
        let schema = Schema::builtin();
        let selector = at(schema, ("apps", "v1", "Deployment"), &["spec", "selector"]);
        let Shape::Struct(shape) = schema.get(selector) else { panic!() };
        assert!(shape.atomic);
        let volumes = at(schema, ("apps", "v1", "Deployment"), &["spec", "template", "spec"]);
        assert!(schema.field(volumes, "volumes").unwrap().patch_retain_keys);
    }

    #[test]
    fn resources_carry_their_subresources() {
        let schema = Schema::builtin();
        let deployments = schema.resource("apps", "v1", "deployments").unwrap();
        assert_eq!(deployments.short_names, ["deploy"]);
        let names: Vec<_> = deployments.subresources.iter().map(|s| s.name.as_str()).collect();
        assert_eq!(names, ["scale", "status"]);
        assert!(schema.type_of("autoscaling", "v1", "Scale").is_some());
        assert!(schema.named("meta.v1.DeleteOptions").is_some());
    }
}
