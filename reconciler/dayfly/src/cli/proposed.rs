//! What `retire` and `renew` share: the tip they propose to change, and the way the change takes.

use dayfly_core::diagnostic::Diagnostic;
use dayfly_core::digest::Revision;
use dayfly_core::lifecycle::Proposal;
use dayfly_core::platform::Platform;
use dayfly_core::snapshot::Snapshot;

use super::{Context, Exit};
use crate::calls::Calls;
use crate::error::Error;
use crate::git::{Repository, Tip};
use crate::proposals::{self, Carried};

/// The tip of the platform's repository.
pub fn tip(context: &Context) -> Result<(Repository, Snapshot, Platform), Error> {
    let repository = context.home().repository()?;
    let snapshot = repository.snapshot(repository.tip()?.revision)?;
    let platform = Platform::load(&snapshot, None);
    Ok((repository, snapshot, platform))
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
    match proposals::carry(repository, &tip, proposal, context.now(), &Calls::default())? {
        Carried::Committed(revision) => {
            context.output.note(format!("{} ({})", proposal.title, revision.short()));
            Ok(Some(revision))
        }
        Carried::Branched { branch, is_new } => {
            let stands = if is_new { "stands" } else { "stood already" };
            context.output.note(format!("{}: the change {stands} on the branch {branch}", proposal.title));
            context
                .output
                .note(format!("  next: {} changes by pull request; open one from that branch", proposal.tier));
            Ok(None)
        }
    }
}

/// Tells why there is no proposal.
pub fn refuse(context: &Context, diagnostic: &Diagnostic) -> Exit {
    context.output.diagnostics([diagnostic]);
    Ok(1)
}
