//! What is served, as clients ask for it: group by group, or all in one aggregated document.

use serde_json::{Value, json};

use super::http::Answer;
use super::render::Accept;
use super::route::{Kind, Kinds, group_version};
use super::status::ApiError;

const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

/// `/api`: the core group.
pub(super) fn legacy(kinds: &Kinds, accept: Accept) -> Answer {
    if accept == Accept::Discovery {
        return aggregated(kinds, &[""]);
    }
    Answer::json(200, &json!({"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}))
}

/// `/apis`: all other groups.
pub(super) fn groups(kinds: &Kinds, accept: Accept) -> Answer {
    let names = group_names(kinds);
    if accept == Accept::Discovery {
        return aggregated(kinds, &names);
    }
    let groups: Vec<Value> = names.iter().map(|g| group_entry(kinds, g)).collect();
    Answer::json(200, &json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}))
}

/// `/apis/<group>`.
pub(super) fn group(kinds: &Kinds, name: &str) -> Result<Answer, ApiError> {
    if name.is_empty() || !group_names(kinds).contains(&name) {
        return Err(ApiError::unknown_path());
    }
    let mut entry = group_entry(kinds, name);
    if let Some(entry) = entry.as_object_mut() {
        entry.insert("kind".to_owned(), "APIGroup".into());
        entry.insert("apiVersion".to_owned(), "v1".into());
    }
    Ok(Answer::json(200, &entry))
}

/// `/api/<version>` and `/apis/<group>/<version>`.
pub(super) fn resources(kinds: &Kinds, group: &str, version: &str) -> Result<Answer, ApiError> {
    if !kinds.serves_group_version(group, version) {
        return Err(ApiError::unknown_path());
    }
    let resources: Vec<Value> = of(kinds, group, version).flat_map(resource_entries).collect();
    let list = json!({
        "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version(group, version),
        "resources": resources,
    });
    Ok(Answer::json(200, &list))
}

/// Every path of discovery.
pub(super) fn paths(kinds: &Kinds) -> Vec<String> {
    let mut paths: Vec<String> = ["/api", "/apis"].map(str::to_owned).to_vec();
    for (group, version) in group_versions(kinds) {
        paths.push(root(group, version));
    }
    paths.extend(
        ["/counters", "/faults", "/healthz", "/livez", "/openapi/v3", "/readyz", "/version"].map(str::to_owned),
    );
    paths
}

/// The path below which a group and version lives.
pub(super) fn root(group: &str, version: &str) -> String {
    if group.is_empty() { format!("/api/{version}") } else { format!("/apis/{group}/{version}") }
}

/// The groups with their versions, in the table's order.
pub(super) fn group_versions(kinds: &Kinds) -> Vec<(&'static str, &'static str)> {
    let mut found = Vec::new();
    for kind in kinds.all() {
        let pair = (kind.resource.group.as_str(), kind.resource.version.as_str());
        if !found.contains(&pair) {
            found.push(pair);
        }
    }
    found
}

fn group_names(kinds: &Kinds) -> Vec<&'static str> {
    let mut names = Vec::new();
    for (group, _) in group_versions(kinds) {
        if !group.is_empty() && !names.contains(&group) {
            names.push(group);
        }
    }
    names
}

fn versions_of(kinds: &Kinds, group: &str) -> Vec<&'static str> {
    group_versions(kinds).into_iter().filter(|(g, _)| *g == group).map(|(_, v)| v).collect()
}

fn of<'a>(kinds: &'a Kinds, group: &'a str, version: &'a str) -> impl Iterator<Item = &'a Kind> {
    let wanted = move |k: &&Kind| k.resource.group == group && k.resource.version == version;
    kinds.all().iter().map(AsRef::as_ref).filter(wanted)
}

fn group_entry(kinds: &Kinds, name: &str) -> Value {
    let entry = |v: &str| json!({"groupVersion": group_version(name, v), "version": v});
    let versions: Vec<Value> = versions_of(kinds, name).into_iter().map(entry).collect();
    json!({"name": name, "versions": versions, "preferredVersion": versions.first()})
}

fn resource_entries(kind: &Kind) -> Vec<Value> {
    let resource = kind.resource;
    let mut first = json!({
        "name": resource.plural, "singularName": resource.singular, "namespaced": resource.namespaced,
        "kind": resource.kind, "verbs": resource.verbs,
    });
    if let Some(entry) = first.as_object_mut() {
        for (key, names) in [("shortNames", &resource.short_names), ("categories", &resource.categories)] {
            if !names.is_empty() {
                entry.insert(key.to_owned(), names.clone().into());
            }
        }
    }
    let parts = resource.subresources.iter().filter(|s| kind.subresource(&s.name).is_some());
    let parts = parts.map(|part| {
        json!({
            "name": format!("{}/{}", resource.plural, part.name), "singularName": "",
            "namespaced": resource.namespaced, "group": part.group, "version": part.version, "kind": part.kind,
            "verbs": part.verbs,
        })
    });
    std::iter::once(first).chain(parts).collect()
}

fn aggregated(kinds: &Kinds, names: &[&str]) -> Answer {
    let version_entry = |group: &str, version: &str| {
        let resources: Vec<Value> = of(kinds, group, version).map(aggregated_resource).collect();
        json!({"version": version, "freshness": "Current", "resources": resources})
    };
    let group_entry = |group: &&str| {
        let versions: Vec<Value> = versions_of(kinds, group).into_iter().map(|v| version_entry(group, v)).collect();
        let metadata = if group.is_empty() { json!({}) } else { json!({"name": group}) };
        json!({"metadata": metadata, "versions": versions})
    };
    let items: Vec<Value> = names.iter().map(group_entry).collect();
    let list = json!({
        "kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items,
    });
    Answer { media: AGGREGATED, ..Answer::json(200, &list) }
}

fn aggregated_resource(kind: &Kind) -> Value {
    let resource = kind.resource;
    let response = |group: &str, version: &str, kind: &str| json!({"group": group, "version": version, "kind": kind});
    let parts: Vec<Value> = resource
        .subresources
        .iter()
        .filter(|s| kind.subresource(&s.name).is_some())
        .map(|s| {
            json!({
                "subresource": s.name, "verbs": s.verbs, "responseKind": response(&s.group, &s.version, &s.kind),
            })
        })
        .collect();
    let mut entry = json!({
        "resource": resource.plural, "singularResource": resource.singular, "verbs": resource.verbs,
        "scope": if resource.namespaced { "Namespaced" } else { "Cluster" },
        "responseKind": response(&resource.group, &resource.version, &resource.kind),
    });
    if let Some(entry) = entry.as_object_mut() {
        let lists = [("shortNames", resource.short_names.clone()), ("categories", resource.categories.clone())];
        for (key, names) in lists.into_iter().filter(|(_, names)| !names.is_empty()) {
            entry.insert(key.to_owned(), names.into());
        }
        if !parts.is_empty() {
            entry.insert("subresources".to_owned(), parts.into());
        }
    }
    entry
}
