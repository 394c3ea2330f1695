//! What goes wrong in a cluster: whole passes against an API server that fails on purpose. Whatever happens is reported
//! with the object's name, nothing is lost, other apps go on, and at most two further passes bring all to what git says.

use std::time::{Duration, Instant};

use dayfly_controller::error::ErrorReason;
use dayfly_controller::{Pass, Reconciler};
use dayfly_local::apiserver::{FAIL_ANNOTATION, FaultRule, InjectedFault};
use dayfly_plan::status::Phase;
use dayfly_tests::DEADLINE;
use dayfly_tests::fixtures::{app, change_survey, change_title, running_title, two_apps, two_deployed_apps};
use dayfly_tests::passes::{
    assert_converged, findings_text, finished_pass, pass_until, status_of, wait_for_cluster_change,
};
use dayfly_tests::platform::TestPlatform;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::runtime::Handle;

fn failing(fault: InjectedFault) -> FaultRule {
    FaultRule { mutating: true, fault, ..FaultRule::default() }
}

fn status(code: u16) -> InjectedFault {
    InjectedFault::Status { code, retry_after: None, message: None }
}

/// Without faults, at most two further passes do all that is left, also as a process sees it that begins then.
async fn converges(platform: &TestPlatform, reconciler: &mut Reconciler) {
    platform.server().set_faults(vec![]);
    let mut pass = reconciler.pass(platform.now()).await.unwrap();
    if pass.is_unfinished() {
        pass = reconciler.pass(platform.now()).await.unwrap();
    }
    assert!(!pass.is_unfinished(), "{}", findings_text(&pass));
    assert_converged(&platform.fresh_pass().await);
}

async fn title(platform: &TestPlatform, name: &str) -> String {
    running_title(&platform.client().await, name).await
}

/// Sets the finalizers of the config map of the app `survey`, as a person does.
async fn set_finalizers(platform: &TestPlatform, finalizers: Value) {
    let patch = json!({"metadata": {"finalizers": finalizers}});
    platform.edit_by_hand("v1", "ConfigMap", "survey-sandbox", "survey", patch).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_server_that_asks_to_wait_is_given_the_time_that_it_names() {
    let platform = two_apps().await;
    let busy = InjectedFault::Status { code: 429, retry_after: Some(2), message: None };
    platform.server().set_faults(vec![FaultRule { skip: 3, count: Some(2), ..failing(busy) }]);
    let began = Instant::now();
    let pass = platform.fresh_pass().await;
    assert!(began.elapsed() >= Duration::from_secs(2), "it was asked again too soon");
    assert_eq!(platform.server().faults()[0].hit, 2);
    assert_eq!((pass.is_unfinished(), findings_text(&pass).as_str()), (false, ""));
    assert_converged(&platform.fresh_pass().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_cannot_be_written_is_reported_and_other_apps_run() {
    let platform = two_apps().await;
    let resource = Some("deployments.apps".into());
    let namespace = Some("survey-sandbox".into());
    platform.server().set_faults(vec![FaultRule { resource, namespace, ..failing(status(500)) }]);
    let mut reconciler = platform.reconciler();
    let pass = reconciler.pass(platform.now()).await.unwrap();
    let survey = status_of(&pass, "survey");
    assert_eq!((survey.phase, pass.is_unfinished()), (Phase::Stalled, true));
    let named = ": apps/Deployment/survey-sandbox/survey: the API server failed (500)";
    assert!(survey.message.contains(named), "{}", survey.message);
    assert_eq!(status_of(&pass, "poll").phase, Phase::Ready);
    converges(&platform, &mut reconciler).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pass_that_an_outage_cuts_short_is_continued_by_the_next() {
    let platform = two_apps().await;
    platform.server().set_faults(vec![FaultRule { skip: 16, ..failing(status(503)) }]);
    let mut reconciler = platform.reconciler();
    let pass = reconciler.pass(platform.now()).await.unwrap();
    assert!(
        pass.is_unfinished() && findings_text(&pass).contains("the API server is busy (503), 5 attempts"),
        "{}",
        findings_text(&pass)
    );
    let before = pass.changes.len();
    platform.server().set_faults(vec![]);
    let pass = reconciler.pass(platform.now()).await.unwrap();
    assert!(before > 0 && !pass.changes.is_empty(), "{before} before, {} then", pass.changes.len());
    converges(&platform, &mut reconciler).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn when_every_response_is_lost_nothing_is_created_twice_or_taken_for_foreign() {
    let platform = two_apps().await;
    platform.server().set_faults(vec![failing(InjectedFault::LoseResponse)]);
    let mut reconciler = platform.reconciler();
    let pass = reconciler.pass(platform.now()).await.unwrap();
    assert!(pass.is_unfinished());
    assert!(!findings_text(&pass).contains("not Dayfly's"), "{}", findings_text(&pass));
    converges(&platform, &mut reconciler).await;
}

/// Each write in turn is carried out and never answered.
#[tokio::test(flavor = "multi_thread")]
async fn the_response_to_any_single_write_may_be_lost() {
    let (platform, mut reconciler) = two_deployed_apps().await;
    let mut hit = true;
    for round in 1.. {
        if !hit {
            assert!(round > 20, "only {round} writes were tried");
            break;
        }
        let (this, last) = (format!("probe-{round}"), format!("apps/probe-{}/", round - 1));
        let mut edits = vec![(format!("apps/{this}/app.yaml"), Some(app(&this, "ttl: 20d")))];
        edits.extend((round > 1).then_some((last, None)));
        let edits: Vec<_> = edits.iter().map(|(path, text)| (path.as_str(), text.as_deref())).collect();
        platform.commit(&edits);
        platform.server().set_faults(vec![FaultRule {
            skip: round - 1,
            count: Some(1),
            ..failing(InjectedFault::LoseResponse)
        }]);
        let mut pass = reconciler.pass(platform.now()).await.unwrap();
        hit = platform.server().faults()[0].hit > 0;
        platform.server().set_faults(vec![]);
        for _ in 0..2 {
            assert!(!findings_text(&pass).contains("not Dayfly's"), "{round}: {}", findings_text(&pass));
            if pass.is_unfinished() {
                pass = reconciler.pass(platform.now()).await.unwrap();
            }
        }
        assert_eq!((pass.is_unfinished(), findings_text(&pass).as_str()), (false, ""), "{round}");
        assert!(platform.has_namespace(&format!("{this}-sandbox")).await, "{round}");
        assert!(!platform.has_namespace(&format!("probe-{}-sandbox", round - 1)).await, "{round}");
    }
    assert_converged(&platform.fresh_pass().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repair_that_fails_is_tried_again() {
    let (platform, mut reconciler) = two_deployed_apps().await;
    platform.server().set_faults(vec![FaultRule { verbs: vec!["apply".into()], ..failing(status(500)) }]);
    platform.scale_by_hand("survey-sandbox", "survey", 7).await;
    pass_until(&mut reconciler, platform.now(), "the failure", Pass::is_unfinished).await;
    platform.server().set_faults(vec![]);
    let pass = reconciler.watch_pass(platform.now()).await.unwrap();
    assert_eq!(
        (pass.changes.len(), platform.replicas("survey-sandbox", "survey").await),
        (1, json!(1)),
        "{}",
        findings_text(&pass)
    );
    converges(&platform, &mut reconciler).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_noticed_even_when_watches_end_or_expire() {
    let (platform, mut reconciler) = two_deployed_apps().await;
    for (round, expires) in [false, true, false, true].into_iter().enumerate() {
        if expires {
            platform.server().expire_watches();
        } else {
            platform.server().drop_watches();
        }
        platform.scale_by_hand("survey-sandbox", "survey", 5 + round as u32).await;
        wait_for_cluster_change(&mut reconciler).await;
        let pass = pass_until(&mut reconciler, platform.now(), "a repair", |pass| !pass.changes.is_empty()).await;
        assert!(pass.changes.iter().all(|change| change.app == "survey"), "{:?}", pass.changes);
        assert_eq!(platform.replicas("survey-sandbox", "survey").await, 1);
    }
    converges(&platform, &mut reconciler).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_api_server_delays_a_pass_and_does_no_other_harm() {
    let platform = two_apps().await;
    platform
        .server()
        .set_faults(vec![FaultRule { fault: InjectedFault::Latency { millis: 150 }, ..FaultRule::default() }]);
    let mut reconciler = platform.reconciler();
    let pass = reconciler.pass(platform.now()).await.unwrap();
    assert_eq!((pass.is_unfinished(), findings_text(&pass).as_str()), (false, ""));
    converges(&platform, &mut reconciler).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_made_while_the_api_server_is_unreachable_are_applied_when_it_is_back() {
    let (mut platform, mut reconciler) = two_deployed_apps().await;
    platform.stop_server().await;
    change_title(&platform, "survey", "Second");
    platform.commit(&[("apps/late/app.yaml", Some(&app("late", "ttl: 20d")))]);
    let pass = pass_until(&mut reconciler, platform.now(), "that it is unreachable", |pass| pass.is_unfinished()).await;
    assert!(findings_text(&pass).contains("local: "), "{}", findings_text(&pass));
    assert_eq!(status_of(&pass, "survey").phase, Phase::Stalled, "{:?}", status_of(&pass, "survey"));

    platform.start_server().await;
    wait_for_cluster_change(&mut reconciler).await;
    finished_pass(&mut reconciler, platform.now()).await;
    assert_eq!(title(&platform, "survey").await, "Second");
    assert!(platform.has_namespace("late-sandbox").await);
    assert_converged(&platform.fresh_pass().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_while_the_api_server_is_unreachable_reports_it_once_and_tries_again() {
    let mut platform = two_apps().await;
    platform.stop_server().await;
    let mut reconciler = platform.reconciler();
    let pass = reconciler.watch_pass(platform.now()).await.unwrap();
    assert!(pass.is_unfinished(), "it must be tried again");
    let text = findings_text(&pass);
    assert_eq!(text.matches("the API server cannot be reached: Connection refused").count(), 1, "{text}");
    let survey = status_of(&pass, "survey");
    assert_eq!(survey.phase, Phase::Stalled);
    assert!(survey.message.contains("cannot be reached"), "{}", survey.message);

    platform.start_server().await;
    finished_pass(&mut reconciler, platform.now()).await;
    assert_eq!(title(&platform, "survey").await, "First");
    assert_converged(&platform.fresh_pass().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_never_answers_does_not_slow_down_the_others() {
    let platform = TestPlatform::sample().await;
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    platform.point_context_at("production", listener.local_addr().unwrap());
    let mut reconciler = platform.reconciler();
    let pass = reconciler.watch_pass(platform.now()).await.unwrap();
    assert!(
        findings_text(&pass).contains("at-production as local: connection: it has not answered yet"),
        "{}",
        findings_text(&pass)
    );
    assert_eq!(status_of(&pass, "quarterly-feedback").phase, Phase::Ready);
    assert_eq!(status_of(&pass, "go-links").phase, Phase::Stalled);
    change_survey(&platform);
    let pass = reconciler.watch_pass(platform.now()).await.unwrap();
    assert!(pass.took < Duration::from_secs(4), "it is waited for again: {:?}", pass.took);
    assert!(pass.changes.iter().any(|change| change.app == "quarterly-feedback"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_that_hangs_is_reported_with_the_finalizer_that_holds_it() {
    let (platform, mut reconciler) = two_deployed_apps().await;
    set_finalizers(&platform, json!(["example.com/hold"])).await;
    platform.commit(&[("apps/survey/", None)]);
    change_title(&platform, "poll", "Second");
    let pass = reconciler.watch_pass(platform.now()).await.unwrap();
    let text = findings_text(&pass);
    assert!(text.contains("Namespace/survey-sandbox: is being deleted") && text.contains("example.com/hold"), "{text}");
    assert_eq!((pass.is_unfinished(), status_of(&pass, "poll").phase), (true, Phase::Ready));
    assert_eq!(title(&platform, "poll").await, "Second");
    let again = reconciler.watch_pass(platform.now()).await.unwrap();
    let held = "ConfigMap/survey-sandbox/survey: is being deleted: held by finalizer example.com/hold";
    assert!(again.is_unfinished() && findings_text(&again).contains(held), "{}", findings_text(&again));

    set_finalizers(&platform, Value::Null).await;
    wait_for_cluster_change(&mut reconciler).await;
    finished_pass(&mut reconciler, platform.now()).await;
    assert!(!platform.has_namespace("survey-sandbox").await);
    assert_converged(&platform.fresh_pass().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_restored_while_its_namespace_is_being_deleted_waits_for_the_deletion() {
    let (platform, mut reconciler) = two_deployed_apps().await;
    let namespaces: Api<Namespace> = Api::all(platform.client().await);
    let finalizers = |names: Value| Patch::Merge(json!({"metadata": {"finalizers": names}}));
    let held = finalizers(json!(["example.com/hold"]));
    namespaces.patch("survey-sandbox", &PatchParams::default(), &held).await.unwrap();
    let manifest = platform.read("apps/survey/app.yaml");
    platform.commit(&[("apps/survey/", None)]);
    let pass = reconciler.watch_pass(platform.now()).await.unwrap();
    let text = findings_text(&pass);
    assert!(text.contains("Namespace/survey-sandbox") && text.contains("finalizer example.com/hold"), "{text}");

    platform.commit(&[("apps/survey/app.yaml", Some(&manifest))]);
    change_title(&platform, "poll", "Second");
    let pass = reconciler.watch_pass(platform.now()).await.unwrap();
    let survey = status_of(&pass, "survey");
    assert!(survey.phase != Phase::Ready && survey.message.contains("Namespace/survey-sandbox"), "{}", survey.message);
    assert!(survey.message.contains("example.com/hold"), "{}", survey.message);
    assert_eq!((status_of(&pass, "poll").phase, title(&platform, "poll").await.as_str()), (Phase::Ready, "Second"));

    namespaces.patch("survey-sandbox", &PatchParams::default(), &finalizers(Value::Null)).await.unwrap();
    wait_for_cluster_change(&mut reconciler).await;
    pass_until(&mut reconciler, platform.now(), "its return", |pass| status_of(pass, "survey").phase == Phase::Ready)
        .await;
    assert_converged(&platform.fresh_pass().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_that_never_becomes_ready_is_reported_and_does_not_slow_down_the_others() {
    let platform = two_apps().await;
    let fails = format!(
        "  name: {{{{ app.name }}}}\n{{% if app.name == \"survey\" %}}  annotations: {{{FAIL_ANNOTATION}: ImagePullBackOff}}\n{{% endif %}}spec:\n"
    );
    platform.edit("catalog/simple-survey/v1/resources/deployment.yaml", "  name: {{ app.name }}\nspec:\n", &fails);
    platform.approve();
    let mut reconciler = platform.reconciler();
    let began = Instant::now();
    let pass = pass_until(&mut reconciler, platform.now(), "that it fails", |pass| {
        status_of(pass, "survey").phase == Phase::Stalled
    })
    .await;
    let survey = status_of(&pass, "survey");
    assert!(survey.message.contains("ImagePullBackOff"), "{}", survey.message);
    assert_eq!(survey.health.as_str(), "Degraded");
    assert_eq!(status_of(&pass, "poll").phase, Phase::Ready);
    assert!(began.elapsed() < DEADLINE, "no pass waits for minutes");

    change_title(&platform, "poll", "Second");
    let pass = reconciler.watch_pass(platform.now()).await.unwrap();
    assert!(pass.changes.iter().all(|change| change.app == "poll"), "{:?}", pass.changes);
    assert!(pass.took < Duration::from_secs(20), "{:?}", pass.took);
    assert_eq!(title(&platform, "poll").await, "Second");
    assert_eq!(platform.reconciler().watch_pass(platform.now()).await.unwrap().writes, 0);

    platform.edit("catalog/simple-survey/v1/resources/deployment.yaml", &fails, "  name: {{ app.name }}\nspec:\n");
    converges(&platform, &mut reconciler).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_inventory_edited_by_hand_stops_only_its_own_app() {
    let (platform, mut reconciler) = two_deployed_apps().await;
    let inventories = platform.objects("v1", "ConfigMap", "dayfly-system").await;
    let sound = inventories.get("survey.sandbox").await.unwrap();
    let entries = json!({"data": {"entries": ""}});
    platform.edit_by_hand("v1", "ConfigMap", "dayfly-system", "survey.sandbox", entries).await;
    // A reconciler that runs notices when it writes the inventory; one that starts, at once.
    change_title(&platform, "survey", "Second");
    let pass = reconciler.watch_pass(platform.now()).await.unwrap();
    assert!(
        findings_text(&pass).contains("ConfigMap/dayfly-system/survey.sandbox: it changed meanwhile"),
        "{}",
        findings_text(&pass)
    );
    change_title(&platform, "survey", "Third");
    change_title(&platform, "poll", "Third");
    let named = "ConfigMap/dayfly-system/survey.sandbox: the inventory cannot be read: its sum does not match";
    let mut fresh = platform.reconciler();
    for reconciler in [&mut reconciler, &mut fresh] {
        let pass = reconciler.watch_pass(platform.now()).await.unwrap();
        assert!(pass.changes.iter().all(|change| change.app == "poll"), "{:?}", pass.changes);
        let survey = status_of(&pass, "survey");
        assert_eq!((survey.phase, pass.is_unfinished()), (Phase::Stalled, true), "{}", findings_text(&pass));
        assert!(survey.message.contains(named), "{}", survey.message);
        assert_eq!(status_of(&pass, "poll").phase, Phase::Ready);
        assert_eq!(
            (title(&platform, "poll").await, title(&platform, "survey").await),
            ("Third".into(), "Second".into())
        );
    }

    // Not even a deletion in git touches it.
    let manifest = platform.read("apps/survey/app.yaml");
    platform.commit(&[("apps/survey/", None)]);
    for reconciler in [&mut reconciler, &mut fresh] {
        let pass = reconciler.watch_pass(platform.now()).await.unwrap();
        assert!(pass.changes.is_empty() && findings_text(&pass).contains(named), "{}", findings_text(&pass));
    }
    assert!(platform.has_namespace("survey-sandbox").await);

    // Once the inventory is restored the app goes on, without a restart.
    platform.commit(&[("apps/survey/app.yaml", Some(&manifest))]);
    let restored = json!({"data": sound.data["data"]});
    platform.edit_by_hand("v1", "ConfigMap", "dayfly-system", "survey.sandbox", restored).await;
    converges(&platform, &mut reconciler).await;
    let pass = fresh.pass(platform.now()).await.unwrap();
    assert_eq!((pass.is_unfinished(), findings_text(&pass).as_str()), (false, ""));
    assert_eq!(title(&platform, "survey").await, "Third");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_inventory_is_written_again_and_no_object_is_recreated() {
    let (platform, mut reconciler) = two_deployed_apps().await;
    let uid = async || {
        let deployments = platform.objects("apps/v1", "Deployment", "survey-sandbox").await;
        deployments.get("survey").await.unwrap().metadata.uid
    };
    let before = uid().await;
    let inventories = platform.objects("v1", "ConfigMap", "dayfly-system").await;
    for name in ["survey.sandbox", "poll.sandbox"] {
        inventories.delete(name, &Default::default()).await.unwrap();
    }
    change_title(&platform, "survey", "Second");
    finished_pass(&mut reconciler, platform.now()).await;
    let pass = platform.fresh_pass().await;
    assert_eq!((pass.is_unfinished(), findings_text(&pass).as_str()), (false, ""));
    assert_eq!((uid().await, title(&platform, "survey").await.as_str()), (before, "Second"));
    assert_converged(&platform.fresh_pass().await);
    platform.commit(&[("apps/survey/", None)]);
    platform.fresh_pass().await;
    assert!(!platform.has_namespace("survey-sandbox").await, "its objects are known again, and deleted");
}

/// One pass of a replica, and up to two more where the other replica was faster.
async fn replica(mut reconciler: Reconciler, now: Timestamp) -> (Reconciler, usize) {
    let mut writes = 0;
    for _ in 0..3 {
        match reconciler.watch_pass(now).await {
            Ok(pass) => {
                writes += pass.writes;
                if !pass.is_unfinished() {
                    break;
                }
            }
            Err(error) => assert_eq!(error.reason(), ErrorReason::Conflict, "{error}"),
        }
    }
    (reconciler, writes)
}

#[tokio::test(flavor = "multi_thread")]
async fn two_replicas_that_run_at_once_do_everything_once() {
    let mut platform = two_apps().await;
    let (mut one, mut two) = (platform.reconciler(), platform.reconciler());
    let soon = format!("expires: {}", platform.now() + SignedDuration::from_hours(1));
    for round in 1..=4 {
        let brief = format!("brief-{round}");
        platform.commit(&[(&format!("apps/{brief}/app.yaml"), Some(&app(&brief, &soon)))]);
        change_title(&platform, "survey", &format!("Round {round}"));
        for _ in 0..2 {
            let now = platform.now();
            let apart = |one| tokio::task::spawn_blocking(move || Handle::current().block_on(replica(one, now)));
            let (a, b) = (apart(one), apart(two));
            ((one, _), (two, _)) = (a.await.unwrap(), b.await.unwrap());
            if round == 4 {
                platform.hours_pass(2);
            }
        }
        assert_eq!(title(&platform, "survey").await, format!("Round {round}"), "no update is lost");
    }
    for round in 1..=4 {
        assert_eq!(platform.commits_that_say(&format!("Dayfly-App: brief-{round}\n")), 1, "retired once");
        assert!(!platform.has_namespace(&format!("brief-{round}-sandbox")).await);
    }
    converges(&platform, &mut one).await;
    converges(&platform, &mut two).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_whose_context_was_absent_for_one_pass_is_shown_as_it_is_once_that_is_back() {
    let platform = TestPlatform::sample().await;
    let mut reconciler = platform.reconciler();
    let before = reconciler.pass(platform.now()).await.unwrap();
    let kubeconfig = std::fs::read(platform.home().kubeconfig()).unwrap();
    for tier in ["sandbox", "pilot", "production"] {
        platform.remove_context(tier);
    }
    let without = reconciler.watch_pass(platform.now()).await.unwrap();
    assert!(without.items.iter().all(|item| item.phase != Phase::Ready), "{:#?}", without.items);
    std::fs::write(platform.home().kubeconfig(), kubeconfig).unwrap();
    let after = reconciler.watch_pass(platform.now()).await.unwrap();
    assert_eq!(after.items, before.items);
}
