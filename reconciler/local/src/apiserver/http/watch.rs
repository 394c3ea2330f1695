//! Watches: a stream of JSON lines, one for each event of a kind.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use serde_json::{Value, json};
use tokio::sync::mpsc::{self, Sender};
use tokio::time::{Instant, interval_at, sleep_until};
use tokio_stream::wrappers::ReceiverStream;

use super::HttpServer;
use super::representation::Representation;
use crate::apiserver::kinds::ServedKind;
use crate::apiserver::object;
use crate::apiserver::registry::filter::ObjectFilter;
use crate::apiserver::status::ApiError;
use crate::apiserver::store::{EventType, StoreEvent, StoredObject};

const INITIAL_EVENTS_END: &str = "k8s.io/initial-events-end";
const BOOKMARK_EVERY: Duration = Duration::from_secs(30);
const MAX_DURATION: Duration = Duration::from_secs(3600);
/// Lines are sent when there are this many bytes of them.
const CHUNK: usize = 64 * 1024;

#[derive(Debug)]
pub(super) struct WatchOptions {
    /// Send the events after this version. None sends all objects first.
    pub from: Option<u64>,
    /// Mark with a bookmark that all objects have been sent.
    pub initial_events: bool,
    pub bookmarks: bool,
    pub timeout: Option<Duration>,
    /// An injected fault: break the connection after so many events.
    pub drop_after: Option<u64>,
}

/// The end of all open watches, which tests ask for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct WatchInterruption {
    /// How many interruptions there were.
    pub number: u64,
    /// Watches end with 410 rather than with a broken connection.
    pub expire: bool,
}

/// Why a watch ends before its time.
enum WatchEnd {
    /// The client has left or been told why.
    Quiet,
    /// The connection is to break.
    Broken,
}

/// Why a watch wakes up.
enum WatchWakeup {
    Event,
    Bookmark,
    Timeout,
    Interruption(WatchInterruption),
    /// The client has left, or the server stops.
    Over,
}

type WatchChunk = Result<Bytes, std::io::Error>;

/// Starts a watch, and returns the body of its response.
pub(super) fn start(
    server: Arc<HttpServer>,
    kind: Arc<ServedKind>,
    filter: ObjectFilter,
    representation: Representation,
    options: WatchOptions,
) -> Body {
    let (sender, receiver) = mpsc::channel::<WatchChunk>(16);
    let mut watch = WatchStream {
        server,
        kind,
        filter,
        representation,
        sender,
        version: 0,
        events: 0,
        drop_after: options.drop_after,
    };
    tokio::spawn(async move {
        if let Err(WatchEnd::Broken) = watch.run(options).await {
            // Let what was sent arrive before the connection breaks.
            tokio::time::sleep(Duration::from_millis(20)).await;
            let _ = watch.sender.send(Err(std::io::ErrorKind::ConnectionReset.into())).await;
        }
    });
    Body::from_stream(ReceiverStream::new(receiver))
}

struct WatchStream {
    server: Arc<HttpServer>,
    kind: Arc<ServedKind>,
    filter: ObjectFilter,
    representation: Representation,
    sender: Sender<WatchChunk>,
    /// All events up to this version have been sent.
    version: u64,
    /// How many events were sent.
    events: u64,
    drop_after: Option<u64>,
}

impl WatchStream {
    async fn run(&mut self, options: WatchOptions) -> Result<(), WatchEnd> {
        let mut latest = self.server.registry.store.follow(&self.kind.group_resource);
        let mut interruptions = self.server.watch_interruptions.subscribe();
        let mut stop = self.server.stop.clone();
        let deadline = Instant::now() + options.timeout.unwrap_or(MAX_DURATION).min(MAX_DURATION);
        let mut ticks = interval_at(Instant::now() + BOOKMARK_EVERY, BOOKMARK_EVERY);
        match options.from {
            Some(version) => self.version = version,
            None => self.send_initial(options.initial_events).await?,
        }
        loop {
            latest.borrow_and_update();
            self.send_new().await?;
            let wakeup = tokio::select! {
                _ = latest.changed() => WatchWakeup::Event,
                () = self.sender.closed() => WatchWakeup::Over,
                _ = stop.changed() => WatchWakeup::Over,
                _ = ticks.tick() => WatchWakeup::Bookmark,
                () = sleep_until(deadline) => WatchWakeup::Timeout,
                _ = interruptions.changed() => WatchWakeup::Interruption(*interruptions.borrow()),
            };
            match wakeup {
                WatchWakeup::Event => {}
                WatchWakeup::Over => return Ok(()),
                WatchWakeup::Interruption(interruption) => return self.interrupt(interruption).await,
                WatchWakeup::Bookmark | WatchWakeup::Timeout => {
                    self.send_new().await?;
                    if options.bookmarks {
                        self.send(self.bookmark(false)).await?;
                    }
                    if matches!(wakeup, WatchWakeup::Timeout) {
                        return Ok(());
                    }
                }
            }
        }
    }

    async fn interrupt(&mut self, interruption: WatchInterruption) -> Result<(), WatchEnd> {
        if !interruption.expire {
            return Err(WatchEnd::Broken);
        }
        self.send(error_line(&ApiError::expired(self.version, self.server.registry.store.version()))).await
    }

    /// Sends all objects as ADDED.
    async fn send_initial(&mut self, mark: bool) -> Result<(), WatchEnd> {
        let (objects, version) = self.server.registry.store.list(&self.kind.group_resource, &self.filter.namespace);
        let mut lines = Vec::new();
        for object in objects {
            if !self.filter.matches(&object) {
                continue;
            }
            if self.line(&mut lines, "ADDED", &object).is_err() {
                self.send(lines).await?;
                return Err(WatchEnd::Broken);
            }
            if lines.len() > CHUNK {
                self.send(std::mem::take(&mut lines)).await?;
            }
        }
        self.version = version;
        if mark {
            lines.extend(self.bookmark(true));
        }
        self.send(lines).await
    }

    /// Sends the events that are new.
    async fn send_new(&mut self) -> Result<(), WatchEnd> {
        let now = self.server.registry.store.version();
        let events = match self.server.registry.store.events(&self.kind.group_resource, self.version) {
            Ok(events) => events,
            Err(expired) => {
                self.send(error_line(&ApiError::expired(self.version, expired.oldest))).await?;
                return Err(WatchEnd::Quiet);
            }
        };
        let mut lines = Vec::new();
        for event in &events {
            if self.event(&mut lines, event).is_err() {
                self.send(lines).await?;
                return Err(WatchEnd::Broken);
            }
            if lines.len() > CHUNK {
                self.send(std::mem::take(&mut lines)).await?;
            }
        }
        self.send(lines).await?;
        self.version = events.last().map_or(0, |e| e.object.version).max(now).max(self.version);
        Ok(())
    }

    /// Writes an event as it looks through the selectors: an object that begins to match is ADDED, one that no longer
    /// matches is DELETED.
    fn event(&mut self, lines: &mut Vec<u8>, event: &StoreEvent) -> Result<(), WatchEnd> {
        let matched = event.previous.as_ref().filter(|p| self.filter.matches(p));
        let matches = event.event_type != EventType::Deleted && self.filter.matches(&event.object);
        match (matched, matches) {
            (None, false) => Ok(()),
            (None, true) => self.line(lines, "ADDED", &event.object),
            (Some(_), true) => self.line(lines, "MODIFIED", &event.object),
            (Some(_), false) if event.event_type == EventType::Deleted => self.line(lines, "DELETED", &event.object),
            // The version that still matched, under the number of the version that no longer does.
            (Some(previous), false) => self.line(lines, "DELETED", &previous.at_version(event.object.version)),
        }
    }

    fn line(&mut self, lines: &mut Vec<u8>, event_type: &str, object: &StoredObject) -> Result<(), WatchEnd> {
        if self.drop_after.is_some_and(|after| self.events >= after) {
            return Err(WatchEnd::Broken);
        }
        self.events += 1;
        lines.extend_from_slice(b"{\"type\":\"");
        lines.extend_from_slice(event_type.as_bytes());
        lines.extend_from_slice(b"\",\"object\":");
        self.representation.event(lines, &self.kind, object, self.events == 1);
        lines.extend_from_slice(b"}\n");
        Ok(())
    }

    fn bookmark(&self, end_of_initial: bool) -> Vec<u8> {
        let mut metadata = json!({"resourceVersion": self.version.to_string(), "creationTimestamp": null});
        if end_of_initial {
            object::set_field(&mut metadata, "annotations", json!({INITIAL_EVENTS_END: "true"}));
        }
        let (kind, api_version) = self.representation.written_type(&self.kind);
        line(&json!({"type": "BOOKMARK", "object": {"kind": kind, "apiVersion": api_version, "metadata": metadata}}))
    }

    async fn send(&self, lines: Vec<u8>) -> Result<(), WatchEnd> {
        if lines.is_empty() {
            return Ok(());
        }
        self.sender.send(Ok(lines.into())).await.map_err(|_| WatchEnd::Quiet)
    }
}

fn error_line(error: &ApiError) -> Vec<u8> {
    line(&json!({"type": "ERROR", "object": error.body()}))
}

fn line(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    object::write_json(&mut out, value);
    out.push(b'\n');
    out
}
