//! The JSON Schemas of what users write: the same that validate here, published for editors.

use std::sync::LazyLock;

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

use crate::platform::check::Checker;
use crate::platform::format;
use crate::platform::manifest::{AppSpec, EnvironmentSpec, Manifest, TemplateSpec, WaiverSpec};

/// What a manifest declares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ManifestKind {
    /// `apps/<app>/app.yaml`.
    App,
    /// `catalog/<template>/v<major>/template.yaml`.
    Template,
    /// `environments/<tier>/environment.yaml`.
    Environment,
    /// `policies/waivers/*.yaml`.
    Waiver,
}

impl ManifestKind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::App, Self::Template, Self::Environment, Self::Waiver];

    /// The value of `kind:`.
    pub fn name(self) -> &'static str {
        match self {
            Self::App => "App",
            Self::Template => "Template",
            Self::Environment => "Environment",
            Self::Waiver => "Waiver",
        }
    }
}

/// The schema of a kind for editors (JSON Schema 2020-12), with patterns for the texts that have a form of their own.
pub fn json_schema(kind: ManifestKind) -> Value {
    let mut schema = checker(kind).schema().clone();
    each_schema(&mut schema, &mut |schema| {
        let form = schema.get("format").and_then(Value::as_str).and_then(format::find);
        if let Some(form) = form {
            schema["pattern"] = form.pattern.into();
            if let Some(map) = schema.as_object_mut() {
                map.remove("format");
            }
        }
    });
    schema
}

/// The judge of a kind's manifests.
pub(crate) fn checker(kind: ManifestKind) -> &'static Checker {
    static CHECKERS: LazyLock<[Checker; 4]> = LazyLock::new(|| {
        [
            compiled::<AppSpec>(ManifestKind::App),
            compiled::<TemplateSpec>(ManifestKind::Template),
            compiled::<EnvironmentSpec>(ManifestKind::Environment),
            compiled::<WaiverSpec>(ManifestKind::Waiver),
        ]
    });
    &CHECKERS[kind as usize]
}

fn compiled<Spec: JsonSchema>(kind: ManifestKind) -> Checker {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    let mut schema = settings.into_generator().into_root_schema_for::<Manifest<Spec>>().to_value();
    schema["title"] = kind.name().into();
    schema["properties"]["kind"] = json!({"description": "What the file declares.", "const": kind.name()});
    each_schema(&mut schema, &mut simplify);
    Checker::new(schema).expect("a derived schema compiles")
}

/// Applies a change to a schema and all schemas inside it, the inner ones first.
fn each_schema(schema: &mut Value, change: &mut impl FnMut(&mut Value)) {
    if let Some(map) = schema.as_object_mut() {
        for (keyword, inner) in map.iter_mut() {
            match (keyword.as_str(), inner) {
                ("properties" | "$defs" | "patternProperties", Value::Object(schemas)) => {
                    schemas.values_mut().for_each(|inner| each_schema(inner, change));
                }
                ("anyOf" | "oneOf" | "allOf", Value::Array(schemas)) => {
                    schemas.iter_mut().for_each(|inner| each_schema(inner, change));
                }
                ("items" | "additionalProperties", inner) => each_schema(inner, change),
                _ => {}
            }
        }
        change(schema);
    }
}

/// Takes `null` out of what is optional, since an empty line is a mistake, and makes an `enum` of a choice of constants.
fn simplify(schema: &mut Value) {
    if let Some(types) = schema.get_mut("type").and_then(Value::as_array_mut) {
        types.retain(|name| name != "null");
        if let [only] = types.as_slice() {
            schema["type"] = only.clone();
        }
    }
    for keyword in ["anyOf", "oneOf"] {
        let Some(choices) = schema.get_mut(keyword).and_then(Value::as_array_mut) else { continue };
        choices.retain(|choice| choice["type"] != "null");
        let constants: Option<Vec<_>> = choices.iter().map(|choice| choice.get("const").cloned()).collect();
        let replacement = match (constants, choices.as_slice()) {
            (Some(constants), _) => json!({"enum": constants}),
            (None, [only]) => only.clone(),
            _ => continue,
        };
        if let (Some(map), Value::Object(replacement)) = (schema.as_object_mut(), replacement) {
            map.remove(keyword);
            for (keyword, value) in replacement {
                map.entry(keyword).or_insert(value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_closed_schema_without_null() {
        for kind in ManifestKind::ALL {
            let schema = json_schema(kind);
            assert_eq!(schema["properties"]["kind"]["const"], kind.name());
            assert_eq!(schema["properties"]["spec"]["additionalProperties"], false);
            let text = schema.to_string();
            assert!(!text.contains("\"null\"") && !text.contains("$ref") && !text.contains("dayfly-"), "{schema:#}");
        }
    }

    #[test]
    fn editors_know_the_choices_and_the_patterns() {
        let schema = json_schema(ManifestKind::App);
        let spec = &schema["properties"]["spec"]["properties"];
        assert_eq!(spec["dataClassification"]["enum"], json!(["public", "internal", "confidential", "restricted"]));
        assert_eq!(spec["ttl"]["pattern"], "^[1-9][0-9]*[mhdw]$");
        assert_eq!(
            schema["properties"]["spec"]["required"],
            json!(["template", "tier", "costCenter", "owner", "team"])
        );
    }
}
