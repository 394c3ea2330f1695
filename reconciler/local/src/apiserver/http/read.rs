//! Get, list, and the start of a watch.

use std::sync::Arc;

use super::HttpServer;
use super::faults::InjectedFault;
use super::request::ObjectRequest;
use super::response::{ApiResponse, ResponseBody};
use super::watch::{self, WatchOptions};
use crate::apiserver::registry::ObjectRegistry;
use crate::apiserver::registry::scale::scale_of;
use crate::apiserver::status::ApiError;
use crate::apiserver::store::ObjectStore;

pub(super) fn get(registry: &ObjectRegistry, request: &ObjectRequest) -> Result<ApiResponse, ApiError> {
    let object = registry.find(&request.address)?;
    if request.address.subresource_name() == "scale" {
        return Ok(ApiResponse::json(200, &scale_of(&object.value())));
    }
    Ok(ApiResponse::bytes(200, request.representation.stored(&request.address.kind, &object)))
}

pub(super) fn list(registry: &ObjectRegistry, request: &ObjectRequest) -> Result<ApiResponse, ApiError> {
    let filter = request.filter()?;
    request.query.check_match(true)?;
    if let Some(asked) = request.query.resource_version()? {
        check_reached(&registry.store, asked)?;
    }
    let (mut objects, version) = registry.store.list(request.address.group_resource(), &filter.namespace);
    objects.retain(|object| filter.matches(object));
    Ok(ApiResponse::bytes(200, request.representation.list(&request.address.kind, &objects, version)))
}

pub(super) fn watch(server: Arc<HttpServer>, request: ObjectRequest) -> Result<ApiResponse, ApiError> {
    let store = &server.registry.store;
    let filter = request.filter()?;
    if request.watch_fault == Some(InjectedFault::ExpireWatch) {
        return Err(ApiError::expired(0, store.version()));
    }
    let initial_events = request.query.flag("sendInitialEvents");
    check_initial_events(&request, initial_events)?;
    let asked = request.query.resource_version()?;
    if let Some(asked) = asked {
        check_reached(store, asked)?;
    }
    if let Some(from) = asked.filter(|_| !initial_events)
        && let Err(expired) = store.events(request.address.group_resource(), from)
    {
        return Err(ApiError::expired(from, expired.oldest));
    }
    let options = WatchOptions {
        from: if initial_events { None } else { asked },
        initial_events,
        bookmarks: request.query.flag("allowWatchBookmarks"),
        timeout: request.query.timeout(),
        drop_after: match request.watch_fault {
            Some(InjectedFault::DropWatch { after }) => Some(after),
            _ => None,
        },
    };
    let body = watch::start(server, request.address.kind, filter, request.representation, options);
    Ok(ApiResponse { body: ResponseBody::Stream(body), ..ApiResponse::bytes(200, "") })
}

fn check_initial_events(request: &ObjectRequest, initial_events: bool) -> Result<(), ApiError> {
    request.query.check_match(false)?;
    let wrong = match (initial_events, request.query.get("resourceVersionMatch")) {
        (true, "NotOlderThan") | (false, "") => return Ok(()),
        (true, _) => "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
        (false, _) => "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
    };
    let why = format!("Forbidden: {wrong}");
    Err(ApiError::invalid_options("ListOptions", "FieldValueForbidden", "resourceVersionMatch", why))
}

/// Refuses a version that this store has not reached: it must be of a store that was deleted.
fn check_reached(store: &ObjectStore, asked: u64) -> Result<(), ApiError> {
    let current = store.version();
    if asked <= current {
        return Ok(());
    }
    Err(ApiError::new(410, "Expired", format!("Too large resource version: {asked}, current: {current}")))
}
