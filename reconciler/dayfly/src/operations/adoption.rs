//! Approving a commit as it stands, or single apps as it renders them: what waits for that, and the signed records.

use std::collections::BTreeSet;

use dayfly_controller::View;
use dayfly_controller::error::Error;
use dayfly_controller::source::Source;
use dayfly_git::{Repository, ledger};
use dayfly_judge::evaluate::{Desired, Evaluated, Evaluator, HeldReason};
use dayfly_judge::render;
use dayfly_lifecycle::ledger::{LedgerFact, Signer};
use dayfly_model::diagnostic::{Diagnostic, Diagnostics};
use dayfly_model::digest::Revision;
use dayfly_model::names::{AppName, TierName};
use dayfly_model::platform::Platform;
use dayfly_model::platform::environment::Changes;
use dayfly_model::rule::Rule;
use dayfly_model::snapshot::Snapshot;
use jiff::Timestamp;
use serde::Serialize;

use super::names;
use crate::failure::CommandFailure;

/// An approval of one commit.
pub struct Adoption {
    pub repository: Repository,
    pub signer: Signer,
    pub revision: Revision,
    pub now: Timestamp,
}

/// What waited for the approval of everything at a commit.
#[derive(Default)]
pub struct WaitingChanges {
    /// Whether environments, policies or the gate waited.
    pub control: bool,
    pub apps: Vec<WaitingApp>,
}

/// An app that waits for approval.
#[derive(Serialize)]
pub struct WaitingApp {
    pub app: AppName,
    pub tier: TierName,
    /// `new` in its tier, or `changed`.
    pub was: &'static str,
}

/// The approval of one app that waits for it.
pub struct AppApproval {
    waiting: WaitingApp,
    record: LedgerFact,
}

/// The commit of that name, by default the tip. Only what leads to the tip can be approved.
pub fn approvable(repository: &Repository, name: Option<&str>) -> Result<Revision, Error> {
    let tip = repository.tip()?;
    let Some(name) = name else { return Ok(tip.revision) };
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

impl Adoption {
    /// Approves the commit as it stands, and returns what waited for it; none where it is the approved baseline already.
    pub fn approve_all(&self) -> Result<Option<WaitingChanges>, CommandFailure> {
        let known = ledger::read(&self.repository, &self.signer.verifier())?;
        if known.as_ref().is_some_and(|known| known.baseline == self.revision && known.instances.is_empty()) {
            return Ok(None);
        }
        self.refuse_broken(&self.repository.snapshot(self.revision)?)?;
        let waiting = if known.is_some() { waiting(&self.view()?) } else { WaitingChanges::default() };
        self.append(LedgerFact::Baseline)?;
        Ok(Some(waiting))
    }

    /// What the records of single apps approve, an element each; none for an app that is approved already as the commit
    /// renders it. Nothing is written yet.
    pub fn app_approvals(&self, names: &[String]) -> Result<Vec<Option<AppApproval>>, CommandFailure> {
        if ledger::read(&self.repository, &self.signer.verifier())?.is_none() {
            return Err(Error::refused(
                "nothing is approved yet, so no app can be approved by itself",
                "approve the platform as it stands first: dayfly adopt",
            )
            .into());
        }
        let view = self.view()?;
        let apps: Vec<_> = names.iter().map(|name| names::known_app(&view.platform, name)).collect::<Result<_, _>>()?;
        Ok(apps.iter().map(|app| app_approval(&view, app)).collect::<Result<_, _>>()?)
    }

    /// Writes the record of one app.
    pub fn approve_app(&self, approval: AppApproval) -> Result<WaitingApp, Error> {
        self.append(approval.record)?;
        Ok(approval.waiting)
    }

    fn append(&self, fact: LedgerFact) -> Result<(), Error> {
        Ok(ledger::append(&self.repository, &self.signer, self.revision, self.now, fact)?)
    }

    /// What the commit would be, as the tip.
    fn view(&self) -> Result<View, Error> {
        let snapshot = self.repository.snapshot(self.revision)?;
        let repository = Repository::open(self.repository.path())?;
        Source::new(repository, self.signer.verifier()).preview(snapshot, self.now)
    }

    /// Refuses environments and policies under which nothing could run. A broken app is held by itself.
    fn refuse_broken(&self, snapshot: &Snapshot) -> Result<(), CommandFailure> {
        let platform = Platform::load(snapshot, None);
        let evaluation = Evaluator::default().evaluate(&Desired { tip: &platform, approved: None }, self.now);
        let is_control = |path: &str| path.starts_with("environments/") || path.starts_with("policies/");
        let judged = evaluation.instances.values().flat_map(|instance| instance.diagnostics());
        let found = platform.findings().chain(evaluation.diagnostics.iter()).chain(judged);
        let errors: BTreeSet<_> = found.filter(|found| found.is_error() && is_control(&found.path)).collect();
        if errors.is_empty() {
            return Ok(());
        }
        let revision = self.revision.short();
        let error = Error::refused(
            format!("{revision}: nothing is approved, since its environments or policies have errors"),
            "correct them and commit; then approve that commit",
        );
        Err(CommandFailure { findings: errors.into_iter().cloned().collect(), error: Some(error) })
    }
}

fn waiting(view: &View) -> WaitingChanges {
    let apps = view.evaluation.instances.values().filter_map(|instance| waiting_app(instance)).collect();
    WaitingChanges { control: view.control_waits, apps }
}

fn waiting_app(evaluated: &Evaluated) -> Option<WaitingApp> {
    let was = match evaluated.held? {
        HeldReason::New => "new",
        HeldReason::Changed => "changed",
    };
    let key = evaluated.key()?;
    Some(WaitingApp { app: key.app.clone(), tier: key.tier.clone(), was })
}

/// The approval of one app as this view renders it; none where it needs none.
fn app_approval(view: &View, app: &AppName) -> Result<Option<AppApproval>, Diagnostics> {
    let instance = view.platform.instance(app)?;
    let tier = instance.key.tier.clone();
    if instance.environment.changes == Changes::Commit {
        let error = Diagnostic::new(Rule::APPROVAL_NEEDLESS, format!("apps/{app}"), format!("runs in {tier}"));
        let error = error.about(app).help(format!("nothing to approve: in {tier} a commit goes live by itself"));
        return Err(vec![error].into());
    }
    let rendered = render::render(&instance)?.digest;
    let waiting = view.evaluation.instances.get(app).and_then(|evaluated| waiting_app(evaluated));
    let record = LedgerFact::Approval { app: app.clone(), tier, rendered };
    Ok(waiting.map(|waiting| AppApproval { waiting, record }))
}
