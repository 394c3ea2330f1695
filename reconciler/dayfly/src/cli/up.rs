//! `dayfly up`: the whole platform on this machine, with the very code that `run` uses.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use dayfly_cluster::clusters::ClusterTarget;
use dayfly_controller::Reconciler;
use dayfly_controller::error::Error;
use dayfly_git as git;
use dayfly_git::ledger;
use dayfly_git::{Repository, Seeded};
use dayfly_lifecycle::ledger::LedgerFact;
use dayfly_local::apiserver::{ApiServer, Config, DiskError, Handle, StartError};
use dayfly_model::help::{disk_help, shell};
use dayfly_model::platform::Platform;
use dayfly_model::platform::environment::ClusterRef;
use dayfly_model::rule::Rule;
use serde_json::json;

use super::{Context, Exit, run};
use crate::home::Home;
use crate::ui::output::Style;

/// Run the whole platform on this machine
#[derive(clap::Args)]
pub struct Up {
    /// Do one full pass, tell what happened, and stop
    #[arg(long)]
    once: bool,
    /// Deploy what is saved in the working tree too, as commits
    #[arg(long, conflicts_with = "once")]
    watch: bool,
    /// The loopback port of the Kubernetes-compatible API; another one is taken where it is in use
    #[arg(long, value_name = "PORT", default_value_t = 7680)]
    port: u16,
}

impl Up {
    /// Seeds, starts and reconciles.
    pub fn run(self, context: &Context) -> Exit {
        let home = context.platform()?;
        let _lock = lock(&home)?;
        let seeded = seed(context, &home)?;
        context.block_on(self.serve(context, &home, seeded))
    }

    async fn serve(self, context: &Context, home: &Home, seeded: Seeded) -> Exit {
        // A real cluster takes the embedded one's place; everything else stays as it is.
        let server = match &context.global.context {
            Some(_) => None,
            None => Some(serve_api(home, self.port).await?),
        };
        let target = match &server {
            Some(server) => {
                let repository = home.repository()?;
                write_kubeconfig(&home.kubeconfig(), &server.url(), &contexts(&repository)?)?;
                ClusterTarget { kubeconfig: Some(home.kubeconfig()), context: None }
            }
            None => context.target(),
        };
        let key = home.signer(context.global.ledger_key.as_deref())?.verifier();
        let mut reconciler = context.configured(Reconciler::new(home.repository()?, key, target));
        let mut code = 0;
        if self.once {
            let pass = reconciler.pass(context.now()).await?;
            drop(reconciler);
            run::print_pass(context, &pass)?;
            note_unpushed(context, home, seeded)?;
            code = 2 * u8::from(pass.diagnostics.iter().any(|found| found.rule == Rule::CLUSTER_STORAGE_REFUSES));
        } else {
            note_unpushed(context, home, seeded)?;
            context.output.note("Dayfly starts: the first pass looks at every app.");
            let saves = self.watch.then(|| home.directory().to_owned());
            let url = server.as_ref().map(|server| server.url());
            run::control(context, reconciler, saves, || greet(context, home, url.as_deref(), self.watch)).await?;
        }
        if let Some(server) = server {
            server.shutdown().await;
        }
        Ok(code)
    }
}

/// One `up` per folder: two would fight over one state.
fn lock(home: &Home) -> Result<fs::File, Error> {
    let state = home.state();
    fs::create_dir_all(&state).map_err(Error::file(&state))?;
    let path = home.lock();
    let file = fs::File::create(&path).map_err(Error::file(&path))?;
    file.try_lock().map_err(|_| {
        Error::usage(
            format!("{}: another `dayfly up` runs in this folder", home.directory().display()),
            "stop it first, or use it: `dayfly status` tells how the apps are",
        )
    })?;
    Ok(file)
}

/// The repository and its baseline, made where they are absent. Each step is repeated safely after a crash.
fn seed(context: &Context, home: &Home) -> Result<Seeded, Error> {
    // Only what is seeded here is approved unseen. The mark says that a seeding is under way, over a crash too.
    let mark = home.state().join("seeding");
    if home.bare().is_dir() && !mark.exists() {
        return Ok(Seeded::Stood);
    }
    fs::write(&mark, "").map_err(Error::file(&mark))?;
    let seeded = git::seed(home.directory(), &home.bare(), context.now())?;
    let repository = home.repository()?;
    let signer = home.signer_or_new(context.global.ledger_key.as_deref())?;
    if ledger::read(&repository, &signer.verifier())?.is_none() {
        ledger::append(&repository, &signer, repository.tip()?.revision, context.now(), LedgerFact::Baseline)?;
        // A platform that begins remembers nothing of another one; mostly there is nothing to forget.
        let _ = fs::remove_file(home.memory());
    }
    fs::remove_file(&mark).map_err(Error::file(&mark))?;
    Ok(seeded)
}

async fn serve_api(home: &Home, port: u16) -> Result<Handle, Error> {
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

fn write_kubeconfig(path: &Path, url: &str, contexts: &BTreeSet<String>) -> Result<(), Error> {
    let entry = |name: &String| json!({ "name": name, "context": { "cluster": "local", "user": "local" } });
    let kubeconfig = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{ "name": "local", "cluster": { "server": url } }],
        "users": [{ "name": "local", "user": {} }],
        "contexts": contexts.iter().map(entry).collect::<Vec<_>>(),
        "current-context": contexts.iter().next_back(),
    });
    fs::write(path, dayfly_model::yaml::emit(&kubeconfig)).map_err(Error::file(path))
}

fn greet(context: &Context, home: &Home, url: Option<&str>, watch: bool) {
    let output = &context.output;
    let absolute = |path: PathBuf| shell(&path.canonicalize().unwrap_or(path));
    let line =
        |what: &str, how: String| output.note(format!("  {} {how}", output.paint(Style::Dim, &format!("{what:<8}"))));
    output.note(output.paint(Style::Bold, "\nDayfly is up."));
    line("deploy", format!("git push {} HEAD:main", absolute(home.bare())));
    if watch {
        line("", format!("or save a file in {}", absolute(home.directory().to_owned())));
        if Repository::open(home.directory()).is_ok() {
            line("keep", "git fetch .dayfly/platform.git main && git reset FETCH_HEAD".into());
            line("", "takes the saved commits over, in that folder; its files stay as they are".into());
        }
    }
    if let Some(url) = url {
        line("look", format!("export KUBECONFIG={}", absolute(home.kubeconfig())));
        line("", format!("kubectl get deployments -A    ({url})"));
    }
    line("ask", "dayfly status".into());
    line("stop", "Ctrl-C; what runs is kept for the next `dayfly up`".into());
}

/// Tells of commits that the folder's HEAD has and the platform's repository has not.
fn note_unpushed(context: &Context, home: &Home, seeded: Seeded) -> Result<(), Error> {
    let Ok(folder) = Repository::open(home.directory()) else { return Ok(()) };
    let Ok(head) = folder.tip() else { return Ok(()) };
    if seeded == Seeded::Stood && home.repository()?.commit(head.revision).is_err() {
        let bare = home.bare();
        context.output.note(format!(
            "HEAD ({}) is not in the platform's repository yet: git push {} HEAD:main",
            head.revision.short(),
            shell(&bare)
        ));
    }
    Ok(())
}
