//! `dayfly retire`: a person ends an app, or confirms that many may go.

use dayfly_controller::error::Error;
use dayfly_git::Repository;
use dayfly_git::ledger;
use dayfly_lifecycle::ledger::LedgerFact;
use dayfly_lifecycle::retire;
use dayfly_model::diagnostic::Diagnostic;
use dayfly_model::digest::Revision;
use dayfly_model::names::AppName;
use dayfly_model::rule::Rule;
use serde_json::json;

use super::{Context, Exit, proposed, render};

/// End an app: commit its deletion
#[derive(clap::Args)]
pub struct Retire {
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

impl Retire {
    /// Commits the deletion, or puts it on a branch, as the tier says.
    pub fn run(self, context: &Context) -> Exit {
        let Some(name) = &self.app else { return confirm(context) };
        let (repository, snapshot, platform) = proposed::tip(context)?;
        let app = render::known_app(&platform, name)?;
        // One line: it stands in a commit's message, among lines that mean something.
        let reason = self.reason.split_whitespace().collect::<Vec<_>>().join(" ");
        let proposal = match retire::retire(&platform, &app, &reason) {
            Ok(proposal) => proposal,
            Err(diagnostic) => return proposed::refuse(context, &diagnostic),
        };
        if let Some(revision) = proposed::carry(context, &repository, &snapshot, &proposal)? {
            sign(context, &repository, revision, app)?;
        }
        Ok(0)
    }
}

/// Signs that the deletion is meant, where the key is at hand: what guards against accidents does not stop it then.
fn sign(context: &Context, repository: &Repository, revision: Revision, app: AppName) -> Result<(), Error> {
    let Ok(signer) = context.home().signer(context.global.ledger_key.as_deref()) else { return Ok(()) };
    match ledger::read(repository, &signer.verifier())? {
        Some(_) => Ok(ledger::append(repository, &signer, revision, context.now(), LedgerFact::Retirement { app })?),
        None => Ok(()),
    }
}

/// Signs that the deletions up to the tip are meant.
fn confirm(context: &Context) -> Exit {
    let home = context.platform()?;
    let repository = home.repository()?;
    let tip = repository.tip()?;
    let signer = home.signer(context.global.ledger_key.as_deref())?;
    if ledger::read(&repository, &signer.verifier())?.is_none() {
        return Err(Error::refused(
            "nothing is approved yet, so there is nothing to confirm",
            "begin with `dayfly adopt`",
        ));
    }
    let waits = waits(context)?;
    if waits {
        ledger::append(&repository, &signer, tip.revision, context.now(), LedgerFact::Confirmation)?;
        context.output.note(format!("confirmed: what {} no longer has may go", tip.revision.short()));
    } else {
        context.output.note("nothing waits for a confirmation: nothing was written");
    }
    if context.output.is_data() {
        context.output.data("Confirmation", &json!({ "revision": tip.revision, "records": usize::from(waits) }))?;
    }
    Ok(0)
}

/// Whether a deletion waits for a person, or may wait: what a cluster that cannot be asked still has is unknown.
fn waits(context: &Context) -> Result<bool, Error> {
    let mut reconciler = context.reconciler(&[])?;
    let looked = context.block_on(async { reconciler.status(context.now()).await });
    let is_open = |found: &Diagnostic| found.rule == Rule::REMOVE_STAYS || found.rule.is_cluster();
    Ok(looked.map_or(true, |(_, found)| found.iter().any(is_open)))
}
