//! Create, replace and patch.

use super::request::ObjectRequest;
use super::response::ApiResponse;
use crate::apiserver::registry::ObjectRegistry;
use crate::apiserver::registry::write::{
    CompletedWrite, Modification, ObjectWriter, PatchType, WriteOptions, WrittenObject,
};
use crate::apiserver::status::ApiError;

/// POST: a new object.
pub(super) async fn create(registry: &ObjectRegistry, request: &ObjectRequest) -> Result<ApiResponse, ApiError> {
    let kind = &request.address.kind;
    let value = request.object(&kind.api_version(), &kind.resource.kind)?;
    let options = request.write_options()?;
    let written = writer(registry, request, &options).create(value).await?;
    Ok(respond(request, written))
}

/// PUT: an object or a subresource of one as a whole.
pub(super) async fn replace(registry: &ObjectRegistry, request: &ObjectRequest) -> Result<ApiResponse, ApiError> {
    let (api_version, kind) = request.address.body_type();
    let value = request.object(&api_version, kind)?;
    let options = request.write_options()?;
    let writer = writer(registry, request, &options);
    if request.address.subresource_name() == "scale" {
        return scale(writer, &Modification::Replace(value)).await;
    }
    Ok(respond(request, writer.replace(value).await?))
}

/// PATCH: some fields of an object or of a subresource of one; an apply may create the object.
pub(super) async fn patch(registry: &ObjectRegistry, request: &ObjectRequest) -> Result<ApiResponse, ApiError> {
    let patch_type = request.patch_type()?;
    let patch = request.patch(patch_type)?;
    let options = request.write_options()?;
    let writer = writer(registry, request, &options);
    if request.address.subresource_name() == "scale" {
        return scale(writer, &Modification::Patch(patch_type, patch)).await;
    }
    if patch_type == PatchType::Apply && request.query.get("fieldManager").is_empty() {
        let why = "Required value: is required for apply patch";
        return Err(ApiError::invalid_options("PatchOptions", "FieldValueRequired", "fieldManager", why));
    }
    Ok(respond(request, writer.patch(patch_type, patch).await?))
}

fn writer<'a>(registry: &'a ObjectRegistry, request: &'a ObjectRequest, options: &'a WriteOptions) -> ObjectWriter<'a> {
    ObjectWriter { registry, address: &request.address, options }
}

fn respond(request: &ObjectRequest, written: CompletedWrite) -> ApiResponse {
    let (representation, kind) = (request.representation, &request.address.kind);
    let bytes = match &written.object {
        WrittenObject::Stored(object) => representation.stored(kind, object),
        WrittenObject::DryRun(value) => representation.value(kind, value),
    };
    let code = if written.created { 201 } else { 200 };
    ApiResponse { warnings: written.warnings, ..ApiResponse::bytes(code, bytes) }
}

async fn scale(writer: ObjectWriter<'_>, modification: &Modification) -> Result<ApiResponse, ApiError> {
    let (scale, warnings) = writer.scale(modification).await?;
    Ok(ApiResponse { warnings, ..ApiResponse::json(200, &scale) })
}

impl ObjectRequest {
    fn write_options(&self) -> Result<WriteOptions, ApiError> {
        Ok(WriteOptions {
            manager: self.manager(),
            field_validation: self.query.field_validation()?,
            dry_run: self.query.dry_run(),
            force: self.query.flag("force"),
        })
    }

    /// The field manager: the one that the client names, else the client itself.
    fn manager(&self) -> String {
        match self.query.get("fieldManager") {
            "" => match self.user_agent.split('/').next() {
                None | Some("") => "unknown".to_owned(),
                Some(client) => client.chars().take(128).collect(),
            },
            named => named.to_owned(),
        }
    }
}
