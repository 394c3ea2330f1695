//! `dayfly apply`: one pass.

use super::{Context, Exit, run};

/// Bring the cluster to what the repository says, once
#[derive(clap::Args)]
pub struct Apply {
    /// Only these apps
    apps: Vec<String>,
}

impl Apply {
    /// Does the pass and tells what happened.
    pub fn run(self, context: &Context) -> Exit {
        let mut reconciler = context.reconciler(&self.apps)?;
        context.block_on(async {
            let mut pass = reconciler.pass(context.now()).await?;
            pass.diagnostics = context.explained(pass.diagnostics);
            run::print_pass(context, &pass)?;
            Ok(u8::from(pass.has_failed()))
        })
    }
}
