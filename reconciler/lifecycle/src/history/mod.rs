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

use std::collections::BTreeMap;
use std::sync::Arc;

use dayfly_model::digest::Revision;
use dayfly_model::names::AppName;
use dayfly_model::platform::app::Lifetime;
use dayfly_model::yaml;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// One commit of the first-parent history, as far as apps are concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitFacts {
    /// The commit.
    pub revision: Revision,
    /// The committer's date.
    pub time: Timestamp,
    /// The author, as `Name <email>`.
    pub author: String,
    /// The whole message.
    pub message: String,
    /// What it did to apps, against its first parent.
    pub changes: Vec<AppChange>,
    /// What the commits did that it brings in by its other parents, each at its own date.
    pub brought: Vec<(Timestamp, AppChange)>,
}

impl CommitFacts {
    /// A commit of nobody with these changes.
    pub fn new(revision: Revision, time: Timestamp, changes: Vec<AppChange>) -> Self {
        Self { revision, time, author: String::new(), message: String::new(), changes, brought: Vec::new() }
    }
}

/// What one commit did to one app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppChange {
    /// The app.
    pub app: AppName,
    /// Its manifest before; none if it was not there.
    pub before: Option<AppFacts>,
    /// Its manifest after; none if it is gone.
    pub after: Option<AppFacts>,
}

/// What history needs of a manifest. Anything may be absent: old manifests may be broken.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AppFacts {
    /// `spec.template`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
    /// `spec.tier`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tier: Option<String>,
    /// `spec.ttl`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl: Option<String>,
    /// `spec.expires`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
    /// `spec.renewed`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub renewed: Option<String>,
    /// `spec.owner`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// `spec.team`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub team: Option<String>,
    /// `spec.costCenter`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost_center: Option<String>,
    /// `spec.suspend`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub suspend: bool,
}

impl AppFacts {
    /// Reads whatever can be read of a manifest, however broken.
    pub fn read(bytes: &[u8]) -> Self {
        let spec = match yaml::document(bytes, yaml::MANIFEST) {
            Ok((mut value, _)) => value.get_mut("spec").map(Value::take).unwrap_or_default(),
            Err(_) => by_line(&String::from_utf8_lossy(&bytes[..bytes.len().min(yaml::MANIFEST.bytes)])),
        };
        let field = |name: &str| match spec.get(name)? {
            Value::Null => None,
            Value::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        };
        Self {
            template: field("template"),
            tier: field("tier"),
            ttl: field("ttl"),
            expires: field("expires"),
            renewed: field("renewed"),
            owner: field("owner"),
            team: field("team"),
            cost_center: field("costCenter"),
            suspend: field("suspend").as_deref() == Some("true"),
        }
    }

    /// How long the app asks to live, where that can be read.
    pub fn lifetime(&self) -> Option<Lifetime> {
        Lifetime::read(self.ttl.as_deref(), self.expires.as_deref())
    }

    /// Whether two manifests are one app under two names: everything that says what it is and whose is the same.
    fn same_app(&self, other: &Self) -> bool {
        let identity =
            |facts: &Self| (facts.template.clone(), facts.owner.clone(), facts.team.clone(), facts.cost_center.clone());
        self.template.is_some() && identity(self) == identity(other)
    }
}

/// The fields of `spec` in a text that is no YAML: its lines indented by two, the first of a name.
fn by_line(text: &str) -> Value {
    let mut spec = Map::new();
    for line in text.lines().filter_map(|line| line.strip_prefix("  ")) {
        if let Some((name, value)) = line.split_once(':') {
            let value = value.split(" #").next().unwrap_or_default().trim().trim_matches(['"', '\'']);
            let value = if value.is_empty() { Value::Null } else { value.into() };
            spec.entry(name).or_insert(value);
        }
    }
    Value::Object(spec)
}

/// When something happened: the date that counts, and how many commits before, for dates that were ahead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Moment {
    time: Timestamp,
    commit: u64,
}

/// One app's life as the fold keeps it; it stays when the app is gone, for the day it comes back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    born: Moment,
    tier_since: Moment,
    tier_before: Option<String>,
    renewed: Option<Moment>,
    changed: Moment,
    revision: Revision,
    author: Arc<str>,
    facts: Arc<AppFacts>,
    present: bool,
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

/// All lives, folded commit by commit. Serialize it to go on later from where it stood.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct History {
    tip: Option<Revision>,
    /// Every commit, with its number: the first has 1.
    line: BTreeMap<Revision, u64>,
    latest: Option<Timestamp>,
    /// Dates that were after now when they were read, by the number of their commit.
    ahead: Vec<Moment>,
    apps: BTreeMap<AppName, Record>,
    /// The apps that were deleted, there again or not, and the number of the commit that did it last.
    removed: BTreeMap<AppName, u64>,
    /// The earliest date of each app that merges brought in.
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
            self.ahead.push(Moment { time: commit.time, commit: number });
        } else {
            self.latest = self.latest.max(Some(commit.time));
        }
        let at = Moment { time: self.latest.unwrap_or(Timestamp::MIN), commit: number };
        let gone: Vec<_> = commit.changes.iter().filter(|change| change.after.is_none()).collect();
        for change in &commit.changes {
            let Some(after) = &change.after else { continue };
            self.inherit(&change.app, after, &gone);
            self.apps
                .entry(change.app.clone())
                .and_modify(|record| record.change(after, at, commit))
                .or_insert_with(|| Record::new(after, at, commit));
        }
        for change in gone {
            if let Some(record) = self.apps.get_mut(&change.app) {
                record.present = false;
                self.removed.insert(change.app.clone(), at.commit);
                record.touch(at, commit);
            }
        }
        self.bring(commit, number, now);
    }

    /// Takes up what a merge brings in: what went there, and how old what is here was there.
    fn bring(&mut self, commit: &CommitFacts, number: u64, now: Timestamp) {
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
        let renamed = gone.iter().filter(|change| change.before.as_ref().is_some_and(|before| before.same_app(after)));
        let lives = renamed.filter_map(|change| self.apps.get(&change.app));
        let Some(oldest) = lives.min_by_key(|record| record.born.time).cloned() else { return };
        match self.apps.get_mut(app) {
            Some(own) => own.born = if own.born.time <= oldest.born.time { own.born } else { oldest.born },
            None => drop(self.apps.insert(app.clone(), oldest)),
        }
    }

    /// An app's life, there or gone.
    pub fn life(&self, app: &AppName, now: Timestamp) -> Option<Life> {
        let record = self.apps.get(app)?;
        let time = |moment: Moment| self.time(moment, now);
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

    /// All apps that ever were.
    pub fn apps(&self) -> impl Iterator<Item = &AppName> {
        self.apps.keys()
    }

    /// The date that counts for a moment: dates that were ahead and have passed count from their commit on.
    fn time(&self, moment: Moment, now: Timestamp) -> Timestamp {
        let passed = self.ahead.iter().filter(|ahead| ahead.commit <= moment.commit && ahead.time <= now);
        passed.map(|ahead| ahead.time).fold(moment.time, Timestamp::max).min(now)
    }
}

impl Record {
    fn new(facts: &AppFacts, at: Moment, commit: &CommitFacts) -> Self {
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

    fn change(&mut self, after: &AppFacts, at: Moment, commit: &CommitFacts) {
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

    fn touch(&mut self, at: Moment, commit: &CommitFacts) {
        self.changed = at;
        self.revision = commit.revision;
        self.author = commit.author.as_str().into();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> Timestamp {
        format!("{text}T12:00:00Z").parse().unwrap()
    }

    fn facts(tier: &str, renewed: Option<&str>) -> AppFacts {
        let yaml = format!("spec:\n  template: survey/v1\n  tier: {tier}\n  owner: maya\n");
        let renewed = renewed.map(|date| format!("  renewed: {date}\n")).unwrap_or_default();
        AppFacts::read((yaml + &renewed).as_bytes())
    }

    /// A history of commits, each a date and what the apps are after it.
    struct Story {
        history: History,
        apps: BTreeMap<AppName, AppFacts>,
        now: Timestamp,
    }

    impl Story {
        fn until(now: &str) -> Self {
            Self { history: History::default(), apps: BTreeMap::new(), now: time(now) }
        }

        fn commit(mut self, date: &str, changes: &[(&str, Option<AppFacts>)]) -> Self {
            let changes = changes.iter().map(|(app, after)| {
                let app: AppName = app.parse().unwrap();
                let before = match after {
                    Some(after) => self.apps.insert(app.clone(), after.clone()),
                    None => self.apps.remove(&app),
                };
                AppChange { app, before, after: after.clone() }
            });
            let changes = changes.collect();
            let revision = Revision::of_blob(format!("{date}{}", self.history.len()).as_bytes());
            self.history.push(&CommitFacts::new(revision, time(date), changes), self.now);
            self
        }

        /// A merge that changes nothing, and what it brings in.
        fn merge(mut self, date: &str, brought: &[(&str, &str, Option<AppFacts>)]) -> Self {
            let brought = brought.iter().map(|(date, app, after)| {
                let before = after.is_none().then(AppFacts::default);
                (time(date), AppChange { app: app.parse().unwrap(), before, after: after.clone() })
            });
            let revision = Revision::of_blob(format!("{date}{}", self.history.len()).as_bytes());
            let brought = brought.collect();
            let merge = CommitFacts { brought, ..CommitFacts::new(revision, time(date), vec![]) };
            self.history.push(&merge, self.now);
            self
        }

        fn life(&self, app: &str) -> (String, String) {
            let life = self.history.life(&app.parse().unwrap(), self.now).unwrap();
            let day = |time: Timestamp| time.to_string()[..10].to_owned();
            (day(life.born), day(life.start))
        }
    }

    fn days(born: &str, start: &str) -> (String, String) {
        (born.into(), start.into())
    }

    #[test]
    fn time_counts_from_birth_the_last_tier_and_the_last_renewal() {
        let story = Story::until("2026-12-31")
            .commit("2026-01-01", &[("a", Some(facts("sandbox", None)))])
            .commit("2026-02-01", &[("a", Some(facts("pilot", None)))]);
        assert_eq!(story.life("a"), days("2026-01-01", "2026-02-01"));
        let story = story.commit("2026-03-01", &[("a", Some(facts("pilot", Some("2026-03-01"))))]);
        assert_eq!(story.life("a"), days("2026-01-01", "2026-03-01"));
        let story = story.commit("2026-04-01", &[("a", Some(facts("pilot", Some("2026-03-01"))))]);
        assert_eq!(story.life("a"), days("2026-01-01", "2026-03-01"));
    }

    #[test]
    fn birth_survives_renames_and_coming_back() {
        let sandbox = || Some(facts("sandbox", None));
        let story = Story::until("2026-12-31")
            .commit("2026-01-01", &[("a", sandbox())])
            .commit("2026-02-01", &[("a", None), ("b", sandbox())])
            .commit("2026-03-01", &[("b", None)]);
        assert!(!story.history.life(&"b".parse().unwrap(), story.now).unwrap().present);
        let story = story.commit("2026-04-01", &[("b", sandbox())]);
        assert_eq!(story.life("b"), days("2026-01-01", "2026-01-01"));
        let story = story.commit("2026-05-01", &[("b", Some(facts("sandbox", Some("2026-05-01"))))]);
        assert_eq!(story.life("b"), days("2026-01-01", "2026-05-01"));
    }

    #[test]
    fn another_app_in_a_removed_one_s_commit_is_born_then() {
        let other = AppFacts { owner: Some("ali".into()), ..facts("sandbox", None) };
        let story = Story::until("2026-12-31")
            .commit("2026-01-01", &[("a", Some(facts("sandbox", None)))])
            .commit("2026-02-01", &[("a", None), ("b", Some(other))]);
        assert_eq!(story.life("b"), days("2026-02-01", "2026-02-01"));
    }

    #[test]
    fn a_forged_date_extends_nothing() {
        let sandbox = |renewed| Some(facts("sandbox", renewed));
        let story = Story::until("2026-06-01")
            .commit("2026-01-01", &[("a", sandbox(None))])
            .commit("2099-01-01", &[("a", sandbox(Some("2099-01-01"))), ("b", sandbox(None))])
            .commit("2026-02-01", &[("c", sandbox(None))])
            .commit("1970-01-01", &[("d", sandbox(None))]);
        assert_eq!(story.life("a"), days("2026-01-01", "2026-01-01"));
        assert_eq!(story.life("b"), days("2026-01-01", "2026-01-01"));
        assert_eq!(story.life("c"), days("2026-02-01", "2026-02-01"));
        assert_eq!(story.life("d"), days("2026-02-01", "2026-02-01"));
    }

    #[test]
    fn a_cached_history_says_what_a_new_fold_says() {
        let tell = |story: Story| {
            story
                .commit("2026-01-01", &[("a", Some(facts("sandbox", None)))])
                .commit("2026-03-01", &[("a", Some(facts("pilot", None)))])
                .commit("2026-02-01", &[("b", Some(facts("sandbox", None)))])
        };
        let early = tell(Story::until("2026-02-15"));
        let cached: History = serde_json::from_str(&serde_json::to_string(&early.history).unwrap()).unwrap();
        let late = Story { history: cached, ..tell(Story::until("2026-06-01")) };
        assert_eq!(early.life("a"), days("2026-01-01", "2026-01-01"));
        for app in ["a", "b"] {
            assert_eq!(late.life(app), tell(Story::until("2026-06-01")).life(app));
        }
    }

    #[test]
    fn a_deletion_is_remembered_when_the_app_is_back() {
        let sandbox = || Some(facts("sandbox", None));
        let mut commits = Vec::new();
        let mut story = Story::until("2026-12-31");
        for (date, after) in [("2026-01-01", sandbox()), ("2026-02-01", None), ("2026-03-01", sandbox())] {
            story = story.commit(date, &[("a", after)]);
            commits.push(story.history.tip().unwrap());
        }
        let (history, app) = (&story.history, "a".parse().unwrap());
        let since = |revision: &Revision| (history.deleted_since(&app, revision), history.had_left(&app, revision));
        assert_eq!([0, 1, 2].map(|at| since(&commits[at])), [(true, false), (false, true), (false, true)]);
        assert_eq!(since(&[9; 20].into()), (true, false), "a commit of nobody knows where");
        assert_eq!(history.deleted().collect::<Vec<_>>(), [&app]);
    }

    #[test]
    fn a_line_that_a_merge_makes_the_main_one_extends_nothing_and_undoes_no_deletion() {
        let sandbox = || Some(facts("sandbox", None));
        let story = Story::until("2026-12-31").commit("2026-06-01", &[("a", sandbox()), ("b", sandbox())]);
        let first = story.history.tip().unwrap();
        let brought = [
            ("2026-01-01", "a", sandbox()),
            ("2026-02-01", "b", None),
            ("2026-03-01", "c", sandbox()),
            ("2026-04-01", "d", None),
        ];
        let story = story.merge("2026-07-01", &brought);
        assert_eq!(story.life("a"), days("2026-01-01", "2026-06-01"));
        assert_eq!(story.life("b"), days("2026-06-01", "2026-06-01"));
        let story = story.commit("2026-08-01", &[("c", sandbox()), ("d", sandbox())]);
        assert_eq!(story.life("c"), days("2026-03-01", "2026-08-01"));
        let gone = |app: &str| story.history.deleted_since(&app.parse().unwrap(), &first);
        assert_eq!(["a", "b", "c", "d"].map(gone), [false, true, false, true]);
    }

    #[test]
    fn old_manifests_are_read_as_far_as_they_go() {
        let broken = b"kind: App\nspec:\n  tier: \"pilot\" # x\n\ttemplate: a\n  owner: no\n  suspend: true\n";
        let read = AppFacts::read(broken);
        assert_eq!((read.tier.as_deref(), read.owner.as_deref(), read.template), (Some("pilot"), Some("no"), None));
        assert!(read.suspend);
        assert_eq!(AppFacts::read(b"\xff\xfe"), AppFacts::default());
        let story = Story::until("2026-12-31")
            .commit("2026-01-01", &[("a", Some(facts("sandbox", Some("2026-01-01"))))])
            .commit("2026-02-01", &[("a", Some(AppFacts::default()))])
            .commit("2026-03-01", &[("a", Some(facts("sandbox", Some("2026-01-01"))))]);
        assert_eq!(story.life("a"), days("2026-01-01", "2026-01-01"));
        let lives = |ttl: &str| Some(AppFacts { ttl: Some(ttl.into()), ..facts("sandbox", None) });
        let story = Story::until("2026-12-31")
            .commit("2026-01-01", &[("a", lives("14d"))])
            .commit("2026-02-01", &[("a", lives("for ever"))]);
        let life = story.history.life(&"a".parse().unwrap(), story.now).unwrap();
        assert_eq!(life.facts.ttl.as_deref(), Some("14d"), "what nobody can read puts no end off");
    }
}
