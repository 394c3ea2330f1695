//! A platform's own repository and its own Kubernetes API, on this machine.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use dayfly_controller::error::Error;
use dayfly_git as git;
use dayfly_git::{Repository, Seeded, ledger};
use dayfly_lifecycle::ledger::LedgerFact;
use dayfly_local::apiserver::{ApiServer, Config, DiskError, Handle, StartError};
use dayfly_model::help::{disk_help, shell};
use dayfly_model::platform::Platform;
use dayfly_model::platform::environment::ClusterRef;
use dayfly_model::yaml;
use jiff::Timestamp;
use serde_json::json;

use crate::home::PlatformHome;

/// The repository and its baseline, made where they are absent. Each step is repeated safely after a crash.
pub fn seed(home: &PlatformHome, ledger_key: Option<&Path>, now: Timestamp) -> Result<Seeded, Error> {
    // Only what is seeded here is approved unseen. The mark says that a seeding is under way, over a crash too.
    let mark = home.state().join("seeding");
    if home.bare().is_dir() && !mark.exists() {
        return Ok(Seeded::Stood);
    }
    fs::write(&mark, "").map_err(Error::file(&mark))?;
    let seeded = git::seed(home.directory(), &home.bare(), now)?;
    let repository = home.repository()?;
    let signer = home.signer_or_new(ledger_key)?;
    if ledger::read(&repository, &signer.verifier())?.is_none() {
        ledger::append(&repository, &signer, repository.tip()?.revision, now, LedgerFact::Baseline)?;
        // A platform that begins remembers nothing of another one; mostly there is nothing to forget.
        let _ = fs::remove_file(home.memory());
    }
    fs::remove_file(&mark).map_err(Error::file(&mark))?;
    Ok(seeded)
}

/// Starts the API over the state of this folder; on another port where that one is in use.
pub async fn start_api(home: &PlatformHome, port: u16) -> Result<Handle, Error> {
    let config = |port| Config { addr: ([127, 0, 0, 1], port).into(), ..Config::new(home.state().join("kubernetes")) };
    let started = match ApiServer::start(config(port)).await {
        Err(StartError::Listen { .. }) => ApiServer::start(config(0)).await,
        started => started,
    };
    started.map_err(|error| {
        let fact = format!("the embedded Kubernetes API does not start: {error}");
        let state = home.state().join("kubernetes");
        let afresh = format!("remove only {}: the next `dayfly up` fills it again from git", shell(&state));
        let help = match &error {
            StartError::NotLoopback(_) | StartError::Listen { .. } => "name another port with --port".into(),
            StartError::Disk(DiskError::InUse(_)) => "stop the other one first".into(),
            StartError::Disk(_) => disk_help(&fact).map_or(afresh, str::to_owned),
        };
        Error::usage(fact, help)
    })
}

/// Writes the kubeconfig that leads every environment to the API at this address.
pub fn write_kubeconfig(home: &PlatformHome, url: &str) -> Result<(), Error> {
    let contexts = contexts(&home.repository()?)?;
    let path = home.kubeconfig();
    let entry = |name: &String| json!({ "name": name, "context": { "cluster": "local", "user": "local" } });
    let kubeconfig = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{ "name": "local", "cluster": { "server": url } }],
        "users": [{ "name": "local", "user": {} }],
        "contexts": contexts.iter().map(entry).collect::<Vec<_>>(),
        "current-context": contexts.iter().next_back(),
    });
    fs::write(&path, yaml::emit(&kubeconfig)).map_err(Error::file(path))
}

/// The kubeconfig contexts that the platform's environments name.
fn contexts(repository: &Repository) -> Result<BTreeSet<String>, Error> {
    let platform = Platform::load(&repository.snapshot(repository.tip()?.revision)?, None);
    let environments = platform.environments.values().filter_map(|item| item.loaded.as_ref().ok());
    Ok(environments
        .filter_map(|environment| match &environment.cluster {
            ClusterRef::Context(name) => Some(name.clone()),
            ClusterRef::InCluster => None,
        })
        .collect())
}
