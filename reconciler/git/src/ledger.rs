//! Reading and appending to the ledger branch.

use dayfly_lifecycle::ledger::{Approvals, LedgerFact, Record, Signer, Verifier, approvals};
use dayfly_model::digest::Revision;
use jiff::Timestamp;

use crate::{Commit, Error, LEDGER, Ledger, Repository, Writer};

/// What the repository's ledger approves; records that prove nothing are warned about and change nothing.
pub fn read(repository: &Repository, key: &Verifier) -> Result<Option<Approvals>, Error> {
    fold(&repository.ledger()?, key)
}

fn fold(ledger: &Ledger, key: &Verifier) -> Result<Option<Approvals>, Error> {
    let records = ledger.records.iter().map(|(path, bytes)| (path.as_str(), bytes.as_slice()));
    let (approvals, errors) = approvals(records, key).map_err(|error| Error::Ledger(error.to_string()))?;
    for error in errors {
        tracing::warn!("dayfly-ledger: {error}; it is ignored");
    }
    Ok(approvals)
}

/// Appends a record by compare-and-swap; tries again when another record came first.
pub fn append(
    repository: &Repository,
    signer: &Signer,
    revision: Revision,
    time: Timestamp,
    fact: LedgerFact,
) -> Result<(), Error> {
    let writer = Writer::open(repository.path())?;
    // Whole seconds, as commits have them.
    let time = Timestamp::from_second(time.as_second()).unwrap_or(time);
    let mut tries = 3;
    loop {
        let ledger = repository.ledger()?;
        let previous = fold(&ledger, &signer.verifier())?.and_then(|known| known.chain.last().copied());
        let envelope = signer.sign(&Record { revision, time, fact: fact.clone(), previous }).into_bytes();
        // No name is used twice, whatever others put there.
        let mut names = (ledger.records.len() + 1..).map(|number| format!("{number:08}-{}.json", fact.name()));
        let is_free = |name: &String| ledger.records.iter().all(|(taken, _)| taken != name);
        let path = names.find(is_free).unwrap_or_default();
        let message = format!("{}: {}\n", fact.name(), revision);
        let edits = [(path, Some(envelope))];
        let commit = Commit {
            branch: LEDGER,
            parent: ledger.tip,
            is_new_branch: ledger.tip.is_none(),
            edits: &edits,
            message: &message,
            time,
        };
        match writer.commit(&commit) {
            Err(Error::Moved { .. }) if tries > 1 => tries -= 1,
            done => return done.map(drop),
        }
    }
}
