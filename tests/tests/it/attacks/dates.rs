//! Dates that lie: a date that was ahead when it was first seen never counts later than that, for nobody who reads it.

use dayfly_controller::Pass;
use dayfly_git::LEDGER;
use dayfly_lifecycle::ledger::LedgerFact;
use dayfly_tests::fixtures::{app, change_survey};
use dayfly_tests::history::head_of;
use dayfly_tests::passes::{changed_apps, findings_of, findings_text, status_of};
use dayfly_tests::platform::TestPlatform;
use jiff::{SignedDuration, Timestamp};

fn days(days: i64) -> SignedDuration {
    SignedDuration::from_hours(24 * days)
}

/// A pass of a controller that begins with no memory and reads the clock.
async fn controller_pass(platform: &TestPlatform) -> Pass {
    platform.recording_reconciler().pass(platform.now()).await.unwrap()
}

/// When an app's time is up, as a controller says and as one that reads all anew says.
async fn end_of(platform: &TestPlatform, app: &str) -> Timestamp {
    let controller = status_of(&controller_pass(platform).await, app).expires.unwrap();
    let reader = status_of(&platform.fresh_pass().await, app).expires.unwrap();
    assert_eq!(controller, reader);
    controller
}

fn is_retired(pass: &Pass, app: &str) -> bool {
    pass.retired.iter().any(|retired| retired.app.as_str() == app)
}

#[tokio::test(flavor = "multi_thread")]
async fn commits_dated_ahead_give_no_later_app_a_longer_life() {
    let mut platform = TestPlatform::sample().await;
    for number in 1..=60 {
        platform.commit_dated(platform.now() + days(number), "notes.txt", &number.to_string());
    }
    let end = platform.now() + days(14);
    platform.commit_dated(platform.now(), "apps/late/app.yaml", &app("late", "ttl: 14d"));
    let first = controller_pass(&platform).await;
    let finding = findings_of(&first, "git/ahead")[0].to_string();
    assert!(finding.starts_with("main: 60 commits are dated ahead of the clock"), "{finding}");
    for _ in 0..2 {
        platform.days_pass(6);
        assert_eq!(end_of(&platform, "late").await, end);
    }
    platform.days_pass(3);
    assert!(is_retired(&controller_pass(&platform).await, "late"));
}

#[tokio::test(flavor = "multi_thread")]
async fn renewals_dated_ahead_renew_once() {
    let mut platform = TestPlatform::sample().await;
    platform.commit(&[("apps/late/app.yaml", Some(&app("late", "ttl: 14d")))]);
    platform.days_pass(2);
    for number in 1..=20 {
        let date = platform.now() + days(10 * number);
        let renewed = format!("ttl: 14d\n  renewed: {}", &date.to_string()[..10]);
        platform.commit_dated(date, "apps/late/app.yaml", &app("late", &renewed));
    }
    let end = platform.now() + days(14);
    assert_eq!(end_of(&platform, "late").await, end);
    platform.days_pass(12);
    assert_eq!(end_of(&platform, "late").await, end);
    platform.days_pass(2);
    assert!(is_retired(&controller_pass(&platform).await, "late"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_birth_dated_ahead_lifts_no_longest_life() {
    let mut platform = TestPlatform::sample().await;
    platform.commit_dated(platform.now() + days(89), "apps/late/app.yaml", &app("late", "ttl: 30d"));
    let first = platform.now();
    controller_pass(&platform).await;
    for _ in 0..4 {
        platform.days_pass(22);
        let renewed = format!("ttl: 30d\n  renewed: {}", &platform.now().to_string()[..10]);
        platform.commit(&[("apps/late/app.yaml", Some(&app("late", &renewed)))]);
        assert!(end_of(&platform, "late").await <= first + days(90));
    }
    platform.days_pass(3);
    assert!(is_retired(&controller_pass(&platform).await, "late"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_honest_commit_of_a_clock_that_is_ahead_lives_from_its_first_sight_on() {
    let mut platform = TestPlatform::sample().await;
    controller_pass(&platform).await;
    platform.days_pass(20);
    let soon = platform.now() + SignedDuration::from_mins(10);
    platform.commit_dated(soon, "apps/late/app.yaml", &app("late", "ttl: 14d"));
    let end = platform.now() + days(14);
    assert_eq!(end_of(&platform, "late").await, end, "it is not as old as the commit before it");
    platform.days_pass(3);
    assert_eq!(end_of(&platform, "late").await, end);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_first_sight_is_recorded_once_and_an_ordinary_commit_needs_none() {
    let platform = TestPlatform::sample().await;
    let before = head_of(&platform, LEDGER);
    platform.commit(&[("apps/soon/app.yaml", Some(&app("soon", "ttl: 14d")))]);
    controller_pass(&platform).await;
    assert_eq!(head_of(&platform, LEDGER), before);
    platform.commit_dated(platform.now() + days(5), "notes.txt", "ahead");
    controller_pass(&platform).await;
    let recorded = head_of(&platform, LEDGER);
    assert_ne!(recorded, before);
    platform.commit_dated(platform.now(), "notes.txt", "not ahead");
    for _ in 0..2 {
        assert_eq!(controller_pass(&platform).await.writes, 0);
        assert_eq!(head_of(&platform, LEDGER), recorded);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_date_ahead_stops_nobody_where_the_ledger_cannot_be_written() {
    let platform = TestPlatform::sample().await;
    controller_pass(&platform).await;
    let lock = platform.repository().path().join("refs/heads/dayfly-ledger.lock");
    std::fs::write(&lock, "").unwrap();
    platform.commit_dated(platform.now() + days(5), "notes.txt", "ahead");
    change_survey(&platform);
    let pass = controller_pass(&platform).await;
    assert_eq!(changed_apps(&pass).into_iter().collect::<Vec<_>>(), ["quarterly-feedback"]);
    assert!(findings_text(&pass).contains("since the ledger cannot say when they were first seen"), "{pass:#?}");
    std::fs::remove_file(&lock).unwrap();
    assert!(!findings_text(&controller_pass(&platform).await).contains("since the ledger cannot say"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_behind_the_ledger_records_no_first_sight() {
    let mut platform = TestPlatform::sample().await;
    let before = head_of(&platform, LEDGER);
    platform.days_pass(-400);
    controller_pass(&platform).await;
    assert_eq!(head_of(&platform, LEDGER), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_approval_that_was_dated_ahead_puts_no_end_off() {
    let mut platform = TestPlatform::sample().await;
    let start = platform.now();
    platform.days_pass(700);
    platform.replace_ledger();
    platform.record(LedgerFact::Baseline);
    platform.days_pass(-700);
    platform.commit(&[("apps/late/app.yaml", Some(&app("late", "ttl: 14d")))]);
    assert_eq!(status_of(&platform.fresh_pass().await, "late").expires, Some(start + days(14)));
    platform.days_pass(15);
    assert!(is_retired(&platform.fresh_pass().await, "late"));
}
