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
    /// By when the ledger says that all of it was there.
    seen: Option<Timestamp>,
}

impl Story {
    fn until(now: &str) -> Self {
        Self { history: History::default(), apps: BTreeMap::new(), now: time(now), seen: None }
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
        let commit = CommitFacts { seen: self.seen, ..CommitFacts::new(revision, time(date), changes) };
        self.history.push(&commit, self.now);
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
fn an_app_s_time_counts_from_its_birth_or_its_last_change_of_tier_or_its_last_renewal() {
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
fn an_app_is_as_old_as_before_when_it_is_renamed_or_comes_back() {
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
fn an_app_of_another_owner_does_not_inherit_the_age_of_the_one_that_its_commit_removes() {
    let other = AppFacts { owner: Some("ali".into()), ..facts("sandbox", None) };
    let story = Story::until("2026-12-31")
        .commit("2026-01-01", &[("a", Some(facts("sandbox", None)))])
        .commit("2026-02-01", &[("a", None), ("b", Some(other))]);
    assert_eq!(story.life("b"), days("2026-02-01", "2026-02-01"));
}

#[test]
fn a_commit_with_a_forged_date_lets_no_app_live_longer() {
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
fn a_date_that_was_ahead_counts_as_of_its_first_sight_in_a_stored_history_and_in_a_new_one() {
    let tell = |mut story: Story, seen: Option<&str>| {
        story.seen = seen.map(time);
        story
            .commit("2026-01-01", &[("a", Some(facts("sandbox", None)))])
            .commit("2026-03-01", &[("a", Some(facts("pilot", None)))])
            .commit("2026-02-01", &[("b", Some(facts("sandbox", None)))])
    };
    let mut early = tell(Story::until("2026-02-15"), None);
    assert!(early.history.has_unseen_dates());
    assert_eq!(early.life("a"), days("2026-01-01", "2026-01-01"), "nobody says yet when it was first seen");
    let tip = early.history.tip().unwrap();
    early.history.observe(&[(tip, time("2026-02-15"))]);
    assert!(!early.history.has_unseen_dates());
    let cached: History = serde_json::from_str(&serde_json::to_string(&early.history).unwrap()).unwrap();

    let mut new = tell(Story::until("2026-06-01"), Some("2026-02-15"));
    new.history.observe(&[(tip, time("2026-02-15")), (tip, time("2026-05-01"))]);
    let stored = Story { history: cached, ..tell(Story::until("2026-06-01"), None) };
    for story in [stored, new] {
        assert_eq!(story.life("a"), days("2026-01-01", "2026-02-15"));
        assert_eq!(story.life("b"), days("2026-02-15", "2026-02-15"));
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
    assert_eq!(since(&[9; 20].into()), (true, false), "a commit that is not in this history");
    assert_eq!(history.deleted().collect::<Vec<_>>(), [&app]);
}

#[test]
fn a_merge_that_swaps_its_parents_lets_no_app_live_longer_and_undoes_no_deletion() {
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
fn a_broken_manifest_is_read_as_far_as_it_can_be_and_restarts_no_time() {
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
