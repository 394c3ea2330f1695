//! `dayfly check`: parse, render, policy and cost, for all apps or those that a change touches.

use std::collections::BTreeSet;

use dayfly_controller::error::Error;
use dayfly_git::{Repository, working_tree};
use dayfly_judge::cost::MonthlyCost;
use dayfly_judge::evaluate::{Desired, Evaluated, Evaluator, Verdict};
use dayfly_model::diagnostic::Diagnostic;
use dayfly_model::digest::Digest;
use dayfly_model::names::{AppName, TierName};
use dayfly_model::platform::Platform;
use dayfly_model::snapshot::Snapshot;
use serde::Serialize;

use super::{Context, Exit};
use crate::home::Home;
use crate::ui::output::{OutputFormat, Style};
use crate::ui::report;

/// Judge the files: parse, render, policy, cost
#[derive(clap::Args)]
pub struct Check {
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
    diagnostics: Vec<&'a Diagnostic>,
    items: Vec<Item<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Item<'a> {
    app: &'a AppName,
    tier: Option<&'a TierName>,
    decision: &'static str,
    digest: Option<Digest>,
    monthly_cost: Option<&'a MonthlyCost>,
}

impl Check {
    /// Judges and reports.
    pub fn run(self, context: &Context) -> Exit {
        let snapshot = snapshot(context, self.rev.as_deref())?;
        let platform = Platform::load(&snapshot, None);
        let evaluation = Evaluator::default().evaluate(&Desired { tip: &platform, approved: None }, context.now());
        let before = self.base.as_deref().map(|base| commit(context, base)).transpose()?;
        let changed = before.as_ref().map(|before| before.changed_paths(&snapshot));
        let touched = changed.as_ref().map(|paths| touched(paths, &platform));
        let unversioned = match (&before, &changed) {
            (Some(before), Some(paths)) => platform.changed_without_version(&Platform::load(before, None), paths),
            _ => Vec::new(),
        };
        let counts = |app: Option<&AppName>| match (&touched, app) {
            (Some(touched), Some(app)) => touched.contains(app),
            _ => true,
        };
        let instances: Vec<&Evaluated> =
            evaluation.instances.values().map(AsRef::as_ref).filter(|instance| counts(Some(&instance.app))).collect();
        let mut diagnostics: BTreeSet<&Diagnostic> = platform.findings().filter(|d| counts(d.app.as_ref())).collect();
        diagnostics.extend(evaluation.diagnostics.iter());
        diagnostics.extend(&unversioned);
        diagnostics.extend(instances.iter().flat_map(|instance| instance.diagnostics()));
        let mut diagnostics: Vec<_> = diagnostics.into_iter().collect();
        diagnostics.sort_by(|a, b| (&a.path, a.position, &a.rule).cmp(&(&b.path, b.position, &b.rule)));

        let is_json = self.format == Some(ReportFormat::Json) || (self.format.is_none() && context.output.is_data());
        if is_json {
            let mut output = context.output;
            output.format = if output.format == OutputFormat::Text { OutputFormat::Json } else { output.format };
            let items = instances.iter().map(|instance| item(instance)).collect();
            output.data("CheckReport", &CheckReport { diagnostics: diagnostics.clone(), items })?;
        } else {
            context.output.diagnostics(diagnostics.iter().copied());
            summary(context, &instances, &diagnostics);
        }
        Ok(u8::from(diagnostics.iter().any(|diagnostic| diagnostic.is_error())))
    }
}

/// The files to judge: a commit's, or the working tree's.
pub fn snapshot(context: &Context, rev: Option<&str>) -> Result<Snapshot, Error> {
    let directory = &context.global.directory;
    match rev {
        Some(rev) => commit(context, rev),
        None if directory.is_dir() => {
            let files = working_tree(directory)?;
            if files.files().next().is_none() && Home::above(directory).is_some() {
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
fn commit(context: &Context, rev: &str) -> Result<Snapshot, Error> {
    let repository = Repository::open(&context.global.directory)?;
    Ok(repository.snapshot(repository.resolve(rev)?)?)
}

/// The apps whose own files, template, environment or policies differ from those of the base.
fn touched(paths: &[&str], platform: &Platform) -> BTreeSet<AppName> {
    let is_below = |folder: String| paths.iter().any(|path| path.starts_with(&folder));
    let is_touched = |name: &AppName| {
        let app = platform.apps.get(name).and_then(|item| item.loaded.as_ref().ok());
        is_below(format!("apps/{name}/"))
            || is_below("policies/".into())
            || app.is_some_and(|app| {
                is_below(format!("catalog/{}/", app.template)) || is_below(format!("environments/{}/", app.tier))
            })
    };
    platform.apps.keys().filter(|name| is_touched(name)).cloned().collect()
}

fn item(instance: &Evaluated) -> Item<'_> {
    let decision = match instance.verdict {
        Verdict::Admitted(_) => "admitted",
        Verdict::Denied(_) | Verdict::Unapproved => "denied",
        Verdict::Broken(_) => "broken",
    };
    Item {
        app: &instance.app,
        tier: instance.tier.as_ref(),
        decision,
        digest: instance.admitted().map(|admitted| admitted.digest()),
        monthly_cost: instance.cost.as_ref(),
    }
}

fn summary(context: &Context, instances: &[&Evaluated], diagnostics: &[&Diagnostic]) {
    let found = report::grouped(diagnostics.iter().copied());
    let errors = found.iter().filter(|(diagnostic, _)| diagnostic.is_error()).count();
    let admitted = instances.iter().filter(|instance| instance.admitted().is_some()).count();
    let text = format!(
        "{} checked: {admitted} admitted, {}, {}",
        report::count(instances.len(), "app"),
        report::count(errors, "error"),
        report::count(found.len() - errors, "warning")
    );
    let style = if errors > 0 { Style::Red } else { Style::Green };
    context.output.line(context.output.paint(style, &text));
}
