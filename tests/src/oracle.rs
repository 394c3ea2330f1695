//! A real Kubernetes API server on loopback, to ask when in doubt about Kubernetes.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::json;
use tempfile::TempDir;
use tokio::net::TcpSocket;
use tokio::task::JoinHandle;

use crate::{clients, pods};

/// How long a server may take until it is ready; a cold, busy machine needs a while.
const PATIENCE: Duration = Duration::from_secs(120);

/// What stands before the point in the DER form of a P-256 public key (RFC 5480).
const P256_PUBLIC_KEY: [u8; 26] =
    *b"\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00";

/// A running etcd and kube-apiserver, with or without kube-controller-manager; stopped when dropped.
///
/// The binaries come from the folder that `KUBEBUILDER_ASSETS` names: `tests/oracle/build` makes one,
/// `setup-envtest` downloads another.
pub struct Oracle {
    processes: Vec<Process>,
    pods: Option<JoinHandle<()>>,
    assets: PathBuf,
    directory: TempDir,
    /// Keeps the port ours from choosing it until the end: the API server shares it.
    port: TcpSocket,
}

struct Process(Child);

impl Oracle {
    /// Starts a whole control plane with one node, on which every pod is ready at once.
    ///
    /// None without `KUBEBUILDER_ASSETS`, after saying so; where `CI` is set that is a failure instead.
    pub async fn start() -> Option<Self> {
        let mut oracle = Self::start_without_controllers().await?;
        oracle.start_controllers();
        oracle.pods = Some(tokio::spawn(pods::run(oracle.client().await)));
        Some(oracle)
    }

    /// Starts only the API server: objects stay as they were written.
    pub async fn start_without_controllers() -> Option<Self> {
        let Some(assets) = std::env::var_os("KUBEBUILDER_ASSETS") else {
            assert!(std::env::var_os("CI").is_none(), "CI asks a real API server: set KUBEBUILDER_ASSETS");
            eprintln!("SKIPPED: KUBEBUILDER_ASSETS names no real API server; `tests/oracle/build` makes one");
            return None;
        };
        let port = TcpSocket::new_v4().unwrap();
        port.set_reuseport(true).unwrap();
        port.bind(([127, 0, 0, 1], 0).into()).unwrap();
        let directory = tempfile::Builder::new().prefix("oracle-").tempdir().unwrap();
        let mut oracle = Self { processes: Vec::new(), pods: None, assets: assets.into(), directory, port };
        oracle.write_credentials();
        oracle.start_etcd();
        oracle.start_apiserver().await;
        Some(oracle)
    }

    /// A kubeconfig of a cluster administrator. Its context `dayfly` is of a user who has no rights until some are granted.
    pub fn kubeconfig(&self) -> PathBuf {
        self.path("kubeconfig")
    }

    /// The `kubectl` that came with the server.
    pub fn kubectl(&self) -> Command {
        let mut command = self.command("kubectl");
        command.env("KUBECONFIG", self.kubeconfig());
        command
    }

    /// A program that came with the server.
    pub fn command(&self, name: &str) -> Command {
        Command::new(self.assets.join(name))
    }

    /// A client that never retries.
    pub async fn client(&self) -> kube::Client {
        client(&self.kubeconfig()).await
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn write_credentials(&self) {
        let random = SystemRandom::new();
        let private = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, private.as_ref(), &random).unwrap();
        let public = [&P256_PUBLIC_KEY, pair.public_key().as_ref()].concat();
        fs::write(self.path("service-accounts.key"), pem("PRIVATE KEY", private.as_ref())).unwrap();
        fs::write(self.path("service-accounts.pub"), pem("PUBLIC KEY", &public)).unwrap();
        fs::write(self.path("tokens.csv"), "oracle,admin,admin,system:masters\ndayfly,dayfly,dayfly\n").unwrap();
        let server = format!("https://{}", self.port.local_addr().unwrap());
        let kubeconfig = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "oracle", "cluster": {
                "server": server, "certificate-authority": self.path("certificates/apiserver.crt"),
            }}],
            "users": [
                {"name": "admin", "user": {"token": "oracle"}},
                {"name": "dayfly", "user": {"token": "dayfly"}},
            ],
            "contexts": [
                {"name": "oracle", "context": {"cluster": "oracle", "user": "admin"}},
                {"name": "dayfly", "context": {"cluster": "oracle", "user": "dayfly"}},
            ],
            "current-context": "oracle",
        });
        fs::write(self.kubeconfig(), kubeconfig.to_string()).unwrap();
    }

    fn start_etcd(&mut self) {
        let directory = self.directory.path().display().to_string();
        self.spawn(
            "etcd",
            &[
                format!("--data-dir={directory}/etcd"),
                format!("--listen-client-urls=unix://{directory}/etcd.sock"),
                // Nobody asks it where it is.
                "--advertise-client-urls=http://localhost:2379".into(),
                format!("--listen-peer-urls=unix://{directory}/peer.sock"),
                "--unsafe-no-fsync".into(),
                "--warning-unary-request-duration=10s".into(),
                "--log-level=warn".into(),
            ],
        );
    }

    async fn start_apiserver(&mut self) {
        let directory = self.directory.path().display().to_string();
        let port = self.port.local_addr().unwrap().port();
        self.spawn(
            "kube-apiserver",
            &[
                format!("--etcd-servers=unix://{directory}/etcd.sock"),
                "--bind-address=127.0.0.1".into(),
                format!("--secure-port={port}"),
                "--permit-port-sharing".into(),
                format!("--cert-dir={directory}/certificates"),
                format!("--token-auth-file={directory}/tokens.csv"),
                "--authorization-mode=RBAC".into(),
                "--service-account-issuer=https://kubernetes.default.svc.cluster.local".into(),
                format!("--service-account-key-file={directory}/service-accounts.pub"),
                format!("--service-account-signing-key-file={directory}/service-accounts.key"),
                "--service-cluster-ip-range=10.96.0.0/16".into(),
                "--endpoint-reconciler-type=none".into(),
                "--allow-privileged".into(),
            ],
        );
        let started = Instant::now();
        while !ready(&self.kubeconfig()).await {
            for process in &mut self.processes {
                if let Some(status) = process.0.try_wait().unwrap() {
                    panic!("a server of the oracle ended ({status}):\n{}", self.logs());
                }
            }
            assert!(started.elapsed() < PATIENCE, "the oracle isn't ready after {PATIENCE:?}:\n{}", self.logs());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    fn start_controllers(&mut self) {
        let directory = self.directory.path().display().to_string();
        self.spawn(
            "kube-controller-manager",
            &[
                format!("--kubeconfig={directory}/kubeconfig"),
                format!("--service-account-private-key-file={directory}/service-accounts.key"),
                format!("--root-ca-file={directory}/certificates/apiserver.crt"),
                "--controllers=*,-node-lifecycle-controller,-taint-eviction-controller".into(),
                "--leader-elect=false".into(),
                "--secure-port=0".into(),
            ],
        );
    }

    fn spawn(&mut self, name: &str, arguments: &[String]) {
        let log = File::create(self.path(&format!("{name}.log"))).unwrap();
        let child = self
            .command(name)
            .args(arguments)
            .current_dir(self.directory.path())
            .env("EXIT_WITH_STDIN", "1")
            .stdin(Stdio::piped())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| panic!("{name} in KUBEBUILDER_ASSETS: {error}"));
        self.processes.push(Process(child));
    }

    /// The last lines that each server wrote.
    fn logs(&self) -> String {
        let tail = |name: &str| {
            let text = fs::read_to_string(self.path(name)).unwrap_or_default();
            let from = text.len().saturating_sub(2000);
            format!("--- {name}\n{}\n", text.get(from..).unwrap_or_default())
        };
        ["etcd.log", "kube-apiserver.log", "kube-controller-manager.log"].map(tail).concat()
    }
}

impl Drop for Oracle {
    fn drop(&mut self) {
        self.pods.iter().for_each(JoinHandle::abort);
        while self.processes.pop().is_some() {}
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn pem(label: &str, der: &[u8]) -> String {
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", BASE64.encode(der))
}

async fn client(kubeconfig: &Path) -> kube::Client {
    let mut config = clients::config(kubeconfig, None).await;
    config.default_retry = false;
    kube::Client::try_from(config).unwrap()
}

async fn ready(kubeconfig: &Path) -> bool {
    // Until the server has made its certificate the kubeconfig can't be read.
    if !kubeconfig.with_file_name("certificates").join("apiserver.crt").exists() {
        return false;
    }
    let request = http::Request::get("/readyz").body(Vec::new()).unwrap();
    client(kubeconfig).await.request_text(request).await.is_ok()
}
