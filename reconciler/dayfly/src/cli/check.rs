//! `dayfly check`: parse, render, policy and cost, for all apps or those that a change touches.

use dayfly_controller::error::Error;
use dayfly_git::{Repository, working_tree};
use dayfly_judge::cost::MonthlyCost;
use dayfly_judge::evaluate::{Evaluated, Verdict};
use dayfly_model::diagnostic::Diagnostic;
use dayfly_model::digest::Digest;
use dayfly_model::names::{AppName, TierName};
use dayfly_model::snapshot::Snapshot;
use serde::Serialize;

use super::CommandResult;
use super::context::CommandContext;
use crate::home::PlatformHome;
use crate::operations::check::{Checked, check};
use crate::ui::output::OutputFormat;
use crate::ui::report;
use crate::ui::style::{Palette, Style};

/// Judge the files: parse, render, policy, cost
#[derive(clap::Args)]
pub struct CheckArgs {
    /// Judge only what changed since this commit
    #[arg(long, value_name = "REV")]
    base: Option<String>,
    /// Judge this commit instead of the working tree
    #[arg(long, value_name = "REV")]
    rev: Option<String>,
    /// The form of the report
    #[arg(long, value_enum)]
    format: Option<ReportFormat>,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum ReportFormat {
    Text,
    Json,
}

#[derive(Serialize)]
struct CheckReport<'a> {
    diagnostics: &'a [Diagnostic],
    items: Vec<CheckedApp<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CheckedApp<'a> {
    app: &'a AppName,
    tier: Option<&'a TierName>,
    decision: &'static str,
    digest: Option<Digest>,
    monthly_cost: Option<&'a MonthlyCost>,
}

impl CheckArgs {
    /// Judges and reports.
    pub fn run(self, context: &CommandContext) -> CommandResult {
        let snapshot = snapshot(context, self.rev.as_deref())?;
        let base = self.base.as_deref().map(|base| commit(context, base)).transpose()?;
        let checked = check(&snapshot, base.as_ref(), context.now());
        let mut printer = context.printer;
        printer.format = match self.format {
            Some(ReportFormat::Json) => OutputFormat::Json,
            Some(ReportFormat::Text) => OutputFormat::Text,
            None => printer.format,
        };
        if printer.is_data() {
            let items = checked.instances.iter().map(|instance| checked_app(instance)).collect();
            printer.data("CheckReport", &CheckReport { diagnostics: &checked.diagnostics, items })?;
        } else {
            printer.diagnostics(&checked.diagnostics);
            printer.line(summary(printer.palette(), &checked));
        }
        Ok(u8::from(checked.diagnostics.iter().any(Diagnostic::is_error)))
    }
}

/// The files to judge: a commit's, or the working tree's.
pub fn snapshot(context: &CommandContext, rev: Option<&str>) -> Result<Snapshot, Error> {
    let directory = &context.global.directory;
    match rev {
        Some(rev) => commit(context, rev),
        None if directory.is_dir() => {
            let files = working_tree(directory)?;
            if files.files().next().is_none() && PlatformHome::above(directory).is_some() {
                context.platform()?;
            }
            Ok(files)
        }
        None => Err(Error::usage(
            format!("{}: no such folder", directory.display()),
            "name the platform's folder with -C DIR, or start one with `dayfly init DIR`",
        )),
    }
}

/// The files of a commit.
fn commit(context: &CommandContext, rev: &str) -> Result<Snapshot, Error> {
    let repository = Repository::open(&context.global.directory)?;
    Ok(repository.snapshot(repository.resolve_to_read(rev)?)?)
}

fn checked_app(instance: &Evaluated) -> CheckedApp<'_> {
    let decision = match instance.verdict {
        Verdict::Admitted(_) => "admitted",
        Verdict::Denied(_) | Verdict::Unapproved => "denied",
        Verdict::Broken(_) => "broken",
    };
    CheckedApp {
        app: &instance.app,
        tier: instance.tier.as_ref(),
        decision,
        digest: instance.admitted().map(|admitted| admitted.digest()),
        monthly_cost: instance.cost.as_ref(),
    }
}

fn summary(palette: Palette, checked: &Checked) -> String {
    let found = report::grouped(&checked.diagnostics);
    let errors = found.iter().filter(|(diagnostic, _)| diagnostic.is_error()).count();
    let admitted = checked.instances.iter().filter(|instance| instance.admitted().is_some()).count();
    let text = format!(
        "{} checked: {admitted} admitted, {}, {}",
        report::count(checked.instances.len(), "app"),
        report::count(errors, "error"),
        report::count(found.len() - errors, "warning")
    );
    palette.paint(if errors > 0 { Style::Red } else { Style::Green }, &text)
}
