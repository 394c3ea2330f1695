//! How apps leave: a cluster that their tier moved away from, and a world in which their time is up.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails loudly")]

use std::collections::BTreeSet;

use dayfly_controller::Pass;
use dayfly_model::diagnostic::Diagnostic;
use dayfly_model::rule::Rule;
use dayfly_plan::status::Phase;
use dayfly_tests::apps::item;
use dayfly_tests::world::World;
use serde_json::json;

fn found<'a>(pass: &'a Pass, rule: &Rule) -> Vec<&'a Diagnostic> {
    pass.diagnostics.iter().filter(|found| found.rule == *rule).collect()
}

fn moves_to(world: &World, from: &str, to: &str) {
    world.edit("environments/production/environment.yaml", &format!("context: {from}"), &format!("context: {to}"));
    world.approve();
}

const PRODUCTION: &str = "go-links-production";

#[tokio::test(flavor = "multi_thread")]
async fn a_tier_that_moves_to_another_cluster_takes_its_apps_along_and_leaves_nothing_behind() {
    let world = World::of_the_sample().await;
    world.reconciler().pass(world.now()).await.unwrap();
    let _elsewhere = world.another_cluster("elsewhere").await;

    // The old cluster has other tiers still; and a process that begins knows only what git and the clusters say.
    moves_to(&world, "production", "elsewhere");
    let mut reconciler = world.reconciler();
    let pass = reconciler.pass(world.now()).await.unwrap();
    assert_eq!(pass.diagnostics, []);
    assert!(world.has_namespace_on("elsewhere", PRODUCTION).await);
    assert!(!world.has_namespace(PRODUCTION).await);
    assert!(world.has_namespace("quarterly-feedback-sandbox").await);
    let apps: BTreeSet<_> = pass.changes.iter().map(|change| change.app.as_str()).collect();
    assert!(apps.iter().all(|app| ["", "go-links", "vendor-requests"].contains(app)), "{apps:?}");
    assert_eq!(reconciler.pass(world.now()).await.unwrap().writes, 0);
    assert_eq!(world.reconciler().pass(world.now()).await.unwrap().writes, 0);

    // And back, seen by a process that runs on; no tier names the cluster any more that it leaves.
    moves_to(&world, "elsewhere", "production");
    let pass = reconciler.pass(world.now()).await.unwrap();
    assert_eq!(pass.diagnostics, []);
    assert!(world.has_namespace(PRODUCTION).await && !world.has_namespace_on("elsewhere", PRODUCTION).await);
    assert_eq!((reconciler.pass(world.now()).await.unwrap().writes, world.inventories_on("elsewhere").await), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_tier_left_goes_from_a_cluster_that_nobody_names_any_more_when_the_app_runs_elsewhere() {
    let world = World::of_the_sample().await;
    let _elsewhere = world.another_cluster("elsewhere").await;
    moves_to(&world, "production", "elsewhere");
    world.reconciler().pass(world.now()).await.unwrap();
    assert!(world.has_namespace_on("elsewhere", PRODUCTION).await);

    world.edit("apps/go-links/app.yaml", "template: link-shortener/v1", "template: link-shortener/v9");
    moves_to(&world, "elsewhere", "production");
    let waits = world.reconciler().pass(world.now()).await.unwrap();
    assert!(world.has_namespace_on("elsewhere", PRODUCTION).await && !world.has_namespace(PRODUCTION).await);
    let told = found(&waits, &Rule::REMOVE_STAYS);
    let why = "go-links moves to another cluster and goes on running on elsewhere until it runs there";
    assert!(told.iter().any(|found| found.message == why), "{told:?}");

    world.edit("apps/go-links/app.yaml", "template: link-shortener/v9", "template: link-shortener/v1");
    world.approve();
    world.reconciler().pass(world.now()).await.unwrap();
    assert!(world.has_namespace(PRODUCTION).await && !world.has_namespace_on("elsewhere", PRODUCTION).await);
    assert_eq!(world.inventories_on("elsewhere").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_a_tier_left_and_that_cannot_be_asked_is_told_of_until_people_approve_that() {
    let world = World::of_the_sample().await;
    let elsewhere = world.another_cluster("elsewhere").await;
    moves_to(&world, "production", "elsewhere");
    world.reconciler().pass(world.now()).await.unwrap();

    world.lose_context("elsewhere");
    moves_to(&world, "elsewhere", "production");
    let pass = world.reconciler().pass(world.now()).await.unwrap();
    let [told] = &found(&pass, &Rule::REMOVE_UNKNOWN)[..] else { panic!("{:?}", pass.diagnostics) };
    let fact = "production was there before, and what it left runs on: there is no usable connection: ";
    assert!(told.path.starts_with("elsewhere: ") && told.message.starts_with(fact), "{told}");
    assert!(pass.items.iter().all(|item| item.phase == Phase::Ready), "{:#?}", pass.items);

    world.edit("environments/production/environment.yaml", "perApp: 150", "perApp: 140");
    world.approve();
    assert_eq!(world.reconciler().pass(world.now()).await.unwrap().diagnostics, []);
    elsewhere.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_under_another_name_is_the_same_cluster() {
    let world = World::of_the_sample().await;
    let first = world.reconciler().pass(world.now()).await.unwrap();
    world.same_cluster_as("production", "by-another-user");
    moves_to(&world, "production", "by-another-user");
    let pass = world.reconciler().pass(world.now()).await.unwrap();
    assert_eq!((pass.changes, pass.diagnostics), (vec![], vec![]));
    let objects = |pass: &Pass| pass.items.iter().map(|item| item.objects).collect::<Vec<_>>();
    assert_eq!(objects(&pass_of(&world).await), objects(&first));
}

async fn pass_of(world: &World) -> Pass {
    world.reconciler().pass(world.now()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_whose_retirement_nobody_merges_rests_without_an_address_until_it_is_renewed() {
    let mut world = World::of_the_sample().await;
    let mut reconciler = world.reconciler();
    reconciler.pass(world.now()).await.unwrap();
    // travel-approval has 60 days in the pilot, and a day of grace.
    world.days_pass(60);
    let pass = reconciler.pass(world.now()).await.unwrap();
    assert!(pass.proposals.iter().any(|proposed| proposed.app.as_str() == "travel-approval"), "{:?}", pass.proposals);
    assert_eq!(item(&pass, "travel-approval").health, "Healthy (simulated)");

    world.days_pass(2);
    let pass = reconciler.pass(world.now()).await.unwrap();
    assert_eq!(item(&pass, "travel-approval").health, "Suspended");
    assert!(world.read("apps/travel-approval/app.yaml").contains("  suspend: true\n"));
    let routes = world.objects("networking.k8s.io/v1", "Ingress", "travel-approval-pilot").await;
    let count = async || routes.list(&Default::default()).await.unwrap().items.len();
    assert_eq!(count().await, 0);
    let claims = world.objects("v1", "PersistentVolumeClaim", "travel-approval-pilot").await;
    assert_eq!(claims.list(&Default::default()).await.unwrap().items.len(), 1, "nothing that it stores is deleted");
    for reconciler in [&mut reconciler, &mut world.reconciler()] {
        let rest = reconciler.pass(world.now()).await.unwrap();
        assert_eq!((rest.writes, &rest.changes), (0, &vec![]));
    }

    let git = git2::Repository::open(world.repository().path()).unwrap();
    let branch = git.find_branch("dayfly/retire/_expired/pilot", git2::BranchType::Local).unwrap();
    let parent = branch.get().peel_to_commit().unwrap().parent_id(0).unwrap();
    assert_eq!(parent.as_bytes(), world.tip().as_bytes(), "its retirement can be merged all the same");
    let files = world.repository().snapshot(world.tip()).unwrap();
    let preview = world.reconciler().preview(files, world.now()).await.unwrap();
    assert!(preview.changes.is_empty(), "{:#?}", preview.changes);

    let renewed = format!("  renewed: {}", world.now().strftime("%Y-%m-%d"));
    world.edit("apps/travel-approval/app.yaml", "  suspend: true", &renewed);
    let pass = reconciler.pass(world.now()).await.unwrap();
    assert_eq!((item(&pass, "travel-approval").health.as_str(), count().await), ("Healthy (simulated)", 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_that_nobody_can_read_ends_when_it_last_said_it_would() {
    let mut world = World::of_the_sample().await;
    let mut reconciler = world.reconciler();
    reconciler.pass(world.now()).await.unwrap();
    world.commit(&[("apps/quarterly-feedback/app.yaml", Some("spec: [\n"))]);
    let pass = reconciler.pass(world.now()).await.unwrap();
    let broken = item(&pass, "quarterly-feedback");
    assert_eq!((broken.phase, broken.objects, broken.expires.is_some()), (Phase::Stalled, 14, true), "{broken:?}");
    assert!(broken.message.ends_with("what ran before runs on"), "{}", broken.message);
    world.days_pass(13);
    assert_eq!(reconciler.pass(world.now()).await.unwrap().retired, []);
    world.days_pass(2);
    let pass = reconciler.pass(world.now()).await.unwrap();
    assert_eq!(pass.retired.len(), 1);
    assert!(!world.has_namespace("quarterly-feedback-sandbox").await);
    assert_eq!(world.reconciler().pass(world.now()).await.unwrap().writes, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_of_a_deletion_tells_what_goes_along() {
    let world = World::of_the_sample().await;
    world.reconciler().pass(world.now()).await.unwrap();
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "by-hand"}});
    let secrets = world.objects("v1", "Secret", "quarterly-feedback-sandbox").await;
    secrets.create(&Default::default(), &serde_json::from_value(secret).unwrap()).await.unwrap();
    world.commit(&[("apps/quarterly-feedback/", None)]);
    let files = world.repository().snapshot(world.tip()).unwrap();
    let preview = world.reconciler().preview(files, world.now()).await.unwrap();
    let along: Vec<_> = preview.changes.iter().flat_map(|change| &change.along).collect();
    assert_eq!(along, ["Secret/quarterly-feedback-sandbox/by-hand"]);
}
