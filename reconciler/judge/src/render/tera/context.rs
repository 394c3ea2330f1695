//! The names that a file sees, and their values.

use std::collections::BTreeMap;
use std::sync::Arc;

use dayfly_model::platform::app::{DataClassification, Egress};
use dayfly_model::platform::{Environment, Instance};
use serde::Serialize;
use serde_json::Value;
use tera::Context;

use super::meter;
use crate::render::rendered::FolderOwner;

/// The properties of a parameters' schema, if it says that there are no others.
pub fn properties(schema: &Value) -> Option<Vec<String>> {
    let closed =
        schema["additionalProperties"].as_bool() == Some(false) || schema.get("additionalProperties").is_none();
    closed.then(|| schema["properties"].as_object().map(|map| map.keys().cloned().collect()).unwrap_or_default())
}

/// The fields of `app`.
pub const APP_FIELDS: &[&str] =
    &["name", "team", "owner", "ownerLogin", "costCenter", "purpose", "dataClassification", "template", "version"];

/// The names that the files of a folder see.
pub fn names(owner: FolderOwner) -> &'static [&'static str] {
    const ALL: &[&str] = &[
        "app",
        "connectors",
        "egress",
        "files",
        "host",
        "hostnames",
        "namespace",
        "runtime",
        "secrets",
        "suspend",
        "tier",
        "params",
    ];
    match owner {
        FolderOwner::Template => ALL,
        FolderOwner::Environment => &ALL[..ALL.len() - 1],
        FolderOwner::Shared => &["tier"],
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AppView<'a> {
    name: &'a str,
    team: &'a str,
    owner: &'a str,
    owner_login: Option<&'a str>,
    cost_center: &'a str,
    purpose: Option<&'a str>,
    data_classification: DataClassification,
    template: String,
    version: String,
}

#[derive(Serialize)]
struct EgressView<'a> {
    cidr: Option<&'a str>,
    hostname: Option<&'a str>,
    port: u16,
}

/// What the files of an app see, and its size in bytes.
pub fn of_app(instance: &Instance, with_files: bool) -> (Context, usize) {
    let (app, template) = (&instance.app, &instance.template);
    let mut context = Context::new();
    context.insert(
        "app",
        &AppView {
            name: app.name.as_str(),
            team: &app.team,
            owner: &app.owner,
            owner_login: app.owner_login.as_deref(),
            cost_center: &app.cost_center,
            purpose: app.purpose.as_deref(),
            data_classification: app.data_classification,
            template: template.reference.to_string(),
            version: template.version.to_string(),
        },
    );
    let absent = properties(&template.parameters).unwrap_or_default();
    let absent = absent.iter().filter(|name| !instance.parameters.contains_key(*name)).map(|name| (name, &Value::Null));
    let params: BTreeMap<_, _> = instance.parameters.iter().chain(absent).collect();
    context.insert("params", &params);
    context.insert("tier", instance.key.tier.as_str());
    context.insert("namespace", &instance.namespace);
    context.insert("host", &instance.host);
    context.insert("runtime", &instance.runtime);
    context.insert("suspend", &app.suspend);
    context.insert("connectors", &app.connectors);
    context.insert("secrets", &template.secrets);
    context.insert("egress", &app.egress.iter().map(egress).collect::<Vec<_>>());
    context.insert("hostnames", &instance.environment.egress_hostnames);
    if with_files {
        let text = |bytes: &Arc<[u8]>| std::str::from_utf8(bytes).ok().map(str::to_owned);
        let files: BTreeMap<_, _> = app.files.iter().filter_map(|(path, bytes)| Some((path, text(bytes)?))).collect();
        context.insert("files", &files);
    }
    let files = if with_files { app.files.values().map(|bytes| bytes.len()).sum() } else { 0 };
    let size = context.get("params").map_or(0, meter::size_of) + app.egress.len() * 64 + files + 512;
    (context, size + app.purpose.as_ref().map_or(0, String::len))
}

/// What the files of `shared/` see.
pub fn of_shared(environment: &Environment) -> Context {
    let mut context = Context::new();
    context.insert("tier", environment.tier.as_str());
    context
}

fn egress(egress: &Egress) -> EgressView<'_> {
    match egress {
        Egress::Cidr { cidr, port } => EgressView { cidr: Some(cidr), hostname: None, port: *port },
        Egress::Hostname { hostname, port } => EgressView { cidr: None, hostname: Some(hostname), port: *port },
    }
}
