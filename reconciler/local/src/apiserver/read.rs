//! Reading: one object, a list, a watch, and the selectors they share.

use std::sync::Arc;

use super::Server;
use super::faults::Fault;
use super::http::{Answer, Call, Content};
use super::route::Place;
use super::select::{FieldSelector, LabelSelector};
use super::status::{ApiError, Subject};
use super::store::{Entry, Key};
use super::watch;

/// Which objects of a kind are asked for.
#[derive(Debug)]
pub(super) struct Filter {
    /// Empty for all.
    pub namespace: String,
    labels: LabelSelector,
    fields: FieldSelector,
    no_labels: bool,
    no_fields: bool,
}

impl Filter {
    pub fn of(call: &Call) -> Result<Self, ApiError> {
        let (labels, fields) = (call.params.get("labelSelector"), call.params.get("fieldSelector"));
        let unreadable = |what: &str, text: &str, why: String| {
            ApiError::bad_request(format!("unable to parse {what} {text:?}: {why}"))
        };
        let resource = call.place.kind.resource;
        let field_selector =
            FieldSelector::parse(fields).map_err(|e| unreadable("fieldSelector", fields, e.to_string()))?;
        field_selector
            .check(&call.place.kind.key, resource.namespaced)
            .map_err(|e| ApiError::bad_request(e.to_string()))?;
        Ok(Self {
            namespace: call.place.namespace.clone(),
            no_labels: labels.is_empty(),
            no_fields: fields.is_empty(),
            labels: LabelSelector::parse(labels).map_err(|e| unreadable("labelSelector", labels, e.to_string()))?,
            fields: field_selector,
        })
    }

    pub fn matches(&self, entry: &Entry) -> bool {
        (self.namespace.is_empty() || self.namespace == entry.key.namespace)
            && (self.no_labels || self.labels.matches(&entry.labels))
            && (self.no_fields || self.has_name(entry) && self.fields.matches(&entry.value()))
    }

    /// Spares parsing all objects for one.
    fn has_name(&self, entry: &Entry) -> bool {
        self.fields.name().is_none_or(|name| name == entry.key.name)
    }
}

/// The key and the words for errors of a place with a name.
pub(super) fn key_of(place: &Place) -> Key {
    Key::new(&place.kind.key, &place.namespace, &place.name)
}

pub(super) fn subject_of(place: &Place) -> Subject<'_> {
    let resource = place.kind.resource;
    Subject { group: &resource.group, resource: &resource.plural, name: &place.name }
}

/// The object at a place.
pub(super) fn find(server: &Server, place: &Place) -> Result<Arc<Entry>, ApiError> {
    server.store.get(&key_of(place)).ok_or_else(|| ApiError::not_found(subject_of(place)))
}

pub(super) fn get(server: &Server, call: &Call) -> Result<Answer, ApiError> {
    let entry = find(server, &call.place)?;
    Ok(Answer::bytes(200, call.render.one(&call.place.kind, &entry)))
}

pub(super) fn list(server: &Server, call: &Call) -> Result<Answer, ApiError> {
    let filter = Filter::of(call)?;
    call.params.check_match(true)?;
    if let Some(asked) = call.params.resource_version()?
        && asked > server.store.version()
    {
        return Err(too_large(asked, server.store.version()));
    }
    let (mut entries, version) = server.store.list(&call.place.kind.key, &filter.namespace);
    entries.retain(|e| filter.matches(e));
    Ok(Answer::bytes(200, call.render.list(&call.place.kind, &entries, version)))
}

pub(super) fn watch(server: Arc<Server>, call: Call) -> Result<Answer, ApiError> {
    let filter = Filter::of(&call)?;
    if call.watch_fault == Some(Fault::ExpireWatch) {
        return Err(ApiError::expired(0, server.store.version()));
    }
    let initial_events = call.params.flag("sendInitialEvents");
    call.params.check_match(false)?;
    let wrong = match (initial_events, call.params.get("resourceVersionMatch")) {
        (true, "NotOlderThan") | (false, "") => None,
        (true, _) => Some("sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"),
        (false, _) => Some("resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"),
    };
    if let Some(why) = wrong {
        let why = format!("Forbidden: {why}");
        return Err(ApiError::invalid_options("ListOptions", "FieldValueForbidden", "resourceVersionMatch", why));
    }
    let asked = call.params.resource_version()?;
    if let Some(asked) = asked
        && asked > server.store.version()
    {
        return Err(too_large(asked, server.store.version()));
    }
    if let Some(from) = asked.filter(|_| !initial_events)
        && let Err(expired) = server.store.events(&call.place.kind.key, from)
    {
        return Err(ApiError::expired(from, expired.oldest));
    }
    let options = watch::Options {
        from: if initial_events { None } else { asked },
        initial_events,
        bookmarks: call.params.flag("allowWatchBookmarks"),
        timeout: call.params.timeout(),
        drop_after: match call.watch_fault {
            Some(Fault::DropWatch { after }) => Some(after),
            _ => None,
        },
    };
    let body = watch::start(server, call.place.kind, filter, call.render, options);
    Ok(Answer { content: Content::Stream(body), ..Answer::bytes(200, "") })
}

/// A version this store never reached: it comes from a store that is no more.
fn too_large(asked: u64, current: u64) -> ApiError {
    let message = format!("Too large resource version: {asked}, current: {current}");
    ApiError::new(410, "Expired", message)
}
