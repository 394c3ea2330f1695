//! What `retire` and `renew` share: the tip they propose to change, and the way the change takes.

use dayfly_calls::Calls;
use dayfly_controller::error::Error;
use dayfly_forge::{Carried, ChangeRequest};
use dayfly_git::{Repository, Tip};
use dayfly_lifecycle::{Proposal, ProposalAction};
use dayfly_model::diagnostic::Diagnostic;
use dayfly_model::digest::Revision;
use dayfly_model::names::AppName;
use dayfly_model::platform::Platform;
use dayfly_model::snapshot::Snapshot;
use serde::Serialize;

use super::{Context, Exit};

/// The tip of the platform's repository.
pub fn tip(context: &Context) -> Result<(Repository, Snapshot, Platform), Error> {
    let repository = context.platform()?.repository()?;
    let snapshot = repository.snapshot(repository.tip()?.revision)?;
    let platform = Platform::load(&snapshot, None);
    Ok((repository, snapshot, platform))
}

/// A change of one app, and what came of it. Serialized, it is the `Proposal` of the JSON formats.
#[derive(Serialize)]
pub struct Told<'a> {
    /// What it is about: `create`, `renew`, `retire`.
    pub action: String,
    /// The app.
    pub app: &'a AppName,
    /// Its tier.
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

impl Told<'_> {
    /// Prints it, where results are for scripts.
    pub fn print(&self, context: &Context) -> Result<(), Error> {
        if context.output.is_data() { context.output.data("Proposal", self) } else { Ok(()) }
    }
}

/// Carries the proposal and tells what came of it. Returns the commit, where the default branch has it now.
pub fn carry(
    context: &Context,
    repository: &Repository,
    snapshot: &Snapshot,
    proposal: &Proposal,
) -> Result<Option<Revision>, Error> {
    let tip = repository.tip()?;
    let tip = Tip { revision: snapshot.revision().unwrap_or(tip.revision), ..tip };
    let (commit, branch) = match dayfly_forge::carry(repository, &tip, proposal, context.now(), &Calls::default())? {
        Carried::Committed(revision) => {
            context.output.note(format!("{} ({})", proposal.title, revision.short()));
            (Some(revision), None)
        }
        Carried::Proposed(ChangeRequest { branch, is_new, .. }) => {
            let stands = if is_new { "stands" } else { "stood already" };
            context.output.note(format!("{}: the change {stands} on the branch {branch}", proposal.title));
            context
                .output
                .note(format!("  next: {} changes by pull request; open one from that branch", proposal.tier));
            (None, Some(branch))
        }
    };
    if let Some(app) = proposal.apps.first() {
        let file = if proposal.action == ProposalAction::Retire { "" } else { "app.yaml" };
        let (action, tier, path) = (proposal.action.to_string(), proposal.tier.as_str(), format!("apps/{app}/{file}"));
        Told { action, app, tier, commit, branch, path, title: &proposal.title }.print(context)?;
    }
    Ok(commit)
}

/// Tells why there is no proposal.
pub fn refuse(context: &Context, diagnostic: &Diagnostic) -> Exit {
    context.output.diagnostics([diagnostic]);
    Ok(1)
}
