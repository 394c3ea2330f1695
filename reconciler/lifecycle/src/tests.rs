use dayfly_model::digest::Revision;
use dayfly_model::names::AppName;
use dayfly_model::platform::Platform;
use dayfly_model::platform::app::Lifetime;
use dayfly_model::platform::environment::Changes;
use dayfly_model::snapshot::{FileEntry, Snapshot};
use jiff::{SignedDuration, Timestamp};

use super::*;
use crate::expiry::ExpiryReason;
use crate::history::{AppChange, AppFacts, CommitFacts, History, Life};
use crate::proposal::trailers;
use crate::retire::{Announcement, Announcements, announce, due};
use crate::situation::subject;

const ENVIRONMENT: &str = "\
apiVersion: dayfly.dev/v1
kind: Environment
metadata: {name: sandbox}
spec:
  order: 1
  cluster: {context: sandbox}
  namespace: \"{{ app }}\"
  changes: commit
  ttl: {default: 14d, max: 30d, maxLifetime: 90d}
  retire: {maxApps: 3, maxPercent: 20, grace: 1d}
";

fn manifest(name: &str, lifetime: &str) -> String {
    format!(
        "apiVersion: dayfly.dev/v1\nkind: App\nmetadata: {{name: {name}}}\nspec:\n  template: survey/v1\n  tier: sandbox\n  \
         {lifetime} # how long\n  costCenter: CC-1\n  owner: maya@example.com\n  team: people\n"
    )
}

fn at(text: &str) -> Timestamp {
    if text.len() == 10 { format!("{text}T00:00:00Z").parse().unwrap() } else { text.parse().unwrap() }
}

fn name(text: &str) -> AppName {
    text.parse().unwrap()
}

/// Apps with their birthdays, in a sandbox.
struct Sandbox {
    snapshot: Snapshot,
    platform: Platform,
    history: History,
}

impl Sandbox {
    fn new(environment: &str, apps: &[(&str, &str, &str)]) -> Self {
        let mut files = vec![("environments/sandbox/environment.yaml".to_owned(), environment.to_owned())];
        let mut history = History::default();
        for (app, born, lifetime) in apps {
            let text = manifest(app, lifetime);
            let after = Some(AppFacts::read(text.as_bytes()));
            let revision = Revision::of_blob(app.as_bytes());
            let changes = vec![AppChange { app: name(app), before: None, after }];
            history.push(&CommitFacts::new(revision, at(born), changes), at("2028-12-31"));
            files.push((format!("apps/{app}/app.yaml"), text));
            files.push((format!("apps/{app}/data/x.csv"), "1".to_owned()));
        }
        let snapshot = Snapshot::from_texts(files);
        let platform = Platform::load(&snapshot, None);
        Self { snapshot, platform, history }
    }

    fn situation(&self, now: &str) -> Situation<'_> {
        Situation { history: &self.history, now: at(now), baseline: None }
    }

    fn expiry(&self, app: &str, now: &str) -> Expiry {
        let (app, environment) = subject(&self.platform, &name(app)).unwrap();
        self.situation(now).expiry(app, environment)
    }

    fn due(&self, now: &str, announced: &Announcements) -> retire::RetirePlan {
        due(&self.platform, &self.situation(now), announced, None)
    }
}

#[test]
fn an_app_ends_after_its_ttl_or_its_date_or_its_tier_s_longest() {
    let sandbox = Sandbox::new(
        ENVIRONMENT,
        &[
            ("a", "2026-11-01", "ttl: 14d"),
            ("b", "2026-11-01", "expires: 2026-11-20"),
            ("c", "2026-11-01", "expires: 2027-11-20"),
            ("leap", "2028-02-15", "ttl: 2w"),
            ("day", "2028-02-15", "expires: 2028-02-29"),
        ],
    );
    let ends = |app: &str| sandbox.expiry(app, "2028-03-01").at.to_string();
    assert_eq!(ends("a"), "2026-11-15T00:00:00Z");
    assert_eq!(ends("b"), "2026-11-21T00:00:00Z");
    assert_eq!(ends("c"), "2026-12-01T00:00:00Z");
    assert_eq!(ends("leap"), "2028-02-29T00:00:00Z");
    assert_eq!(ends("day"), "2028-03-01T00:00:00Z");
    assert_eq!(sandbox.expiry("a", "2026-11-02").reason.to_string(), "its ttl of 14d from 2026-11-01");
}

#[test]
fn an_app_older_than_the_baseline_counts_as_born_then_and_the_longest_life_ends_all_renewals() {
    let sandbox = Sandbox::new(ENVIRONMENT, &[("a", "2026-01-01", "ttl: 14d")]);
    let (app, environment) = subject(&sandbox.platform, &name("a")).unwrap();
    let life = sandbox.history.life(&name("a"), at("2026-11-10")).unwrap();
    let with = |life: &Life, baseline: Option<&str>| {
        expiry(app.lifetime, environment, life, baseline.map(at), at("2026-11-10"))
    };
    assert_eq!(with(&life, Some("2026-11-01")).at, at("2026-11-15"));
    let renewed = Life { start: at("2026-03-25"), ..life };
    assert_eq!(with(&renewed, None).at, at("2026-04-01"));
    assert!(matches!(with(&renewed, None).reason, ExpiryReason::MaxLifetime { .. }));
}

#[test]
fn a_reminder_is_the_shortest_that_has_come() {
    let end = Expiry { at: at("2026-11-15"), reason: ExpiryReason::Date };
    let remind = [7, 1].map(|days| SignedDuration::from_hours(24 * days));
    assert_eq!(end.reminder(&remind, at("2026-11-01")), None);
    assert_eq!(end.reminder(&remind, at("2026-11-08")), Some(remind[0]));
    assert_eq!(end.reminder(&remind, at("2026-11-14")), Some(remind[1]));
    assert_eq!(end.reminder(&remind, at("2026-11-15")), None);
}

#[test]
fn all_apps_that_are_due_are_retired_by_one_proposal_with_all_their_files() {
    let sandbox = Sandbox::new(
        ENVIRONMENT,
        &[("a", "2026-11-01", "ttl: 7d"), ("b", "2026-11-02", "ttl: 7d"), ("c", "2026-11-02", "ttl: 30d")],
    );
    assert!(sandbox.due("2026-11-07T23:59:59Z", &Announcements::new()).proposals.is_empty());
    let plan = sandbox.due("2026-11-10", &Announcements::new());
    let [proposal] = plan.proposals.as_slice() else { panic!("{plan:?}") };
    assert_eq!(proposal.branch, "dayfly/retire/_expired/sandbox");
    let removed: Vec<_> = proposal.edits.iter().map(|edit| (edit.path.as_str(), edit.content.is_none())).collect();
    assert_eq!(
        removed,
        [
            ("apps/a/app.yaml", true),
            ("apps/a/data/x.csv", true),
            ("apps/b/app.yaml", true),
            ("apps/b/data/x.csv", true)
        ]
    );
    assert_eq!(
        proposal.message(),
        "sandbox: retire 2 apps, their time is up\n\n\
         - a of maya@example.com: ended 2026-11-08 by its ttl of 7d from 2026-11-01\n\
         - b of maya@example.com: ended 2026-11-09 by its ttl of 7d from 2026-11-02\n\n\
         What they run and store is taken down. To bring an app back, revert this commit and renew the app.\n\n\
         Dayfly-Action: retire\nDayfly-App: a\nDayfly-App: b\nDayfly-Tier: sandbox\nDayfly-Reason: expired\n"
    );
    assert_eq!(trailers(&proposal.message(), "Dayfly-App").collect::<Vec<_>>(), ["a", "b"]);
}

#[test]
fn a_budget_stops_the_retirement_of_apps_that_were_not_announced_and_of_no_others() {
    let apps: Vec<_> = (0..12).map(|n| format!("app-{n}")).collect();
    let all: Vec<_> = apps.iter().map(|app| (app.as_str(), "2026-11-01", "ttl: 7d")).collect();
    let sandbox = Sandbox::new(ENVIRONMENT, &all);
    let plan = sandbox.due("2026-11-10", &Announcements::new());
    assert!(plan.proposals.is_empty());
    assert_eq!(
        plan.refused[0].message,
        "12 apps of sandbox are due that were not announced for 1d, and at most 3 may go at once (retire.maxApps)"
    );
    let announced = announce(&sandbox.platform, &sandbox.situation("2026-11-05"), &Announcements::new());
    assert_eq!(announced.len(), 12);
    assert_eq!(announce(&sandbox.platform, &sandbox.situation("2026-11-06"), &announced), announced);
    assert_eq!(sandbox.due("2026-11-10", &announced).proposals[0].apps.len(), 12);
    let far = Sandbox::new(ENVIRONMENT, &[("a", "2026-11-01", "ttl: 30d")]);
    assert!(announce(&far.platform, &far.situation("2026-11-05"), &Announcements::new()).is_empty());
    let late =
        Announcement { tier: "sandbox".parse().unwrap(), expires: at("2026-11-08"), since: at("2026-11-09T12:00:00Z") };
    let late: Announcements = apps.iter().map(|app| (name(app), late.clone())).collect();
    assert_eq!(sandbox.due("2026-11-10", &late).refused.len(), 1);
}

#[test]
fn an_end_that_moves_a_little_every_day_stays_announced_and_one_that_jumps_from_afar_does_not() {
    let apps: Vec<_> = (0..12).map(|n| format!("app-{n}")).collect();
    let ends = |expires: &str| {
        let all: Vec<_> = apps.iter().map(|app| (app.as_str(), "2026-11-01", expires)).collect();
        Sandbox::new(ENVIRONMENT, &all)
    };
    let mut announced = Announcements::new();
    for (now, end) in [
        ("2026-11-08", "expires: 2026-11-09T00:03:00Z"),
        ("2026-11-09", "expires: 2026-11-09T00:02:00Z"),
        ("2026-11-10", "expires: 2026-11-09T00:01:00Z"),
    ] {
        let sandbox = ends(end);
        announced = announce(&sandbox.platform, &sandbox.situation(now), &announced);
    }
    assert_eq!(ends("expires: 2026-11-09T00:01:00Z").due("2026-11-10", &announced).proposals[0].apps.len(), 12);

    let far = ends("expires: 2026-11-29");
    let announced = announce(&far.platform, &far.situation("2026-11-09"), &Announcements::new());
    let near = ends("expires: 2026-11-08");
    let announced = announce(&near.platform, &near.situation("2026-11-10"), &announced);
    assert_eq!(near.due("2026-11-10", &announced).refused[0].apps.len(), 12);
}

#[test]
fn the_share_in_the_budget_applies_to_tiers_of_ten_apps_and_more() {
    let apps: Vec<_> = (0..10).map(|n| format!("app-{n}")).collect();
    let share = |count: usize| {
        let some = apps.iter().take(count).enumerate();
        let some: Vec<_> =
            some.map(|(n, app)| (app.as_str(), "2026-11-01", if n < 3 { "ttl: 7d" } else { "ttl: 30d" })).collect();
        Sandbox::new(ENVIRONMENT, &some).due("2026-11-10", &Announcements::new())
    };
    assert_eq!(share(9).proposals[0].apps.len(), 3);
    assert_eq!(
        share(10).refused[0].message,
        "3 apps of sandbox are due that were not announced for 1d, and at most 20% of 10 may go at once (retire.maxPercent)"
    );
}

#[test]
fn a_retirement_whose_pull_request_is_open_is_overdue_after_the_grace() {
    let by_request = ENVIRONMENT.replace("{maxApps", "{by: pull-request, maxApps");
    let sandbox = Sandbox::new(&by_request, &[("a", "2026-11-01", "ttl: 7d")]);
    assert!(sandbox.due("2026-11-08T12:00:00Z", &Announcements::new()).overdue.is_empty());
    let plan = sandbox.due("2026-11-09", &Announcements::new());
    assert_eq!(plan.proposals[0].by, Changes::PullRequest);
    assert_eq!(plan.overdue[0].to_string(), "a.sandbox");
}

#[test]
fn a_clock_that_jumps_retires_nothing() {
    let sandbox = Sandbox::new(ENVIRONMENT, &[("a", "2026-11-01", "ttl: 7d")]);
    let retires = |clock: &Clock, now: Timestamp| {
        let situation = Situation { now, ..sandbox.situation("2026-11-10") };
        !due(&sandbox.platform, &situation, &Announcements::new(), Some(clock)).proposals.is_empty()
    };
    let half_hour = SignedDuration::from_mins(30);
    let mut now = at("2026-11-07");
    let steady = Clock::tick(Some(Clock::tick(None, now, None)), now + half_hour, Some(half_hour));
    assert_eq!(steady.doubt(), None);
    now += SignedDuration::from_hours(48);
    assert_eq!(Clock::tick(Some(steady), now, None).doubt(), None, "the program was off");
    let mut clock = Clock::tick(Some(steady), now, Some(half_hour));
    assert_eq!(
        clock.doubt().unwrap(),
        "the clock jumped 47 hours ahead, to 2026-11-09T00:00:00Z: nothing is retired before 2026-11-09T06:00:00Z"
    );
    for _ in 0..12 {
        assert!(!retires(&clock, now));
        now += half_hour;
        clock = Clock::tick(Some(clock), now, Some(half_hour));
    }
    assert!(retires(&clock, now));
    let back = Clock::tick(Some(clock), now - SignedDuration::from_hours(24), None);
    assert!(back.doubt().unwrap().starts_with("the clock jumped 24 hours back"));
}

#[test]
fn a_renewal_sets_today_and_keeps_the_rest() {
    let sandbox =
        Sandbox::new(ENVIRONMENT, &[("a", "2026-11-01", "ttl: 14d"), ("b", "2026-11-01", "expires: 2026-11-20")]);
    let renew = |app: &str, now: &str, by: Option<i64>| {
        let by = by.map(|days| SignedDuration::from_hours(24 * days));
        renew::renew(&sandbox.platform, &sandbox.snapshot, &sandbox.situation(now), &name(app), by)
    };
    let proposal = renew("a", "2026-11-10", None).unwrap();
    let text = String::from_utf8(proposal.edits[0].content.clone().unwrap().to_vec()).unwrap();
    assert_eq!(text, manifest("a", "ttl: 14d").replace("# how long\n", "# how long\n  renewed: 2026-11-10\n"));
    assert_eq!((&*proposal.branch, &*proposal.title), ("dayfly/renew/a/sandbox", "a: renew until 2026-11-24"));
    let proposal = renew("b", "2026-11-10", Some(7)).unwrap();
    let text = String::from_utf8(proposal.edits[0].content.clone().unwrap().to_vec()).unwrap();
    assert_eq!(text, manifest("b", "expires: 2026-11-27"));
    let proposal = renew("b", "2026-11-10", Some(20)).unwrap();
    let text = String::from_utf8(proposal.edits[0].content.clone().unwrap().to_vec()).unwrap();
    assert_eq!(
        text,
        manifest("b", "expires: 2026-12-09").replace("# how long\n", "# how long\n  renewed: 2026-11-10\n"),
        "the date that holds: thirty days from now"
    );
    assert_eq!(
        &*proposal.title, "b: renew until 2026-12-10",
        "from its old start it would end on the first of December"
    );
    let capped = renew("b", "2026-11-10T15:00:00Z", Some(400)).unwrap();
    let text = String::from_utf8(capped.edits[0].content.clone().unwrap().to_vec()).unwrap();
    assert!(text.contains("expires: 2026-12-10 "), "{text}");
    let refusal = renew("a", "2026-11-10", Some(7)).unwrap_err();
    assert!(refusal.help.unwrap().starts_with("Leave `--by` out (`dayfly renew a`)"));
    assert!(renew("b", "2026-11-10", None).unwrap_err().message.contains("a date is not renewed"));
    assert!(renew("zzz", "2026-11-10", None).is_err());
}

#[test]
fn a_renewal_resumes_what_was_suspended_because_its_time_was_up() {
    let text = "ttl: 14d\n  suspend: true";
    let sandbox = Sandbox::new(ENVIRONMENT, &[("a", "2026-11-01", text)]);
    let renew = |now: &str| {
        let proposal =
            renew::renew(&sandbox.platform, &sandbox.snapshot, &sandbox.situation(now), &name("a"), None).unwrap();
        String::from_utf8(proposal.edits[0].content.clone().unwrap().to_vec()).unwrap()
    };
    assert!(renew("2026-11-10").contains("suspend: true"), "a person suspended it");
    assert!(renew("2026-11-16").contains("suspend: false"));
}

#[test]
fn a_renewal_beyond_the_longest_life_is_refused_in_clear_words() {
    let sandbox = Sandbox::new(
        &ENVIRONMENT.replace("maxLifetime: 90d", "maxLifetime: 30d").replace("max: 30d", "max: 14d"),
        &[("a", "2026-11-01", "ttl: 14d")],
    );
    let (app, environment) = subject(&sandbox.platform, &name("a")).unwrap();
    let life = Life { start: at("2026-11-20"), ..sandbox.situation("2026-11-20").life(&name("a")) };
    assert_eq!(expiry(app.lifetime, environment, &life, None, at("2026-11-20")).at, at("2026-12-01"));
    let mut history = sandbox.history.clone();
    let after = AppFacts { renewed: Some("2026-11-20".into()), ..(*life.facts).clone() };
    let changes = vec![AppChange { app: name("a"), before: None, after: Some(after) }];
    let revision = Revision::of_blob(b"renewed");
    history.push(&CommitFacts::new(revision, at("2026-11-20"), changes), at("2026-11-25"));
    let situation = Situation { history: &history, now: at("2026-11-25"), baseline: None };
    let refusal = renew::renew(&sandbox.platform, &sandbox.snapshot, &situation, &name("a"), None).unwrap_err();
    assert_eq!(
        refusal.message,
        "spec.renewed: a was born on 2026-11-01 and sandbox lets no app live longer than 30d, so it ends on 2026-12-01 whatever is renewed"
    );
    assert_eq!(refusal.help.unwrap(), "Promote it to a tier that keeps apps longer, or let it go and make a new one.");
}

#[test]
fn an_app_is_suspended_by_one_field_and_not_twice() {
    let sandbox = Sandbox::new(ENVIRONMENT, &[("a", "2026-11-01", "ttl: 14d")]);
    let proposal = suspend::suspend(&sandbox.platform, &sandbox.snapshot, &name("a"), true, "too\nloud").unwrap();
    let text = String::from_utf8(proposal.edits[0].content.clone().unwrap().to_vec()).unwrap();
    assert_eq!(text, manifest("a", "ttl: 14d").replace("# how long\n", "# how long\n  suspend: true\n"));
    assert!(proposal.message().ends_with("Dayfly-Reason: too loud\n"));
    let again = suspend::suspend(&sandbox.platform, &sandbox.snapshot, &name("a"), false, "").unwrap_err();
    assert_eq!(again.message, "spec.suspend: a is running already");
    assert_eq!(app_lifetime(&sandbox), Lifetime::Ttl(SignedDuration::from_hours(14 * 24)));
}

fn app_lifetime(sandbox: &Sandbox) -> Lifetime {
    sandbox.platform.apps[&name("a")].get().unwrap().lifetime
}

/// The sandbox with a template, and two tiers above it.
fn with_tiers_above(app: &str) -> (Platform, Snapshot) {
    let sandbox = Sandbox::new(ENVIRONMENT, &[("a", "2026-11-01", "ttl: 14d")]);
    let tier = |name: &str, order: u32| {
        let text = ENVIRONMENT.replace("sandbox", name).replace("order: 1", &format!("order: {order}"));
        let text = text.replace(
            "changes: commit",
            "changes: pull-request\n  approvals: [{role: security, team: example/security}]",
        );
        (format!("environments/{name}/environment.yaml"), Some(FileEntry::file(text.into_bytes())))
    };
    let template = "apiVersion: dayfly.dev/v1\nkind: Template\nmetadata: {name: survey}\nspec:\n  version: 1.0.0\n  title: Survey\n  \
                    tiers: [sandbox, pilot]\n  approvals: [privacy]\n";
    let file = |path: &str, text: &str| (path.to_owned(), Some(FileEntry::file(text.as_bytes())));
    let snapshot = sandbox.snapshot.patched(
        None,
        [
            tier("pilot", 2),
            tier("production", 3),
            file("apps/a/app.yaml", app),
            file("catalog/survey/v1/template.yaml", template),
            file("catalog/survey/v1/resources/all.yaml", "kind: ConfigMap"),
        ],
    );
    (Platform::load(&snapshot, None), snapshot)
}

#[test]
fn a_promotion_goes_one_step_up_and_only_where_the_app_is_sound() {
    let promote = |app: &str, to: Option<&str>| {
        let (platform, snapshot) = with_tiers_above(app);
        promote::promote(&platform, &snapshot, &name("a"), to.map(|tier| tier.parse().unwrap()).as_ref())
    };
    let app = manifest("a", "ttl: 14d");
    let proposal = promote(&app, None).unwrap();
    let text = String::from_utf8(proposal.edits[0].content.clone().unwrap().to_vec()).unwrap();
    assert_eq!(text, app.replace("tier: sandbox", "tier: pilot"));
    assert_eq!((&*proposal.branch, proposal.by), ("dayfly/promote/a/pilot", Changes::PullRequest));
    assert_eq!(proposal.labels, ["promotion", "promote/pilot", "cost-center/CC-1", "needs-security", "needs-privacy"]);
    let refused = |app: &str, to: Option<&str>| promote(app, to).unwrap_err().to_string();
    assert_eq!(
        refused(&app, Some("production")),
        "apps/a/app.yaml:6:9: spec.tier: production is not one step above sandbox"
    );
    let in_pilot = app.replace("sandbox", "pilot");
    assert_eq!(refused(&in_pilot, None), "apps/a/app.yaml:6:9: spec.tier: survey/v1 does not run in production");
    let at_the_top = app.replace("sandbox", "production");
    assert_eq!(refused(&at_the_top, None), "apps/a/app.yaml:6:9: spec.tier: no tier is above production");
}
