//! Which objects a request or a controller means.

use std::sync::Arc;

use super::kinds::{ServedKind, group_version};
use super::schema::Subresource;
use super::status::ErrorSubject;
use super::store::StoreKey;

/// Objects of a kind: all of them, those of a namespace, one object, or a subresource of one.
#[derive(Clone, Debug)]
pub struct ResourceAddress {
    pub kind: Arc<ServedKind>,
    /// Empty for cluster-scoped kinds and for all namespaces.
    pub namespace: String,
    /// Empty for collections.
    pub name: String,
    pub subresource: Option<String>,
}

impl ResourceAddress {
    /// The name of the kind's resource with its group, such as `deployments.apps`.
    pub fn group_resource(&self) -> &str {
        &self.kind.group_resource
    }

    /// The subresource's name, or `""`.
    pub fn subresource_name(&self) -> &str {
        self.subresource.as_deref().unwrap_or_default()
    }

    /// The subresource, if one is addressed that is served.
    pub fn served_subresource(&self) -> Option<&'static Subresource> {
        self.kind.subresource(self.subresource.as_deref()?)
    }

    /// The apiVersion and kind of what is sent to this address: those of the subresource where it has its own.
    pub fn body_type(&self) -> (String, &'static str) {
        match self.served_subresource() {
            Some(part) => (group_version(&part.group, &part.version), &part.kind),
            None => (self.kind.api_version(), &self.kind.resource.kind),
        }
    }

    /// Where the store has the object.
    pub fn key(&self) -> StoreKey {
        StoreKey::new(&self.kind.group_resource, &self.namespace, &self.name)
    }

    /// What an error about this address names.
    pub fn subject(&self) -> ErrorSubject<'_> {
        let resource = self.kind.resource;
        ErrorSubject { group: &resource.group, resource: &resource.plural, name: &self.name }
    }
}
