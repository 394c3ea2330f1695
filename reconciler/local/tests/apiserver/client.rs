//! A server in a folder of its own, and an HTTP client small enough to see every byte.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use dayfly_local::apiserver::{ApiServer, Config, Handle};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

pub const APPLY: &str = "application/apply-patch+yaml";
pub const MERGE: &str = "application/merge-patch+json";

/// What came back.
#[derive(Debug)]
pub struct Reply {
    pub code: u16,
    pub head: String,
    pub text: String,
}

impl Reply {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|e| panic!("{e}: {}", self.text))
    }

    pub fn message(&self) -> String {
        self.json()["message"].as_str().unwrap_or_default().to_owned()
    }

    /// The body, which must be of a success.
    pub fn ok(self) -> Value {
        assert!(self.code < 300, "{} {}", self.code, self.text);
        self.json()
    }
}

/// A running server and its folder.
pub struct Stack {
    pub server: Handle,
    folder: TempDir,
}

impl Stack {
    pub async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config::new(folder.path());
        change(&mut config);
        Self { server: ApiServer::start(config).await.unwrap(), folder }
    }

    /// Stops the server and starts another on the same folder.
    pub async fn restarted(self) -> Self {
        self.server.shutdown().await;
        Self { server: ApiServer::start(Config::new(self.folder.path())).await.unwrap(), folder: self.folder }
    }

    /// The server, and the folder that outlives it.
    pub fn apart(self) -> (Handle, TempDir) {
        (self.server, self.folder)
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub async fn get(&self, path: &str) -> Reply {
        self.send("GET", path, "", "").await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Reply {
        self.send("POST", path, "application/json", &body.to_string()).await
    }

    pub async fn put(&self, path: &str, body: &Value) -> Reply {
        self.send("PUT", path, "application/json", &body.to_string()).await
    }

    pub async fn patch(&self, path: &str, media: &str, body: &Value) -> Reply {
        self.send("PATCH", path, media, &body.to_string()).await
    }

    pub async fn delete(&self, path: &str) -> Reply {
        self.send("DELETE", path, "", "").await
    }

    pub async fn send(&self, method: &str, path: &str, media: &str, body: &str) -> Reply {
        self.try_send(method, path, &content_type(media), body).await.unwrap()
    }

    /// Sends with these header lines; an error is a connection without an answer.
    pub async fn try_send(&self, method: &str, path: &str, headers: &str, body: &str) -> std::io::Result<Reply> {
        let mut stream = self.request(method, path, headers, body).await?;
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await?;
        let text = String::from_utf8(bytes).unwrap();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        };
        let code = head.split(' ').nth(1).unwrap().parse().unwrap();
        let chunked = head.to_lowercase().contains("transfer-encoding: chunked");
        let text = if chunked { unchunked(body) } else { body.to_owned() };
        Ok(Reply { code, head: head.to_owned(), text })
    }

    /// Opens a watch; `path` has its query.
    pub async fn watch(&self, path: &str) -> Watch {
        let stream = self.request("GET", path, "", "").await.unwrap();
        let mut lines = BufReader::new(stream);
        let mut line = String::new();
        while line != "\r\n" {
            line.clear();
            assert_ne!(lines.read_line(&mut line).await.unwrap(), 0, "the watch did not begin");
        }
        Watch { lines }
    }

    async fn request(&self, method: &str, path: &str, headers: &str, body: &str) -> std::io::Result<TcpStream> {
        let addr: SocketAddr = self.server.addr();
        let mut stream = TcpStream::connect(addr).await?;
        let host = if headers.contains("Host:") { String::new() } else { format!("Host: {addr}\r\n") };
        let length = body.len();
        let head = format!(
            "{method} {path} HTTP/1.1\r\n{host}Connection: close\r\nUser-Agent: tester/1\r\nContent-Length: {length}\r\n{headers}\r\n"
        );
        stream.write_all(head.as_bytes()).await?;
        stream.write_all(body.as_bytes()).await?;
        Ok(stream)
    }

    /// Asks until the answer is as wished.
    pub async fn until(&self, path: &str, wished: impl Fn(&Reply) -> bool) -> Reply {
        for _ in 0..500 {
            let reply = self.get(path).await;
            if wished(&reply) {
                return reply;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{path} did not become as wished: {}", self.get(path).await.text);
    }

    pub async fn until_gone(&self, path: &str) {
        self.until(path, |reply| reply.code == 404).await;
    }
}

/// The events of a watch.
pub struct Watch {
    lines: BufReader<TcpStream>,
}

impl Watch {
    /// The next event; `None` when the watch has ended.
    pub async fn next(&mut self) -> Option<Value> {
        loop {
            let mut line = String::new();
            let read = tokio::time::timeout(Duration::from_secs(10), self.lines.read_line(&mut line)).await;
            if read.expect("an event or the end").unwrap_or(0) == 0 {
                return None;
            }
            // Chunk sizes and empty lines stand between events.
            if line.starts_with('{') {
                return Some(serde_json::from_str(&line).unwrap());
            }
        }
    }

    /// The next event as `ADDED name`.
    pub async fn short(&mut self) -> String {
        let event = self.next().await.expect("an event");
        let name = event["object"]["metadata"]["name"].as_str().unwrap_or("-").to_owned();
        format!("{} {name}", event["type"].as_str().unwrap())
    }
}

pub fn content_type(media: &str) -> String {
    if media.is_empty() { String::new() } else { format!("Content-Type: {media}\r\n") }
}

fn unchunked(mut body: &str) -> String {
    let mut text = String::new();
    while let Some((size, rest)) = body.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).unwrap();
        text.push_str(&rest[..size]);
        body = rest[size..].trim_start_matches("\r\n");
        if size == 0 {
            break;
        }
    }
    text
}

pub const MAPS: &str = "/api/v1/namespaces/default/configmaps";

pub fn map(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"key": "1"}})
}

pub fn labelled(name: &str, label: &str) -> Value {
    json!({"metadata": {"name": name, "labels": {"app": label}}})
}

pub fn deployment(name: &str, replicas: u32) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
        "spec": {
            "replicas": replicas, "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [{"name": "main", "image": "registry.example.com/main:1"}]},
            },
        },
    })
}
