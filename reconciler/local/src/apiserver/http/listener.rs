//! The loopback listener: it takes connections, decides who may ask, and hands requests on.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Query;
use http::header::{ACCEPT, CONTENT_TYPE, HOST, HeaderMap, ORIGIN, USER_AGENT};
use http::{Request, Response};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

use super::faults::{self, InjectedFault};
use super::query::QueryParams;
use super::representation::Accept;
use super::request::ObjectRequest;
use super::response::to_http;
use super::route::{self, RequestTarget};
use super::{HttpServer, pages};
use crate::apiserver::status::ApiError;

/// The limit of a real server.
const MAX_BODY: usize = 3 * 1024 * 1024;

/// An injected fault closes the connection without a response.
#[derive(Debug, thiserror::Error)]
#[error("closed on purpose")]
struct ClosedOnPurpose;

/// Serves until the server stops, which also closes open connections.
pub async fn serve(listener: TcpListener, server: Arc<HttpServer>) {
    let mut stop = server.stop.clone();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.wait_for(|stopping| *stopping) => return,
        };
        match accepted {
            Ok((stream, _)) => drop(tokio::spawn(connection(stream, server.clone()))),
            // The likely reason is a lack of file descriptors: wait until some are closed.
            Err(error) => {
                tracing::warn!(%error, "a connection was not accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn connection(stream: TcpStream, server: Arc<HttpServer>) {
    let _ = stream.set_nodelay(true); // without it requests are only slower
    let mut stop = server.stop.clone();
    let service = hyper::service::service_fn(move |request| respond(server.clone(), request));
    let connection = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        ended = connection => if let Err(error) = ended {
            tracing::trace!(%error, "a connection ended early");
        },
        _ = stop.wait_for(|stopping| *stopping) => {}
    }
}

async fn respond(server: Arc<HttpServer>, request: Request<Incoming>) -> Result<Response<Body>, ClosedOnPurpose> {
    let (parts, body) = request.into_parts();
    if let Err(error) = refuse_strangers(&parts.headers) {
        return Ok(to_http(Err(error)));
    }
    let body = match axum::body::to_bytes(Body::new(body), MAX_BODY).await {
        Ok(body) => body,
        Err(_) => {
            let message = format!("Request entity too large: limit is {MAX_BODY}");
            return Ok(to_http(Err(ApiError::new(413, "RequestEntityTooLarge", message))));
        }
    };
    let Ok(Query(pairs)) = Query::try_from_uri(&parts.uri) else {
        return Ok(to_http(Err(ApiError::bad_request("the query of the URL is not readable"))));
    };
    let target = route::target(&server.registry.kinds, parts.uri.path());
    if matches!(&target, Some(RequestTarget::Page(segments)) if *segments == ["openapi", "v2"]) {
        return Ok(to_http(Ok(pages::openapi_v2())));
    }
    let accept = parts.headers.get(ACCEPT).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let accept = match Accept::parse(accept) {
        Ok(accept) => accept,
        Err(error) => return Ok(to_http(Err(error))),
    };
    let header = |name| parts.headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
    match target {
        None => Ok(to_http(Err(ApiError::unknown_path()))),
        Some(RequestTarget::Page(segments)) => {
            Ok(to_http(pages::page(&server, &parts.method, &segments, accept, &body)))
        }
        Some(RequestTarget::Objects(address)) => {
            let query = QueryParams::new(pairs);
            let request = ObjectRequest {
                method: parts.method.clone(),
                address,
                representation: accept.representation(query.get("includeObject")),
                query,
                content_type: header(CONTENT_TYPE),
                user_agent: header(USER_AGENT),
                body,
                watch_fault: None,
            };
            respond_with_faults(server, request, parts.uri.path()).await
        }
    }
}

/// Executes a request for objects, with the faults that are injected into it.
async fn respond_with_faults(
    server: Arc<HttpServer>,
    mut request: ObjectRequest,
    path: &str,
) -> Result<Response<Body>, ClosedOnPurpose> {
    let mut lose_response = false;
    let faults = server.faults.count(request.attributes(path));
    for fault in faults {
        match fault {
            InjectedFault::None => {}
            InjectedFault::Latency { millis } => tokio::time::sleep(Duration::from_millis(millis)).await,
            InjectedFault::Status { code, retry_after, message } => {
                return Ok(to_http(Err(faults::injected_error(code, retry_after, message))));
            }
            InjectedFault::Disconnect => return Err(ClosedOnPurpose),
            InjectedFault::LoseResponse => lose_response = true,
            InjectedFault::DropWatch { .. } | InjectedFault::ExpireWatch => request.watch_fault = Some(fault),
        }
    }
    // In a task of its own, so that a write is completed although the client disconnects.
    let executed = tokio::spawn(async move { request.execute(server).await }).await;
    if lose_response {
        return Err(ClosedOnPurpose);
    }
    let outcome = executed.unwrap_or_else(|_| Err(ApiError::internal("the request could not be completed")));
    Ok(to_http(outcome))
}

/// Refuses browsers, which can reach loopback: by host names that resolve to it (DNS rebinding), and from pages of other
/// sites.
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
