//! The options that every command takes.

use std::path::PathBuf;

use clap::Args;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::ui::output::OutputFormat;
use crate::ui::style::ColorChoice;

/// What stands before or after any command. A command refuses those that it has no use for: see `unused`.
#[derive(Args, Clone)]
pub struct GlobalArgs {
    /// The platform's folder: the root of its git repository
    #[arg(id = "platform", short = 'C', value_name = "DIR", default_value = ".", global = true)]
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
    pub color: ColorChoice,
    /// Tell more about what happens; twice for every request
    #[arg(short, long, action = clap::ArgAction::Count, global = true)]
    pub verbose: u8,
}

fn moment(text: &str) -> Result<Timestamp, String> {
    let day = text.parse().ok().filter(|_| text.len() == 10);
    let start = day.and_then(|day: Date| day.to_zoned(TimeZone::UTC).ok());
    start
        .map(|start| start.timestamp())
        .or_else(|| text.parse().ok())
        .ok_or_else(|| format!("{text:?} is not a time such as 2026-12-24T18:00:00Z, or a day such as 2026-12-24"))
}
