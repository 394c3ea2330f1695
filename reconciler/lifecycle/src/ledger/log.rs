//! The records of the ledger in the order in which they were signed, whatever their files are called.

use std::collections::BTreeMap;

use dayfly_model::digest::Digest;

use super::{LedgerError, LedgerRecord, Verifier};

/// The ledger's records, each after the one that it names.
pub(super) struct Log {
    /// Each with the digest by which the next one names it.
    pub records: Vec<(Digest, LedgerRecord)>,
    /// Why other files are no records: they prove nothing, and change nothing.
    pub errors: Vec<LedgerError>,
}

impl Log {
    /// Reads files of the ledger, path and bytes, in any order.
    ///
    /// # Errors
    /// [`LedgerError::Gap`]: a signed record that does not follow; then nothing can be said.
    pub fn read<'a>(files: impl IntoIterator<Item = (&'a str, &'a [u8])>, key: &Verifier) -> Result<Self, LedgerError> {
        let (mut log, mut by_previous) = (Self { records: Vec::new(), errors: Vec::new() }, BTreeMap::new());
        for (path, envelope) in files {
            match key.verify(path, envelope) {
                Ok((digest, record)) => match by_previous.insert(record.previous, (digest, path, record)) {
                    Some((other, ..)) if other != digest => return Err(LedgerError::Gap { path: path.into() }),
                    _ => {}
                },
                Err(error) => log.errors.push(error),
            }
        }
        let last = |log: &Self| log.records.last().map(|(digest, _)| *digest);
        while let Some((digest, _, record)) = by_previous.remove(&last(&log)) {
            log.records.push((digest, record));
        }
        match by_previous.into_values().next() {
            Some((_, path, _)) => Err(LedgerError::Gap { path: path.into() }),
            None => Ok(log),
        }
    }
}
