//! `dayfly render`: an app's manifests, as they would be applied.

use dayfly_judge::render;
use dayfly_model::platform::Platform;
use dayfly_model::yaml;
use serde_json::json;

use super::context::CommandContext;
use super::{CommandResult, check};
use crate::operations::names::known_app;

/// Print an app's manifests
#[derive(clap::Args)]
pub struct RenderArgs {
    /// The app
    app: String,
    /// Render this commit instead of the working tree
    #[arg(long, value_name = "REV")]
    rev: Option<String>,
}

impl RenderArgs {
    /// Renders and prints.
    pub fn run(self, context: &CommandContext) -> CommandResult {
        let snapshot = check::snapshot(context, self.rev.as_deref())?;
        let platform = Platform::load(&snapshot, None);
        let name = known_app(&platform, &self.app)?;
        let manifests = platform.instance(&name).and_then(|instance| render::render(&instance))?;
        if context.printer.is_data() {
            let items: Vec<_> = manifests.objects.iter().map(|object| object.value()).collect();
            context.printer.data("Manifests", &json!({ "digest": manifests.digest, "items": items }))?;
        } else {
            for object in &manifests.objects {
                context.printer.text(&format!("---\n{}", yaml::emit(object.value())));
            }
        }
        Ok(0)
    }
}
