//! Suspension: an app is scaled to zero, or back, by a field of its manifest.

use dayfly_model::diagnostic::Diagnostic;
use dayfly_model::names::{AppName, TierName};
use dayfly_model::platform::Platform;
use dayfly_model::platform::environment::Changes;
use dayfly_model::rule::Rule;
use dayfly_model::snapshot::Snapshot;

use crate::proposal::{Proposal, ProposalAction, branch, one_line, set_fields};
use crate::situation::subject;

/// The proposal to suspend an app, or to let it run again. Refused where that is so already.
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
        let message = format!("{name} is {state} already");
        let refusal = app.spans.finding(Rule::SUSPEND_REFUSED, "spec.suspend", message);
        return Err(refusal.about(name).help("There is nothing to do."));
    }
    let edit = set_fields(snapshot, name, &[("spec.suspend", suspend.into())], &["renewed", "ttl", "expires"])?;
    Ok(Proposal {
        action: ProposalAction::Suspend,
        apps: vec![name.clone()],
        tier: app.tier.clone(),
        by: environment.changes,
        branch: branch(ProposalAction::Suspend, name, &app.tier),
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

/// The proposal to suspend apps whose retirement waited for a person longer than its grace. It is a commit in every tier:
/// nothing is deleted, and `suspend` needs no approval. None where all of them are suspended already, or cannot be edited.
pub fn overdue(platform: &Platform, snapshot: &Snapshot, tier: &TierName, names: &[AppName]) -> Option<Proposal> {
    let running = |name: &&AppName| subject(platform, name).is_ok_and(|(app, _)| !app.suspend);
    let edit = |name| set_fields(snapshot, name, &[("spec.suspend", true.into())], &["renewed", "ttl", "expires"]).ok();
    let edits = names.iter().filter(running).filter_map(|name| Some((name.clone(), edit(name)?)));
    let (apps, edits): (Vec<_>, Vec<_>) = edits.unzip();
    let title = match &apps[..] {
        [] => return None,
        [one] => format!("{one}: suspend in {tier}, its retirement waits"),
        many => format!("{tier}: suspend {} apps, their retirement waits", many.len()),
    };
    Some(Proposal {
        action: ProposalAction::Suspend,
        apps,
        tier: tier.clone(),
        by: Changes::Commit,
        branch: format!("dayfly/suspend/_expired/{tier}"),
        edits,
        title,
        body: "Their time and the grace after it are over, and nobody merged the retirement. They run no longer and have no \
               address until they are renewed or retired; nothing is deleted."
            .into(),
        labels: vec![],
        reason: "expired, and the retirement waits".into(),
    })
}
