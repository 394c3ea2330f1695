use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dayfly_model::digest::{Digest, Revision};
use dayfly_model::names::InstanceKey;
use ring::rand::SystemRandom;
use ring::signature::Ed25519KeyPair;
use serde_json::Value;

use super::*;
use crate::history::History;

fn signer() -> Signer {
    Signer::from_pkcs8(Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap().as_ref()).unwrap()
}

fn baseline(digit: u8, time: &str) -> LedgerRecord {
    LedgerRecord {
        revision: [digit; 20].into(),
        time: time.parse().unwrap(),
        fact: LedgerFact::Baseline,
        previous: None,
    }
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

    let mut envelope: Value = serde_json::from_str(&ours.sign(&baseline(1, "2026-01-02T03:04:05Z"))).unwrap();
    let payload = String::from_utf8(STANDARD.decode(envelope["payload"].as_str().unwrap()).unwrap()).unwrap();
    envelope["payload"] = STANDARD.encode(payload.replace("0101", "0202")).into();
    let forged = serde_json::to_vec(&envelope).unwrap();
    assert!(matches!(ours.verifier().verify("r", &forged), Err(LedgerError::Unsigned { .. })));
}

/// Baselines of the first and the second month, one after the other.
fn two(signer: &Signer) -> [String; 2] {
    let first = signer.sign(&baseline(1, "2026-01-01T00:00:00Z"));
    let previous = Some(signer.verifier().verify("1", first.as_bytes()).unwrap().0);
    let second = signer.sign(&LedgerRecord { previous, ..baseline(2, "2026-02-01T00:00:00Z") });
    [first, second]
}

fn fold(records: &[(&str, &str)], signer: &Signer) -> Result<(Option<Approvals>, Vec<LedgerError>), LedgerError> {
    approvals(records.iter().map(|(path, record)| (*path, record.as_bytes())), &signer.verifier())
}

#[test]
fn the_last_baseline_approves_and_the_first_says_since_when_dayfly_runs_the_platform() {
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
        let envelope = signer.sign(&LedgerRecord { fact, previous, ..baseline(digit, "2026-01-01T00:00:00Z") });
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
fn a_record_that_is_repeated_or_renamed_changes_nothing_and_without_one_of_them_no_record_counts() {
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
