//! `dayfly schema`: the JSON Schema of a manifest, for editors.

use dayfly_controller::error::Error;
use dayfly_model::schema::{ManifestKind, json_schema};

use super::CommandResult;
use super::context::CommandContext;

/// Print the JSON Schema of a manifest
#[derive(clap::Args)]
pub struct SchemaArgs {
    /// App, Template, Environment or Waiver
    kind: String,
}

impl SchemaArgs {
    /// Prints it; as JSON, unless YAML was asked for.
    pub fn run(self, context: &CommandContext) -> CommandResult {
        let kind = ManifestKind::ALL.into_iter().find(|kind| kind.name().eq_ignore_ascii_case(&self.kind));
        let kind = kind.ok_or_else(|| {
            let kinds = ManifestKind::ALL.map(ManifestKind::name).join(", ");
            Error::usage(format!("{}: no such kind of manifest", self.kind), format!("the kinds are {kinds}"))
        })?;
        context.printer.value(&json_schema(kind));
        Ok(0)
    }
}
