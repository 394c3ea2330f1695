//! Discovery: which groups, versions and resources are served, group by group or all in one aggregated document.

use serde_json::{Value, json};

use super::representation::Accept;
use super::response::ApiResponse;
use crate::apiserver::kinds::{ServedKind, ServedKinds, group_version};
use crate::apiserver::object;
use crate::apiserver::status::ApiError;

const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

/// `/api`: the core group.
pub(super) fn legacy(kinds: &ServedKinds, accept: Accept) -> ApiResponse {
    if accept == Accept::Discovery {
        return aggregated(kinds, &[""]);
    }
    ApiResponse::json(200, &json!({"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}))
}

/// `/apis`: all other groups.
pub(super) fn groups(kinds: &ServedKinds, accept: Accept) -> ApiResponse {
    let names = group_names(kinds);
    if accept == Accept::Discovery {
        return aggregated(kinds, &names);
    }
    let groups: Vec<Value> = names.iter().map(|g| api_group(kinds, g)).collect();
    ApiResponse::json(200, &json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}))
}

/// `/apis/<group>`.
pub(super) fn group(kinds: &ServedKinds, name: &str) -> Result<ApiResponse, ApiError> {
    if name.is_empty() || !group_names(kinds).contains(&name) {
        return Err(ApiError::unknown_path());
    }
    let mut group = api_group(kinds, name);
    object::set_field(&mut group, "kind", "APIGroup".into());
    object::set_field(&mut group, "apiVersion", "v1".into());
    Ok(ApiResponse::json(200, &group))
}

/// `/api/<version>` and `/apis/<group>/<version>`.
pub(super) fn resources(kinds: &ServedKinds, group: &str, version: &str) -> Result<ApiResponse, ApiError> {
    let resources: Vec<Value> = kinds.of_group_version(group, version).flat_map(|k| api_resources(k)).collect();
    if resources.is_empty() {
        return Err(ApiError::unknown_path());
    }
    let list = json!({
        "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version(group, version),
        "resources": resources,
    });
    Ok(ApiResponse::json(200, &list))
}

/// The paths that the root page lists.
pub(super) fn paths(kinds: &ServedKinds) -> Vec<String> {
    let mut paths: Vec<String> = ["/api", "/apis"].map(str::to_owned).to_vec();
    for (group, version) in group_versions(kinds) {
        paths.push(root(group, version));
    }
    paths.extend(
        ["/counters", "/faults", "/healthz", "/livez", "/openapi/v3", "/readyz", "/version"].map(str::to_owned),
    );
    paths
}

/// The path of a group and version.
pub(super) fn root(group: &str, version: &str) -> String {
    if group.is_empty() { format!("/api/{version}") } else { format!("/apis/{group}/{version}") }
}

/// The groups with their versions, in the order of the schema table.
pub(super) fn group_versions(kinds: &ServedKinds) -> Vec<(&'static str, &'static str)> {
    let mut found = Vec::new();
    for kind in kinds.all() {
        let pair = (kind.resource.group.as_str(), kind.resource.version.as_str());
        if !found.contains(&pair) {
            found.push(pair);
        }
    }
    found
}

fn group_names(kinds: &ServedKinds) -> Vec<&'static str> {
    let mut names = Vec::new();
    for (group, _) in group_versions(kinds) {
        if !group.is_empty() && !names.contains(&group) {
            names.push(group);
        }
    }
    names
}

fn versions_of(kinds: &ServedKinds, group: &str) -> Vec<&'static str> {
    group_versions(kinds).into_iter().filter(|(g, _)| *g == group).map(|(_, v)| v).collect()
}

fn api_group(kinds: &ServedKinds, name: &str) -> Value {
    let version = |v: &str| json!({"groupVersion": group_version(name, v), "version": v});
    let versions: Vec<Value> = versions_of(kinds, name).into_iter().map(version).collect();
    json!({"name": name, "versions": versions, "preferredVersion": versions.first()})
}

/// A resource and its subresources.
fn api_resources(kind: &ServedKind) -> Vec<Value> {
    let resource = kind.resource;
    let mut first = json!({
        "name": resource.plural, "singularName": resource.singular, "namespaced": resource.namespaced,
        "kind": resource.kind, "verbs": resource.verbs,
    });
    set_names(&mut first, kind);
    let subresources = resource.subresources.iter().filter(|s| kind.subresource(&s.name).is_some());
    let subresources = subresources.map(|subresource| {
        json!({
            "name": format!("{}/{}", resource.plural, subresource.name), "singularName": "",
            "namespaced": resource.namespaced, "group": subresource.group, "version": subresource.version,
            "kind": subresource.kind, "verbs": subresource.verbs,
        })
    });
    std::iter::once(first).chain(subresources).collect()
}

fn set_names(entry: &mut Value, kind: &ServedKind) {
    for (field, names) in [("shortNames", &kind.resource.short_names), ("categories", &kind.resource.categories)] {
        if !names.is_empty() {
            object::set_field(entry, field, names.clone().into());
        }
    }
}

fn aggregated(kinds: &ServedKinds, names: &[&str]) -> ApiResponse {
    let version_entry = |group: &str, version: &str| {
        let resources: Vec<Value> = kinds.of_group_version(group, version).map(|k| aggregated_resource(k)).collect();
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
    ApiResponse { media: AGGREGATED, ..ApiResponse::json(200, &list) }
}

fn aggregated_resource(kind: &ServedKind) -> Value {
    let resource = kind.resource;
    let response = |group: &str, version: &str, kind: &str| json!({"group": group, "version": version, "kind": kind});
    let subresources: Vec<Value> = resource
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
    set_names(&mut entry, kind);
    if !subresources.is_empty() {
        object::set_field(&mut entry, "subresources", subresources.into());
    }
    entry
}
