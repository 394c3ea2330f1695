//! `dayfly status`: how the apps are.

use serde_json::json;

use super::{Context, Exit};
use crate::report;

/// Show how the apps are
#[derive(clap::Args)]
pub struct Status {
    /// Only this app
    app: Option<String>,
}

impl Status {
    /// Looks and tells.
    pub fn run(self, context: &Context) -> Exit {
        let apps: Vec<String> = self.app.into_iter().collect();
        let mut reconciler = context.reconciler(&apps)?;
        let now = context.now();
        let (items, diagnostics) = context.block_on(async { reconciler.status(now).await })?;
        let diagnostics = context.explained(diagnostics);
        if context.output.is_data() {
            context.output.data("StatusList", &json!({ "items": items, "diagnostics": diagnostics }))?;
        } else {
            context.output.text(&report::table(&context.output, &items, now));
            context.output.diagnostics(&diagnostics);
        }
        Ok(u8::from(items.iter().any(|item| item.is_unhealthy())))
    }
}
