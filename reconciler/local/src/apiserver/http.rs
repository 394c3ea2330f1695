//! The loopback listener: who may ask, how bodies come in and answers go out.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::Query;
use http::header::{ACCEPT, CONTENT_TYPE, HOST, HeaderMap, HeaderValue, ORIGIN, RETRY_AFTER, USER_AGENT, WARNING};
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

use super::Server;
use super::faults::{Facts, Fault};
use super::params::Params;
use super::render::{Accept, Render};
use super::route::{self, Place, Target};
use super::status::ApiError;
use super::{pages, render};

/// As on a real server.
const LARGEST_BODY: usize = 3 * 1024 * 1024;
pub(super) const PLAIN: &str = "text/plain; charset=utf-8";

/// A request for objects, read and ready to be executed.
pub(super) struct Call {
    pub method: Method,
    pub place: Place,
    pub params: Params,
    pub render: Render,
    pub content_type: String,
    pub user_agent: String,
    pub body: Bytes,
    /// On purpose: a fault for a watch.
    pub watch_fault: Option<Fault>,
}

/// What goes back.
pub(super) struct Answer {
    pub code: u16,
    pub content: Content,
    /// The media type, if not the usual one for the content.
    pub media: &'static str,
    /// For Warning headers.
    pub warnings: Vec<String>,
}

/// The body of an answer.
pub(super) enum Content {
    Json(Bytes),
    Text(String),
    Stream(Body),
}

impl Answer {
    pub fn json(code: u16, value: &serde_json::Value) -> Self {
        Self::bytes(code, render::json_bytes(value))
    }

    pub fn bytes(code: u16, bytes: impl Into<Bytes>) -> Self {
        Self { code, content: Content::Json(bytes.into()), media: "application/json", warnings: Vec::new() }
    }
}

/// The connection is to be closed without an answer.
#[derive(Debug, thiserror::Error)]
#[error("closed on purpose")]
struct Closed;

/// Serves until told to stop; then open connections are dropped.
pub(super) async fn serve(listener: TcpListener, server: Arc<Server>) {
    let mut stop = server.stop.clone();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.wait_for(|stopping| *stopping) => return,
        };
        match accepted {
            Ok((stream, _)) => drop(tokio::spawn(connection(stream, server.clone()))),
            // Out of file descriptors, most likely: let some close.
            Err(error) => {
                tracing::warn!(%error, "a connection was not accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn connection(stream: TcpStream, server: Arc<Server>) {
    let _ = stream.set_nodelay(true); // only speed is lost
    let mut stop = server.stop.clone();
    let service = hyper::service::service_fn(move |request| answer(server.clone(), request));
    let connection = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        ended = connection => if let Err(error) = ended {
            tracing::trace!(%error, "a connection ended early");
        },
        _ = stop.wait_for(|stopping| *stopping) => {}
    }
}

async fn answer(server: Arc<Server>, request: Request<Incoming>) -> Result<Response<Body>, Closed> {
    let (parts, body) = request.into_parts();
    if let Err(error) = refuse_strangers(&parts.headers) {
        return Ok(response(Err(error)));
    }
    let body = match axum::body::to_bytes(Body::new(body), LARGEST_BODY).await {
        Ok(body) => body,
        Err(_) => {
            let message = format!("Request entity too large: limit is {LARGEST_BODY}");
            return Ok(response(Err(ApiError::new(413, "RequestEntityTooLarge", message))));
        }
    };
    let Ok(Query(pairs)) = Query::try_from_uri(&parts.uri) else {
        return Ok(response(Err(ApiError::bad_request("the query of the URL is not readable"))));
    };
    let target = route::target(&server.kinds, parts.uri.path());
    if matches!(&target, Some(Target::Page(segments)) if *segments == ["openapi", "v2"]) {
        return Ok(response(Ok(pages::openapi_v2())));
    }
    let accept = parts.headers.get(ACCEPT).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let accept = match Accept::parse(accept) {
        Ok(accept) => accept,
        Err(error) => return Ok(response(Err(error))),
    };
    let text = |name| parts.headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
    match target {
        None => Ok(response(Err(ApiError::unknown_path()))),
        Some(Target::Page(segments)) => Ok(response(pages::page(&server, &parts.method, &segments, accept, &body))),
        Some(Target::Objects(place)) => {
            let params = Params::new(pairs);
            let call = Call {
                method: parts.method.clone(),
                place,
                render: accept.render(params.get("includeObject")),
                params,
                content_type: text(CONTENT_TYPE),
                user_agent: text(USER_AGENT),
                body,
                watch_fault: None,
            };
            objects(server, call, parts.uri.path()).await
        }
    }
}

/// Executes a call for objects, with the faults that the rules put in its way.
async fn objects(server: Arc<Server>, mut call: Call, path: &str) -> Result<Response<Body>, Closed> {
    let verb = call.verb();
    let faults = server.faults.meet(Facts {
        verb,
        mutating: !["get", "list", "watch"].contains(&verb) && !call.params.dry_run(),
        resource: &call.place.kind.key,
        namespace: &call.place.namespace,
        name: &call.place.name,
        path,
    });
    let mut lost = false;
    for fault in faults {
        match fault {
            Fault::None => {}
            Fault::Latency { millis } => tokio::time::sleep(Duration::from_millis(millis)).await,
            Fault::Status { code, retry_after, message } => {
                return Ok(response(Err(injected(code, retry_after, message))));
            }
            Fault::Disconnect => return Err(Closed),
            Fault::LoseResponse => lost = true,
            Fault::DropWatch { .. } | Fault::ExpireWatch => call.watch_fault = Some(fault),
        }
    }
    // Executed apart from the connection: a client that leaves does not leave a write half made.
    let executed = tokio::spawn(async move { call.execute(server).await }).await;
    if lost {
        return Err(Closed);
    }
    let outcome = executed.unwrap_or_else(|_| Err(ApiError::internal("the request could not be completed")));
    Ok(response(outcome))
}

fn injected(code: u16, retry_after: Option<u64>, message: Option<String>) -> ApiError {
    let (reason, usual) = match code {
        409 => ("Conflict", "the object has been modified; please apply your changes to the latest version"),
        410 => ("Expired", "The resourceVersion for the provided watch is too old."),
        429 => ("TooManyRequests", "Too many requests, please try again later."),
        403 => ("Forbidden", "forbidden on purpose"),
        503 => ("ServiceUnavailable", "the server is currently unable to handle the request"),
        504 => ("Timeout", "the request did not complete within the allotted time"),
        _ => ("InternalError", "an error on the server has prevented the request from succeeding"),
    };
    let error = ApiError::new(code, reason, message.unwrap_or_else(|| usual.to_owned()));
    match retry_after {
        Some(seconds) => error.with_retry_after(seconds),
        None => error,
    }
}

/// Loopback is no secret to a browser on this machine: refuses names that resolve here (DNS rebinding) and pages of
/// other sites.
fn refuse_strangers(headers: &HeaderMap) -> Result<(), ApiError> {
    let refused = |why: &str| ApiError::new(403, "Forbidden", format!("this embedded API server {why}"));
    let host = headers.get(HOST).and_then(|v| v.to_str().ok()).unwrap_or_default();
    if !is_loopback(host) {
        return Err(refused("answers only to a loopback Host, such as 127.0.0.1 or localhost"));
    }
    if headers.contains_key(ORIGIN) {
        return Err(refused("answers no browsers: the request has an Origin"));
    }
    Ok(())
}

fn is_loopback(host: &str) -> bool {
    if let Ok(address) = host.parse::<SocketAddr>() {
        return address.ip().is_loopback();
    }
    let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
    if let Ok(address) = bare.parse::<IpAddr>() {
        return address.is_loopback();
    }
    let name = host.rsplit_once(':').map_or(host, |(name, port)| if port.parse::<u16>().is_ok() { name } else { host });
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok_and(|a| a.is_loopback())
}

fn response(outcome: Result<Answer, ApiError>) -> Response<Body> {
    match outcome {
        Ok(answer) => answered(answer),
        Err(error) if error == ApiError::unknown_path() => answered(Answer {
            content: Content::Text("404 page not found\n".to_owned()),
            media: PLAIN,
            ..Answer::bytes(404, "")
        }),
        Err(error) => {
            let mut response = answered(Answer::json(error.code, &error.body()));
            if let Some(seconds) = error.retry_after {
                response.headers_mut().insert(RETRY_AFTER, seconds.into());
            }
            response
        }
    }
}

fn answered(answer: Answer) -> Response<Body> {
    let body = match answer.content {
        Content::Json(bytes) => Body::from(bytes),
        Content::Text(text) => Body::from(text),
        Content::Stream(body) => body,
    };
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(answer.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(answer.media));
    for warning in answer.warnings {
        let quoted =
            warning.replace('\\', r"\\").replace('"', "\\\"").replace(|c: char| c.is_control() || !c.is_ascii(), " ");
        if let Ok(value) = HeaderValue::from_str(&format!("299 - \"{quoted}\"")) {
            response.headers_mut().append(WARNING, value);
        }
    }
    response
}
