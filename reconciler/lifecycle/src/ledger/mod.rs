//! Signed records: in-toto statements in DSSE envelopes (ed25519). What they say is proof; what a commit says is not.
//!
//! Standards: in-toto Attestation Framework v1, DSSE v1 (payload type `application/vnd.in-toto+json`). A record is a file
//! of the append-only branch `dayfly-ledger`, named `<sequence>-<action>.json`. Each signs the digest of the one before, so
//! that their order does not depend on names, and none can be repeated, left out or brought from elsewhere.

mod approvals;
mod keyring;
mod log;
mod record;

pub use approvals::{Approvals, approvals};
pub use keyring::{Signer, Verifier};
pub use record::{LedgerFact, LedgerRecord};

/// Why a record proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LedgerError {
    /// The envelope or its statement is not of the form.
    #[error("{path}: {message}")]
    Malformed {
        /// The record.
        path: String,
        /// What is wrong.
        message: String,
    },
    /// No signature in it was made with the configured key.
    #[error("{path}: the signature was not made with the key {key}")]
    Unsigned {
        /// The record.
        path: String,
        /// The key's id.
        key: String,
    },
    /// A signed record whose predecessor is not there, or has another successor.
    #[error("{path}: the record before it is not in the ledger, so records were removed or brought from elsewhere")]
    Gap {
        /// The record.
        path: String,
    },
    /// The private key is no PKCS #8 ed25519 key.
    #[error("the signing key cannot be read: {0}")]
    Key(String),
}

#[cfg(test)]
mod tests;
