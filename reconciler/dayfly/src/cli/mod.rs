//! The command line: one file per verb.

mod adopt;
mod apply;
mod check;
mod dialog;
mod init;
mod new;
mod plan;
mod policy;
mod proposed;
mod render;
mod renew;
mod retire;
mod run;
mod schema;
mod status;
#[cfg(feature = "local")]
mod up;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;

use clap::{Args, CommandFactory, Parser, Subcommand};
use dayfly_cluster::clusters::ClusterTarget;
use dayfly_controller::Reconciler;
use dayfly_controller::error::Error;
use dayfly_model::diagnostic::Diagnostic;
use dayfly_model::names::{AppName, NameError};
use dayfly_model::rule::Rule;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::home::Home;
use crate::ui::output::{Color, Output, OutputFormat};

/// Short-lived internal apps from one git repository.
#[derive(Parser)]
#[command(name = "dayfly", bin_name = "dayfly", version, about, max_term_width = 120, propagate_version = true)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    verb: Command,
}

/// What every command takes.
#[derive(Args, Clone)]
pub struct Global {
    /// The platform's folder: the root of its git repository
    #[arg(short = 'C', value_name = "DIR", default_value = ".", global = true)]
    pub directory: PathBuf,
    /// The kubeconfig file [default: $KUBECONFIG, then the one that `up` wrote, then ~/.kube/config]
    #[arg(long, value_name = "FILE", global = true)]
    pub kubeconfig: Option<PathBuf>,
    /// The kubeconfig context, for all environments [default: each environment's own]
    #[arg(long, value_name = "NAME", global = true)]
    pub context: Option<String>,
    /// The key that signs and verifies approvals [default: .dayfly/ledger.key]
    #[arg(long, value_name = "FILE", global = true)]
    pub ledger_key: Option<PathBuf>,
    /// The moment to take as now, in RFC 3339; a day means its start, UTC [default: the clock]
    #[arg(long, value_name = "TIME", global = true, value_parser = moment)]
    pub now: Option<Timestamp>,
    /// The form of the result
    #[arg(short, long, value_enum, default_value_t, global = true)]
    pub output: OutputFormat,
    /// When to color
    #[arg(long, value_enum, default_value_t, global = true)]
    pub color: Color,
    /// Tell more about what happens; twice for every request
    #[arg(short, long, action = clap::ArgAction::Count, global = true)]
    pub verbose: u8,
}

#[derive(Subcommand)]
enum Command {
    /// Run the whole platform on this machine
    #[cfg(feature = "local")]
    Up(up::Up),
    /// Start a platform of your own in a new folder
    Init(init::Init),
    /// Approve a commit as it stands, to begin with: writes a signed baseline record
    Adopt(adopt::Adopt),
    /// Start an app from a template
    New(new::New),
    /// Judge the files: parse, render, policy, cost
    Check(check::Check),
    /// Print an app's manifests
    Render(render::Render),
    /// Show what `apply` would change in the cluster
    Plan(plan::Plan),
    /// Bring the cluster to what the repository says, once
    Apply(apply::Apply),
    /// Keep the cluster at what the repository says
    Run(run::Run),
    /// Show how the apps are
    Status(status::Status),
    /// Let an app live longer
    Renew(renew::Renew),
    /// End an app: commit its deletion
    Retire(retire::Retire),
    /// Work with the platform's policies
    Policy(policy::Policy),
    /// Print the JSON Schema of a manifest, for editors
    Schema(schema::Schema),
    /// Print shell completions
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// What a command runs with.
pub struct Context {
    /// What every command takes.
    pub global: Global,
    /// Where its words go.
    pub output: Output,
}

impl Context {
    /// Now, or the moment that was asked for.
    pub fn now(&self) -> Timestamp {
        self.global.now.unwrap_or_else(Timestamp::now)
    }

    /// The platform's folder.
    pub fn home(&self) -> Home {
        Home::new(&self.global.directory)
    }

    /// The same, where a platform has to be.
    pub fn platform(&self) -> Result<Home, Error> {
        Home::of_platform(&self.global.directory)
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

    /// A reconciler of the platform's repository.
    pub fn reconciler(&self, apps: &[String]) -> Result<Reconciler, Error> {
        let home = self.platform()?;
        let key = home.signer(self.global.ledger_key.as_deref())?.verifier();
        Ok(self.configured(Reconciler::new(home.repository()?, key, self.target())).only(app_names(apps)?))
    }

    /// The same settings for any reconciler.
    pub fn configured(&self, reconciler: Reconciler) -> Reconciler {
        reconciler.remembering(self.home().memory()).at_stated_times(self.global.now.is_some())
    }

    /// Runs asynchronous work to its end.
    fn block_on<T>(&self, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let runtime = tokio::runtime::Runtime::new().map_err(Error::file("tokio"))?;
        runtime.block_on(work)
    }
}

fn moment(text: &str) -> Result<Timestamp, String> {
    let day = text.parse().ok().filter(|_| text.len() == 10);
    let start = day.and_then(|day: Date| day.to_zoned(TimeZone::UTC).ok());
    start
        .map(|start| start.timestamp())
        .or_else(|| text.parse().ok())
        .ok_or_else(|| format!("{text:?} is not a time such as 2026-12-24T18:00:00Z, or a day such as 2026-12-24"))
}

/// A name given on the command line.
fn usage_name<N: FromStr<Err = NameError>>(text: &str) -> Result<N, Error> {
    text.parse()
        .map_err(|e| Error::usage(format!("the name {text:?} {e}"), "names are lower case letters, digits and '-'"))
}

fn app_names(names: &[String]) -> Result<BTreeSet<AppName>, Error> {
    names.iter().map(|name| usage_name(name)).collect()
}

/// Exit codes: 0 fine, 1 a finding, 2 a failure.
type Exit = Result<u8, Error>;

/// Parses the command line, runs the verb, and tells how it ended.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let output = Output::new(cli.global.output, cli.global.color);
    trace(cli.global.verbose, output.is_note_colored());
    // Only fails where a provider was installed before, which serves as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let context = Context { global: cli.global, output };
    match run(&context, cli.verb) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            output.error(&error);
            ExitCode::from(error.reason().exit_code())
        }
    }
}

fn run(context: &Context, verb: Command) -> Exit {
    match verb {
        #[cfg(feature = "local")]
        Command::Up(verb) => verb.run(context),
        Command::Init(verb) => verb.run(context),
        Command::Adopt(verb) => verb.run(context),
        Command::New(verb) => verb.run(context),
        Command::Check(verb) => verb.run(context),
        Command::Render(verb) => verb.run(context),
        Command::Plan(verb) => verb.run(context),
        Command::Apply(verb) => verb.run(context),
        Command::Run(verb) => verb.run(context),
        Command::Status(verb) => verb.run(context),
        Command::Renew(verb) => verb.run(context),
        Command::Retire(verb) => verb.run(context),
        Command::Policy(verb) => verb.run(context),
        Command::Schema(verb) => verb.run(context),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "dayfly", &mut script);
            context.output.text(&String::from_utf8_lossy(&script));
            Ok(0)
        }
    }
}

fn trace(verbose: u8, is_colored: bool) {
    let filter = match verbose {
        0 => "off,dayfly=error,dayfly_local=off",
        1 => "dayfly=info,dayfly_core=info,dayfly_local=info,warn",
        _ => "dayfly=debug,dayfly_core=debug,dayfly_local=debug,info",
    };
    let filter = tracing_subscriber::EnvFilter::try_from_env("DAYFLY_LOG").unwrap_or_else(|_| filter.into());
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let _ = lines.with_ansi(is_colored).with_target(false).try_init();
}
