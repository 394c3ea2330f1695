//! A request for objects: its verb, and what executes it.

use std::sync::Arc;

use axum::body::Bytes;
use http::Method;

use super::faults::{InjectedFault, RequestAttributes};
use super::query::QueryParams;
use super::representation::Representation;
use super::response::ApiResponse;
use super::{HttpServer, delete, read, reviews, write};
use crate::apiserver::registry::filter::ObjectFilter;
use crate::apiserver::registry::write::PatchType;
use crate::apiserver::resource_address::ResourceAddress;
use crate::apiserver::status::ApiError;

/// A request for objects, whose body is not read yet.
pub(super) struct ObjectRequest {
    pub method: Method,
    pub address: ResourceAddress,
    pub query: QueryParams,
    /// How the client wants objects to be written.
    pub representation: Representation,
    pub content_type: String,
    pub user_agent: String,
    pub body: Bytes,
    /// A fault that is injected into this watch.
    pub watch_fault: Option<InjectedFault>,
}

impl ObjectRequest {
    /// The verb as Kubernetes names it in authorization and metrics; but an apply is `apply` and not `patch`.
    pub fn verb(&self) -> &'static str {
        let one = !self.address.name.is_empty();
        match self.method {
            Method::GET if self.query.flag("watch") => "watch",
            Method::GET if one => "get",
            Method::GET => "list",
            Method::POST => "create",
            Method::PUT => "update",
            Method::PATCH if self.patch_type() == Ok(PatchType::Apply) => "apply",
            Method::PATCH => "patch",
            Method::DELETE if one => "delete",
            Method::DELETE => "deletecollection",
            _ => "unknown",
        }
    }

    /// The objects that a list, a watch or the deletion of a collection asks for.
    pub fn filter(&self) -> Result<ObjectFilter, ApiError> {
        ObjectFilter::parse(&self.address, self.query.get("labelSelector"), self.query.get("fieldSelector"))
    }

    /// What fault rules look at.
    pub fn attributes<'a>(&'a self, path: &'a str) -> RequestAttributes<'a> {
        let verb = self.verb();
        RequestAttributes {
            verb,
            mutating: !["get", "list", "watch"].contains(&verb) && !self.query.dry_run(),
            resource: self.address.group_resource(),
            namespace: &self.address.namespace,
            name: &self.address.name,
            path,
        }
    }

    pub async fn execute(self, server: Arc<HttpServer>) -> Result<ApiResponse, ApiError> {
        self.query.check()?;
        self.check_subresource()?;
        let kind = &self.address.kind;
        let one = !self.address.name.is_empty();
        let is_object = self.address.subresource.is_none();
        let in_one_namespace = !kind.resource.namespaced || !self.address.namespace.is_empty();
        let registry = &server.registry;
        match self.verb() {
            "create" if kind.is_virtual() => reviews::review(&self),
            _ if kind.is_virtual() => Err(ApiError::method_not_allowed()),
            "watch" if is_object => read::watch(server, self),
            "get" => read::get(registry, &self),
            "list" => read::list(registry, &self),
            "create" if !one && in_one_namespace => write::create(registry, &self).await,
            "update" if one => write::replace(registry, &self).await,
            "apply" | "patch" if one => write::patch(registry, &self).await,
            "delete" if is_object => delete::delete(registry, &self).await,
            "deletecollection" if in_one_namespace && self.address.group_resource() != "namespaces" => {
                delete::delete_collection(registry, &self).await
            }
            _ => Err(ApiError::method_not_allowed()),
        }
    }

    /// Tells subresources that a real server has and this one does not from those that do not exist.
    fn check_subresource(&self) -> Result<(), ApiError> {
        let Some(name) = self.address.subresource.as_deref() else { return Ok(()) };
        let resource = self.address.kind.resource;
        if resource.subresources.iter().all(|s| s.name != name) {
            return Err(ApiError::unknown_path());
        }
        if self.address.served_subresource().is_none() {
            return Err(ApiError::not_implemented(&format!("{}/{name}", resource.plural)));
        }
        Ok(())
    }
}
