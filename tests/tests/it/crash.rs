//! SIGKILL at every call that leaves the process, before it and after it: at most two passes later all is as git says.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use dayfly_calls::{CallPhase, Calls, Stopped};
use dayfly_tests::apps::app;
use dayfly_tests::world::World;
use jiff::SignedDuration;

/// Calls that end with the process: from the Nth on, before or after it, nothing goes out and nothing comes back.
fn until(number: u64, moment: CallPhase) -> (Calls, Arc<AtomicBool>) {
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
async fn round(world: &mut World, round: usize, number: u64, moment: CallPhase) -> bool {
    world.hours_pass(2);
    let (this, last) = (format!("probe-{round}"), format!("probe-{}", round - 1));
    let (brief, retired) = (format!("brief-{round}"), format!("brief-{}", round - 1));
    let soon = format!("expires: {}", world.now() + SignedDuration::from_hours(1));
    world.commit(&[
        (&format!("apps/{this}/app.yaml"), Some(&app(&this, "ttl: 20d"))),
        (&format!("apps/{brief}/app.yaml"), Some(&app(&brief, &soon))),
        (&format!("apps/{last}/"), None),
        ("apps/lasting/app.yaml", Some(&(app("lasting", "ttl: 30d") + &format!("  purpose: Round {round}\n")))),
    ]);
    let (calls, died) = until(number, moment);
    let _ = world.reconciler_counting(calls).pass(world.now()).await;

    let what = format!("killed {moment:?} call {number}");
    let mut again = world.reconciler();
    let first = again.pass(world.now()).await.unwrap_or_else(|error| panic!("{what}: {error}"));
    if first.is_unfinished() {
        let second = again.pass(world.now()).await.unwrap();
        assert!(!second.is_unfinished(), "{what}: {:#?}", second.diagnostics);
    }
    let rest = again.pass(world.now()).await.unwrap();
    assert_eq!((rest.writes, &rest.changes, &rest.diagnostics), (0, &vec![], &vec![]), "{what}");
    let running: Vec<_> = rest.items.iter().map(|item| item.app.as_str()).collect();
    assert_eq!(running, [brief.as_str(), "lasting", &this], "{what}");
    for (app, is_there) in [(&this, true), (&brief, true), (&last, false), (&retired, false)] {
        assert_eq!(world.has_namespace(&format!("{app}-sandbox")).await, is_there, "{what}: {app}");
    }
    assert_eq!(world.commits_that_say(&format!("Dayfly-App: {retired}\n")), usize::from(round > 1), "{what}");
    died.load(Ordering::SeqCst)
}

/// How many rounds one world lives through: its history grows, and every process reads it.
const ROUNDS: u64 = 24;

/// Kills a pass at every call, until one ends before it gets there.
async fn kill_at_every_call(moment: CallPhase) {
    let (mut number, mut goes_on) = (1, true);
    while goes_on {
        let mut world = World::of_the_sample().await;
        world.commit(&[("apps/", None)]);
        world.commit(&[("apps/probe-0/app.yaml", Some(&app("probe-0", "ttl: 20d")))]);
        world.approve();
        world.reconciler().pass(world.now()).await.unwrap();
        for rounds in 1..=ROUNDS {
            goes_on = round(&mut world, rounds as usize, number, moment).await;
            if !goes_on {
                break;
            }
            number += 1;
        }
    }
    assert!(number > 80, "only {number} calls");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_before_any_call_converges_in_two_passes() {
    kill_at_every_call(CallPhase::Before).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_after_any_call_converges_in_two_passes() {
    kill_at_every_call(CallPhase::After).await;
}
