//! Promotion: an app moves one tier up, if it is valid there.

use dayfly_model::diagnostic::Diagnostic;
use dayfly_model::names::{AppName, TierName};
use dayfly_model::platform::{App, Environment, Instance, Platform};
use dayfly_model::rule::Rule;
use dayfly_model::snapshot::{FileEntry, Snapshot};

use crate::proposal::{Proposal, ProposalAction, branch, set_fields};
use crate::situation::subject;

/// The proposal to promote an app to the next tier, or to one of the next where several have the same order. Refused where
/// there is none, and where the app would not be sound there: its ttl, its parameters, its destinations.
pub fn promote(
    platform: &Platform,
    snapshot: &Snapshot,
    name: &AppName,
    to: Option<&TierName>,
) -> Result<Proposal, Diagnostic> {
    let (app, from) = subject(platform, name)?;
    let target = target(platform, app, from, to)?;
    let edit = set_fields(snapshot, name, &[("spec.tier", target.as_str().into())], &[])?;
    let entry = edit.content.clone().map(FileEntry::file);
    let promoted = Platform::load(&snapshot.patched(None, [(edit.path.clone(), entry)]), Some(platform));
    let instance = promoted.instance(name).map_err(|errors| unsound(app, target, &errors))?;
    let environment = &instance.environment;
    let roles = environment.approvals.iter().map(|approval| approval.role.as_str());
    let roles: Vec<_> = roles.chain(instance.template.approvals.iter().map(String::as_str)).collect();
    let mut labels =
        vec!["promotion".to_owned(), format!("promote/{target}"), format!("cost-center/{}", app.cost_center)];
    labels.extend(roles.iter().map(|role| format!("needs-{role}")));
    Ok(Proposal {
        action: ProposalAction::Promote,
        apps: vec![name.clone()],
        tier: target.clone(),
        by: environment.changes,
        branch: branch(ProposalAction::Promote, name, target),
        edits: vec![edit],
        title: format!("{name}: promote from {} to {target}", app.tier),
        body: body(&instance, &app.tier, &roles),
        labels,
        reason: format!("promoted from {}", app.tier),
    })
}

/// The tier that the promotion leads to: of the next order above.
fn target<'p>(
    platform: &'p Platform,
    app: &App,
    from: &Environment,
    to: Option<&TierName>,
) -> Result<&'p TierName, Diagnostic> {
    let above = || platform.environments.values().filter_map(|item| item.get()).filter(|tier| tier.order > from.order);
    let order = above().map(|tier| tier.order).min();
    let next: Vec<_> = above().filter(|tier| Some(tier.order) == order).map(|tier| &tier.tier).collect();
    let names = || next.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or ");
    let refuse = |message: String, help: String| {
        Err(app.spans.finding(Rule::PROMOTE_REFUSED, "spec.tier", message).about(&app.name).help(help))
    };
    match (to, next.as_slice()) {
        (_, []) => refuse(format!("no tier is above {}", from.tier), "It is as high as it can be.".into()),
        (None, [one]) => Ok(one),
        (None, _) => refuse(format!("more than one tier is above {}", from.tier), format!("Say which: {}.", names())),
        (Some(to), _) => match next.iter().find(|tier| **tier == to) {
            Some(tier) => Ok(tier),
            None => refuse(format!("{to} is not one step above {}", from.tier), format!("Promote it to {}.", names())),
        },
    }
}

/// The first thing that stands in the way, as a refusal of the promotion.
fn unsound(app: &App, target: &TierName, errors: &[Diagnostic]) -> Diagnostic {
    let first = errors
        .first()
        .cloned()
        .unwrap_or_else(|| Diagnostic::new(Rule::PROMOTE_REFUSED, &*app.spans.path, "is broken"));
    let help = first.help.map(|help| format!(" {help}")).unwrap_or_default();
    Diagnostic { help: Some(format!("This stands in the way of {target}.{help}")), ..first }
}

fn body(instance: &Instance, from: &TierName, roles: &[&str]) -> String {
    let app = &instance.app;
    let mut lines = vec![format!("{} of {} moves from {from} to {}.", app.name, app.owner, instance.key.tier)];
    lines.extend(app.purpose.iter().map(|purpose| format!("\nPurpose: {purpose}")));
    lines.push(String::new());
    lines.extend(instance.host.iter().map(|host| format!("- people will find it at https://{host}")));
    lines.push(format!("- its time counts anew; what it stored in {from} stays behind and is taken down"));
    if !roles.is_empty() {
        lines.push(format!("- needed: the approval of {}", roles.join(", ")));
    }
    lines.join("\n")
}
