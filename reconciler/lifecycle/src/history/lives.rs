//! One app's life: as the fold keeps it, and as it is at some time.

use std::sync::Arc;

use dayfly_model::digest::Revision;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{AppFacts, CommitFacts};

/// When something happened, in the history's own terms: the date that counts, and the number of the commit, by which dates
/// that were ahead come into force once somebody has seen them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct HistoryTime {
    pub time: Timestamp,
    pub commit: u64,
}

/// One app's life as the fold keeps it. An app that is gone keeps its own, for the day when it comes back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct LifeRecord {
    pub born: HistoryTime,
    pub tier_since: HistoryTime,
    pub tier_before: Option<String>,
    pub renewed: Option<HistoryTime>,
    pub changed: HistoryTime,
    pub revision: Revision,
    pub author: Arc<str>,
    pub facts: Arc<AppFacts>,
    pub present: bool,
}

/// The life of an app, as of some time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Life {
    /// When it first appeared, under whatever name.
    pub born: Timestamp,
    /// When its time began to count: the latest of its birth on the default branch, the last change of tier, and the last
    /// renewal.
    pub start: Timestamp,
    /// When its manifest last changed.
    pub changed: Timestamp,
    /// The commit that last changed its manifest; none if it was never committed.
    pub revision: Option<Revision>,
    /// Who made that commit.
    pub author: Arc<str>,
    /// Its manifest as last seen.
    pub facts: Arc<AppFacts>,
    /// The tier that it was in before the one of that manifest.
    pub tier_before: Option<String>,
    /// Whether it is there.
    pub present: bool,
}

impl Life {
    /// The life of an app that begins now: it is not committed yet.
    pub fn beginning(now: Timestamp) -> Self {
        Self {
            born: now,
            start: now,
            changed: now,
            revision: None,
            author: "".into(),
            facts: Arc::default(),
            tier_before: None,
            present: true,
        }
    }
}

impl LifeRecord {
    pub fn new(facts: &AppFacts, at: HistoryTime, commit: &CommitFacts) -> Self {
        Self {
            born: at,
            tier_since: at,
            tier_before: None,
            renewed: None,
            changed: at,
            revision: commit.revision,
            author: commit.author.as_str().into(),
            facts: Arc::new(facts.clone()),
            present: true,
        }
    }

    pub fn change(&mut self, after: &AppFacts, at: HistoryTime, commit: &CommitFacts) {
        if after.tier.is_some() && after.tier != self.facts.tier {
            self.tier_since = at;
            self.tier_before.clone_from(&self.facts.tier);
        }
        if after.renewed.is_some() && after.renewed != self.facts.renewed {
            self.renewed = Some(at);
        }
        // What a broken manifest does not say is as before, so that breaking and mending it restarts nothing.
        let before = std::mem::take(&mut self.facts);
        let lifetime = if after.lifetime().is_none() { &*before } else { after };
        self.facts = Arc::new(AppFacts {
            tier: after.tier.as_ref().or(before.tier.as_ref()).cloned(),
            renewed: after.renewed.as_ref().or(before.renewed.as_ref()).cloned(),
            ttl: lifetime.ttl.clone(),
            expires: lifetime.expires.clone(),
            ..after.clone()
        });
        self.present = true;
        self.touch(at, commit);
    }

    pub fn touch(&mut self, at: HistoryTime, commit: &CommitFacts) {
        self.changed = at;
        self.revision = commit.revision;
        self.author = commit.author.as_str().into();
    }
}
