//! What a command runs with: the global options, and how it speaks.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use dayfly_cluster::clusters::ClusterTarget;
use dayfly_controller::Reconciler;
use dayfly_controller::error::Error;
use dayfly_model::diagnostic::Diagnostic;
use dayfly_model::names::AppName;
use dayfly_model::rule::Rule;
use jiff::Timestamp;

use super::global::GlobalArgs;
use crate::home::PlatformHome;
use crate::operations::names;
use crate::ui::output::Printer;

/// What a command runs with.
pub struct CommandContext {
    /// The global options.
    pub global: GlobalArgs,
    /// Prints what the command has to say.
    pub printer: Printer,
}

impl CommandContext {
    /// Now, or the moment that was asked for.
    pub fn now(&self) -> Timestamp {
        self.global.now.unwrap_or_else(Timestamp::now)
    }

    /// The platform's folder.
    pub fn home(&self) -> PlatformHome {
        PlatformHome::new(&self.global.directory)
    }

    /// The same, where a platform has to be.
    pub fn platform(&self) -> Result<PlatformHome, Error> {
        PlatformHome::of_platform(&self.global.directory)
    }

    /// The key file that was named, if any.
    pub fn ledger_key(&self) -> Option<&Path> {
        self.global.ledger_key.as_deref()
    }

    /// Where clusters are found: the kubeconfig that was named, else the one that `up` wrote, else the usual one.
    pub fn target(&self) -> ClusterTarget {
        let written = self.home().kubeconfig();
        let is_named = self.global.kubeconfig.is_some() || std::env::var_os("KUBECONFIG").is_some();
        let kubeconfig = self.global.kubeconfig.clone().or((!is_named && written.exists()).then_some(written));
        ClusterTarget { kubeconfig, context: self.global.context.clone() }
    }

    /// The findings, where the cluster that does not answer is the one that only runs while `up` does, with that as help.
    pub fn explained(&self, mut found: Vec<Diagnostic>) -> Vec<Diagnostic> {
        let home = self.home();
        let real = |path: PathBuf| path.canonicalize().ok();
        let used = self.target().kubeconfig.or_else(|| std::env::var_os("KUBECONFIG").map(PathBuf::from));
        let is_local = used.and_then(real).is_some_and(|used| real(home.kubeconfig()) == Some(used));
        if is_local && !home.is_up() {
            for silent in found.iter_mut().filter(|found| found.rule == Rule::CLUSTER_UNREACHABLE) {
                silent.help = Some("start it: `dayfly up`, in another terminal".into());
            }
        }
        found
    }

    /// A reconciler of the platform's repository, for these apps alone where any are named.
    pub fn reconciler(&self, apps: &[String]) -> Result<Reconciler, Error> {
        let home = self.platform()?;
        Ok(self.configured(&home, self.target())?.only(app_names(apps)?))
    }

    /// A reconciler of the platform's repository for those clusters.
    pub fn configured(&self, home: &PlatformHome, target: ClusterTarget) -> Result<Reconciler, Error> {
        let signer = home.signer(self.ledger_key())?;
        let reconciler = Reconciler::new(home.repository()?, signer.verifier(), target).recording(signer);
        Ok(reconciler.remembering(home.memory()).at_stated_times(self.global.now.is_some()))
    }

    /// Runs asynchronous work to its end.
    pub fn block_on<T, E: From<Error>>(&self, work: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        let runtime = tokio::runtime::Runtime::new().map_err(Error::file("tokio"))?;
        runtime.block_on(work)
    }
}

fn app_names(names: &[String]) -> Result<BTreeSet<AppName>, Error> {
    names.iter().map(|name| names::parsed(name)).collect()
}
