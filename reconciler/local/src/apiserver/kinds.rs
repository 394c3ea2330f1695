//! The kinds that the server serves.

use std::sync::Arc;

use super::schema::{ApiResource, ApiSchema, Subresource};

/// In the schema table, but not served: these need conversion between versions, need parts of a cluster that are not
/// here, or are deprecated.
const NOT_SERVED: [(&str, &str, &str); 3] =
    [("", "v1", "bindings"), ("", "v1", "componentstatuses"), ("autoscaling", "v1", "horizontalpodautoscalers")];

/// Other subresources would need running containers or nodes.
const SERVED_SUBRESOURCES: [&str; 3] = ["status", "scale", "finalize"];

/// A kind that is served.
#[derive(Debug)]
pub struct ServedKind {
    pub resource: &'static ApiResource,
    /// The resource with its group, such as `deployments.apps` or `pods`. The store files objects by it.
    pub group_resource: Arc<str>,
}

impl ServedKind {
    fn of(resource: &'static ApiResource) -> Self {
        let group_resource = if resource.group.is_empty() {
            resource.plural.clone()
        } else {
            format!("{}.{}", resource.plural, resource.group)
        };
        Self { resource, group_resource: group_resource.into() }
    }

    /// `apps/v1`, or `v1`.
    pub fn api_version(&self) -> String {
        group_version(&self.resource.group, &self.resource.version)
    }

    /// A subresource that is served.
    pub fn subresource(&self, name: &str) -> Option<&'static Subresource> {
        let mut subresources = self.resource.subresources.iter();
        subresources.find(|s| s.name == name && SERVED_SUBRESOURCES.contains(&name))
    }

    /// Its objects are answered and never stored, as access reviews are.
    pub fn is_virtual(&self) -> bool {
        self.resource.verbs.iter().all(|v| v == "create")
    }
}

pub fn group_version(group: &str, version: &str) -> String {
    if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") }
}

/// All kinds that are served, in the order of the schema table.
#[derive(Debug)]
pub struct ServedKinds(Vec<Arc<ServedKind>>);

impl ServedKinds {
    pub fn of(schema: &'static ApiSchema) -> Self {
        let served =
            |r: &&ApiResource| !NOT_SERVED.contains(&(r.group.as_str(), r.version.as_str(), r.plural.as_str()));
        Self(schema.resources().iter().filter(served).map(|r| Arc::new(ServedKind::of(r))).collect())
    }

    pub fn all(&self) -> &[Arc<ServedKind>] {
        &self.0
    }

    pub fn find(&self, group: &str, version: &str, plural: &str) -> Option<&Arc<ServedKind>> {
        self.0.iter().find(|k| {
            let resource = k.resource;
            resource.plural == plural && resource.group == group && resource.version == version
        })
    }

    pub fn by_group_resource(&self, group_resource: &str) -> Option<&Arc<ServedKind>> {
        self.0.iter().find(|k| &*k.group_resource == group_resource)
    }

    pub fn of_group_version<'a>(
        &'a self,
        group: &'a str,
        version: &'a str,
    ) -> impl Iterator<Item = &'a Arc<ServedKind>> {
        self.0.iter().filter(move |k| k.resource.group == group && k.resource.version == version)
    }
}
