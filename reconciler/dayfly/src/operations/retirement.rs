//! A person's word that deletions are meant, as signed records.

use std::path::Path;

use dayfly_controller::Reconciler;
use dayfly_controller::error::Error;
use dayfly_git::{Repository, ledger};
use dayfly_lifecycle::ledger::LedgerFact;
use dayfly_model::diagnostic::Diagnostic;
use dayfly_model::digest::Revision;
use dayfly_model::names::AppName;
use dayfly_model::rule::Rule;
use jiff::Timestamp;
use serde::Serialize;

use crate::home::PlatformHome;

/// What was confirmed. Serialized, it is the `Confirmation` of the JSON formats.
#[derive(Serialize)]
pub struct ConfirmationReport {
    pub revision: Revision,
    /// How many records were written; none where no deletion waits.
    pub records: usize,
}

/// Signs that the deletion of an app is meant, where the key is at hand: the guard against accidents then lets it pass.
pub fn sign(
    home: &PlatformHome,
    ledger_key: Option<&Path>,
    repository: &Repository,
    deletion: Revision,
    app: AppName,
    now: Timestamp,
) -> Result<(), Error> {
    let Ok(signer) = home.signer(ledger_key) else { return Ok(()) };
    match ledger::read(repository, &signer.verifier())? {
        Some(_) => Ok(ledger::append(repository, &signer, deletion, now, LedgerFact::Retirement { app })?),
        None => Ok(()),
    }
}

/// Signs that the deletions up to the tip are meant, where any waits for that.
pub async fn confirm(
    home: &PlatformHome,
    ledger_key: Option<&Path>,
    reconciler: impl FnOnce() -> Result<Reconciler, Error>,
    now: Timestamp,
) -> Result<ConfirmationReport, Error> {
    let repository = home.repository()?;
    let revision = repository.tip()?.revision;
    let signer = home.signer(ledger_key)?;
    if ledger::read(&repository, &signer.verifier())?.is_none() {
        return Err(Error::refused(
            "nothing is approved yet, so there is nothing to confirm",
            "begin with `dayfly adopt`",
        ));
    }
    let waits = waits(&mut reconciler()?, now).await;
    if waits {
        ledger::append(&repository, &signer, revision, now, LedgerFact::Confirmation)?;
    }
    Ok(ConfirmationReport { revision, records: usize::from(waits) })
}

/// Whether a deletion waits for a person, or may wait: what a cluster that cannot be asked still has is unknown.
async fn waits(reconciler: &mut Reconciler, now: Timestamp) -> bool {
    let is_open = |found: &Diagnostic| found.rule == Rule::REMOVE_STAYS || found.rule.is_cluster();
    reconciler.status(now).await.map_or(true, |(_, found)| found.iter().any(is_open))
}
