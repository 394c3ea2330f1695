//! Distills what the embedded API server knows about kinds from a real one:
//! `KUBEBUILDER_ASSETS=$(tests/oracle/build) cargo run -p dayfly-tests --bin distill`.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a developer's tool: it has nobody to report to")]

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write as _;

use dayfly_tests::oracle::Oracle;
use serde_json::{Map, Value, json};

/// Where the table is kept; its reader documents the format.
const TABLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../reconciler/local/src/apiserver/schema/builtin.json");

/// The API groups that the embedded server knows.
const GROUPS: [&str; 16] = [
    "api/v1",
    "apis/apps/v1",
    "apis/batch/v1",
    "apis/networking.k8s.io/v1",
    "apis/rbac.authorization.k8s.io/v1",
    "apis/policy/v1",
    "apis/autoscaling/v1",
    "apis/autoscaling/v2",
    "apis/coordination.k8s.io/v1",
    "apis/discovery.k8s.io/v1",
    "apis/events.k8s.io/v1",
    "apis/authentication.k8s.io/v1",
    "apis/authorization.k8s.io/v1",
    "apis/scheduling.k8s.io/v1",
    "apis/storage.k8s.io/v1",
    "apis/admissionregistration.k8s.io/v1",
];

/// Types that requests carry beside those of the kinds.
const EXTRA: [&str; 2] =
    ["io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions", "io.k8s.apimachinery.pkg.apis.meta.v1.Status"];

#[tokio::main]
async fn main() {
    let oracle = Oracle::start_without_controllers().await.expect("KUBEBUILDER_ASSETS");
    let client = oracle.client().await;
    let version = get(&client, "version").await["gitVersion"].clone();
    let output = oracle.command("api-types").output().unwrap();
    let mut distiller = Distiller { zeros: serde_json::from_slice(&output.stdout).unwrap(), ..Default::default() };
    let mut groups = Vec::new();
    for path in GROUPS {
        distiller.learn(&get(&client, &format!("openapi/v3/{path}")).await);
        groups.push(get(&client, path).await);
    }
    let resources: Vec<Value> = groups.iter().flat_map(|group| distiller.resources(group)).collect();
    let types = distiller.types();
    std::fs::write(TABLE, write(&version, &resources, &types)).unwrap();
}

async fn get(client: &kube::Client, path: &str) -> Value {
    client.request(http::Request::get(format!("/{path}")).body(Vec::new()).unwrap()).await.unwrap()
}

/// One resource and one type a line, so that a new version of Kubernetes reads well as a diff.
fn write(version: &Value, resources: &[Value], types: &BTreeMap<String, Value>) -> String {
    let resources: Vec<String> = resources.iter().map(Value::to_string).collect();
    let types: Vec<String> = types.iter().map(|(name, shape)| format!("{}:{shape}", json!(name))).collect();
    let mut table = format!("{{\"version\":{version},\n\"resources\":[\n{}\n],\n", resources.join(",\n"));
    writeln!(table, "\"types\":{{\n{}\n}}}}", types.join(",\n")).unwrap();
    table
}

/// How the zero values of a type are written.
#[derive(Clone, Default, serde::Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Zeros {
    /// The fields that are left out.
    omitted: Option<BTreeSet<String>>,
    /// The lists, maps and times that are written as null.
    nullable: Option<BTreeSet<String>>,
}

#[derive(Default)]
struct Distiller {
    /// All schemas of the published documents, by their full name.
    schemas: HashMap<String, Value>,
    /// The schema of each kind, by group, version and kind.
    kinds: HashMap<[String; 3], String>,
    /// How the zero values of each type are written.
    zeros: HashMap<String, Zeros>,
    /// The types that something refers to.
    wanted: BTreeSet<String>,
}

impl Distiller {
    fn learn(&mut self, document: &Value) {
        for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
            if let Some([kind]) = schema["x-kubernetes-group-version-kind"].as_array().map(Vec::as_slice) {
                let key = ["group", "version", "kind"].map(|part| text(&kind[part]));
                self.kinds.insert(key, name.clone());
            }
            self.schemas.insert(name.clone(), schema.clone());
        }
    }

    /// The resources of one group and version, from its `APIResourceList`.
    fn resources(&mut self, list: &Value) -> Vec<Value> {
        let group_version = text(&list["groupVersion"]);
        let (group, version) = group_version.split_once('/').unwrap_or(("", &group_version));
        let all = list["resources"].as_array().unwrap();
        let (parts, whole): (Vec<&Value>, Vec<&Value>) = all.iter().partition(|r| text(&r["name"]).contains('/'));
        let mut resources = Vec::new();
        for found in whole {
            let plural = text(&found["name"]);
            let mut resource = self.endpoint(found, group, version);
            resource.insert("plural".into(), json!(plural));
            for key in ["namespaced", "shortNames", "categories"] {
                resource.extend(found.get(key).map(|value| (key.to_owned(), value.clone())));
            }
            let mut subresources = Vec::new();
            for part in &parts {
                let name = text(&part["name"]);
                if let Some((_, name)) = name.split_once('/').filter(|(of, _)| *of == plural) {
                    let mut subresource = Map::from_iter([("name".to_owned(), json!(name))]);
                    subresource.extend(self.endpoint(part, group, version));
                    subresources.push(Value::Object(subresource));
                }
            }
            if !subresources.is_empty() {
                resource.insert("subresources".into(), json!(subresources));
            }
            resources.push(Value::Object(resource));
        }
        resources
    }

    /// What a resource and a subresource have in common.
    fn endpoint(&mut self, found: &Value, group: &str, version: &str) -> Map<String, Value> {
        let or = |key: &str, inherited: &str| found[key].as_str().unwrap_or(inherited).to_owned();
        let key = [or("group", group), or("version", version), text(&found["kind"])];
        let mut endpoint = Map::new();
        for (name, value) in ["group", "version", "kind"].into_iter().zip(&key) {
            endpoint.insert(name.into(), json!(value));
        }
        endpoint.insert("verbs".into(), found["verbs"].clone());
        if let Some(schema) = self.kinds.get(&key) {
            self.wanted.insert(schema.clone());
            endpoint.insert("type".into(), json!(short(schema)));
        }
        endpoint
    }

    /// Every wanted type, and what those refer to.
    fn types(&mut self) -> BTreeMap<String, Value> {
        self.wanted.extend(EXTRA.map(str::to_owned));
        let mut types = BTreeMap::new();
        while let Some(name) = self.wanted.pop_first() {
            if !types.contains_key(short(&name)) {
                let shape = self.structure(&name);
                types.insert(short(&name).to_owned(), shape);
            }
        }
        types
    }

    fn structure(&mut self, name: &str) -> Value {
        let schema = self.schemas[name].clone();
        let zeros = self.zeros.get(name).cloned().unwrap_or_default();
        let listed = |names: &Option<BTreeSet<String>>, field: &str| names.as_ref().is_some_and(|n| n.contains(field));
        let mut fields = Map::new();
        for (field, property) in schema["properties"].as_object().unwrap() {
            fields.insert(
                field.clone(),
                self.field(property, listed(&zeros.omitted, field), listed(&zeros.nullable, field)),
            );
        }
        fields.sort_keys();
        let mut structure = Map::from_iter([("fields".to_owned(), Value::Object(fields))]);
        structure.extend(schema.get("required").map(|required| ("required".to_owned(), required.clone())));
        if atomic(&schema) {
            structure.insert("atomic".into(), json!(true));
        }
        Value::Object(structure)
    }

    fn field(&mut self, property: &Value, omitted: bool, nullable: bool) -> Value {
        let expression = self.expression(property);
        let mut field = Map::from_iter([("type".to_owned(), expression.clone())]);
        for key in ["default", "enum"] {
            field.extend(property.get(key).map(|value| (key.to_owned(), value.clone())));
        }
        if omitted {
            field.insert("omit".into(), json!(true));
        }
        if nullable {
            field.insert("nullable".into(), json!(true));
        }
        if let Some(strategies) = property["x-kubernetes-patch-strategy"].as_str() {
            field.insert("strategy".into(), strategies.split(',').collect());
        }
        field.extend(property.get("x-kubernetes-patch-merge-key").map(|key| ("key".to_owned(), key.clone())));
        if field.len() == 1 { expression } else { Value::Object(field) }
    }

    fn expression(&mut self, property: &Value) -> Value {
        let reference = property["$ref"].as_str().or_else(|| property["allOf"][0]["$ref"].as_str());
        if let Some(reference) = reference {
            let here = property["x-kubernetes-map-type"].as_str().map(|kind| kind == "atomic");
            return self.reference(reference.trim_start_matches("#/components/schemas/"), here);
        }
        match (property["type"].as_str(), property["format"].as_str()) {
            (Some("string"), Some("byte")) => json!("bytes"),
            (Some("string"), Some("date-time")) => json!("time"),
            (_, Some("int-or-string")) => json!("intOrString"),
            (Some("integer"), Some(width @ ("int32" | "int64"))) => json!(width),
            (Some(scalar @ ("string" | "number" | "boolean")), _) => json!(scalar),
            (Some("array"), _) => {
                let mut list = Map::from_iter([("list".to_owned(), self.expression(&property["items"]))]);
                match property["x-kubernetes-list-type"].as_str() {
                    Some("map") => list.insert("keys".into(), property["x-kubernetes-list-map-keys"].clone()),
                    Some("set") => list.insert("set".into(), json!(true)),
                    _ => None,
                };
                Value::Object(list)
            }
            (Some("object"), _) if property.get("additionalProperties").is_some() => {
                let mut map = Map::from_iter([("map".to_owned(), self.expression(&property["additionalProperties"]))]);
                if atomic(property) {
                    map.insert("atomic".into(), json!(true));
                }
                Value::Object(map)
            }
            (Some("object") | None, _) => json!("any"),
            other => panic!("a schema of a new sort: {other:?}"),
        }
    }

    fn reference(&mut self, name: &str, atomic_here: Option<bool>) -> Value {
        match name.rsplit('.').next() {
            Some("MicroTime") => return json!("microTime"),
            Some("Quantity") => return json!("quantity"),
            _ => {}
        }
        let schema = self.schemas[name].clone();
        if schema.get("properties").is_none() {
            return self.expression(&schema);
        }
        self.wanted.insert(name.to_owned());
        let reference = format!("#{}", short(name));
        match atomic_here.filter(|here| *here != atomic(&schema)) {
            Some(here) => json!({"ref": reference, "atomic": here}),
            None => json!(reference),
        }
    }
}

fn atomic(schema: &Value) -> bool {
    schema["x-kubernetes-map-type"] == "atomic"
}

/// `io.k8s.api.core.v1.Pod` as `core.v1.Pod`.
fn short(name: &str) -> &str {
    name.trim_start_matches("io.k8s.api.").trim_start_matches("io.k8s.apimachinery.pkg.apis.")
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
