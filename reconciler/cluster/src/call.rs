//! The one place where a cluster is called: every call is counted, numbered, limited, retried and explained here.

use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

use dayfly_calls::{Call, CallPhase, Stopped, Verb};
use futures::{Stream, StreamExt as _};
use http::HeaderMap;
use kube::client::Body;
use kube::core::WatchEvent;
use serde_json::Value;

use super::Cluster;
use super::error::{ClusterError, ClusterErrorKind, classify};
use super::limit::Pressure;
use super::request::Request;

/// Attempts at one call before it is given up.
const ATTEMPTS: u32 = 5;
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);
/// How long one attempt may take; an API server gives its webhooks 30 s at most.
const PATIENCE: Duration = Duration::from_secs(60);

/// What an API server answered to a call that it carried out.
pub(super) struct Answer {
    /// 201 where something was created.
    pub(super) status: u16,
    /// The JSON body.
    pub(super) body: Value,
}

/// What one attempt came to.
enum Attempt {
    Done(Answer),
    Refused { status: u16, body: Value, pause: Option<Duration> },
    Lost(String),
}

impl Cluster {
    /// Calls the API server, again and again while that may help.
    pub(super) async fn call(&self, request: Request) -> Result<Answer, ClusterError> {
        let error = |fact| self.error(request.subject(), fact);
        for attempt in 1.. {
            let (fact, pause) = match self.attempt(&request).await.map_err(error)? {
                Attempt::Done(answer) => return Ok(answer),
                Attempt::Refused { status, body, pause } => {
                    let fact = classify(&request, status, &body, attempt);
                    let may_pass = matches!(status, 429 | 500 | 502 | 503 | 504)
                        && !matches!(fact, ClusterErrorKind::Invalid(_) | ClusterErrorKind::StorageRefuses(_));
                    if !may_pass && fact != ClusterErrorKind::QuotaUncounted {
                        return Err(error(fact));
                    }
                    (fact, pause)
                }
                Attempt::Lost(why) => (ClusterErrorKind::Unreachable(why), None),
            };
            if attempt >= ATTEMPTS {
                return Err(error(fact));
            }
            let pause = pause.unwrap_or_else(|| self.backoff(attempt));
            if pause > PATIENCE {
                return Err(error(fact));
            }
            tracing::debug!(cluster = self.name(), path = request.path(), attempt, ?pause, %fact, "calling again");
            tokio::time::sleep(pause).await;
        }
        Err(error(Stopped.into()))
    }

    async fn attempt(&self, request: &Request) -> Result<Attempt, ClusterErrorKind> {
        let permit = self.limiter().enter().await;
        let started = Instant::now();
        let result = self.send(request).await;
        let pressure = match &result {
            Ok(Attempt::Refused { status: 429 | 503, .. }) => Pressure::Overload,
            Ok(Attempt::Done(_)) if request.verb() != Verb::List => Pressure::Answered(started.elapsed()),
            _ => Pressure::None,
        };
        self.limiter().leave(permit, pressure);
        result
    }

    async fn send(&self, request: &Request) -> Result<Attempt, ClusterErrorKind> {
        let path = request.path();
        let call = self.number(request, &path)?;
        let http = request.to_http()?.map(Body::from);
        let exchange = async {
            let response = self.client().send(http).await.map_err(cause)?;
            let (parts, body) = response.into_parts();
            Ok::<_, String>((parts.status.as_u16(), parts.headers, body.collect_bytes().await.map_err(cause)?))
        };
        let answer = tokio::time::timeout(PATIENCE, exchange).await;
        self.calls().ask(&call, CallPhase::After)?;
        let (status, headers, bytes) = match answer {
            Err(_) => return Ok(Attempt::Lost(format!("no answer within {} s", PATIENCE.as_secs()))),
            Ok(Err(why)) => return Ok(Attempt::Lost(why)),
            Ok(Ok(answer)) => answer,
        };
        let parsed = serde_json::from_slice(&bytes);
        if !(200..300).contains(&status) {
            let text = || serde_json::json!({"message": String::from_utf8_lossy(&bytes).trim()});
            let body = parsed.unwrap_or_else(|_| text());
            let pause = retry_after(&headers, &body);
            return Ok(Attempt::Refused { status, body, pause });
        }
        let body = parsed
            .map_err(|error| ClusterErrorKind::Server { status, message: format!("its answer is no JSON: {error}") })?;
        Ok(Attempt::Done(Answer { status, body }))
    }

    fn number<'a>(&'a self, request: &Request, path: &'a str) -> Result<Call<'a>, ClusterErrorKind> {
        let writes = request.writes();
        let number = self.calls().count(writes);
        let call = Call { number, to: self.name(), verb: request.verb(), path, writes };
        tracing::debug!(number, to = call.to, verb = ?call.verb, path, "call");
        self.calls().ask(&call, CallPhase::Before)?;
        Ok(call)
    }

    /// Opens a watch. It holds no place in the limiter: it lasts, and costs the server little.
    pub(super) async fn stream(
        &self,
        request: Request,
    ) -> Result<impl Stream<Item = Result<WatchEvent<Value>, ClusterErrorKind>> + use<>, ClusterError> {
        let error = |fact| self.error(request.subject(), fact);
        let path = request.path();
        let call = self.number(&request, &path).map_err(error)?;
        let opened = self.client().request_events::<Value>(request.to_http().map_err(error)?).await;
        self.calls().ask(&call, CallPhase::After).map_err(|stopped| error(stopped.into()))?;
        let refused = |failure| match failure {
            kube::Error::Api(status) => {
                let body = serde_json::to_value(&*status).unwrap_or_default();
                classify(&request, status.code, &body, 1)
            }
            other => ClusterErrorKind::Unreachable(cause(other)),
        };
        let stream = opened.map_err(|failure| error(refused(failure)))?;
        Ok(stream.map(|event| {
            event.map_err(|failure| match failure {
                kube::Error::Api(status) if status.code == 410 => ClusterErrorKind::Moved(status.message.clone()),
                other => ClusterErrorKind::Unreachable(cause(other)),
            })
        }))
    }

    /// A pause that doubles, of which a random half is taken off, so that many callers don't come back at once.
    pub(super) fn backoff(&self, attempt: u32) -> Duration {
        let pause = FIRST_PAUSE.saturating_mul(1 << (attempt - 1).min(8)).min(LONGEST_PAUSE);
        let random = RandomState::new().hash_one(attempt) as f64 / u64::MAX as f64;
        pause.mul_f64(0.5 + random / 2.0)
    }

    pub(super) fn error(&self, subject: impl Into<String>, kind: ClusterErrorKind) -> ClusterError {
        ClusterError { cluster: self.name().to_owned(), subject: subject.into(), kind }
    }
}

fn retry_after(headers: &HeaderMap, body: &Value) -> Option<Duration> {
    let header = headers.get(http::header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
    header.or_else(|| body.pointer("/details/retryAfterSeconds")?.as_u64()).map(Duration::from_secs)
}

/// The innermost cause says what happened (`Connection refused`); what is around it says only where.
fn cause(error: kube::Error) -> String {
    let mut innermost: &dyn std::error::Error = &error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn retry_after_is_read_from_the_header_or_the_status() {
        let mut headers = HeaderMap::new();
        assert_eq!(retry_after(&headers, &json!({})), None);
        let told = json!({"details": {"retryAfterSeconds": 3}});
        assert_eq!(retry_after(&headers, &told), Some(Duration::from_secs(3)));
        headers.insert(http::header::RETRY_AFTER, "2".parse().unwrap());
        assert_eq!(retry_after(&headers, &told), Some(Duration::from_secs(2)));
    }
}
