//! `dayfly plan`: what `apply` would change, as a diff per object.

use dayfly_controller::PlanPreview;
use dayfly_plan::plan::ChangeAction;
use serde_json::json;

use super::{Context, Exit, check};
use crate::ui::output::Style;

/// Show what `apply` would change in the cluster
#[derive(clap::Args)]
pub struct Plan {
    /// Only these apps
    apps: Vec<String>,
    /// Plan this commit instead of the working tree
    #[arg(long, value_name = "REV")]
    rev: Option<String>,
}

impl Plan {
    /// Plans and prints.
    pub fn run(self, context: &Context) -> Exit {
        let mut reconciler = context.reconciler(&self.apps)?;
        let snapshot = check::snapshot(context, self.rev.as_deref())?;
        let mut preview = context.block_on(async { reconciler.preview(snapshot, context.now()).await })?;
        preview.diagnostics = context.explained(preview.diagnostics);
        if context.output.is_data() {
            context.output.data("Plan", &json!({ "changes": preview.changes }))?;
            context.output.diagnostics(&preview.diagnostics);
            return Ok(exit_code(&preview));
        }
        for change in &preview.changes {
            let style = match change.change.action {
                ChangeAction::Create => Style::Green,
                ChangeAction::Delete | ChangeAction::Replace => Style::Red,
                _ => Style::Yellow,
            };
            context.output.line(
                context
                    .output
                    .paint(style, &format!("{} {}  # {}", change.change.action, change.change.object, change.reason)),
            );
            for line in change.diff.lines() {
                let style = match line.as_bytes().first() {
                    Some(b'+') => Style::Green,
                    Some(b'-') => Style::Red,
                    Some(b'@') => Style::Cyan,
                    _ => Style::Plain,
                };
                context.output.line(context.output.paint(style, line));
            }
            for object in &change.along {
                context.output.line(context.output.paint(Style::Red, &format!("  takes along {object}")));
            }
        }
        context.output.diagnostics(&preview.diagnostics);
        context.output.line(context.output.paint(Style::Bold, &preview.summary()));
        Ok(exit_code(&preview))
    }
}

/// 0 none, 1 changes or findings, 2 where a cluster could not be asked; kubectl's own.
fn exit_code(preview: &PlanPreview) -> u8 {
    match preview.unknown.is_empty() && preview.failed == 0 {
        true => u8::from(!preview.changes.is_empty() || preview.has_findings()),
        false => 2,
    }
}
