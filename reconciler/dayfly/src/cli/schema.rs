//! `dayfly schema`: the JSON Schema of a manifest, for editors.

use dayfly_controller::error::Error;
use dayfly_model::schema::{ManifestKind, json_schema};

use super::{Context, Exit};

/// Print the JSON Schema of a manifest
#[derive(clap::Args)]
pub struct Schema {
    /// App, Template, Environment or Waiver
    kind: String,
}

impl Schema {
    /// Prints it.
    pub fn run(self, context: &Context) -> Exit {
        let kind = ManifestKind::ALL.into_iter().find(|kind| kind.name().eq_ignore_ascii_case(&self.kind));
        let kind = kind.ok_or_else(|| {
            let kinds = ManifestKind::ALL.map(ManifestKind::name).join(", ");
            Error::usage(format!("{}: no such kind of manifest", self.kind), format!("the kinds are {kinds}"))
        })?;
        context.output.line(serde_json::to_string_pretty(&json_schema(kind)).unwrap_or_default());
        Ok(0)
    }
}
