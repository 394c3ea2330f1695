//! What goes wrong in a cluster: whole passes against an API server that fails on purpose. Whatever happens is told with
//! the object's name, nothing is lost, neighbors go on, and at most two further passes bring all to what git says.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails loudly")]

use std::time::{Duration, Instant};

use dayfly_controller::{Pass, Reconciler};
use dayfly_local::apiserver::{FAIL_ANNOTATION, FaultRule, InjectedFault};
use dayfly_plan::status::Phase;
use dayfly_tests::apps::{app, change, item, told, two_apps};
use dayfly_tests::world::World;
use jiff::SignedDuration;
use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use tokio::runtime::Handle;

/// How long something may take that only has to happen.
const DEADLINE: Duration = Duration::from_secs(60);

/// The platform of two apps, deployed by a reconciler that goes on.
async fn two_running_apps() -> (World, Reconciler) {
    let world = two_apps().await;
    let mut reconciler = world.reconciler();
    let pass = reconciler.pass(world.now()).await.unwrap();
    assert!(!pass.is_unfinished() && pass.diagnostics.is_empty(), "{:#?}", pass.diagnostics);
    (world, reconciler)
}

fn failing(fault: InjectedFault) -> FaultRule {
    FaultRule { mutating: true, fault, ..FaultRule::default() }
}

fn status(code: u16) -> InjectedFault {
    InjectedFault::Status { code, retry_after: None, message: None }
}

/// At most two further passes, and then nothing is left to do or to tell, not even for a process that knows nothing.
async fn converges(world: &World, reconciler: &mut Reconciler) {
    world.server().set_faults(vec![]);
    let mut pass = reconciler.pass(world.now()).await.unwrap();
    if pass.is_unfinished() {
        pass = reconciler.pass(world.now()).await.unwrap();
    }
    assert!(!pass.is_unfinished(), "{}", told(&pass));
    rests(world).await;
}

async fn rests(world: &World) {
    let rest = world.reconciler().pass(world.now()).await.unwrap();
    assert_eq!((rest.writes, &rest.changes, told(&rest).as_str()), (0, &vec![], ""));
    assert!(rest.items.iter().all(|item| item.phase == Phase::Ready), "{:#?}", rest.items);
}

/// Waits until a cluster tells of something, as a controller does.
async fn hears(reconciler: &mut Reconciler) {
    tokio::time::timeout(DEADLINE, reconciler.cluster_changed()).await.expect("the change is never seen");
}

/// Passes of a controller until one says yes.
async fn until(
    world: &World,
    reconciler: &mut Reconciler,
    what: &str,
    yes: impl Fn(&Pass) -> bool,
) -> std::sync::Arc<Pass> {
    let deadline = Instant::now() + DEADLINE;
    loop {
        let pass = reconciler.watch_pass(world.now()).await.unwrap();
        if yes(&pass) {
            return pass;
        }
        assert!(Instant::now() < deadline, "never: {what}\n{:#?}\n{}", pass.items, told(&pass));
        let _ = tokio::time::timeout(Duration::from_millis(200), reconciler.cluster_changed()).await;
    }
}

/// The title that runs.
async fn title(world: &World, name: &str) -> String {
    let config = world.objects("v1", "ConfigMap", &format!("{name}-sandbox")).await.get(name).await.unwrap();
    let survey: Value = serde_json::from_str(config.data["data"]["survey.json"].as_str().unwrap()).unwrap();
    survey["title"].as_str().unwrap().to_owned()
}

async fn merge(world: &World, api_version: &str, kind: &str, namespace: &str, name: &str, patch: Value) {
    let objects = world.objects(api_version, kind, namespace).await;
    objects.patch(name, &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
}

async fn edit_by_hand(world: &World, replicas: u32) {
    let patch = json!({"spec": {"replicas": replicas}});
    merge(world, "apps/v1", "Deployment", "survey-sandbox", "survey", patch).await;
}

async fn replicas(world: &World) -> Value {
    let deployment = world.objects("apps/v1", "Deployment", "survey-sandbox").await.get("survey").await.unwrap();
    deployment.data["spec"]["replicas"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_server_that_asks_to_wait_is_waited_for() {
    let world = two_apps().await;
    let busy = InjectedFault::Status { code: 429, retry_after: Some(2), message: None };
    world.server().set_faults(vec![FaultRule { skip: 3, count: Some(2), ..failing(busy) }]);
    let began = Instant::now();
    let pass = world.reconciler().pass(world.now()).await.unwrap();
    assert!(began.elapsed() >= Duration::from_secs(2), "it was asked again too soon");
    assert_eq!(world.server().faults()[0].hit, 2);
    assert_eq!((pass.is_unfinished(), told(&pass).as_str()), (false, ""));
    rests(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_cannot_be_written_is_named_and_its_neighbor_runs() {
    let world = two_apps().await;
    let resource = Some("deployments.apps".into());
    let namespace = Some("survey-sandbox".into());
    world.server().set_faults(vec![FaultRule { resource, namespace, ..failing(status(500)) }]);
    let mut reconciler = world.reconciler();
    let pass = reconciler.pass(world.now()).await.unwrap();
    let survey = item(&pass, "survey");
    assert_eq!((survey.phase, pass.is_unfinished()), (Phase::Stalled, true));
    let named = ": apps/Deployment/survey-sandbox/survey: the API server failed (500)";
    assert!(survey.message.contains(named), "{}", survey.message);
    assert_eq!(item(&pass, "poll").phase, Phase::Ready);
    converges(&world, &mut reconciler).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_server_that_breaks_in_the_middle_is_gone_on_with() {
    let world = two_apps().await;
    world.server().set_faults(vec![FaultRule { skip: 16, ..failing(status(503)) }]);
    let mut reconciler = world.reconciler();
    let pass = reconciler.pass(world.now()).await.unwrap();
    assert!(
        pass.is_unfinished() && told(&pass).contains("the API server is busy (503), 5 attempts"),
        "{}",
        told(&pass)
    );
    let before = pass.changes.len();
    world.server().set_faults(vec![]);
    let pass = reconciler.pass(world.now()).await.unwrap();
    assert!(before > 0 && !pass.changes.is_empty(), "{before} before, {} then", pass.changes.len());
    converges(&world, &mut reconciler).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_every_answer_is_lost_nothing_is_made_twice_or_taken_for_foreign() {
    let world = two_apps().await;
    world.server().set_faults(vec![failing(InjectedFault::LoseResponse)]);
    let mut reconciler = world.reconciler();
    let pass = reconciler.pass(world.now()).await.unwrap();
    assert!(pass.is_unfinished());
    assert!(!told(&pass).contains("not Dayfly's"), "{}", told(&pass));
    converges(&world, &mut reconciler).await;
}

/// Each write in turn is carried out and never answered.
#[tokio::test(flavor = "multi_thread")]
async fn any_answer_may_be_lost() {
    let (world, mut reconciler) = two_running_apps().await;
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
        world.commit(&edits);
        world.server().set_faults(vec![FaultRule {
            skip: round - 1,
            count: Some(1),
            ..failing(InjectedFault::LoseResponse)
        }]);
        let mut pass = reconciler.pass(world.now()).await.unwrap();
        hit = world.server().faults()[0].hit > 0;
        world.server().set_faults(vec![]);
        for _ in 0..2 {
            assert!(!told(&pass).contains("not Dayfly's"), "{round}: {}", told(&pass));
            if pass.is_unfinished() {
                pass = reconciler.pass(world.now()).await.unwrap();
            }
        }
        assert_eq!((pass.is_unfinished(), told(&pass).as_str()), (false, ""), "{round}");
        assert!(world.has_namespace(&format!("{this}-sandbox")).await, "{round}");
        assert!(!world.has_namespace(&format!("probe-{}-sandbox", round - 1)).await, "{round}");
    }
    rests(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repair_that_fails_is_tried_again() {
    let (world, mut reconciler) = two_running_apps().await;
    world.server().set_faults(vec![FaultRule { verbs: vec!["apply".into()], ..failing(status(500)) }]);
    edit_by_hand(&world, 7).await;
    until(&world, &mut reconciler, "the failure", Pass::is_unfinished).await;
    world.server().set_faults(vec![]);
    let pass = reconciler.watch_pass(world.now()).await.unwrap();
    assert_eq!((pass.changes.len(), replicas(&world).await), (1, json!(1)), "{}", told(&pass));
    converges(&world, &mut reconciler).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn watches_that_end_lose_nothing() {
    let (world, mut reconciler) = two_running_apps().await;
    for (round, expires) in [false, true, false, true].into_iter().enumerate() {
        if expires {
            world.server().expire_watches();
        } else {
            world.server().drop_watches();
        }
        edit_by_hand(&world, 5 + round as u32).await;
        hears(&mut reconciler).await;
        let pass = until(&world, &mut reconciler, "a repair", |pass| !pass.changes.is_empty()).await;
        assert!(pass.changes.iter().all(|change| change.app == "survey"), "{:?}", pass.changes);
        assert_eq!(replicas(&world).await, 1);
    }
    converges(&world, &mut reconciler).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_api_server_only_takes_longer() {
    let world = two_apps().await;
    world
        .server()
        .set_faults(vec![FaultRule { fault: InjectedFault::Latency { millis: 150 }, ..FaultRule::default() }]);
    let mut reconciler = world.reconciler();
    let pass = reconciler.pass(world.now()).await.unwrap();
    assert_eq!((pass.is_unfinished(), told(&pass).as_str()), (false, ""));
    converges(&world, &mut reconciler).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_while_the_api_server_is_away_is_caught_up_with() {
    let (mut world, mut reconciler) = two_running_apps().await;
    world.server_stops().await;
    change(&world, "survey", "Second");
    world.commit(&[("apps/late/app.yaml", Some(&app("late", "ttl: 20d")))]);
    let pass = until(&world, &mut reconciler, "that it is away", |pass| pass.is_unfinished()).await;
    assert!(told(&pass).contains("local: "), "{}", told(&pass));
    assert_eq!(item(&pass, "survey").phase, Phase::Stalled, "{:?}", item(&pass, "survey"));

    world.server_starts().await;
    hears(&mut reconciler).await;
    until(&world, &mut reconciler, "the end", |pass| !pass.is_unfinished()).await;
    assert_eq!(title(&world, "survey").await, "Second");
    assert!(world.has_namespace("late-sandbox").await);
    rests(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_while_the_api_server_is_away_says_so_once_and_tries_again() {
    let mut world = two_apps().await;
    world.server_stops().await;
    let mut reconciler = world.reconciler();
    let pass = reconciler.watch_pass(world.now()).await.unwrap();
    assert!(pass.is_unfinished(), "it must be tried again");
    let text = told(&pass);
    assert_eq!(text.matches("the API server cannot be reached: Connection refused").count(), 1, "{text}");
    let survey = item(&pass, "survey");
    assert_eq!(survey.phase, Phase::Stalled);
    assert!(survey.message.contains("cannot be reached"), "{}", survey.message);

    world.server_starts().await;
    until(&world, &mut reconciler, "the end", |pass| !pass.is_unfinished()).await;
    assert_eq!(title(&world, "survey").await, "First");
    rests(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_never_answers_slows_no_other() {
    let world = World::of_the_sample().await;
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    world.leads_to("production", listener.local_addr().unwrap());
    let mut reconciler = world.reconciler();
    let pass = reconciler.watch_pass(world.now()).await.unwrap();
    assert!(told(&pass).contains("at-production as local: connection: it has not answered yet"), "{}", told(&pass));
    assert_eq!(item(&pass, "quarterly-feedback").phase, Phase::Ready);
    assert_eq!(item(&pass, "go-links").phase, Phase::Stalled);
    world.edit("apps/quarterly-feedback/app.yaml", "How was your quarter?", "And this quarter?");
    let pass = reconciler.watch_pass(world.now()).await.unwrap();
    assert!(pass.took < Duration::from_secs(4), "it is waited for again: {:?}", pass.took);
    assert!(pass.changes.iter().any(|change| change.app == "quarterly-feedback"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_that_hangs_is_told_with_what_holds_it() {
    let (world, mut reconciler) = two_running_apps().await;
    let held = json!({"metadata": {"finalizers": ["example.com/hold"]}});
    merge(&world, "v1", "ConfigMap", "survey-sandbox", "survey", held).await;
    world.commit(&[("apps/survey/", None)]);
    change(&world, "poll", "Second");
    let pass = reconciler.watch_pass(world.now()).await.unwrap();
    let text = told(&pass);
    assert!(text.contains("Namespace/survey-sandbox: is being deleted") && text.contains("example.com/hold"), "{text}");
    assert_eq!((pass.is_unfinished(), item(&pass, "poll").phase), (true, Phase::Ready));
    assert_eq!(title(&world, "poll").await, "Second");
    let again = reconciler.watch_pass(world.now()).await.unwrap();
    let held = "ConfigMap/survey-sandbox/survey: is being deleted: held by finalizer example.com/hold";
    assert!(again.is_unfinished() && told(&again).contains(held), "{}", told(&again));

    let freed = json!({"metadata": {"finalizers": null}});
    merge(&world, "v1", "ConfigMap", "survey-sandbox", "survey", freed).await;
    hears(&mut reconciler).await;
    until(&world, &mut reconciler, "the end", |pass| !pass.is_unfinished()).await;
    assert!(!world.has_namespace("survey-sandbox").await);
    rests(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_that_comes_back_while_its_namespace_ends_waits_for_that() {
    let (world, mut reconciler) = two_running_apps().await;
    let namespaces: Api<Namespace> = Api::all(world.client().await);
    let finalizers = |names: Value| Patch::Merge(json!({"metadata": {"finalizers": names}}));
    let held = finalizers(json!(["example.com/hold"]));
    namespaces.patch("survey-sandbox", &PatchParams::default(), &held).await.unwrap();
    let manifest = world.read("apps/survey/app.yaml");
    world.commit(&[("apps/survey/", None)]);
    let pass = reconciler.watch_pass(world.now()).await.unwrap();
    let text = told(&pass);
    assert!(text.contains("Namespace/survey-sandbox") && text.contains("finalizer example.com/hold"), "{text}");

    world.commit(&[("apps/survey/app.yaml", Some(&manifest))]);
    change(&world, "poll", "Second");
    let pass = reconciler.watch_pass(world.now()).await.unwrap();
    let survey = item(&pass, "survey");
    assert!(survey.phase != Phase::Ready && survey.message.contains("Namespace/survey-sandbox"), "{}", survey.message);
    assert!(survey.message.contains("example.com/hold"), "{}", survey.message);
    assert_eq!((item(&pass, "poll").phase, title(&world, "poll").await.as_str()), (Phase::Ready, "Second"));

    namespaces.patch("survey-sandbox", &PatchParams::default(), &finalizers(Value::Null)).await.unwrap();
    hears(&mut reconciler).await;
    until(&world, &mut reconciler, "its return", |pass| item(pass, "survey").phase == Phase::Ready).await;
    rests(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_that_never_becomes_ready_is_told_and_slows_nobody() {
    let world = two_apps().await;
    let fails = format!(
        "  name: {{{{ app.name }}}}\n{{% if app.name == \"survey\" %}}  annotations: {{{FAIL_ANNOTATION}: ImagePullBackOff}}\n{{% endif %}}spec:\n"
    );
    world.edit("catalog/simple-survey/v1/resources/deployment.yaml", "  name: {{ app.name }}\nspec:\n", &fails);
    world.approve();
    let mut reconciler = world.reconciler();
    let began = Instant::now();
    let pass =
        until(&world, &mut reconciler, "that it fails", |pass| item(pass, "survey").phase == Phase::Stalled).await;
    let survey = item(&pass, "survey");
    assert!(survey.message.contains("ImagePullBackOff"), "{}", survey.message);
    assert_eq!(survey.health.as_str(), "Degraded");
    assert_eq!(item(&pass, "poll").phase, Phase::Ready);
    assert!(began.elapsed() < DEADLINE, "nobody waits for minutes");

    change(&world, "poll", "Second");
    let pass = reconciler.watch_pass(world.now()).await.unwrap();
    assert!(pass.changes.iter().all(|change| change.app == "poll"), "{:?}", pass.changes);
    assert!(pass.took < Duration::from_secs(20), "{:?}", pass.took);
    assert_eq!(title(&world, "poll").await, "Second");
    assert_eq!(world.reconciler().watch_pass(world.now()).await.unwrap().writes, 0);

    world.edit("catalog/simple-survey/v1/resources/deployment.yaml", &fails, "  name: {{ app.name }}\nspec:\n");
    converges(&world, &mut reconciler).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_inventory_changed_by_hand_stops_its_app_alone() {
    let (world, mut reconciler) = two_running_apps().await;
    let inventories = world.objects("v1", "ConfigMap", "dayfly-system").await;
    let sound = inventories.get("survey.sandbox").await.unwrap();
    let entries = json!({"data": {"entries": ""}});
    merge(&world, "v1", "ConfigMap", "dayfly-system", "survey.sandbox", entries).await;
    // One that runs finds out when it writes the inventory; one that starts, at once.
    change(&world, "survey", "Second");
    let pass = reconciler.watch_pass(world.now()).await.unwrap();
    assert!(told(&pass).contains("ConfigMap/dayfly-system/survey.sandbox: it changed meanwhile"), "{}", told(&pass));
    change(&world, "survey", "Third");
    change(&world, "poll", "Third");
    let named = "ConfigMap/dayfly-system/survey.sandbox: the inventory cannot be read: its sum does not match";
    let mut fresh = world.reconciler();
    for reconciler in [&mut reconciler, &mut fresh] {
        let pass = reconciler.watch_pass(world.now()).await.unwrap();
        assert!(pass.changes.iter().all(|change| change.app == "poll"), "{:?}", pass.changes);
        let survey = item(&pass, "survey");
        assert_eq!((survey.phase, pass.is_unfinished()), (Phase::Stalled, true), "{}", told(&pass));
        assert!(survey.message.contains(named), "{}", survey.message);
        assert_eq!(item(&pass, "poll").phase, Phase::Ready);
        assert_eq!((title(&world, "poll").await, title(&world, "survey").await), ("Third".into(), "Second".into()));
    }

    // Not even a deletion in git touches it.
    let manifest = world.read("apps/survey/app.yaml");
    world.commit(&[("apps/survey/", None)]);
    for reconciler in [&mut reconciler, &mut fresh] {
        let pass = reconciler.watch_pass(world.now()).await.unwrap();
        assert!(pass.changes.is_empty() && told(&pass).contains(named), "{}", told(&pass));
    }
    assert!(world.has_namespace("survey-sandbox").await);

    // Once it is restored all goes on, without a restart.
    world.commit(&[("apps/survey/app.yaml", Some(&manifest))]);
    let restored = json!({"data": sound.data["data"]});
    merge(&world, "v1", "ConfigMap", "dayfly-system", "survey.sandbox", restored).await;
    converges(&world, &mut reconciler).await;
    let pass = fresh.pass(world.now()).await.unwrap();
    assert_eq!((pass.is_unfinished(), told(&pass).as_str()), (false, ""));
    assert_eq!(title(&world, "survey").await, "Third");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_inventory_that_is_lost_is_made_again_and_nothing_is_made_anew() {
    let (world, mut reconciler) = two_running_apps().await;
    let uid = async || {
        let deployments = world.objects("apps/v1", "Deployment", "survey-sandbox").await;
        deployments.get("survey").await.unwrap().metadata.uid
    };
    let before = uid().await;
    let inventories = world.objects("v1", "ConfigMap", "dayfly-system").await;
    for name in ["survey.sandbox", "poll.sandbox"] {
        inventories.delete(name, &Default::default()).await.unwrap();
    }
    change(&world, "survey", "Second");
    until(&world, &mut reconciler, "the end", |pass| !pass.is_unfinished()).await;
    let pass = world.reconciler().pass(world.now()).await.unwrap();
    assert_eq!((pass.is_unfinished(), told(&pass).as_str()), (false, ""));
    assert_eq!((uid().await, title(&world, "survey").await.as_str()), (before, "Second"));
    rests(&world).await;
    world.commit(&[("apps/survey/", None)]);
    world.reconciler().pass(world.now()).await.unwrap();
    assert!(!world.has_namespace("survey-sandbox").await, "it is known again, and goes");
}

/// One pass of a replica, and another where somebody else was faster.
async fn replica(mut reconciler: Reconciler, now: jiff::Timestamp) -> (Reconciler, usize) {
    let mut writes = 0;
    for _ in 0..3 {
        match reconciler.watch_pass(now).await {
            Ok(pass) => {
                writes += pass.writes;
                if !pass.is_unfinished() {
                    break;
                }
            }
            Err(error) => assert_eq!(error.reason(), dayfly_controller::error::ErrorReason::Conflict, "{error}"),
        }
    }
    (reconciler, writes)
}

#[tokio::test(flavor = "multi_thread")]
async fn two_replicas_at_once_do_everything_once() {
    let mut world = two_apps().await;
    let (mut one, mut two) = (world.reconciler(), world.reconciler());
    let soon = format!("expires: {}", world.now() + SignedDuration::from_hours(1));
    for round in 1..=4 {
        let brief = format!("brief-{round}");
        world.commit(&[(&format!("apps/{brief}/app.yaml"), Some(&app(&brief, &soon)))]);
        change(&world, "survey", &format!("Round {round}"));
        for _ in 0..2 {
            let now = world.now();
            let apart = |one| tokio::task::spawn_blocking(move || Handle::current().block_on(replica(one, now)));
            let (a, b) = (apart(one), apart(two));
            ((one, _), (two, _)) = (a.await.unwrap(), b.await.unwrap());
            if round == 4 {
                world.hours_pass(2);
            }
        }
        assert_eq!(title(&world, "survey").await, format!("Round {round}"), "no update is lost");
    }
    for round in 1..=4 {
        assert_eq!(world.commits_that_say(&format!("Dayfly-App: brief-{round}\n")), 1, "retired once");
        assert!(!world.has_namespace(&format!("brief-{round}-sandbox")).await);
    }
    converges(&world, &mut one).await;
    converges(&world, &mut two).await;
}
