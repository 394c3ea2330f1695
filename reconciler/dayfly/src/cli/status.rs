//! `dayfly status`: how the apps are.

use serde_json::json;

use super::{Context, Exit, proposed, render};
use crate::ui::report;

/// Show how the apps are
#[derive(clap::Args)]
pub struct Status {
    /// Only this app
    app: Option<String>,
}

impl Status {
    /// Looks and tells.
    pub fn run(self, context: &Context) -> Exit {
        let apps: Vec<String> = self.app.iter().cloned().collect();
        let mut reconciler = context.reconciler(&apps)?;
        let now = context.now();
        let (items, diagnostics) = context.block_on(async { reconciler.status(now).await })?;
        let diagnostics = context.explained(diagnostics);
        if let (Some(app), true) = (&self.app, items.is_empty()) {
            render::known_app(&proposed::tip(context)?.2, app)?;
        }
        if context.output.is_data() {
            context.output.data("StatusList", &json!({ "items": items, "diagnostics": diagnostics }))?;
        } else {
            context.output.text(&match (&self.app, items.as_slice()) {
                (Some(_), [item]) => report::whole(&context.output, item, now),
                _ => report::table(&context.output, &items, now),
            });
            context.output.diagnostics(&diagnostics);
        }
        Ok(u8::from(items.iter().any(|item| item.is_unhealthy())))
    }
}
