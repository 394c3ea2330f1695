//! The pages of the server itself: version, health, discovery, schemas, faults and counters.

use axum::body::Bytes;
use http::Method;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::faults::{FaultRule, FaultRuleState};
use super::representation::Accept;
use super::response::{ApiResponse, PLAIN, ResponseBody};
use super::{HttpServer, discovery, openapi};
use crate::apiserver::status::ApiError;

/// The body of `PUT /faults`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct FaultsRequest {
    rules: Vec<FaultRule>,
    /// Break the connections of all open watches now.
    drop_watches: bool,
    /// Forget all events now, and end all open watches with 410.
    expire_watches: bool,
}

#[derive(Serialize)]
struct FaultsState {
    rules: Vec<FaultRuleState>,
}

pub(super) fn page(
    server: &HttpServer,
    method: &Method,
    segments: &[String],
    accept: Accept,
    body: &Bytes,
) -> Result<ApiResponse, ApiError> {
    let parts: Vec<&str> = segments.iter().map(String::as_str).collect();
    match (method, parts.as_slice()) {
        (_, ["faults"]) => faults(server, method, body),
        (&Method::GET, ["counters"]) => to_json(&server.faults.counters()),
        (&Method::DELETE, ["counters"]) => {
            server.faults.reset_counters();
            to_json(&server.faults.counters())
        }
        (&Method::GET, ["healthz" | "livez" | "readyz", ..]) => Ok(text("ok")),
        (&Method::GET, ["version"]) => Ok(ApiResponse::json(200, &version(server))),
        (&Method::GET, ["api"]) => Ok(discovery::legacy(&server.registry.kinds, accept)),
        (&Method::GET, ["apis"]) => Ok(discovery::groups(&server.registry.kinds, accept)),
        (&Method::GET, ["api", version]) => discovery::resources(&server.registry.kinds, "", version),
        (&Method::GET, ["apis", group]) => discovery::group(&server.registry.kinds, group),
        (&Method::GET, ["apis", group, version]) => discovery::resources(&server.registry.kinds, group, version),
        (&Method::GET, ["openapi", "v3"]) => Ok(openapi::index(&server.registry)),
        (&Method::GET, ["openapi", "v3", "api", version]) => openapi::document(&server.registry, "", version),
        (&Method::GET, ["openapi", "v3", "apis", group, version]) => {
            openapi::document(&server.registry, group, version)
        }
        (&Method::GET, []) => Ok(ApiResponse::json(200, &json!({"paths": discovery::paths(&server.registry.kinds)}))),
        _ => Err(ApiError::unknown_path()),
    }
}

/// OpenAPI v2, without content. kubectl asks for it before it sends a `kind: List`, wants protobuf of exactly this media
/// type, and takes an empty document to allow everything.
pub(super) fn openapi_v2() -> ApiResponse {
    ApiResponse { media: "application/com.github.proto-openapi.spec.v2.v1.0+protobuf", ..ApiResponse::bytes(200, "") }
}

fn faults(server: &HttpServer, method: &Method, body: &Bytes) -> Result<ApiResponse, ApiError> {
    match *method {
        Method::GET => {}
        Method::DELETE => server.faults.set_rules(Vec::new()),
        Method::PUT => {
            let request: FaultsRequest =
                serde_json::from_slice(body).map_err(|e| ApiError::bad_request(format!("faults: {e}")))?;
            server.faults.set_rules(request.rules);
            if request.expire_watches {
                server.expire_watches();
            } else if request.drop_watches {
                server.drop_watches();
            }
        }
        _ => return Err(ApiError::method_not_allowed()),
    }
    to_json(&FaultsState { rules: server.faults.rules() })
}

fn version(server: &HttpServer) -> serde_json::Value {
    let number = server.registry.schema.version().trim_start_matches('v');
    let mut parts = number.split('.');
    let (major, minor) = (parts.next().unwrap_or("1"), parts.next().unwrap_or("0"));
    json!({
        "major": major, "minor": minor, "gitVersion": format!("v{number}+simulated"), "gitCommit": "",
        "gitTreeState": "clean", "buildDate": "1970-01-01T00:00:00Z", "goVersion": "none", "compiler": "rustc",
        "platform": format!("{}/{}", std::env::consts::OS, std::env::consts::ARCH),
    })
}

fn text(content: &str) -> ApiResponse {
    ApiResponse { body: ResponseBody::Text(content.to_owned()), media: PLAIN, ..ApiResponse::bytes(200, "") }
}

fn to_json<T: Serialize>(value: &T) -> Result<ApiResponse, ApiError> {
    let value = serde_json::to_value(value).map_err(|e| ApiError::internal(e.to_string()))?;
    Ok(ApiResponse::json(200, &value))
}
