//! A kill at every call that leaves the process, before it and after it: at most two passes later all is as git says.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use dayfly_calls::{CallPhase, Calls, Stopped};
use dayfly_tests::fixtures::app;
use dayfly_tests::platform::TestPlatform;
use jiff::SignedDuration;

/// Calls of a process that is killed: from the Nth on, before or after it, no call is sent and none is answered.
fn calls_until(number: u64, moment: CallPhase) -> (Calls, Arc<AtomicBool>) {
    let dead = Arc::new(AtomicBool::new(false));
    let seen = dead.clone();
    let calls = Calls::with_fault(Arc::new(move |call, at| {
        if call.number == number && at == moment {
            dead.store(true, Ordering::SeqCst);
        }
        if dead.load(Ordering::SeqCst) { Err(Stopped) } else { Ok(()) }
    }));
    (calls, seen)
}

/// One round: a pass that creates one app, updates one, deletes one and retires one, and is killed at its Nth call.
async fn round(platform: &mut TestPlatform, round: usize, number: u64, moment: CallPhase) -> bool {
    platform.hours_pass(2);
    let (this, last) = (format!("probe-{round}"), format!("probe-{}", round - 1));
    let (brief, retired) = (format!("brief-{round}"), format!("brief-{}", round - 1));
    let soon = format!("expires: {}", platform.now() + SignedDuration::from_hours(1));
    platform.commit(&[
        (&format!("apps/{this}/app.yaml"), Some(&app(&this, "ttl: 20d"))),
        (&format!("apps/{brief}/app.yaml"), Some(&app(&brief, &soon))),
        (&format!("apps/{last}/"), None),
        ("apps/lasting/app.yaml", Some(&(app("lasting", "ttl: 30d") + &format!("  purpose: Round {round}\n")))),
    ]);
    let (calls, died) = calls_until(number, moment);
    let _ = platform.reconciler_with_calls(calls).pass(platform.now()).await;

    let what = format!("killed {moment:?} call {number}");
    let mut again = platform.reconciler();
    let first = again.pass(platform.now()).await.unwrap_or_else(|error| panic!("{what}: {error}"));
    if first.is_unfinished() {
        let second = again.pass(platform.now()).await.unwrap();
        assert!(!second.is_unfinished(), "{what}: {:#?}", second.diagnostics);
    }
    let rest = again.pass(platform.now()).await.unwrap();
    assert_eq!((rest.writes, &rest.changes, &rest.diagnostics), (0, &vec![], &vec![]), "{what}");
    let running: Vec<_> = rest.items.iter().map(|item| item.app.as_str()).collect();
    assert_eq!(running, [brief.as_str(), "lasting", &this], "{what}");
    for (app, is_there) in [(&this, true), (&brief, true), (&last, false), (&retired, false)] {
        assert_eq!(platform.has_namespace(&format!("{app}-sandbox")).await, is_there, "{what}: {app}");
    }
    assert_eq!(platform.commits_that_say(&format!("Dayfly-App: {retired}\n")), usize::from(round > 1), "{what}");
    died.load(Ordering::SeqCst)
}

/// How many rounds one platform lives through: its history grows, and every process reads it.
const ROUNDS: u64 = 24;

/// Kills a pass at its first call, the next at its second, and so on, until one ends before it gets there.
async fn kill_at_every_call(moment: CallPhase) {
    let (mut number, mut goes_on) = (1, true);
    while goes_on {
        let mut platform = TestPlatform::sample().await;
        platform.commit(&[("apps/", None)]);
        platform.commit(&[("apps/probe-0/app.yaml", Some(&app("probe-0", "ttl: 20d")))]);
        platform.approve();
        platform.fresh_pass().await;
        for rounds in 1..=ROUNDS {
            goes_on = round(&mut platform, rounds as usize, number, moment).await;
            if !goes_on {
                break;
            }
            number += 1;
        }
    }
    assert!(number > 80, "only {number} calls");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pass_killed_before_any_call_is_completed_by_two_more() {
    kill_at_every_call(CallPhase::Before).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pass_killed_after_any_call_is_completed_by_two_more() {
    kill_at_every_call(CallPhase::After).await;
}
