//! Which objects of a kind a list, a watch or the deletion of a collection asks for.

use crate::apiserver::resource_address::ResourceAddress;
use crate::apiserver::select::{FieldSelector, LabelSelector};
use crate::apiserver::status::ApiError;
use crate::apiserver::store::StoredObject;

/// A namespace and selectors, all of which have to match.
#[derive(Debug)]
pub struct ObjectFilter {
    /// Empty for all.
    pub namespace: String,
    labels: LabelSelector,
    fields: FieldSelector,
    any_labels: bool,
    any_fields: bool,
}

impl ObjectFilter {
    /// Reads selectors in the form in which queries have them; empty ones select everything.
    pub fn parse(address: &ResourceAddress, labels: &str, fields: &str) -> Result<Self, ApiError> {
        let unreadable = |what: &str, text: &str, why: String| {
            ApiError::bad_request(format!("unable to parse {what} {text:?}: {why}"))
        };
        let field_selector =
            FieldSelector::parse(fields).map_err(|e| unreadable("fieldSelector", fields, e.to_string()))?;
        field_selector
            .check(address.group_resource(), address.kind.resource.namespaced)
            .map_err(|e| ApiError::bad_request(e.to_string()))?;
        Ok(Self {
            namespace: address.namespace.clone(),
            any_labels: labels.is_empty(),
            any_fields: fields.is_empty(),
            labels: LabelSelector::parse(labels).map_err(|e| unreadable("labelSelector", labels, e.to_string()))?,
            fields: field_selector,
        })
    }

    pub fn matches(&self, object: &StoredObject) -> bool {
        (self.namespace.is_empty() || self.namespace == object.key.namespace)
            && (self.any_labels || self.labels.matches(&object.labels))
            && (self.any_fields || self.has_name(object) && self.fields.matches(&object.value()))
    }

    /// A selector by name is compared first, so that not every object has to be parsed.
    fn has_name(&self, object: &StoredObject) -> bool {
        self.fields.name().is_none_or(|name| name == object.key.name)
    }
}
