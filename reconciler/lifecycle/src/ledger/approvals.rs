//! What the ledger approves: its records, folded in their order.

use std::collections::BTreeMap;

use dayfly_model::digest::{Digest, Revision};
use dayfly_model::names::{AppName, InstanceKey};
use jiff::Timestamp;

use super::log::Log;
use super::{LedgerError, LedgerFact, LedgerRecord, Verifier};
use crate::history::History;

/// What the ledger approves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approvals {
    /// The commit whose environments, policies and approvers hold: the last approved control revision.
    pub control: Revision,
    /// The commit at which every app in its tier is approved that has no approval of its own.
    pub baseline: Revision,
    /// The commit of each app that was approved by itself since then.
    pub instances: BTreeMap<InstanceKey, Revision>,
    /// The commit whose deletions were last confirmed, by a baseline or by a confirmation.
    pub confirmed: Revision,
    /// The commit of the last confirmation; none where nobody confirmed deletions by themselves.
    pub last_confirmation: Option<Revision>,
    /// The apps that a person retired, and the commit that did it last.
    pub retired: BTreeMap<AppName, Revision>,
    /// When Dayfly adopted the platform: at the first baseline, or at the earliest record after it where the clock was ahead
    /// then. Apps that are older count as born then.
    pub since: Timestamp,
    /// By when the commits of all records were there, in the order of the records.
    pub seen: Vec<(Revision, Timestamp)>,
    /// All commits that were approved to begin with, in order.
    pub baselines: Vec<Revision>,
    /// The digests of all records from the first baseline on, in order.
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
        let mut signed = std::iter::once(&self.confirmed).chain(self.retired.get(app));
        signed.any(|revision| history.had_left(app, revision))
    }

    fn begin(revision: Revision, since: Timestamp, digest: Digest) -> Self {
        Self {
            control: revision,
            baseline: revision,
            instances: BTreeMap::new(),
            confirmed: revision,
            last_confirmation: None,
            retired: BTreeMap::new(),
            since,
            seen: vec![(revision, since)],
            baselines: vec![revision],
            chain: vec![digest],
        }
    }

    fn add(&mut self, record: &LedgerRecord, digest: Digest) {
        let revision = record.revision;
        self.chain.push(digest);
        self.since = self.since.min(record.time);
        self.seen.push((revision, record.time));
        match &record.fact {
            LedgerFact::Baseline => {
                // Who approves a commit as it stands approves what it lacks, too.
                (self.control, self.baseline, self.confirmed) = (revision, revision, revision);
                self.instances.clear();
                self.baselines.push(revision);
            }
            LedgerFact::Approval { app, tier, .. } => {
                self.instances.insert(InstanceKey { app: app.clone(), tier: tier.clone() }, revision);
            }
            LedgerFact::Retirement { app } => drop(self.retired.insert(app.clone(), revision)),
            LedgerFact::Confirmation => {
                (self.confirmed, self.last_confirmation) = (revision, Some(revision));
            }
            LedgerFact::Observation => {}
        }
    }
}

/// What the ledger's files, path and bytes, approve by records of a key: none before the first baseline. Files that prove
/// nothing are returned beside, as errors, and change nothing.
///
/// # Errors
/// [`LedgerError::Gap`]: a signed record that does not follow; then nothing can be said.
pub fn approvals<'a>(
    files: impl IntoIterator<Item = (&'a str, &'a [u8])>,
    key: &Verifier,
) -> Result<(Option<Approvals>, Vec<LedgerError>), LedgerError> {
    let log = Log::read(files, key)?;
    let mut approvals: Option<Approvals> = None;
    for (digest, record) in &log.records {
        match (&mut approvals, &record.fact) {
            (Some(known), _) => known.add(record, *digest),
            (none @ None, LedgerFact::Baseline) => {
                *none = Some(Approvals::begin(record.revision, record.time, *digest));
            }
            (None, _) => {}
        }
    }
    Ok((approvals, log.errors))
}
