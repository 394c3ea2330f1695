//! `dayfly apply`: one pass.

use super::context::CommandContext;
use super::{CommandResult, run};

/// Bring the cluster to what the repository says, once
#[derive(clap::Args)]
pub struct ApplyArgs {
    /// Only these apps
    apps: Vec<String>,
}

impl ApplyArgs {
    /// Does the pass and tells what happened.
    pub fn run(self, context: &CommandContext) -> CommandResult {
        let mut reconciler = context.reconciler(&self.apps)?;
        context.block_on(async {
            let mut pass = reconciler.pass(context.now()).await?;
            pass.diagnostics = context.explained(pass.diagnostics);
            run::print_pass(context, &pass)?;
            Ok(u8::from(pass.has_failed()))
        })
    }
}
