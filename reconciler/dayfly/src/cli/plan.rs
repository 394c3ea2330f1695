//! `dayfly plan`: what `apply` would change, as a diff per object.

use dayfly_controller::PlanPreview;
use serde_json::json;

use super::context::CommandContext;
use super::{CommandResult, check};
use crate::ui::preview;
use crate::ui::style::Style;

/// Show what `apply` would change in the cluster
#[derive(clap::Args)]
pub struct PlanArgs {
    /// Only these apps
    apps: Vec<String>,
    /// Plan this commit instead of the working tree
    #[arg(long, value_name = "REV")]
    rev: Option<String>,
}

impl PlanArgs {
    /// Plans and prints.
    pub fn run(self, context: &CommandContext) -> CommandResult {
        let mut reconciler = context.reconciler(&self.apps)?;
        let snapshot = check::snapshot(context, self.rev.as_deref())?;
        let mut found = context.block_on(async { reconciler.preview(snapshot, context.now()).await })?;
        found.diagnostics = context.explained(found.diagnostics);
        let printer = &context.printer;
        if printer.is_data() {
            printer.data("Plan", &json!({ "changes": found.changes }))?;
            printer.diagnostics(&found.diagnostics);
            return Ok(exit_code(&found));
        }
        for change in &found.changes {
            printer.text(&preview::change(printer.palette(), change));
        }
        printer.diagnostics(&found.diagnostics);
        printer.line(printer.palette().paint(Style::Bold, &found.summary()));
        Ok(exit_code(&found))
    }
}

/// 0 none, 1 changes or findings, 2 where a cluster could not be asked; kubectl's own.
fn exit_code(preview: &PlanPreview) -> u8 {
    match preview.unknown.is_empty() && preview.failed == 0 {
        true => u8::from(!preview.changes.is_empty() || preview.has_findings()),
        false => 2,
    }
}
