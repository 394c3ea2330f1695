//! What the default branch's history says about each app: when it was born, from when its time counts, who changed it.
//!
//! Dates in commits are what their authors wrote, so they are doubted. The fold runs over the first-parent history from
//! the oldest commit on. A commit counts at its own date if that is neither before the commits below it nor after now;
//! otherwise at the latest date below it. So dates never run backwards, a date in the future is worth nothing, and no
//! app's time ever counts from later than now. A date in the future comes into force when it has passed: until then the
//! app's time has run on from before, and whoever could write it could renew the app as well.
//!
//! Whoever may push chooses which commits are the first parents: a merge can make a line of their own the main one. So
//! what a merge brings in counts where it takes something away: a deletion there is a deletion, and an app that was there
//! earlier is as old as that.

mod facts;
mod lives;

use std::collections::BTreeMap;

use dayfly_model::digest::Revision;
use dayfly_model::names::AppName;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use facts::{AppChange, AppFacts, CommitFacts};
pub use lives::Life;
use lives::{HistoryTime, LifeRecord};

/// All lives, folded commit by commit. Serialize it to go on later from where it stood.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct History {
    tip: Option<Revision>,
    /// Every commit, with its number: the first has 1.
    line: BTreeMap<Revision, u64>,
    /// The latest date that counts so far.
    latest: Option<Timestamp>,
    /// Dates that were after now when they were read, by the number of their commit.
    ahead: Vec<HistoryTime>,
    apps: BTreeMap<AppName, LifeRecord>,
    /// The apps that were deleted, there again or not, each with the number of the commit that did it last.
    removed: BTreeMap<AppName, u64>,
    /// The apps that merges brought in, each with its earliest date there.
    brought: BTreeMap<AppName, Timestamp>,
}

impl History {
    /// The commit that was folded last.
    pub fn tip(&self) -> Option<Revision> {
        self.tip
    }

    /// How many commits were folded.
    pub fn len(&self) -> u64 {
        self.line.len() as u64
    }

    /// Whether nothing was folded yet.
    pub fn is_empty(&self) -> bool {
        self.line.is_empty()
    }

    /// Whether a commit was folded: it is of the first-parent history.
    pub fn contains(&self, revision: &Revision) -> bool {
        self.line.contains_key(revision)
    }

    /// Whether an app was deleted after a commit, even if it came back. A commit that is not of the first-parent history
    /// is before everything.
    pub fn deleted_since(&self, app: &AppName, revision: &Revision) -> bool {
        self.removed.get(app) > self.line.get(revision)
    }

    /// Whether an app had last been deleted, or moved to another tier, when a commit was made.
    pub fn had_left(&self, app: &AppName, revision: &Revision) -> bool {
        let moved = self.apps.get(app).map(|record| record.tier_since.commit);
        let left = moved.max(self.removed.get(app).copied());
        left.is_some() && left <= self.line.get(revision).copied()
    }

    /// The apps that were deleted at some time, there again or not.
    pub fn deleted(&self) -> impl Iterator<Item = &AppName> {
        self.removed.keys()
    }

    /// Folds the next commit: the child, by first parent, of the one before.
    pub fn push(&mut self, commit: &CommitFacts, now: Timestamp) {
        let number = self.len() + 1;
        self.line.insert(commit.revision, number);
        self.tip = Some(commit.revision);
        if commit.time > now {
            self.ahead.push(HistoryTime { time: commit.time, commit: number });
        } else {
            self.latest = self.latest.max(Some(commit.time));
        }
        let at = HistoryTime { time: self.latest.unwrap_or(Timestamp::MIN), commit: number };
        let gone: Vec<_> = commit.changes.iter().filter(|change| change.after.is_none()).collect();
        for change in &commit.changes {
            let Some(after) = &change.after else { continue };
            self.inherit(&change.app, after, &gone);
            self.apps
                .entry(change.app.clone())
                .and_modify(|record| record.change(after, at, commit))
                .or_insert_with(|| LifeRecord::new(after, at, commit));
        }
        for change in gone {
            if let Some(record) = self.apps.get_mut(&change.app) {
                record.present = false;
                self.removed.insert(change.app.clone(), at.commit);
                record.touch(at, commit);
            }
        }
        self.merge(commit, number, now);
    }

    /// Records what a merge brings in: the deletions of its other lines, and how old apps are in them.
    fn merge(&mut self, commit: &CommitFacts, number: u64, now: Timestamp) {
        for (time, change) in &commit.brought {
            if change.after.is_none() {
                self.removed.insert(change.app.clone(), number);
            } else if change.before.is_none() && *time <= now {
                let earliest = self.brought.entry(change.app.clone()).or_insert(*time);
                *earliest = (*earliest).min(*time);
            }
        }
    }

    /// Gives an app the life of one that the same commit removes, if it is the same app under another name, or an older
    /// life of its own.
    fn inherit(&mut self, app: &AppName, after: &AppFacts, gone: &[&AppChange]) {
        let renamed =
            gone.iter().filter(|change| change.before.as_ref().is_some_and(|before| before.is_same_app(after)));
        let lives = renamed.filter_map(|change| self.apps.get(&change.app));
        let Some(oldest) = lives.min_by_key(|record| record.born.time).cloned() else { return };
        match self.apps.get_mut(app) {
            Some(own) => own.born = if own.born.time <= oldest.born.time { own.born } else { oldest.born },
            None => drop(self.apps.insert(app.clone(), oldest)),
        }
    }

    /// An app's life as of `now`, whether the app is there or gone; none where it never was.
    pub fn life(&self, app: &AppName, now: Timestamp) -> Option<Life> {
        let record = self.apps.get(app)?;
        let time = |moment: HistoryTime| self.time(moment, now);
        let [born, tier_since] = [record.born, record.tier_since].map(time);
        Some(Life {
            born: self.brought.get(app).map_or(born, |brought| born.min(*brought)),
            start: born.max(tier_since).max(record.renewed.map_or(born, time)),
            changed: time(record.changed),
            revision: Some(record.revision),
            author: record.author.clone(),
            facts: record.facts.clone(),
            tier_before: record.tier_before.clone(),
            present: record.present,
        })
    }

    /// All apps that ever were, there or gone.
    pub fn apps(&self) -> impl Iterator<Item = &AppName> {
        self.apps.keys()
    }

    /// The date that counts now: dates that were ahead and have passed by now count from their commit on.
    fn time(&self, moment: HistoryTime, now: Timestamp) -> Timestamp {
        let passed = self.ahead.iter().filter(|ahead| ahead.commit <= moment.commit && ahead.time <= now);
        passed.map(|ahead| ahead.time).fold(moment.time, Timestamp::max).min(now)
    }
}

#[cfg(test)]
mod tests;
