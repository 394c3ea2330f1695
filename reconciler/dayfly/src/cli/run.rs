//! `dayfly run`: the controller.

use std::path::PathBuf;

use dayfly_controller as controller;
use dayfly_controller::error::Error;
use dayfly_controller::{Pass, Reconciler};
use dayfly_model::diagnostic::Diagnostic;

use super::CommandResult;
use super::context::CommandContext;
use crate::ui::{pass, report};

/// Keep the cluster at what the repository says
#[derive(clap::Args)]
pub struct RunArgs {}

impl RunArgs {
    /// Runs until it is told to stop.
    pub fn run(self, context: &CommandContext) -> CommandResult {
        let reconciler = context.reconciler(&[])?;
        context.block_on(control(context, reconciler, None, || ()))?;
        Ok(0)
    }
}

/// Runs the controller and prints a line for each new commit and each pass that changed something. `greet` comes after
/// the first pass.
pub async fn control(
    context: &CommandContext,
    reconciler: Reconciler,
    saves: Option<PathBuf>,
    greet: impl FnOnce(),
) -> Result<(), Error> {
    let printer = &context.printer;
    let mut greet = Some(greet);
    let mut last = None;
    let mut known: Vec<Diagnostic> = Vec::new();
    let clock = context.global.now;
    controller::run(reconciler, saves, clock, |outcome| {
        match outcome {
            Ok(pass) => {
                if last.is_none() {
                    let _ = print_pass(context, pass);
                } else {
                    let is_new = last != Some(pass.revision);
                    if is_new || !pass.changes.is_empty() || !pass.retired.is_empty() {
                        printer.text(&pass::brief(printer.palette(), pass));
                    }
                    // A finding that the pass before had too is not repeated.
                    printer.diagnostics(pass.diagnostics.iter().filter(|found| !known.contains(found)));
                }
                last = Some(pass.revision);
                known.clone_from(&pass.diagnostics);
            }
            Err(error) => printer.error(error),
        }
        greet.take().into_iter().for_each(|greet| greet());
    })
    .await
}

/// A whole pass: the table, what is wrong, what came of it.
pub fn print_pass(context: &CommandContext, pass: &Pass) -> Result<(), Error> {
    let printer = &context.printer;
    if printer.is_data() {
        return printer.data("Pass", pass);
    }
    printer.text(&report::table(printer.palette(), &pass.items, pass.time));
    printer.diagnostics(&pass.diagnostics);
    printer.text(&pass::retired(pass));
    printer.line(pass::outcome(printer.palette(), pass));
    Ok(())
}
