//! Reading and appending to the ledger's branch.

use dayfly_lifecycle::ledger::{Approvals, LedgerFact, LedgerRecord, Signer, Verifier, approvals};
use dayfly_model::digest::Revision;
use jiff::Timestamp;

use crate::{Commit, Error, LEDGER, Repository, update_branch};

/// What the repository's ledger approves; none where it has no baseline. LedgerRecords that prove nothing are warned about and
/// change nothing.
pub fn read(repository: &Repository, key: &Verifier) -> Result<Option<Approvals>, Error> {
    fold(&records(repository, repository.ledger_tip()?)?, key)
}

/// Signs a fact about a commit and appends it to the ledger, after every record that is there by then.
pub fn append(
    repository: &Repository,
    signer: &Signer,
    revision: Revision,
    time: Timestamp,
    fact: LedgerFact,
) -> Result<(), Error> {
    // Whole seconds, as commits have them.
    let time = Timestamp::from_second(time.as_second()).unwrap_or(time);
    let message = format!("{}: {}\n", fact.name(), revision);
    let appended = update_branch(repository, LEDGER, |tip| {
        let records = records(repository, tip)?;
        let previous = fold(&records, &signer.verifier())?.and_then(|known| known.chain.last().copied());
        let envelope = signer.sign(&LedgerRecord { revision, time, fact: fact.clone(), previous }).into_bytes();
        // No name is used twice, whatever others put there.
        let mut names = (records.len() + 1..).map(|number| format!("{number:08}-{}.json", fact.name()));
        let is_free = |name: &String| records.iter().all(|(taken, _)| taken != name);
        let path = names.find(is_free).unwrap_or_default();
        Ok(Commit { edits: vec![(path, Some(envelope))], message: message.clone(), time })
    });
    appended.map(drop)
}

/// The ledger's files at a commit of its branch, path and bytes.
fn records(repository: &Repository, tip: Option<Revision>) -> Result<Vec<(String, Vec<u8>)>, Error> {
    tip.map_or(Ok(Vec::new()), |tip| repository.root_files(tip))
}

fn fold(records: &[(String, Vec<u8>)], key: &Verifier) -> Result<Option<Approvals>, Error> {
    let records = records.iter().map(|(path, bytes)| (path.as_str(), bytes.as_slice()));
    let (approvals, errors) = approvals(records, key).map_err(|error| Error::Ledger(error.to_string()))?;
    for error in errors {
        tracing::warn!("dayfly-ledger: {error}; it is ignored");
    }
    Ok(approvals)
}
