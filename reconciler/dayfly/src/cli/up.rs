//! `dayfly up`: the whole platform on this machine, with the very code that `run` uses.

use std::path::PathBuf;

use dayfly_cluster::clusters::ClusterTarget;
use dayfly_controller::error::Error;
use dayfly_git::{Repository, Seeded};
use dayfly_model::help::shell;
use dayfly_model::rule::Rule;

use super::context::CommandContext;
use super::{CommandResult, run};
use crate::home::PlatformHome;
use crate::operations::local_stack;
use crate::ui::style::Style;

/// Run the whole platform on this machine
#[derive(clap::Args)]
pub struct UpArgs {
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

impl UpArgs {
    /// Seeds, starts and reconciles.
    pub fn run(self, context: &CommandContext) -> CommandResult {
        let home = context.platform()?;
        let _lock = home.lock_up()?;
        let seeded = local_stack::seed(&home, context.ledger_key(), context.now())?;
        context.block_on(self.serve(context, &home, seeded))
    }

    async fn serve(self, context: &CommandContext, home: &PlatformHome, seeded: Seeded) -> CommandResult {
        // A real cluster replaces the embedded one; nothing else differs.
        let server = match &context.global.context {
            Some(_) => None,
            None => Some(local_stack::start_api(home, self.port).await?),
        };
        let target = match &server {
            Some(server) => {
                local_stack::write_kubeconfig(home, &server.url())?;
                ClusterTarget { kubeconfig: Some(home.kubeconfig()), context: None }
            }
            None => context.target(),
        };
        let mut reconciler = context.configured(home, target)?;
        let mut code = 0;
        if self.once {
            let pass = reconciler.pass(context.now()).await?;
            drop(reconciler);
            run::print_pass(context, &pass)?;
            note_unpushed(context, home, seeded)?;
            code = 2 * u8::from(pass.diagnostics.iter().any(|found| found.rule == Rule::CLUSTER_STORAGE_REFUSES));
        } else {
            note_unpushed(context, home, seeded)?;
            context.printer.note("Dayfly starts: the first pass looks at every app.");
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

fn greet(context: &CommandContext, home: &PlatformHome, url: Option<&str>, watch: bool) {
    let (printer, palette) = (&context.printer, context.printer.note_palette());
    let absolute = |path: PathBuf| shell(&path.canonicalize().unwrap_or(path));
    let line =
        |what: &str, how: String| printer.note(format!("  {} {how}", palette.paint(Style::Dim, &format!("{what:<8}"))));
    printer.note(palette.paint(Style::Bold, "\nDayfly is up."));
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
fn note_unpushed(context: &CommandContext, home: &PlatformHome, seeded: Seeded) -> Result<(), Error> {
    let Ok(folder) = Repository::open(home.directory()) else { return Ok(()) };
    let Ok(head) = folder.tip() else { return Ok(()) };
    if seeded == Seeded::Stood && home.repository()?.commit(head.revision).is_err() {
        let bare = home.bare();
        context.printer.note(format!(
            "HEAD ({}) is not in the platform's repository yet: git push {} HEAD:main",
            head.revision.short(),
            shell(&bare)
        ));
    }
    Ok(())
}
