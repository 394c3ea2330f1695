//! `dayfly renew`: an app's time counts from today again.

use dayfly_model::platform::duration;
use jiff::SignedDuration;

use super::context::CommandContext;
use super::{CommandResult, proposed};
use crate::operations::names::known_app;
use crate::operations::proposals::PlatformTip;

/// Let an app live longer
#[derive(clap::Args)]
pub struct RenewArgs {
    /// The app
    app: String,
    /// By how much, for an app that ends on a date, such as 7d
    #[arg(long, value_name = "TIME", value_parser = duration)]
    by: Option<SignedDuration>,
}

impl RenewArgs {
    /// Commits the renewal, or puts it on a branch, as the tier says.
    pub fn run(self, context: &CommandContext) -> CommandResult {
        let home = context.platform()?;
        let tip = PlatformTip::of(&home)?;
        let app = known_app(&tip.platform, &self.app)?;
        let proposal = tip.renewal(&home, context.ledger_key(), &app, self.by, context.now())?;
        proposed::carry(context, &tip, &proposal)?;
        context.printer.note(format!("  {}", proposal.body));
        Ok(0)
    }
}
