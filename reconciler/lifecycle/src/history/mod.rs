//! What the default branch's history says about each app: when it was born, from when its time counts, who changed it.
//!
//! Dates in commits are what their authors wrote, so they are doubted. The fold runs over the first-parent history from
//! the oldest commit on. A commit counts at its own date if that is neither before the commits below it nor after the time
//! when it was first seen; otherwise at the latest date below it. So dates never run backwards, and no app's time ever
//! counts from later than now. A date that was ahead when it was first seen counts as of then, once the ledger says when
//! that was, and never later: all that read the ledger agree, whenever they first read the commit.
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
    /// Dates that were after their first sight, or after now where nobody knows of one, by the number of their commit.
    ahead: Vec<HistoryTime>,
    /// Of those whose first sight is known: the latest date that counts from a commit on, by its number.
    in_force: Vec<HistoryTime>,
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
        let first_sight = commit.seen.map_or(now, |seen| seen.min(now));
        if commit.time > first_sight {
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

    /// Whether dates were ahead and nobody knows when they were first seen.
    pub fn has_unseen_dates(&self) -> bool {
        let last_seen = self.in_force.last().map(|known| known.commit);
        self.ahead.last().is_some_and(|ahead| Some(ahead.commit) > last_seen)
    }

    /// How many commits are dated after `now`.
    pub fn dated_after(&self, now: Timestamp) -> usize {
        self.ahead.iter().filter(|ahead| ahead.time > now).count()
    }

    /// Whether any date was ahead.
    pub fn has_dates_ahead(&self) -> bool {
        !self.ahead.is_empty()
    }

    /// Brings dates that were ahead into force, as of their first sight: each commit with the time by which it, and all
    /// before it, were there.
    pub fn observe(&mut self, seen: &[(Revision, Timestamp)]) {
        let number = |revision: &Revision| self.line.get(revision).copied();
        let sights =
            seen.iter().filter_map(|(commit, time)| Some(HistoryTime { time: *time, commit: number(commit)? }));
        let mut sights: Vec<_> = sights.collect();
        sights.sort_by_key(|sight| sight.commit);
        let (mut first_sight, mut in_force) = (None, Vec::new());
        for ahead in self.ahead.iter().rev() {
            while let Some(sight) = sights.pop_if(|sight| sight.commit >= ahead.commit) {
                first_sight = Some(first_sight.map_or(sight.time, |earlier: Timestamp| earlier.min(sight.time)));
            }
            in_force.extend(first_sight.map(|seen| HistoryTime { time: ahead.time.min(seen), commit: ahead.commit }));
        }
        in_force.reverse();
        let mut latest = Timestamp::MIN;
        for known in &mut in_force {
            latest = latest.max(known.time);
            known.time = latest;
        }
        self.in_force = in_force;
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

    /// The date that counts now: a date that was ahead counts from its commit on, as of its first sight.
    fn time(&self, moment: HistoryTime, now: Timestamp) -> Timestamp {
        let known = self.in_force.partition_point(|known| known.commit <= moment.commit);
        let in_force = known.checked_sub(1).map(|last| self.in_force[last].time);
        in_force.map_or(moment.time, |date| date.max(moment.time)).min(now)
    }
}

#[cfg(test)]
mod tests;
