//! Which verb a call is, and what executes it.

use std::sync::Arc;

use http::Method;

use super::Server;
use super::body::PatchType;
use super::http::{Answer, Call};
use super::status::ApiError;
use super::{delete, read, reviews, scale, write};

impl Call {
    /// The verb as authorization and metrics name it; an apply is told from other patches.
    pub fn verb(&self) -> &'static str {
        let one = !self.place.name.is_empty();
        match self.method {
            Method::GET if self.params.flag("watch") => "watch",
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

    pub async fn execute(self, server: Arc<Server>) -> Result<Answer, ApiError> {
        self.params.check()?;
        if let Some(part) = self.place.subresource.as_deref() {
            if self.place.kind.resource.subresources.iter().all(|s| s.name != part) {
                return Err(ApiError::unknown_path());
            }
            if self.place.kind.subresource(part).is_none() {
                return Err(ApiError::not_implemented(&format!("{}/{part}", self.place.kind.resource.plural)));
            }
        }
        let verb = self.verb();
        let one = !self.place.name.is_empty();
        let plain = self.place.subresource.is_none();
        let addressed = !self.place.kind.resource.namespaced || !self.place.namespace.is_empty();
        match verb {
            "create" if self.place.kind.is_virtual() => reviews::review(&self),
            _ if self.place.kind.is_virtual() => Err(ApiError::method_not_allowed()),
            "watch" if plain => read::watch(server, self),
            "get" if self.place.subresource.as_deref() == Some("scale") => {
                let entry = read::find(&server, &self.place)?;
                Ok(Answer::json(200, &scale::of(&entry.value())))
            }
            "get" => read::get(&server, &self),
            "list" => read::list(&server, &self),
            "create" if !one && addressed => write::create(&server, &self).await,
            "update" if one => write::replace(&server, &self).await,
            "apply" | "patch" if one => write::patch(&server, &self).await,
            "delete" if plain => delete::delete(&server, &self).await,
            "deletecollection" if addressed && &*self.place.kind.key != "namespaces" => {
                delete::delete_collection(&server, &self).await
            }
            _ => Err(ApiError::method_not_allowed()),
        }
    }
}
