//! The command line: one file per command. A command reads its arguments, has the work done, and tells what came of it.

mod adopt;
mod apply;
mod check;
mod context;
mod dialog;
mod global;
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
mod unused;
#[cfg(feature = "local")]
mod up;

use std::process::ExitCode;
use std::time::Instant;

use clap::{ArgMatches, CommandFactory, FromArgMatches, Parser, Subcommand};

use self::context::CommandContext;
use self::global::GlobalArgs;
pub use self::unused::StatedTime;
use crate::failure::CommandFailure;
use crate::ui::output::Printer;

/// Short-lived internal apps from one git repository.
#[derive(Parser)]
#[command(name = "dayfly", bin_name = "dayfly", version, about, max_term_width = 120, propagate_version = true)]
struct Cli {
    #[command(flatten)]
    global: GlobalArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the whole platform on this machine
    #[cfg(feature = "local")]
    Up(up::UpArgs),
    /// Start a platform of your own in a new folder
    Init(init::InitArgs),
    /// Approve a commit as it stands, to begin with: writes a signed baseline record
    Adopt(adopt::AdoptArgs),
    /// Start an app from a template
    New(new::NewArgs),
    /// Judge the files: parse, render, policy, cost
    Check(check::CheckArgs),
    /// Print an app's manifests
    Render(render::RenderArgs),
    /// Show what `apply` would change in the cluster
    Plan(plan::PlanArgs),
    /// Bring the cluster to what the repository says, once
    Apply(apply::ApplyArgs),
    /// Keep the cluster at what the repository says
    Run(run::RunArgs),
    /// Show how the apps are
    Status(status::StatusArgs),
    /// Let an app live longer
    Renew(renew::RenewArgs),
    /// End an app: commit its deletion
    Retire(retire::RetireArgs),
    /// Work with the platform's policies
    Policy(policy::PolicyArgs),
    /// Print the JSON Schema of a manifest, for editors
    Schema(schema::SchemaArgs),
    /// Print shell completions
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// 0 fine, 1 a finding, 2 a failure; or why the command did not do what it was asked for.
type CommandResult = Result<u8, CommandFailure>;

/// Parses the command line, runs the command, and tells how it ended. `stated` says which commands take `--now`.
pub fn main(stated: StatedTime) -> ExitCode {
    let matches = command_line().get_matches();
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let printer = Printer::new(cli.global.output, cli.global.color);
    trace(cli.global.verbose, printer.note_palette().is_colored());
    // Only fails where a provider was installed before, which serves as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let context = CommandContext { global: cli.global, printer };
    let code = run(&context, cli.command, &matches, stated).unwrap_or_else(|failure| {
        printer.diagnostics(&failure.findings);
        failure.error.iter().for_each(|error| printer.error(error));
        failure.exit_code()
    });
    ExitCode::from(code)
}

fn command_line() -> clap::Command {
    unused::hidden_from_help(Cli::command())
}

fn run(context: &CommandContext, command: Command, matches: &ArgMatches, stated: StatedTime) -> CommandResult {
    let began = Instant::now();
    unused::refuse(matches, stated)?;
    let name = matches.subcommand_name();
    let folder = context.global.directory.display();
    tracing::info!(name, %folder, now = %context.now(), version = env!("CARGO_PKG_VERSION"), "the command begins");
    let exit = execute(context, command);
    tracing::info!(name, took = ?began.elapsed(), "the command ends");
    exit
}

fn execute(context: &CommandContext, command: Command) -> CommandResult {
    match command {
        #[cfg(feature = "local")]
        Command::Up(args) => args.run(context),
        Command::Init(args) => args.run(context),
        Command::Adopt(args) => args.run(context),
        Command::New(args) => args.run(context),
        Command::Check(args) => args.run(context),
        Command::Render(args) => args.run(context),
        Command::Plan(args) => args.run(context),
        Command::Apply(args) => args.run(context),
        Command::Run(args) => args.run(context),
        Command::Status(args) => args.run(context),
        Command::Renew(args) => args.run(context),
        Command::Retire(args) => args.run(context),
        Command::Policy(args) => args.run(context),
        Command::Schema(args) => args.run(context),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "dayfly", &mut script);
            context.printer.text(&String::from_utf8_lossy(&script));
            Ok(0)
        }
    }
}

/// Writes to stderr what the program's parts record about their work.
fn trace(verbose: u8, is_colored: bool) {
    let filter = match verbose {
        0 => "off,dayfly=error,dayfly_local=off",
        1 => "dayfly=info,dayfly_calls=debug,warn",
        _ => "dayfly=debug,info",
    };
    let filter = tracing_subscriber::EnvFilter::try_from_env("DAYFLY_LOG").unwrap_or_else(|_| filter.into());
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let _ = lines.with_ansi(is_colored).with_target(false).try_init();
}
