//! Signed records: in-toto statements in DSSE envelopes (ed25519). What they say is proof; what a commit says is not.
//!
//! Standards: in-toto Attestation Framework v1, DSSE v1 (payload type `application/vnd.in-toto+json`). A record is a file
//! of the append-only branch `dayfly-ledger`, named `<sequence>-<action>.json`. Each signs the digest of the one before, so
//! that their order does not depend on names, and none can be repeated, left out or brought from elsewhere.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dayfly_model::digest::{Digest, Revision};
use dayfly_model::names::{AppName, InstanceKey, TierName};
use jiff::Timestamp;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use serde::{Deserialize, Serialize};

use crate::history::History;

const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";
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
}

/// A record: a fact about a commit, at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The commit.
    pub revision: Revision,
    /// When it was recorded.
    pub time: Timestamp,
    /// What it proves.
    pub fact: LedgerFact,
    /// The digest of the record before, [`Verifier::verify`] tells it; none of the first.
    pub previous: Option<Digest>,
}

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

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope {
    payload_type: String,
    payload: String,
    signatures: Vec<Signature>,
}

#[derive(Serialize, Deserialize)]
struct Signature {
    keyid: String,
    sig: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Statement {
    #[serde(rename = "_type")]
    kind: String,
    subject: Vec<Subject>,
    predicate_type: String,
    predicate: Predicate,
}

#[derive(Serialize, Deserialize)]
struct Subject {
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

/// A key that signs records.
pub struct Signer {
    pair: Ed25519KeyPair,
}

impl Signer {
    /// Reads a PKCS #8 key.
    pub fn from_pkcs8(bytes: &[u8]) -> Result<Self, LedgerError> {
        Ok(Self { pair: Ed25519KeyPair::from_pkcs8(bytes).map_err(|e| LedgerError::Key(e.to_string()))? })
    }

    /// The key that verifies what this one signs.
    pub fn verifier(&self) -> Verifier {
        Verifier(self.pair.public_key().as_ref().to_vec())
    }

    /// The signed envelope of a record, as JSON.
    pub fn sign(&self, record: &Record) -> String {
        let statement = Statement {
            kind: STATEMENT_TYPE.into(),
            subject: vec![Subject { name: "platform".into(), digest: GitCommit { git_commit: record.revision } }],
            predicate_type: format!("{PREDICATE}{}/v1", record.fact.name()),
            predicate: Predicate { time: record.time, fact: record.fact.clone(), previous: record.previous },
        };
        let payload = serde_json::to_vec(&statement).unwrap_or_default();
        let signature = self.pair.sign(&pre_authentication_encoding(&payload));
        let envelope = Envelope {
            payload_type: PAYLOAD_TYPE.into(),
            payload: STANDARD.encode(&payload),
            signatures: vec![Signature { keyid: self.verifier().id(), sig: STANDARD.encode(signature) }],
        };
        serde_json::to_string_pretty(&envelope).unwrap_or_default() + "\n"
    }
}

impl LedgerFact {
    /// The fact's name in file names and predicate types.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Baseline => "baseline",
            Self::Approval { .. } => "approval",
            Self::Retirement { .. } => "retirement",
            Self::Confirmation => "confirmation",
        }
    }
}

/// A public key: 32 bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verifier(Vec<u8>);

impl Verifier {
    /// The key's id: the start of its digest.
    pub fn id(&self) -> String {
        Digest::of(&self.0).short()
    }

    /// Reads a record and checks its signature. Returns its digest too: that of what was signed.
    pub fn verify(&self, path: &str, envelope: &[u8]) -> Result<(Digest, Record), LedgerError> {
        let malformed = |message: String| LedgerError::Malformed { path: path.into(), message };
        let envelope: Envelope = serde_json::from_slice(envelope).map_err(|e| malformed(e.to_string()))?;
        if envelope.payload_type != PAYLOAD_TYPE {
            return Err(malformed(format!("its payload is {:?}, not {PAYLOAD_TYPE}", envelope.payload_type)));
        }
        let payload = STANDARD.decode(&envelope.payload).map_err(|e| malformed(e.to_string()))?;
        let message = pre_authentication_encoding(&payload);
        let is_ours = |signature: &Signature| {
            let bytes = STANDARD.decode(&signature.sig).unwrap_or_default();
            UnparsedPublicKey::new(&ED25519, &self.0).verify(&message, &bytes).is_ok()
        };
        if !envelope.signatures.iter().any(is_ours) {
            return Err(LedgerError::Unsigned { path: path.into(), key: self.id() });
        }
        let statement: Statement = serde_json::from_slice(&payload).map_err(|e| malformed(e.to_string()))?;
        let [subject] = statement.subject.as_slice() else {
            return Err(malformed("it has not exactly one subject".into()));
        };
        let predicate = statement.predicate;
        if statement.kind != STATEMENT_TYPE
            || statement.predicate_type != format!("{PREDICATE}{}/v1", predicate.fact.name())
        {
            return Err(malformed("its statement is of another type".into()));
        }
        let Predicate { time, fact, previous } = predicate;
        Ok((Digest::of(&payload), Record { revision: subject.digest.git_commit, time, fact, previous }))
    }
}

/// DSSE's PAE: what is signed binds the payload's type and its length.
fn pre_authentication_encoding(payload: &[u8]) -> Vec<u8> {
    let mut message = format!("DSSEv1 {} {PAYLOAD_TYPE} {} ", PAYLOAD_TYPE.len(), payload.len()).into_bytes();
    message.extend_from_slice(payload);
    message
}

/// What the ledger approves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approvals {
    /// The commit whose environments, policies and approvers hold: the last approved control revision.
    pub control: Revision,
    /// The commit at which every app in its tier is approved that has no approval of its own.
    pub baseline: Revision,
    /// The commit of each app that was approved by itself since then.
    pub instances: BTreeMap<InstanceKey, Revision>,
    /// The commit whose deletions were last confirmed, by a baseline or by itself.
    pub confirmed: Option<Revision>,
    /// The commit whose deletions a person last confirmed by itself.
    pub swept: Option<Revision>,
    /// The apps that a person retired, and the commit that did it last.
    pub retired: BTreeMap<AppName, Revision>,
    /// When Dayfly took the platform over: the first baseline. Apps that are older count as born then.
    pub since: Timestamp,
    /// All commits that were approved to begin with, in order.
    pub baselines: Vec<Revision>,
    /// The digests of all records, in order.
    pub chain: Vec<Digest>,
}

impl Approvals {
    /// The commit at which an instance is approved; none where the app was deleted since, even if it came back.
    pub fn of(&self, key: &InstanceKey, history: &History) -> Option<Revision> {
        let revision = self.instances.get(key).unwrap_or(&self.baseline);
        (!history.deleted_since(&key.app, revision)).then_some(*revision)
    }

    /// Whether somebody signed that an app is meant to be gone from where it was.
    pub fn has_confirmed(&self, app: &AppName, history: &History) -> bool {
        let mut signed = self.confirmed.iter().chain(self.retired.get(app));
        signed.any(|revision| history.had_left(app, revision))
    }
}

/// Folds the ledger's records, each after the one that it names. Records that prove nothing are returned beside, and
/// change nothing.
///
/// # Errors
/// [`LedgerError::Gap`]: a signed record that does not follow; then nothing can be said.
pub fn approvals<'a>(
    records: impl IntoIterator<Item = (&'a str, &'a [u8])>,
    key: &Verifier,
) -> Result<(Option<Approvals>, Vec<LedgerError>), LedgerError> {
    let (mut approvals, mut errors, mut by_previous) = (None, Vec::new(), BTreeMap::new());
    for (path, envelope) in records {
        match key.verify(path, envelope) {
            Ok((digest, record)) => match by_previous.insert(record.previous, (digest, path, record)) {
                Some((other, ..)) if other != digest => return Err(LedgerError::Gap { path: path.into() }),
                _ => {}
            },
            Err(error) => errors.push(error),
        }
    }
    let mut last = None;
    while let Some((digest, _, record)) = by_previous.remove(&last) {
        approve(&mut approvals, &record, digest);
        last = Some(digest);
    }
    match by_previous.into_values().next() {
        Some((_, path, _)) => Err(LedgerError::Gap { path: path.into() }),
        None => Ok((approvals, errors)),
    }
}

fn approve(approvals: &mut Option<Approvals>, record: &Record, digest: Digest) {
    let revision = record.revision;
    match (&record.fact, approvals) {
        (LedgerFact::Baseline, none @ None) => {
            *none = Some(Approvals {
                control: revision,
                baseline: revision,
                instances: BTreeMap::new(),
                confirmed: Some(revision),
                swept: None,
                retired: BTreeMap::new(),
                since: record.time,
                baselines: vec![revision],
                chain: vec![digest],
            });
        }
        (LedgerFact::Baseline, Some(known)) => {
            // Who approves a commit as it stands approves what it lacks, too.
            (known.control, known.baseline, known.confirmed) = (revision, revision, Some(revision));
            known.instances.clear();
            known.baselines.push(revision);
            known.chain.push(digest);
        }
        (LedgerFact::Approval { app, tier, .. }, Some(known)) => {
            known.instances.insert(InstanceKey { app: app.clone(), tier: tier.clone() }, revision);
            known.chain.push(digest);
        }
        (LedgerFact::Retirement { app }, Some(known)) => {
            known.retired.insert(app.clone(), revision);
            known.chain.push(digest);
        }
        (LedgerFact::Confirmation, Some(known)) => {
            (known.confirmed, known.swept) = (Some(revision), Some(revision));
            known.chain.push(digest);
        }
        (_, None) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ring::rand::SystemRandom;

    fn signer() -> Signer {
        Signer::from_pkcs8(Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap().as_ref()).unwrap()
    }

    fn baseline(digit: u8, time: &str) -> Record {
        Record { revision: [digit; 20].into(), time: time.parse().unwrap(), fact: LedgerFact::Baseline, previous: None }
    }

    #[test]
    fn a_signed_record_reads_back() {
        let (signer, record) = (signer(), baseline(1, "2026-01-02T03:04:05Z"));
        assert_eq!(signer.verifier().verify("r", signer.sign(&record).as_bytes()).unwrap().1, record);
    }

    #[test]
    fn a_record_that_was_altered_or_signed_by_another_key_proves_nothing() {
        let (ours, theirs) = (signer(), signer());
        let envelope = theirs.sign(&baseline(1, "2026-01-02T03:04:05Z"));
        assert!(matches!(ours.verifier().verify("r", envelope.as_bytes()), Err(LedgerError::Unsigned { .. })));

        let mut envelope: Envelope = serde_json::from_str(&ours.sign(&baseline(1, "2026-01-02T03:04:05Z"))).unwrap();
        let payload = String::from_utf8(STANDARD.decode(&envelope.payload).unwrap()).unwrap();
        envelope.payload = STANDARD.encode(payload.replace("0101", "0202"));
        let forged = serde_json::to_vec(&envelope).unwrap();
        assert!(matches!(ours.verifier().verify("r", &forged), Err(LedgerError::Unsigned { .. })));
    }

    /// Baselines of the first and the second month, one after the other.
    fn two(signer: &Signer) -> [String; 2] {
        let first = signer.sign(&baseline(1, "2026-01-01T00:00:00Z"));
        let previous = Some(signer.verifier().verify("1", first.as_bytes()).unwrap().0);
        let second = signer.sign(&Record { previous, ..baseline(2, "2026-02-01T00:00:00Z") });
        [first, second]
    }

    fn fold(records: &[(&str, &str)], signer: &Signer) -> Result<(Option<Approvals>, Vec<LedgerError>), LedgerError> {
        approvals(records.iter().map(|(path, record)| (*path, record.as_bytes())), &signer.verifier())
    }

    #[test]
    fn the_last_baseline_approves_and_the_first_dates_the_platform() {
        let signer = signer();
        let [first, second] = two(&signer);
        let (approvals, errors) = fold(&[("1", &first), ("2", &second), ("3", "{}")], &signer).unwrap();
        let approvals = approvals.unwrap();
        assert_eq!((approvals.control, approvals.since), ([2; 20].into(), "2026-01-01T00:00:00Z".parse().unwrap()));
        assert_eq!((approvals.chain.len(), errors.len()), (2, 1));
    }

    #[test]
    fn an_app_s_own_approval_counts_until_the_next_baseline() {
        let signer = signer();
        let key: InstanceKey = "survey.pilot".parse().unwrap();
        let own = LedgerFact::Approval { app: key.app.clone(), tier: key.tier.clone(), rendered: Digest::of(b"") };
        let (mut envelopes, mut previous): (Vec<String>, _) = (Vec::new(), None);
        for (digit, fact) in [(1, LedgerFact::Baseline), (2, own), (3, LedgerFact::Baseline)] {
            let envelope = signer.sign(&Record { fact, previous, ..baseline(digit, "2026-01-01T00:00:00Z") });
            previous = Some(signer.verifier().verify("r", envelope.as_bytes()).unwrap().0);
            envelopes.push(envelope);
        }
        let approved = |records: usize| {
            let records: Vec<_> = envelopes[..records].iter().map(|envelope| ("r", envelope.as_str())).collect();
            let approvals = fold(&records, &signer).unwrap().0.unwrap();
            assert_eq!(approvals.chain.len(), records.len());
            (approvals.baseline, approvals.of(&key, &History::default()))
        };
        let commit = |digit: u8| Revision::from([digit; 20]);
        assert_eq!(approved(1), (commit(1), Some(commit(1))));
        assert_eq!(approved(2), (commit(1), Some(commit(2))));
        assert_eq!(approved(3), (commit(3), Some(commit(3))));
    }

    #[test]
    fn a_record_that_is_repeated_or_renamed_changes_nothing_and_one_that_is_left_out_ends_all_trust() {
        let signer = signer();
        let [first, second] = two(&signer);
        let expected = fold(&[("1", &first), ("2", &second)], &signer).unwrap();
        assert_eq!(fold(&[("1", &first), ("2", &second), ("3", &first)], &signer).unwrap(), expected);
        assert_eq!(fold(&[("1", &second), ("2", &first)], &signer).unwrap(), expected);
        assert_eq!(fold(&[("2", &second)], &signer), Err(LedgerError::Gap { path: "2".into() }));
        let elsewhere = signer.sign(&baseline(3, "2026-03-01T00:00:00Z"));
        let mixed = [("1", &*first), ("2", &*second), ("3", &*elsewhere)];
        assert!(matches!(fold(&mixed, &signer), Err(LedgerError::Gap { .. })), "a record of another ledger");
    }
}
