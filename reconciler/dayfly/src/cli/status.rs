//! `dayfly status`: how the apps are.

use serde_json::json;

use super::CommandResult;
use super::context::CommandContext;
use crate::operations::names::known_app;
use crate::operations::proposals::PlatformTip;
use crate::ui::report;

/// Show how the apps are
#[derive(clap::Args)]
pub struct StatusArgs {
    /// Only this app
    app: Option<String>,
}

impl StatusArgs {
    /// Asks the clusters and tells.
    pub fn run(self, context: &CommandContext) -> CommandResult {
        let apps: Vec<String> = self.app.iter().cloned().collect();
        let mut reconciler = context.reconciler(&apps)?;
        let now = context.now();
        let (items, diagnostics) = context.block_on(async { reconciler.status(now).await })?;
        let diagnostics = context.explained(diagnostics);
        if let (Some(app), true) = (&self.app, items.is_empty()) {
            known_app(&PlatformTip::of(&context.platform()?)?.platform, app)?;
        }
        let printer = &context.printer;
        if printer.is_data() {
            printer.data("StatusList", &json!({ "items": items, "diagnostics": diagnostics }))?;
        } else {
            printer.text(&match (&self.app, items.as_slice()) {
                (Some(_), [item]) => report::details(printer.palette(), item, now),
                _ => report::table(printer.palette(), &items, now),
            });
            printer.diagnostics(&diagnostics);
        }
        Ok(u8::from(items.iter().any(|item| item.is_unhealthy())))
    }
}
