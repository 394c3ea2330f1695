//! Writing: create, replace, patch, apply, on objects and their status and scale, with optimistic concurrency.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;

use super::Server;
use super::admission;
use super::body::{self, PatchType};
use super::http::{Answer, Call};
use super::object;
use super::params::FieldValidation;
use super::read::{find, key_of, subject_of};
use super::route::Place;
use super::scale;
use super::schema::TypeId;
use super::status::{ApiError, Cause};
use super::store::{Entry, Key, Refused};
use super::{defaults, merge, services, ssa, validate};

/// So often a write that names no version is made again when another came in between.
const ATTEMPTS: usize = 10;

/// What a request wants to make of an object.
enum Wish {
    Replace(Value),
    Patch(PatchType, Value),
}

/// A write, as far as it has come.
struct Made {
    value: Value,
    warnings: Vec<String>,
}

/// POST: a new object.
pub(super) async fn create(server: &Server, call: &Call) -> Result<Answer, ApiError> {
    let kind = &call.place.kind;
    let mut value = call.object(&kind.api_version(), &kind.resource.kind)?;
    let mut place = call.place.clone();
    let warnings = check_fields(server, call, &mut value)?;
    admission::name_new(&place, &mut value)?;
    place.name = object::name(&value).to_owned();
    let made = finish_new(server, call, &place, value)?;
    let mut answer = store_new(server, call, &place, made).await?;
    answer.warnings.splice(0..0, warnings);
    Ok(answer)
}

/// PUT: an object or a part of it as a whole.
pub(super) async fn replace(server: &Server, call: &Call) -> Result<Answer, ApiError> {
    let (api_version, kind) = body_type(&call.place)?;
    let mut value = call.object(&api_version, kind)?;
    if part(call) == "scale" {
        return scaled(server, call, &Wish::Replace(value)).await;
    }
    let warnings = check_fields(server, call, &mut value)?;
    admission::fits_place(&call.place, &mut value)?;
    over_present(server, call, &Wish::Replace(value), warnings).await
}

/// PATCH: some fields of an object or of a part of it; an apply may create it.
pub(super) async fn patch(server: &Server, call: &Call) -> Result<Answer, ApiError> {
    let patch_type = call.patch_type()?;
    let mut patch = call.patch(patch_type)?;
    if part(call) == "scale" {
        return scaled(server, call, &Wish::Patch(patch_type, patch)).await;
    }
    if patch_type != PatchType::Apply {
        return over_present(server, call, &Wish::Patch(patch_type, patch), Vec::new()).await;
    }
    if call.params.get("fieldManager").is_empty() {
        let why = "Required value: is required for apply patch";
        return Err(ApiError::invalid_options("PatchOptions", "FieldValueRequired", "fieldManager", why));
    }
    let (api_version, kind) = body_type(&call.place)?;
    if object::text(&patch, &["kind"]).is_empty() {
        return Err(ApiError::bad_request("invalid object type: /, Kind=: an apply names its apiVersion and kind"));
    }
    body::expect_type(&mut patch, &api_version, kind)?;
    if object::name(&patch).is_empty() {
        object::set_metadata(&mut patch, "name", call.place.name.as_str().into());
    }
    admission::fits_place(&call.place, &mut patch)?;
    if server.store.get(&key_of(&call.place)).is_none() && part(call).is_empty() {
        match applied_new(server, call, &patch).await {
            // Someone else made it just now: apply to theirs.
            Err(error) if error.reason == "AlreadyExists" => {}
            done => return done,
        }
    }
    over_present(server, call, &Wish::Patch(PatchType::Apply, patch), Vec::new()).await
}

async fn applied_new(server: &Server, call: &Call, patch: &Value) -> Result<Answer, ApiError> {
    let uid = object::uid(patch);
    if !uid.is_empty() {
        let why = format!("Precondition failed: UID in precondition: {uid}, UID in object meta: ");
        return Err(ApiError::conflict(subject_of(&call.place), &why));
    }
    let mut value = applied(server, call, None, patch)?;
    // Of an object that is not there no version can be wrong: as the real server has it, an apply creates all the same.
    object::remove_metadata(&mut value, "resourceVersion");
    let made = finish_new(server, call, &call.place, value)?;
    store_new(server, call, &call.place, made).await
}

/// Makes the wish true over the object that is there.
async fn over_present(server: &Server, call: &Call, wish: &Wish, warnings: Vec<String>) -> Result<Answer, ApiError> {
    for _ in 0..ATTEMPTS {
        let entry = find(server, &call.place)?;
        let live = entry.value();
        let mut made = fulfill(server, call, &live, wish)?;
        made.warnings.extend(warnings.iter().cloned());
        made.value = finish_over(server, call, &live, made.value)?;
        match put(server, call, &entry, &live, made).await {
            Err(Refused::Stale) => continue,
            Err(why) => return Err(admission::refused(&call.place, &why)),
            Ok(answer) => return answer,
        }
    }
    Err(ApiError::modified(subject_of(&call.place)))
}

/// The object as the wish would have it, before the server's own rules.
fn fulfill(server: &Server, call: &Call, live: &Value, wish: &Wish) -> Result<Made, ApiError> {
    let type_id = call.place.kind.resource.type_id;
    let value = match wish {
        Wish::Replace(value) => {
            admission::names_version(&call.place, value)?;
            return Ok(Made { value: value.clone(), warnings: Vec::new() });
        }
        Wish::Patch(PatchType::Apply, patch) => {
            let value = applied(server, call, Some(live), patch)?;
            return Ok(Made { value, warnings: Vec::new() });
        }
        Wish::Patch(patch_type, patch) => patched(server, type_id, live, *patch_type, patch)?,
    };
    let mut value = value;
    body::expect_type(&mut value, &call.place.kind.api_version(), &call.place.kind.resource.kind)?;
    let warnings = check_fields(server, call, &mut value)?;
    admission::fits_place(&call.place, &mut value)?;
    Ok(Made { value, warnings })
}

pub(super) fn patched(
    server: &Server,
    type_id: TypeId,
    live: &Value,
    patch_type: PatchType,
    patch: &Value,
) -> Result<Value, ApiError> {
    let merged = match patch_type {
        PatchType::Json => merge::json_patch(live, patch),
        PatchType::Merge => Ok(merge::json(live, patch)),
        _ => merge::strategic(server.schema, type_id, live, patch),
    };
    merged.map_err(|why| match why {
        merge::PatchError::Malformed(_) => ApiError::bad_request(why.to_string()),
        merge::PatchError::NotApplicable(_) => {
            let message = format!("the server rejected our request due to an error in our request: {why}");
            ApiError::new(422, "Invalid", message)
        }
    })
}

fn applied(server: &Server, call: &Call, live: Option<&Value>, patch: &Value) -> Result<Value, ApiError> {
    let api_version = call.place.kind.api_version();
    let manager = call.params.get("fieldManager");
    let writer = writer(server, &call.place, &api_version, manager, part(call));
    let value = writer.apply(live, patch, call.params.flag("force")).map_err(|error| apply_refused(&error))?;
    validate::decode(server.schema, call.place.kind.resource.type_id, &value).map_err(ApiError::bad_request)?;
    Ok(value)
}

/// A write of an object at a place, for the bookkeeping of who owns what.
pub(super) fn writer<'a>(
    server: &'a Server,
    place: &'a Place,
    api_version: &'a str,
    manager: &'a str,
    subresource: &'a str,
) -> ssa::Write<'a> {
    let resource = place.kind.resource;
    ssa::Write {
        schema: server.schema,
        type_id: resource.type_id,
        api_version,
        kind: &resource.kind,
        manager,
        subresource,
        reset: ssa::reset_fields(resource, subresource),
        now: Timestamp::now(),
    }
}

/// The server's own rules for a new object.
fn finish_new(server: &Server, call: &Call, place: &Place, mut value: Value) -> Result<Made, ApiError> {
    let type_id = place.kind.resource.type_id;
    let warnings = admission::admit_new(server, place, &mut value)?;
    defaults::apply(server.schema, type_id, &mut value);
    if !is_apply(call) {
        value = writer(server, place, &place.kind.api_version(), &manager(call), "").track(None, value);
    }
    complete_service(server, place, None, &mut value);
    check_values(server, place, None, &value)?;
    Ok(Made { value, warnings })
}

/// The server's own rules for a new version of an object.
fn finish_over(server: &Server, call: &Call, live: &Value, mut value: Value) -> Result<Value, ApiError> {
    let type_id = call.place.kind.resource.type_id;
    admission::admit_over(&call.place, live, &mut value)?;
    defaults::apply(server.schema, type_id, &mut value);
    admission::count_generation(&call.place, live, &mut value);
    if !is_apply(call) {
        let api_version = call.place.kind.api_version();
        value = writer(server, &call.place, &api_version, &manager(call), part(call)).track(Some(live), value);
    }
    complete_service(server, &call.place, Some(live), &mut value);
    check_values(server, &call.place, Some(live), &value)?;
    Ok(ssa::settle(live, value))
}

/// Gives a Service its addresses. They are nobody's, so this comes after the bookkeeping of who owns what.
fn complete_service(server: &Server, place: &Place, live: Option<&Value>, value: &mut Value) {
    if &*place.kind.key == "services"
        && place.subresource.is_none()
        && let Some(spec) = value.get_mut("spec")
    {
        services::complete(&server.addresses, live.and_then(|live| live.get("spec")), spec);
    }
}

async fn store_new(server: &Server, call: &Call, place: &Place, made: Made) -> Result<Answer, ApiError> {
    let kind = &place.kind;
    let refused = |why| admission::refused(place, &why);
    let mut answer = if call.params.dry_run() {
        if server.store.get(&key_of(place)).is_some() {
            return Err(refused(Refused::Exists));
        }
        Answer::bytes(201, call.render.value(kind, &made.value))
    } else {
        let entry = server.store.create(&key_of(place), made.value).map_err(refused)?;
        persisted(server, &entry).await?;
        Answer::bytes(201, call.render.one(kind, &entry))
    };
    answer.warnings = made.warnings;
    Ok(answer)
}

/// Stores a new version, or removes the object when its last finalizer has gone; an equal version is not written.
async fn put(
    server: &Server,
    call: &Call,
    entry: &Entry,
    live: &Value,
    made: Made,
) -> Result<Result<Answer, ApiError>, Refused> {
    let kind = &call.place.kind;
    let mut answer = if *live == made.value {
        Answer::bytes(200, call.render.one(kind, entry))
    } else if call.params.dry_run() {
        Answer::bytes(200, call.render.value(kind, &made.value))
    } else {
        let new = replace_or_remove(server, &entry.key, entry.version, made.value)?;
        if let Err(error) = persisted(server, &new).await {
            return Ok(Err(error));
        }
        Answer::bytes(200, call.render.one(kind, &new))
    };
    answer.warnings = made.warnings;
    Ok(Ok(answer))
}

/// Writes the next version of an object; one that is being deleted and has nothing left to wait for is removed.
pub(super) fn replace_or_remove(server: &Server, key: &Key, version: u64, value: Value) -> Result<Arc<Entry>, Refused> {
    if admission::is_finished(&value) {
        server.store.remove(key, version)
    } else {
        server.store.replace(key, version, value)
    }
}

pub(super) async fn persisted(server: &Server, entry: &Entry) -> Result<(), ApiError> {
    let written = server.store.persisted(entry.version).await;
    written.map_err(|why| ApiError::internal(format!("the store refuses writes: {why}")))
}

/// PUT or PATCH of `scale`.
async fn scaled(server: &Server, call: &Call, wish: &Wish) -> Result<Answer, ApiError> {
    for _ in 0..ATTEMPTS {
        let entry = find(server, &call.place)?;
        let live = entry.value();
        let shown = scale::of(&live);
        let mut wanted = match wish {
            Wish::Replace(value) => value.clone(),
            Wish::Patch(PatchType::Apply, patch) => merge::json(&shown, patch),
            Wish::Patch(PatchType::Strategic, patch) => merge::json(&shown, patch),
            Wish::Patch(patch_type, patch) => {
                patched(server, call.place.kind.resource.type_id, &shown, *patch_type, patch)?
            }
        };
        let (api_version, kind) = body_type(&call.place)?;
        body::expect_type(&mut wanted, &api_version, kind)?;
        let warnings = check_fields(server, call, &mut wanted)?;
        admission::fits_place(&call.place, &mut wanted)?;
        let mut value = live.clone();
        scale::set(&call.place, &mut value, &wanted)?;
        let value = finish_over(server, call, &live, value)?;
        let answer = |value: &Value| Answer { warnings, ..Answer::json(200, &scale::of(value)) };
        if call.params.dry_run() {
            return Ok(answer(&value));
        }
        let new = if live == value { Ok(entry) } else { server.store.replace(&entry.key, entry.version, value) };
        match new {
            Err(Refused::Stale) => continue,
            Err(why) => return Err(admission::refused(&call.place, &why)),
            Ok(new) => {
                persisted(server, &new).await?;
                return Ok(answer(&new.value()));
            }
        }
    }
    Err(ApiError::modified(subject_of(&call.place)))
}

/// The subresource's name, or `""`.
fn part(call: &Call) -> &str {
    call.place.subresource.as_deref().unwrap_or_default()
}

/// The apiVersion and kind that a body sent to this place has.
fn body_type(place: &Place) -> Result<(String, &'static str), ApiError> {
    match place.subresource.as_deref() {
        None => Ok((place.kind.api_version(), &place.kind.resource.kind)),
        Some(name) => {
            let part = place.kind.subresource(name).ok_or_else(ApiError::unknown_path)?;
            Ok((super::route::group_version(&part.group, &part.version), &part.kind))
        }
    }
}

fn is_apply(call: &Call) -> bool {
    call.patch_type() == Ok(PatchType::Apply)
}

/// Who writes: as said, or by the name of the client.
fn manager(call: &Call) -> String {
    match call.params.get("fieldManager") {
        "" => match call.user_agent.split('/').next() {
            None | Some("") => "unknown".to_owned(),
            Some(name) => name.chars().take(128).collect(),
        },
        named => named.to_owned(),
    }
}

/// Refuses values of the wrong type, removes fields that the kind does not have, and says so as the request wishes.
fn check_fields(server: &Server, call: &Call, value: &mut Value) -> Result<Vec<String>, ApiError> {
    let (api_version, kind) = body_type(&call.place)?;
    let version = api_version.rsplit('/').next().unwrap_or_default();
    let refused = |why: String| {
        ApiError::bad_request(format!("{kind} in version {version:?} cannot be handled as a {kind}: {why}"))
    };
    let body = call.place.kind.subresource(part(call)).and_then(|part| part.type_id);
    let type_id = body.unwrap_or(call.place.kind.resource.type_id);
    let unknown = validate::drop_unknown(server.schema, type_id, value);
    validate::decode(server.schema, type_id, value).map_err(refused)?;
    match call.params.field_validation()? {
        FieldValidation::Strict if !unknown.is_empty() => {
            Err(refused(format!("strict decoding error: {}", unknown.join(", "))))
        }
        FieldValidation::Strict | FieldValidation::Ignore => Ok(Vec::new()),
        FieldValidation::Warn => Ok(unknown),
    }
}

fn check_values(server: &Server, place: &Place, live: Option<&Value>, value: &Value) -> Result<(), ApiError> {
    let mut causes = admission::broken_rules(place, live, value);
    let violations = validate::values(server.schema, place.kind.resource.type_id, value).into_iter();
    causes.extend(violations.map(|v| Cause { reason: v.reason.to_owned(), message: v.message, field: v.field }));
    if causes.is_empty() {
        return Ok(());
    }
    Err(ApiError::invalid(subject_of(place), &place.kind.resource.kind, &causes))
}

fn apply_refused(error: &ssa::ApplyError) -> ApiError {
    match error {
        ssa::ApplyError::Conflict(_) => {
            let cause = |c: ssa::Cause| Cause { reason: c.reason.to_owned(), message: c.message, field: c.field };
            let causes: Vec<Cause> = error.causes().into_iter().map(cause).collect();
            ApiError::apply_conflict(error.to_string(), &causes)
        }
        ssa::ApplyError::Type { .. } | ssa::ApplyError::ManagedFields => ApiError::bad_request(error.to_string()),
    }
}
