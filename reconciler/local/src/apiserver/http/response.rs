//! What goes back to the client.

use axum::body::{Body, Bytes};
use http::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER, WARNING};
use http::{Response, StatusCode};

use super::representation;
use crate::apiserver::status::ApiError;

pub(super) const PLAIN: &str = "text/plain; charset=utf-8";

/// A response before it is written as HTTP.
pub(super) struct ApiResponse {
    pub code: u16,
    pub body: ResponseBody,
    pub media: &'static str,
    /// For Warning headers.
    pub warnings: Vec<String>,
}

pub(super) enum ResponseBody {
    Json(Bytes),
    Text(String),
    Stream(Body),
}

impl ApiResponse {
    pub fn json(code: u16, value: &serde_json::Value) -> Self {
        Self::bytes(code, representation::json_bytes(value))
    }

    /// Bytes of JSON.
    pub fn bytes(code: u16, bytes: impl Into<Bytes>) -> Self {
        Self { code, body: ResponseBody::Json(bytes.into()), media: "application/json", warnings: Vec::new() }
    }
}

/// An outcome as an HTTP response; an error becomes a `v1.Status`.
pub(super) fn to_http(outcome: Result<ApiResponse, ApiError>) -> Response<Body> {
    match outcome {
        Ok(response) => written(response),
        Err(error) if error == ApiError::unknown_path() => written(ApiResponse {
            body: ResponseBody::Text("404 page not found\n".to_owned()),
            media: PLAIN,
            ..ApiResponse::bytes(404, "")
        }),
        Err(error) => {
            let mut response = written(ApiResponse::json(error.code, &error.body()));
            if let Some(seconds) = error.retry_after() {
                response.headers_mut().insert(RETRY_AFTER, seconds.into());
            }
            response
        }
    }
}

fn written(response: ApiResponse) -> Response<Body> {
    let body = match response.body {
        ResponseBody::Json(bytes) => Body::from(bytes),
        ResponseBody::Text(text) => Body::from(text),
        ResponseBody::Stream(body) => body,
    };
    let mut written = Response::new(body);
    *written.status_mut() = StatusCode::from_u16(response.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    written.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(response.media));
    for warning in response.warnings {
        let quoted =
            warning.replace('\\', r"\\").replace('"', "\\\"").replace(|c: char| c.is_control() || !c.is_ascii(), " ");
        if let Ok(value) = HeaderValue::from_str(&format!("299 - \"{quoted}\"")) {
            written.headers_mut().append(WARNING, value);
        }
    }
    written
}
