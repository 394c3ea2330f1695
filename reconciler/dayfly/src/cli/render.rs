//! `dayfly render`: an app's manifests, as they would be applied.

use dayfly_controller::error::Error;
use dayfly_judge::render;
use dayfly_model::names::AppName;
use dayfly_model::platform::{Platform, suggestion};
use dayfly_model::yaml;
use serde_json::json;

use super::{Context, Exit, check, usage_name};

/// Print an app's manifests
#[derive(clap::Args)]
pub struct Render {
    /// The app
    app: String,
    /// Render this commit instead of the working tree
    #[arg(long, value_name = "REV")]
    rev: Option<String>,
}

impl Render {
    /// Renders and prints.
    pub fn run(self, context: &Context) -> Exit {
        let snapshot = check::snapshot(context, self.rev.as_deref())?;
        let platform = Platform::load(&snapshot, None);
        let name = known_app(&platform, &self.app)?;
        let rendered = platform.instance(&name).and_then(|instance| render::render(&instance));
        let manifests = match rendered {
            Ok(manifests) => manifests,
            Err(errors) => {
                context.output.diagnostics(errors.iter());
                return Ok(1);
            }
        };
        if context.output.is_data() {
            let items: Vec<_> = manifests.objects.iter().map(|object| object.value()).collect();
            context.output.data("Manifests", &json!({ "digest": manifests.digest, "items": items }))?;
        } else {
            for object in &manifests.objects {
                context.output.text(&format!("---\n{}", yaml::emit(object.value())));
            }
        }
        Ok(0)
    }
}

/// The app of that name, or an error that suggests the nearest.
pub fn known_app(platform: &Platform, name: &str) -> Result<AppName, Error> {
    let parsed: AppName = usage_name(name)?;
    if platform.apps.contains_key(&parsed) {
        return Ok(parsed);
    }
    let help = match suggestion(name, platform.apps.keys().map(AppName::as_str)) {
        Some(near) => format!("did you mean {near}? `dayfly status` lists all"),
        None if platform.apps.is_empty() => "there are no apps yet: `dayfly new` starts one".into(),
        None => "`dayfly status` lists all".into(),
    };
    Err(Error::refused(format!("{name}: no such app under apps/"), help))
}
