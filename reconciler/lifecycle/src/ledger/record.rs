//! One record of the ledger, as a fact about a commit and as the in-toto statement that is signed.

use dayfly_model::digest::{Digest, Revision};
use dayfly_model::names::{AppName, TierName};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";
const PREDICATE: &str = "https://dayfly.dev/";

/// What a record proves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "camelCase")]
pub enum LedgerFact {
    /// Everything at this commit is approved to begin with: every app in its tier, the environments and the policies.
    Baseline,
    /// One app in one tier is approved as it renders at this commit.
    Approval {
        /// The app.
        app: AppName,
        /// The tier.
        tier: TierName,
        /// The digest of what it rendered then: evidence of what the approver saw. Whether the tip renders the same is
        /// asked of the running binary for both, so that a new version of Dayfly voids nothing.
        rendered: Digest,
    },
    /// A person retired this app: this commit deletes it on purpose.
    Retirement {
        /// The app.
        app: AppName,
    },
    /// What this commit no longer has is meant to go, however much it is.
    Confirmation,
    /// The default branch had this commit by then. Dates in it, and in the commits before it, count no later.
    Observation,
}

/// A fact about a commit, and when it was recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerRecord {
    /// The commit.
    pub revision: Revision,
    /// When it was recorded.
    pub time: Timestamp,
    /// What it proves.
    pub fact: LedgerFact,
    /// The digest of the record before, as [`Verifier::verify`](super::Verifier::verify) returns it; none of the first.
    pub previous: Option<Digest>,
}

impl LedgerFact {
    /// The fact's name in file names and predicate types.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Baseline => "baseline",
            Self::Approval { .. } => "approval",
            Self::Retirement { .. } => "retirement",
            Self::Confirmation => "confirmation",
            Self::Observation => "observation",
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Statement {
    #[serde(rename = "_type")]
    kind: String,
    subject: Vec<StatementSubject>,
    predicate_type: String,
    predicate: Predicate,
}

#[derive(Serialize, Deserialize)]
struct StatementSubject {
    name: String,
    digest: GitCommit,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct GitCommit {
    git_commit: Revision,
}

#[derive(Serialize, Deserialize)]
struct Predicate {
    time: Timestamp,
    #[serde(flatten)]
    fact: LedgerFact,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    previous: Option<Digest>,
}

impl LedgerRecord {
    /// The statement, as JSON.
    pub(super) fn to_statement(&self) -> Vec<u8> {
        let digest = GitCommit { git_commit: self.revision };
        let statement = Statement {
            kind: STATEMENT_TYPE.into(),
            subject: vec![StatementSubject { name: "platform".into(), digest }],
            predicate_type: predicate_type(&self.fact),
            predicate: Predicate { time: self.time, fact: self.fact.clone(), previous: self.previous },
        };
        serde_json::to_vec(&statement).unwrap_or_default()
    }

    /// Reads a statement.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub(super) fn from_statement(bytes: &[u8]) -> Result<Self, String> {
        let statement: Statement = serde_json::from_slice(bytes).map_err(|e| e.to_string())?;
        let [subject] = statement.subject.as_slice() else {
            return Err("it has not exactly one subject".into());
        };
        let Predicate { time, fact, previous } = statement.predicate;
        if statement.kind != STATEMENT_TYPE || statement.predicate_type != predicate_type(&fact) {
            return Err("its statement is of another type".into());
        }
        Ok(Self { revision: subject.digest.git_commit, time, fact, previous })
    }
}

fn predicate_type(fact: &LedgerFact) -> String {
    format!("{PREDICATE}{}/v1", fact.name())
}
