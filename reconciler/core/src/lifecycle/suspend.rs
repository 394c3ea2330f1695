//! Suspension: an app is scaled to zero, or back, by a field of its manifest.

use super::{Action, Proposal, branch, one_line, set_fields, subject};
use crate::diagnostic::Diagnostic;
use crate::names::AppName;
use crate::platform::Platform;
use crate::snapshot::Snapshot;

/// The proposal to suspend an app, or to let it run again. Refused where it is so already.
pub fn suspend(
    platform: &Platform,
    snapshot: &Snapshot,
    name: &AppName,
    suspend: bool,
    reason: &str,
) -> Result<Proposal, Diagnostic> {
    let (app, environment) = subject(platform, name)?;
    let (verb, state) = if suspend { ("suspend", "suspended") } else { ("resume", "running") };
    if app.suspend == suspend {
        let message = format!("spec.suspend: {name} is {state} already");
        let refusal = Diagnostic::error("suspend/refused", &*app.spans.path, message);
        return Err(refusal.at(app.spans.position("spec.suspend")).about(name).help("There is nothing to do."));
    }
    let edit = set_fields(snapshot, name, &[("spec.suspend", suspend.into())], &["renewed", "ttl", "expires"])?;
    Ok(Proposal {
        action: Action::Suspend,
        apps: vec![name.clone()],
        tier: app.tier.clone(),
        by: environment.changes,
        branch: branch(Action::Suspend, name, &app.tier),
        edits: vec![edit],
        title: format!("{name}: {verb} in {}", app.tier),
        body: format!(
            "{name} of {} is {state} after this. Nothing is deleted.\n\nReason: {}",
            app.owner,
            one_line(reason)
        ),
        labels: vec![],
        reason: reason.to_owned(),
    })
}
