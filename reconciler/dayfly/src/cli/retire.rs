//! `dayfly retire`: a person ends an app, or confirms that many may go.

use dayfly_lifecycle::retire;

use super::context::CommandContext;
use super::{CommandResult, proposed};
use crate::operations::names::known_app;
use crate::operations::proposals::PlatformTip;
use crate::operations::retirement;

/// End an app: commit its deletion
#[derive(clap::Args)]
pub struct RetireArgs {
    /// The app
    #[arg(required_unless_present = "confirm")]
    app: Option<String>,
    /// Why, for the history
    #[arg(long, default_value = "a person asked for it")]
    reason: String,
    /// Confirm that everything the current commit deletes is meant to go, however much it is
    #[arg(long, conflicts_with_all = ["app", "reason"])]
    confirm: bool,
}

impl RetireArgs {
    /// Commits the deletion, or puts it on a branch, as the tier says.
    pub fn run(self, context: &CommandContext) -> CommandResult {
        let Some(name) = &self.app else { return confirm(context) };
        let home = context.platform()?;
        let tip = PlatformTip::of(&home)?;
        let app = known_app(&tip.platform, name)?;
        // One line: it stands in a commit's message, among lines that mean something.
        let reason = self.reason.split_whitespace().collect::<Vec<_>>().join(" ");
        let proposal = retire::retire(&tip.platform, &app, &reason)?;
        if let Some(deletion) = proposed::carry(context, &tip, &proposal)? {
            retirement::sign(&home, context.ledger_key(), &tip.repository, deletion, app, context.now())?;
        }
        Ok(0)
    }
}

/// Signs that the deletions up to the tip are meant.
fn confirm(context: &CommandContext) -> CommandResult {
    let home = context.platform()?;
    let reconciler = || context.reconciler(&[]);
    let report = context.block_on(retirement::confirm(&home, context.ledger_key(), reconciler, context.now()))?;
    if report.records > 0 {
        context.printer.note(format!("confirmed: what {} no longer has may go", report.revision.short()));
    } else {
        context.printer.note("nothing waits for a confirmation: nothing was written");
    }
    if context.printer.is_data() {
        context.printer.data("Confirmation", &report)?;
    }
    Ok(0)
}
