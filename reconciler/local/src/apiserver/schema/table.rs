//! Reads the table of data into a schema.

use std::collections::{BTreeMap, HashMap};

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{
    ApiResource, ApiSchema, ListKind, ListType, SchemaError, SchemaType, StructField, StructType, Subresource, TypeId,
};

#[derive(Deserialize)]
struct SchemaTable {
    version: String,
    resources: Vec<RawResource>,
    types: HashMap<String, RawStruct>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawResource {
    group: String,
    version: String,
    kind: String,
    plural: String,
    #[serde(default)]
    short_names: Vec<String>,
    #[serde(default)]
    categories: Vec<String>,
    namespaced: bool,
    verbs: Vec<String>,
    #[serde(default)]
    subresources: Vec<RawSubresource>,
    r#type: String,
}

#[derive(Deserialize)]
struct RawSubresource {
    name: String,
    group: String,
    version: String,
    kind: String,
    verbs: Vec<String>,
    r#type: Option<String>,
}

#[derive(Deserialize)]
struct RawStruct {
    fields: Map<String, Value>,
    #[serde(default)]
    required: Vec<String>,
    #[serde(default)]
    atomic: bool,
}

#[derive(Deserialize)]
struct RawField {
    r#type: RawType,
    default: Option<Value>,
    r#enum: Option<Vec<Value>>,
    #[serde(default)]
    omit: bool,
    #[serde(default)]
    nullable: bool,
    #[serde(default)]
    strategy: Vec<String>,
    key: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum RawType {
    Name(String),
    Ref {
        r#ref: String,
        atomic: bool,
    },
    List {
        list: Box<RawType>,
        #[serde(default)]
        set: bool,
        #[serde(default)]
        keys: Vec<String>,
    },
    Map {
        map: Box<RawType>,
        #[serde(default)]
        atomic: bool,
    },
}

const SCALARS: [(&str, SchemaType); 11] = [
    ("string", SchemaType::String),
    ("int32", SchemaType::Int32),
    ("int64", SchemaType::Int64),
    ("number", SchemaType::Number),
    ("boolean", SchemaType::Boolean),
    ("intOrString", SchemaType::IntOrString),
    ("quantity", SchemaType::Quantity),
    ("bytes", SchemaType::Bytes),
    ("time", SchemaType::Time),
    ("microTime", SchemaType::MicroTime),
    ("any", SchemaType::Any),
];

/// `any` is the last of the scalars.
pub(super) const ANY: TypeId = TypeId(SCALARS.len() as u32 - 1);

pub(super) fn read(bytes: &[u8]) -> Result<ApiSchema, SchemaError> {
    let table: SchemaTable = serde_json::from_slice(bytes)?;
    let mut names: Vec<&String> = table.types.keys().collect();
    names.sort();
    let mut builder = SchemaBuilder { types: Vec::new(), names: HashMap::new(), copies: Vec::new(), keyed: Vec::new() };
    for (name, scalar) in SCALARS {
        builder.reserve(name.to_owned(), scalar);
    }
    for name in names {
        builder.reserve(format!("#{name}"), SchemaType::Any);
    }
    for (name, raw) in table.types {
        builder.define(name, raw)?;
    }
    builder.finish();
    let resources =
        table.resources.into_iter().map(|raw| builder.resource(raw)).collect::<Result<Vec<_>, SchemaError>>()?;
    Ok(ApiSchema { version: table.version, resources, types: builder.types, names: builder.names })
}

struct SchemaBuilder {
    types: Vec<SchemaType>,
    names: HashMap<String, TypeId>,
    /// Structs that are atomic where they are used, unlike elsewhere, or the reverse: (copy, original, atomic).
    copies: Vec<(TypeId, TypeId, bool)>,
    /// Lists whose keys still lack their defaults.
    keyed: Vec<TypeId>,
}

impl SchemaBuilder {
    fn reserve(&mut self, name: String, schema_type: SchemaType) {
        let id = self.push(schema_type);
        self.names.insert(name, id);
    }

    fn push(&mut self, schema_type: SchemaType) -> TypeId {
        let id = TypeId(u32::try_from(self.types.len()).unwrap_or(u32::MAX));
        self.types.push(schema_type);
        id
    }

    fn named(&self, name: &str) -> Result<TypeId, SchemaError> {
        self.names.get(name).copied().ok_or_else(|| SchemaError::UnknownType(name.to_owned()))
    }

    fn define(&mut self, name: String, raw: RawStruct) -> Result<(), SchemaError> {
        let id = self.named(&format!("#{name}"))?;
        let mut fields = BTreeMap::new();
        for (key, value) in raw.fields {
            fields.insert(key, self.field(value)?);
        }
        self.types[id.0 as usize] =
            SchemaType::Struct(StructType { name, fields, required: raw.required, atomic: raw.atomic });
        Ok(())
    }

    fn field(&mut self, value: Value) -> Result<StructField, SchemaError> {
        let detailed = value.as_object().is_some_and(|o| o.contains_key("type"));
        let raw = if detailed { value } else { serde_json::json!({ "type": value }) };
        let raw: RawField = serde_json::from_value(raw)?;
        Ok(StructField {
            type_id: self.expression(raw.r#type)?,
            default: raw.default,
            allowed: raw.r#enum,
            nullable: raw.nullable,
            omit_zero: raw.omit,
            patch_merge: raw.strategy.iter().any(|s| s == "merge"),
            patch_retain_keys: raw.strategy.iter().any(|s| s == "retainKeys"),
            patch_merge_key: raw.key,
        })
    }

    fn expression(&mut self, raw: RawType) -> Result<TypeId, SchemaError> {
        match raw {
            RawType::Name(name) => self.named(&name),
            RawType::Ref { r#ref, atomic } => {
                let original = self.named(&r#ref)?;
                let copy = self.push(SchemaType::Any);
                self.copies.push((copy, original, atomic));
                Ok(copy)
            }
            RawType::Map { map, atomic } => {
                let values = self.expression(*map)?;
                Ok(self.push(SchemaType::Map { values, atomic }))
            }
            RawType::List { list, set, keys } => {
                let items = self.expression(*list)?;
                let keys: Vec<_> = keys.into_iter().map(|k| (k, None)).collect();
                let kind = match (set, keys.is_empty()) {
                    (true, _) => ListKind::Set,
                    (false, true) => ListKind::Atomic,
                    (false, false) => ListKind::Map { keys },
                };
                let id = self.push(SchemaType::List(ListType { items, kind }));
                self.keyed.push(id);
                Ok(id)
            }
        }
    }

    /// Fills in what can be known only when all types are read: the copies of structs, and the defaults of list keys.
    fn finish(&mut self) {
        for (copy, original, atomic) in std::mem::take(&mut self.copies) {
            let mut schema_type = self.types[original.0 as usize].clone();
            if let SchemaType::Struct(struct_type) = &mut schema_type {
                struct_type.atomic = atomic;
            }
            self.types[copy.0 as usize] = schema_type;
        }
        for id in std::mem::take(&mut self.keyed) {
            let SchemaType::List(mut list) = self.types[id.0 as usize].clone() else { continue };
            if let (ListKind::Map { keys }, SchemaType::Struct(item)) =
                (&mut list.kind, &self.types[list.items.0 as usize])
            {
                for (key, default) in keys {
                    let field = item.fields.get(key).and_then(|f| f.default.clone());
                    *default = field;
                }
                self.types[id.0 as usize] = SchemaType::List(list);
            }
        }
    }

    fn resource(&self, raw: RawResource) -> Result<ApiResource, SchemaError> {
        let subresources = raw.subresources.into_iter().map(|s| self.subresource(s)).collect::<Result<_, _>>()?;
        Ok(ApiResource {
            singular: raw.kind.to_lowercase(),
            type_id: self.named(&format!("#{}", raw.r#type))?,
            group: raw.group,
            version: raw.version,
            kind: raw.kind,
            plural: raw.plural,
            short_names: raw.short_names,
            categories: raw.categories,
            namespaced: raw.namespaced,
            verbs: raw.verbs,
            subresources,
        })
    }

    fn subresource(&self, raw: RawSubresource) -> Result<Subresource, SchemaError> {
        Ok(Subresource {
            type_id: raw.r#type.map(|t| self.named(&format!("#{t}"))).transpose()?,
            name: raw.name,
            group: raw.group,
            version: raw.version,
            kind: raw.kind,
            verbs: raw.verbs,
        })
    }
}
