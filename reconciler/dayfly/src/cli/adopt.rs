//! `dayfly adopt`: a signed record approves a commit as it stands, or one app as it renders there.

use std::collections::BTreeSet;

use dayfly_controller::View;
use dayfly_controller::error::Error;
use dayfly_controller::source::Source;
use dayfly_git::Repository;
use dayfly_git::ledger;
use dayfly_judge::evaluate::{Desired, Evaluated, Evaluator, HeldReason};
use dayfly_judge::render;
use dayfly_lifecycle::ledger::{LedgerFact, Signer};
use dayfly_model::diagnostic::Diagnostic;
use dayfly_model::digest::Revision;
use dayfly_model::names::{AppName, TierName};
use dayfly_model::platform::Platform;
use dayfly_model::platform::environment::Changes;
use dayfly_model::rule::Rule;
use dayfly_model::snapshot::Snapshot;
use serde::Serialize;

use super::render::known_app;
use super::{Context, Exit};

/// Approve a commit as it stands
#[derive(clap::Args)]
pub struct Adopt {
    /// The commit, branch or tag [default: the default branch's tip]
    revision: Option<String>,
    /// Approve only this app, as it renders at that commit; several times for several apps
    #[arg(long = "app", value_name = "APP")]
    apps: Vec<String>,
}

/// What was approved. Serialized, it is the `Approval` of the JSON formats.
#[derive(Serialize)]
struct Approval {
    revision: Revision,
    key: String,
    /// Whether it approves everything at the commit, or single apps.
    baseline: bool,
    /// Whether environments, policies or the gate waited for it.
    control: bool,
    /// The apps that waited for it.
    apps: Vec<Waited>,
    /// How many records were written; none where all was approved already.
    records: usize,
}

#[derive(Serialize)]
struct Waited {
    app: AppName,
    tier: TierName,
    /// `new` in its tier, or `changed`.
    was: &'static str,
}

impl Adopt {
    /// Writes the record, and says what it approves.
    pub fn run(self, context: &Context) -> Exit {
        let home = context.platform()?;
        let repository = home.repository()?;
        let revision = self.commit(&repository)?;
        let signer = home.signer_or_new(context.global.ledger_key.as_deref())?;
        let (key, baseline) = (signer.verifier().id(), self.apps.is_empty());
        let approval = Approval { revision, key, baseline, control: false, apps: Vec::new(), records: 0 };
        let mut work = Work { context, repository, signer, approval };
        let code = if baseline { work.approve_all()? } else { work.approve_apps(&self.apps)? };
        if code == 0 && context.output.is_data() {
            context.output.data("Approval", &work.approval)?;
        }
        Ok(code)
    }

    /// The commit that is meant. Only what leads to the tip can be approved.
    fn commit(&self, repository: &Repository) -> Result<Revision, Error> {
        let tip = repository.tip()?;
        let Some(name) = &self.revision else { return Ok(tip.revision) };
        let revision = repository.resolve(name)?;
        if repository.ancestors(tip.revision, &BTreeSet::new())?.contains(&revision) {
            return Ok(revision);
        }
        let branch = tip.short_branch();
        Err(Error::refused(
            format!("{} is not in the history of {branch}, so nothing could run as it says", revision.short()),
            format!("merge it into {branch}, then approve it"),
        ))
    }
}

/// An approval under way.
struct Work<'a> {
    context: &'a Context,
    repository: Repository,
    signer: Signer,
    approval: Approval,
}

impl Work<'_> {
    /// Approves a commit as it stands, and lists what waited for it.
    fn approve_all(&mut self) -> Exit {
        let at = self.approval.revision;
        let known = ledger::read(&self.repository, &self.signer.verifier())?;
        if known.as_ref().is_some_and(|known| known.baseline == at && known.instances.is_empty()) {
            self.context.output.note(format!("{} is the approved baseline already", at.short()));
            return Ok(0);
        }
        refuse_broken(self.context, &self.repository.snapshot(at)?)?;
        if known.is_some() {
            let view = self.view()?;
            self.approval.control = view.control_waits;
            self.approval.apps = view.evaluation.instances.values().filter_map(|instance| waited(instance)).collect();
        }
        self.append(LedgerFact::Baseline)?;
        tell_baseline(self.context, &self.approval);
        Ok(0)
    }

    /// Approves each of these apps as the commit renders it.
    fn approve_apps(&mut self, names: &[String]) -> Exit {
        if ledger::read(&self.repository, &self.signer.verifier())?.is_none() {
            return Err(Error::refused(
                "nothing is approved yet, so no app can be approved by itself",
                "approve the platform as it stands first: dayfly adopt",
            ));
        }
        let view = self.view()?;
        let apps: Result<Vec<_>, _> = names.iter().map(|name| known_app(&view.platform, name)).collect();
        let facts: Result<Vec<_>, _> = apps?.iter().map(|app| fact(&view, app)).collect();
        let facts = match facts {
            Ok(facts) => facts,
            Err(errors) => {
                self.context.output.diagnostics(errors.iter());
                return Ok(1);
            }
        };
        let at = self.approval.revision.short();
        for (name, fact) in names.iter().zip(facts) {
            let Some((waited, fact)) = fact else {
                self.context.output.note(format!("{name} is approved already as {at} renders it"));
                continue;
            };
            self.append(fact)?;
            self.approval.apps.push(waited);
            self.context.output.note(format!("approved {name} as {at} renders it (key {})", self.approval.key));
        }
        Ok(0)
    }

    /// What the commit would be, as the tip.
    fn view(&self) -> Result<View, Error> {
        let snapshot = self.repository.snapshot(self.approval.revision)?;
        let repository = Repository::open(self.repository.path())?;
        Source::new(repository, self.signer.verifier()).preview(snapshot, self.context.now())
    }

    fn append(&mut self, fact: LedgerFact) -> Result<(), Error> {
        self.approval.records += 1;
        Ok(ledger::append(&self.repository, &self.signer, self.approval.revision, self.context.now(), fact)?)
    }
}

/// Refuses environments and policies under which nothing could run. A broken app is held by itself.
fn refuse_broken(context: &Context, snapshot: &Snapshot) -> Result<(), Error> {
    let platform = Platform::load(snapshot, None);
    let evaluation = Evaluator::default().evaluate(&Desired { tip: &platform, approved: None }, context.now());
    let is_control = |path: &str| path.starts_with("environments/") || path.starts_with("policies/");
    let judged = evaluation.instances.values().flat_map(|instance| instance.diagnostics());
    let found = platform.findings().chain(evaluation.diagnostics.iter()).chain(judged);
    let errors: BTreeSet<_> = found.filter(|found| found.is_error() && is_control(&found.path)).collect();
    if errors.is_empty() {
        return Ok(());
    }
    context.output.diagnostics(errors);
    let revision = snapshot.revision().map(|revision| revision.short()).unwrap_or_default();
    Err(Error::refused(
        format!("{revision}: nothing is approved, since its environments or policies have errors"),
        "correct them and commit; then approve that commit",
    ))
}

/// Says that everything at a commit is approved, and what waited for it.
fn tell_baseline(context: &Context, approval: &Approval) {
    context.output.note(format!(
        "approved {}: its apps, environments and policies hold from now on (key {})",
        approval.revision.short(),
        approval.key
    ));
    if approval.control {
        context.output.note("  changed: environments/, policies/ or .github/");
    }
    for waited in &approval.apps {
        context.output.note(format!("  {}: {} in {}", waited.was, waited.app, waited.tier));
    }
}

fn waited(evaluated: &Evaluated) -> Option<Waited> {
    let was = match evaluated.held? {
        HeldReason::New => "new",
        HeldReason::Changed => "changed",
    };
    let key = evaluated.key()?;
    Some(Waited { app: key.app.clone(), tier: key.tier.clone(), was })
}

/// The approval of one app as this view renders it; none where it needs none.
fn fact(view: &View, app: &AppName) -> Result<Option<(Waited, LedgerFact)>, Vec<Diagnostic>> {
    let instance = view.platform.instance(app).map_err(|errors| errors.to_vec())?;
    let tier = instance.key.tier.clone();
    if instance.environment.changes == Changes::Commit {
        let error = Diagnostic::new(Rule::APPROVAL_NEEDLESS, format!("apps/{app}"), format!("runs in {tier}"));
        return Err(vec![error.about(app).help(format!("nothing to approve: in {tier} a commit goes live by itself"))]);
    }
    let rendered = render::render(&instance).map_err(|errors| errors.to_vec())?.digest;
    let waits = view.evaluation.instances.get(app).and_then(|evaluated| waited(evaluated));
    Ok(waits.map(|waited| (waited, LedgerFact::Approval { app: app.clone(), tier, rendered })))
}
