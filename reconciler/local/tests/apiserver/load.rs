//! How many writes a second: `cargo test --release -p dayfly-local --test apiserver -- --ignored --nocapture`.

use std::time::Instant;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use crate::client::{Stack, deployment};

const CONNECTIONS: usize = 8;
const APPS: usize = 1000;

/// Sends patches over one connection, one after the other.
async fn send(addr: std::net::SocketAddr, requests: Vec<(String, Value)>) {
    let mut stream = BufReader::new(TcpStream::connect(addr).await.unwrap());
    for (path, body) in requests {
        let body = body.to_string();
        let head = format!(
            "PATCH {path}?fieldManager=load&force=true HTTP/1.1\r\nHost: {addr}\r\n\
             Content-Type: application/apply-patch+yaml\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all((head + &body).as_bytes()).await.unwrap();
        let (mut length, mut line, mut first) = (0, String::new(), String::new());
        while line != "\r\n" {
            line.clear();
            stream.read_line(&mut line).await.unwrap();
            if first.is_empty() {
                first.clone_from(&line);
            }
            if let Some(value) = line.strip_prefix("content-length: ") {
                length = value.trim().parse().unwrap();
            }
        }
        let mut answer = vec![0; length];
        stream.read_exact(&mut answer).await.unwrap();
        assert!(first.contains(" 20"), "{first} {}", String::from_utf8_lossy(&answer));
    }
}

/// Eleven objects of an app.
fn app(index: usize) -> Vec<(String, Value)> {
    let namespace = format!("app-{index}");
    let core = |kind: &str, name: &str| format!("/api/v1/namespaces/{namespace}/{kind}/{name}");
    let labels = json!({"app.kubernetes.io/name": namespace, "app.kubernetes.io/managed-by": "load"});
    let object = |kind: &str, version: &str, name: &str, rest: Value| {
        let mut object = json!({"apiVersion": version, "kind": kind, "metadata": {"name": name, "labels": labels}});
        object.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        object
    };
    let mut workload = deployment("web", 1);
    workload["metadata"]["labels"] = labels.clone();
    let mut all = vec![(format!("/api/v1/namespaces/{namespace}"), object("Namespace", "v1", &namespace, json!({})))];
    for name in ["one", "two", "three"] {
        all.push((core("configmaps", name), object("ConfigMap", "v1", name, json!({"data": {"a": "b".repeat(200)}}))));
    }
    for name in ["one", "two"] {
        all.push((core("secrets", name), object("Secret", "v1", name, json!({"data": {"a": "Yg=="}}))));
        all.push((core("serviceaccounts", name), object("ServiceAccount", "v1", name, json!({}))));
    }
    let ports = json!({"spec": {"ports": [{"port": 80}], "selector": {"app": "web"}}});
    all.push((core("services", "web"), object("Service", "v1", "web", ports)));
    let policy = json!({"spec": {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}});
    let path = format!("/apis/networking.k8s.io/v1/namespaces/{namespace}/networkpolicies/deny");
    all.push((path, object("NetworkPolicy", "networking.k8s.io/v1", "deny", policy)));
    all.push((format!("/apis/apps/v1/namespaces/{namespace}/deployments/web"), workload));
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
#[ignore = "a measurement"]
async fn applies_per_second() {
    let stack = Stack::new().await;
    for pass in ["creates", "no changes"] {
        let mut shares = vec![Vec::new(); CONNECTIONS];
        for index in 0..APPS {
            shares[index % CONNECTIONS].extend(app(index));
        }
        let count: usize = shares.iter().map(Vec::len).sum();
        let start = Instant::now();
        let addr = stack.server.addr();
        futures::future::join_all(shares.into_iter().map(|s| send(addr, s))).await;
        let seconds = start.elapsed().as_secs_f64();
        println!("{pass}: {count} applies in {seconds:.2} s, {:.0}/s", count as f64 / seconds);
    }
}
