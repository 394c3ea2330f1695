//! Watches: JSON lines of what changes, from a version on, with bookmarks, until the client, a timeout or 410 ends it.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use serde_json::{Value, json};
use tokio::sync::mpsc::{self, Sender};
use tokio::time::{Instant, interval_at, sleep_until};
use tokio_stream::wrappers::ReceiverStream;

use super::Server;
use super::object;
use super::read::Filter;
use super::render::Render;
use super::route::Kind;
use super::status::ApiError;
use super::store::{Change, Entry, Event};

const INITIAL_EVENTS_END: &str = "k8s.io/initial-events-end";
const BOOKMARK_EVERY: Duration = Duration::from_secs(30);
const LONGEST: Duration = Duration::from_secs(3600);
/// A chunk is sent when it has grown to this.
const CHUNK: usize = 64 * 1024;

/// What a watch is asked to do.
#[derive(Debug)]
pub(super) struct Options {
    /// Events after this version; without it, first every object there is.
    pub from: Option<u64>,
    /// The objects there are come first, and a bookmark marks their end.
    pub initial_events: bool,
    pub bookmarks: bool,
    pub timeout: Option<Duration>,
    /// On purpose: break the connection after so many events.
    pub drop_after: Option<u64>,
}

/// What befalls all watches that are open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Order {
    /// Counts up with each order.
    pub number: u64,
    /// End with 410 rather than as a dropped connection.
    pub expire: bool,
}

/// Why a watch ends.
enum End {
    Quiet,
    Broken,
}

/// Why a watch wakes up.
enum Wake {
    Event,
    Bookmark,
    Timeout,
    Order(Order),
    Over,
}

type Line = Result<Bytes, std::io::Error>;

/// Starts a watch; its body ends with the watch.
pub(super) fn start(server: Arc<Server>, kind: Arc<Kind>, filter: Filter, render: Render, options: Options) -> Body {
    let (sender, receiver) = mpsc::channel::<Line>(16);
    let mut watch =
        Watch { server, kind, filter, render, sender, version: 0, events: 0, drop_after: options.drop_after };
    tokio::spawn(async move {
        if let Err(End::Broken) = watch.run(options).await {
            // What was sent arrives; then the connection breaks.
            tokio::time::sleep(Duration::from_millis(20)).await;
            let _ = watch.sender.send(Err(std::io::ErrorKind::ConnectionReset.into())).await;
        }
    });
    Body::from_stream(ReceiverStream::new(receiver))
}

struct Watch {
    server: Arc<Server>,
    kind: Arc<Kind>,
    filter: Filter,
    render: Render,
    sender: Sender<Line>,
    /// Everything up to this version has been sent.
    version: u64,
    events: u64,
    drop_after: Option<u64>,
}

impl Watch {
    async fn run(&mut self, options: Options) -> Result<(), End> {
        let mut latest = self.server.store.follow(&self.kind.key);
        let mut orders = self.server.orders.subscribe();
        let mut stop = self.server.stop.clone();
        let deadline = Instant::now() + options.timeout.unwrap_or(LONGEST).min(LONGEST);
        let mut ticks = interval_at(Instant::now() + BOOKMARK_EVERY, BOOKMARK_EVERY);
        match options.from {
            Some(version) => self.version = version,
            None => self.send_initial(options.initial_events).await?,
        }
        loop {
            latest.borrow_and_update();
            self.send_new().await?;
            let wake = tokio::select! {
                _ = latest.changed() => Wake::Event,
                () = self.sender.closed() => Wake::Over,
                _ = stop.changed() => Wake::Over,
                _ = ticks.tick() => Wake::Bookmark,
                () = sleep_until(deadline) => Wake::Timeout,
                _ = orders.changed() => Wake::Order(*orders.borrow()),
            };
            match wake {
                Wake::Event => {}
                Wake::Over => return Ok(()),
                Wake::Order(order) => return self.obey(order.expire).await,
                Wake::Bookmark | Wake::Timeout => {
                    self.send_new().await?;
                    if options.bookmarks {
                        self.send(self.bookmark(false)).await?;
                    }
                    if matches!(wake, Wake::Timeout) {
                        return Ok(());
                    }
                }
            }
        }
    }

    async fn obey(&mut self, expire: bool) -> Result<(), End> {
        if !expire {
            return Err(End::Broken);
        }
        self.send(error_line(&ApiError::expired(self.version, self.server.store.version()))).await
    }

    /// Sends every object there is as ADDED.
    async fn send_initial(&mut self, mark: bool) -> Result<(), End> {
        let (entries, version) = self.server.store.list(&self.kind.key, &self.filter.namespace);
        let mut lines = Vec::new();
        for entry in entries {
            if !self.filter.matches(&entry) {
                continue;
            }
            if self.line(&mut lines, "ADDED", &entry).is_err() {
                self.send(lines).await?;
                return Err(End::Broken);
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

    /// Sends what happened since the last time.
    async fn send_new(&mut self) -> Result<(), End> {
        let now = self.server.store.version();
        let events = match self.server.store.events(&self.kind.key, self.version) {
            Ok(events) => events,
            Err(expired) => {
                self.send(error_line(&ApiError::expired(self.version, expired.oldest))).await?;
                return Err(End::Quiet);
            }
        };
        let mut lines = Vec::new();
        for event in &events {
            if self.event(&mut lines, event).is_err() {
                self.send(lines).await?;
                return Err(End::Broken);
            }
            if lines.len() > CHUNK {
                self.send(std::mem::take(&mut lines)).await?;
            }
        }
        self.send(lines).await?;
        self.version = events.last().map_or(0, |e| e.entry.version).max(now).max(self.version);
        Ok(())
    }

    /// Writes an event as this watch's selectors see it.
    fn event(&mut self, lines: &mut Vec<u8>, event: &Event) -> Result<(), End> {
        let matched = event.previous.as_ref().filter(|p| self.filter.matches(p));
        let matches = event.change != Change::Deleted && self.filter.matches(&event.entry);
        match (matched, matches) {
            (None, false) => Ok(()),
            (None, true) => self.line(lines, "ADDED", &event.entry),
            (Some(_), true) => self.line(lines, "MODIFIED", &event.entry),
            (Some(_), false) if event.change == Change::Deleted => self.line(lines, "DELETED", &event.entry),
            // It left the selection: the state that was in it, under the version of the change.
            (Some(previous), false) => self.line(lines, "DELETED", &previous.at_version(event.entry.version)),
        }
    }

    fn line(&mut self, lines: &mut Vec<u8>, change: &str, entry: &Entry) -> Result<(), End> {
        if self.drop_after.is_some_and(|after| self.events >= after) {
            return Err(End::Broken);
        }
        self.events += 1;
        lines.extend_from_slice(b"{\"type\":\"");
        lines.extend_from_slice(change.as_bytes());
        lines.extend_from_slice(b"\",\"object\":");
        self.render.event(lines, &self.kind, entry, self.events == 1);
        lines.extend_from_slice(b"}\n");
        Ok(())
    }

    fn bookmark(&self, end_of_initial: bool) -> Vec<u8> {
        let mut metadata = json!({"resourceVersion": self.version.to_string(), "creationTimestamp": null});
        if end_of_initial && let Some(metadata) = metadata.as_object_mut() {
            metadata.insert("annotations".to_owned(), json!({INITIAL_EVENTS_END: "true"}));
        }
        let (kind, api_version) = self.render.kind_of(&self.kind);
        line(&json!({"type": "BOOKMARK", "object": {"kind": kind, "apiVersion": api_version, "metadata": metadata}}))
    }

    async fn send(&self, lines: Vec<u8>) -> Result<(), End> {
        if lines.is_empty() {
            return Ok(());
        }
        self.sender.send(Ok(lines.into())).await.map_err(|_| End::Quiet)
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
