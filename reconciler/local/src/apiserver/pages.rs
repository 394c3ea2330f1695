//! The server's own pages: version, health, discovery, schemas, faults and counters.

use axum::body::Bytes;
use http::Method;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Server;
use super::faults::{Rule, RuleState};
use super::http::{Answer, Content, PLAIN};
use super::render::Accept;
use super::status::ApiError;
use super::{discovery, openapi};

/// The body of `PUT /faults`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct FaultsRequest {
    rules: Vec<Rule>,
    /// Break all open watches now.
    drop_watches: bool,
    /// Forget all history now, and end all open watches with 410.
    expire_watches: bool,
}

#[derive(Serialize)]
struct FaultsState {
    rules: Vec<RuleState>,
}

pub(super) fn page(
    server: &Server,
    method: &Method,
    segments: &[String],
    accept: Accept,
    body: &Bytes,
) -> Result<Answer, ApiError> {
    let parts: Vec<&str> = segments.iter().map(String::as_str).collect();
    match (method, parts.as_slice()) {
        (_, ["faults"]) => faults(server, method, body),
        (&Method::GET, ["counters"]) => to_json(&server.faults.counters()),
        (&Method::DELETE, ["counters"]) => {
            server.faults.reset_counters();
            to_json(&server.faults.counters())
        }
        (&Method::GET, ["healthz" | "livez" | "readyz", ..]) => Ok(text("ok")),
        (&Method::GET, ["version"]) => Ok(Answer::json(200, &version(server))),
        (&Method::GET, ["api"]) => Ok(discovery::legacy(&server.kinds, accept)),
        (&Method::GET, ["apis"]) => Ok(discovery::groups(&server.kinds, accept)),
        (&Method::GET, ["api", version]) => discovery::resources(&server.kinds, "", version),
        (&Method::GET, ["apis", group]) => discovery::group(&server.kinds, group),
        (&Method::GET, ["apis", group, version]) => discovery::resources(&server.kinds, group, version),
        (&Method::GET, ["openapi", "v3"]) => Ok(openapi::index(server)),
        (&Method::GET, ["openapi", "v3", "api", version]) => openapi::document(server, "", version),
        (&Method::GET, ["openapi", "v3", "apis", group, version]) => openapi::document(server, group, version),
        (&Method::GET, []) => Ok(Answer::json(200, &json!({"paths": discovery::paths(&server.kinds)}))),
        _ => Err(ApiError::unknown_path()),
    }
}

/// The older form of the schemas, which says nothing. kubectl falls back to it for a `kind: List`, insists on protobuf of
/// just this name, and then has no objections.
pub(super) fn openapi_v2() -> Answer {
    Answer { media: "application/com.github.proto-openapi.spec.v2.v1.0+protobuf", ..Answer::bytes(200, "") }
}

fn faults(server: &Server, method: &Method, body: &Bytes) -> Result<Answer, ApiError> {
    match *method {
        Method::GET => {}
        Method::DELETE => server.faults.set(Vec::new()),
        Method::PUT => {
            let request: FaultsRequest =
                serde_json::from_slice(body).map_err(|e| ApiError::bad_request(format!("faults: {e}")))?;
            server.faults.set(request.rules);
            if request.expire_watches {
                server.expire_watches();
            } else if request.drop_watches {
                server.drop_watches();
            }
        }
        _ => return Err(ApiError::method_not_allowed()),
    }
    to_json(&FaultsState { rules: server.faults.states() })
}

fn version(server: &Server) -> serde_json::Value {
    let number = server.schema.version().trim_start_matches('v');
    let mut parts = number.split('.');
    let (major, minor) = (parts.next().unwrap_or("1"), parts.next().unwrap_or("0"));
    json!({
        "major": major, "minor": minor, "gitVersion": format!("v{number}+simulated"), "gitCommit": "",
        "gitTreeState": "clean", "buildDate": "1970-01-01T00:00:00Z", "goVersion": "none", "compiler": "rustc",
        "platform": format!("{}/{}", std::env::consts::OS, std::env::consts::ARCH),
    })
}

fn text(content: &str) -> Answer {
    Answer { content: Content::Text(content.to_owned()), media: PLAIN, ..Answer::bytes(200, "") }
}

fn to_json<T: Serialize>(value: &T) -> Result<Answer, ApiError> {
    let value = serde_json::to_value(value).map_err(|e| ApiError::internal(e.to_string()))?;
    Ok(Answer::json(200, &value))
}
