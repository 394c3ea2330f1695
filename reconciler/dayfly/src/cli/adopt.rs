//! `dayfly adopt`: a signed record approves a commit as it stands, or one app as it renders there.

use std::collections::BTreeSet;

use dayfly_core::diagnostic::Diagnostic;
use dayfly_core::digest::Revision;
use dayfly_core::evaluate::Held;
use dayfly_core::ledger::{Fact, Signer};
use dayfly_core::names::AppName;
use dayfly_core::platform::environment::Changes;
use dayfly_core::render;

use super::render::known_app;
use super::{Context, Exit};
use crate::error::Error;
use crate::git::Repository;
use crate::ledger;
use crate::source::{Source, View};

/// Approve a commit as it stands
#[derive(clap::Args)]
pub struct Adopt {
    /// The commit, branch or tag [default: the default branch's tip]
    revision: Option<String>,
    /// Approve only this app, as it renders at that commit; several times for several apps
    #[arg(long = "app", value_name = "APP")]
    apps: Vec<String>,
}

impl Adopt {
    /// Writes the record, and says what it approves.
    pub fn run(self, context: &Context) -> Exit {
        let home = context.home();
        let repository = home.repository()?;
        let revision = self.commit(&repository)?;
        let signer = home.signer_or_new(context.global.ledger_key.as_deref())?;
        let Some(known) = ledger::read(&repository, &signer.verifier())? else {
            return match self.apps.is_empty() {
                true => approve_all(context, &repository, &signer, revision, None),
                false => Err(Error::refused(
                    "nothing is approved yet, so no app can be approved by itself",
                    "approve the platform as it stands first: dayfly adopt",
                )),
            };
        };
        if self.apps.is_empty() && known.baseline == revision && known.instances.is_empty() {
            context.output.note(format!("{} is the approved baseline already", revision.short()));
            return Ok(0);
        }
        let mut source = Source::new(home.repository()?, signer.verifier());
        let view = source.preview(repository.snapshot(revision)?, context.now())?;
        if self.apps.is_empty() {
            return approve_all(context, &repository, &signer, revision, Some(&view));
        }
        let apps: Result<Vec<_>, _> = self.apps.iter().map(|name| known_app(&view.platform, name)).collect();
        let facts: Result<Vec<_>, _> = apps?.iter().map(|app| approval(&view, app)).collect();
        let facts = match facts {
            Ok(facts) => facts,
            Err(errors) => {
                context.output.diagnostics(errors.iter());
                return Ok(1);
            }
        };
        for (name, fact) in self.apps.iter().zip(facts) {
            let Some(fact) = fact else {
                context.output.note(format!("{name} is approved already as {} renders it", revision.short()));
                continue;
            };
            ledger::append(&repository, &signer, revision, context.now(), fact)?;
            let key = signer.verifier().id();
            context.output.note(format!("approved {name} as {} renders it (key {key})", revision.short()));
        }
        Ok(0)
    }

    /// The commit that is meant. Only what leads to the tip can be approved.
    fn commit(&self, repository: &Repository) -> Result<Revision, Error> {
        let tip = repository.tip()?;
        let Some(name) = &self.revision else { return Ok(tip.revision) };
        let revision = repository.resolve(name)?;
        if repository.ancestors(tip.revision, &BTreeSet::new())?.0.contains(&revision) {
            return Ok(revision);
        }
        let branch = tip.short_branch();
        Err(Error::refused(
            format!("{} is not in the history of {branch}, so nothing could run as it says", revision.short()),
            format!("merge it into {branch}, then approve it"),
        ))
    }
}

/// Approves a commit as it stands, and lists what waited for it.
fn approve_all(
    context: &Context,
    repository: &Repository,
    signer: &Signer,
    revision: Revision,
    waits: Option<&View>,
) -> Exit {
    ledger::append(repository, signer, revision, context.now(), Fact::Baseline)?;
    context.output.note(format!(
        "approved {}: its apps, environments and policies hold from now on (key {})",
        revision.short(),
        signer.verifier().id()
    ));
    let Some(view) = waits else { return Ok(0) };
    if view.control_waits {
        context.output.note("  changed: environments/, policies/ or .github/");
    }
    for evaluated in view.evaluation.instances.values() {
        let (Some(held), Some(key)) = (evaluated.held, evaluated.key()) else { continue };
        let how = match held {
            Held::New => "new",
            Held::Changed => "changed",
        };
        context.output.note(format!("  {how}: {} in {}", key.app, key.tier));
    }
    Ok(0)
}

/// The approval of one app as this view renders it; none where it needs none.
fn approval(view: &View, app: &AppName) -> Result<Option<Fact>, Vec<Diagnostic>> {
    let instance = view.platform.instance(app).map_err(|errors| errors.to_vec())?;
    let tier = instance.key.tier.clone();
    if instance.environment.changes == Changes::Commit {
        let error = Diagnostic::error("approval/needless", format!("apps/{app}"), format!("runs in {tier}"));
        return Err(vec![error.about(app).help(format!("nothing to approve: in {tier} a commit goes live by itself"))]);
    }
    let rendered = render::render(&instance).map_err(|errors| errors.to_vec())?.digest;
    let waits = view.evaluation.instances.get(app).is_some_and(|evaluated| evaluated.held.is_some());
    Ok(waits.then(|| Fact::Approval { app: app.clone(), tier, rendered }))
}
