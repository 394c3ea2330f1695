//! `dayfly run`: the controller.

use std::path::PathBuf;

use dayfly_controller as controller;
use dayfly_controller::error::Error;
use dayfly_controller::{Pass, Reconciler, Retired};
use dayfly_model::diagnostic::Diagnostic;
use dayfly_plan::plan::ChangeAction;
use dayfly_plan::status::Phase;

use super::{Context, Exit};
use crate::ui::output::Style;
use crate::ui::report;

/// Keep the cluster at what the repository says
#[derive(clap::Args)]
pub struct Run {}

impl Run {
    /// Runs until it is told to stop.
    pub fn run(self, context: &Context) -> Exit {
        let reconciler = context.reconciler(&[])?;
        context.block_on(control(context, reconciler, None, || ()))?;
        Ok(0)
    }
}

/// Runs the controller and prints a line for each new commit and each pass that changed something. `greet` comes after
/// the first pass.
pub async fn control(
    context: &Context,
    reconciler: Reconciler,
    saves: Option<PathBuf>,
    greet: impl FnOnce(),
) -> Result<(), Error> {
    let mut greet = Some(greet);
    let mut last = None;
    let mut told: Vec<Diagnostic> = Vec::new();
    let clock = context.global.now;
    controller::run(reconciler, saves, clock, |outcome| {
        match outcome {
            Ok(pass) => {
                if last.is_none() {
                    let _ = print_pass(context, pass);
                } else {
                    let is_new = last != Some(pass.revision);
                    if is_new || !pass.changes.is_empty() || !pass.retired.is_empty() {
                        context.output.line(pass_line(context, pass));
                    }
                    // What was told before is not told again.
                    context.output.diagnostics(pass.diagnostics.iter().filter(|found| !told.contains(found)));
                }
                last = Some(pass.revision);
                told.clone_from(&pass.diagnostics);
            }
            Err(error) => context.output.error(error),
        }
        greet.take().into_iter().for_each(|greet| greet());
    })
    .await
}

/// A pass in a few lines.
fn pass_line(context: &Context, pass: &Pass) -> String {
    let mut apps: Vec<_> = pass.changes.iter().map(|change| format!("{}.{}", change.app, change.tier)).collect();
    apps.dedup();
    let shown = if apps.len() > 4 { report::count(apps.len(), "app") } else { apps.join(", ") };
    let time = context.output.paint(Style::Dim, &pass.time.strftime("%H:%M:%S").to_string());
    let what = if shown.is_empty() { String::new() } else { format!(" ({shown})") };
    let took = pass.took.as_secs_f64();
    let waits = waiting(pass);
    let mut line = format!("{time} {} in {took:.2} s: {}{what}{waits}", pass.revision.short(), change_summary(pass));
    for retired in &pass.retired {
        line.push_str(&format!("\n{}", retired_line(retired)));
    }
    line
}

/// `; 1 app held, 2 apps stalled`.
fn waiting(pass: &Pass) -> String {
    let number = |phase: Phase| pass.items.iter().filter(|item| item.phase == phase).count();
    let words = [(Phase::Held, "held"), (Phase::Stalled, "stalled")].map(|(phase, word)| match number(phase) {
        0 => None,
        number => Some(format!("{} {word}", report::count(number, "app"))),
    });
    let words: Vec<_> = words.into_iter().flatten().collect();
    if words.is_empty() { String::new() } else { format!("; {}", words.join(", ")) }
}

/// A whole pass: the table, what changed, what is wrong.
pub fn print_pass(context: &Context, pass: &Pass) -> Result<(), Error> {
    let output = &context.output;
    if output.is_data() {
        return output.data("Pass", pass);
    }
    output.text(&report::table(output, &pass.items, pass.time));
    output.diagnostics(&pass.diagnostics);
    for retired in &pass.retired {
        output.line(retired_line(retired));
    }
    let amiss = pass.items.iter().filter(|item| item.phase != Phase::Ready).count();
    let is_well = !pass.has_failed() && !pass.diagnostics.iter().any(Diagnostic::is_error);
    match (pass.writes, amiss) {
        (0, 0) if is_well => output.line(output.paint(Style::Green, "Nothing to do: everything is as git says.")),
        (0, 0) => output.line(output.paint(Style::Red, "Nothing was changed; what is wrong stands above.")),
        (0, 1) => output.line(output.paint(Style::Yellow, "Nothing was changed; 1 app is not as git says.")),
        (0, _) => {
            output.line(output.paint(Style::Yellow, &format!("Nothing was changed; {amiss} apps are not as git says.")))
        }
        _ => tell_work(context, pass),
    }
    Ok(())
}

fn tell_work(context: &Context, pass: &Pass) {
    context.output.line(format!(
        "{} in {:.2} s ({}, {})",
        change_summary(pass),
        pass.took.as_secs_f64(),
        report::count(pass.writes, "write"),
        report::count(pass.calls, "call")
    ));
}

fn retired_line(retired: &Retired) -> String {
    format!("retired {} from {}: its time was up (commit {})", retired.app, retired.tier, retired.commit.short())
}

/// `41 objects created, 3 updated`.
fn change_summary(pass: &Pass) -> String {
    let mut words = Vec::new();
    for (action, word) in [
        (ChangeAction::Create, "created"),
        (ChangeAction::Update, "updated"),
        (ChangeAction::Replace, "replaced"),
        (ChangeAction::Delete, "deleted"),
    ] {
        let number = pass.changes.iter().filter(|change| change.action == action).count();
        match (number, words.is_empty()) {
            (0, _) => {}
            (_, true) => words.push(format!("{} {word}", report::count(number, "object"))),
            (_, false) => words.push(format!("{number} {word}")),
        }
    }
    if words.is_empty() { "No object changed".into() } else { words.join(", ") }
}
