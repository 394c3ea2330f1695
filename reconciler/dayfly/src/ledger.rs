//! Reading and appending to the ledger branch.

use dayfly_core::digest::Revision;
use dayfly_core::ledger::{Approvals, Fact, Record, Signer, Verifier, approvals};
use jiff::Timestamp;

use crate::error::Error;
use crate::git::{Commit, LEDGER, Repository, Writer};

/// What the repository's ledger approves; records that prove nothing are warned about and change nothing.
pub fn read(repository: &Repository, key: &Verifier) -> Result<Option<Approvals>, Error> {
    let ledger = repository.ledger()?;
    let (approvals, errors) =
        approvals(ledger.records.iter().map(|(path, bytes)| (path.as_str(), bytes.as_slice())), key);
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
    fact: Fact,
) -> Result<(), Error> {
    let writer = Writer::open(repository.path())?;
    // Whole seconds, as commits have them.
    let time = Timestamp::from_second(time.as_second()).unwrap_or(time);
    let envelope = signer.sign(&Record { revision, time, fact: fact.clone() }).into_bytes();
    let mut tries = 3;
    loop {
        let ledger = repository.ledger()?;
        let path = format!("{:08}-{}.json", ledger.records.len() + 1, fact.name());
        let message = format!("{}: {}\n", fact.name(), revision);
        let edits = [(path, Some(envelope.clone()))];
        let commit = Commit {
            branch: LEDGER,
            parent: ledger.tip,
            is_new_branch: ledger.tip.is_none(),
            edits: &edits,
            message: &message,
            time,
        };
        match writer.commit(&commit) {
            Err(crate::git::Error::Moved { .. }) if tries > 1 => tries -= 1,
            done => return done.map(drop).map_err(Error::from),
        }
    }
}
