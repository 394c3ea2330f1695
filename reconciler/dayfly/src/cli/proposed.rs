//! What `new`, `renew` and `retire` tell of a change.

use dayfly_controller::error::Error;
use dayfly_forge::{Carried, ChangeRequest};
use dayfly_lifecycle::{Proposal, ProposalAction};
use dayfly_model::digest::Revision;
use dayfly_model::names::AppName;
use serde::Serialize;

use super::context::CommandContext;
use crate::operations::proposals::PlatformTip;

/// A change of one app, and what came of it. Serialized, it is the `Proposal` of the JSON formats.
#[derive(Serialize)]
pub struct ProposalReport<'a> {
    /// What it is about: `create`, `renew`, `retire`.
    pub action: String,
    pub app: &'a AppName,
    pub tier: &'a str,
    /// The commit, where the default branch has it now.
    pub commit: Option<Revision>,
    /// The branch that waits for a person, where the tier changes by pull request.
    pub branch: Option<String>,
    /// The file that it writes, or the folder that it deletes.
    pub path: String,
    /// What it does, in a line.
    pub title: &'a str,
}

impl ProposalReport<'_> {
    /// Prints it, where results are for scripts.
    pub fn print(&self, context: &CommandContext) -> Result<(), Error> {
        if context.printer.is_data() { context.printer.data("Proposal", self) } else { Ok(()) }
    }
}

/// Carries the proposal to git and tells what came of it. Returns the commit, where the default branch has it now.
pub fn carry(context: &CommandContext, tip: &PlatformTip, proposal: &Proposal) -> Result<Option<Revision>, Error> {
    let printer = &context.printer;
    let (commit, branch) = match tip.carry(proposal, context.now())? {
        Carried::Committed(revision) => {
            printer.note(format!("{} ({})", proposal.title, revision.short()));
            (Some(revision), None)
        }
        Carried::Proposed(ChangeRequest { branch, is_new, .. }) => {
            let stands = if is_new { "stands" } else { "stood already" };
            printer.note(format!("{}: the change {stands} on the branch {branch}", proposal.title));
            printer.note(format!("  next: {} changes by pull request; open one from that branch", proposal.tier));
            (None, Some(branch))
        }
    };
    if let Some(app) = proposal.apps.first() {
        let file = if proposal.action == ProposalAction::Retire { "" } else { "app.yaml" };
        let (action, tier, path) = (proposal.action.to_string(), proposal.tier.as_str(), format!("apps/{app}/{file}"));
        ProposalReport { action, app, tier, commit, branch, path, title: &proposal.title }.print(context)?;
    }
    Ok(commit)
}
