//! How apps are removed: from a cluster that their tier moved away from, after their end, and in a preview.

use dayfly_controller::{Pass, PlanPreview};
use dayfly_plan::status::Phase;
use dayfly_tests::fixtures::deployed_sample;
use dayfly_tests::history::{head_of, oid};
use dayfly_tests::passes::{changed_apps, findings_of, status_of};
use dayfly_tests::platform::TestPlatform;
use serde_json::json;

/// The namespace of an app in production.
const LINKS: &str = "go-links-production";

/// An approved commit moves production to the cluster of another context.
fn move_production(platform: &TestPlatform, from: &str, to: &str) {
    platform.edit("environments/production/environment.yaml", &format!("context: {from}"), &format!("context: {to}"));
    platform.approve();
}

/// What a pass over the tip would do.
async fn preview(platform: &TestPlatform) -> PlanPreview {
    let files = platform.repository().snapshot(platform.tip()).unwrap();
    platform.reconciler().preview(files, platform.now()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tier_that_moves_to_another_cluster_takes_its_apps_along_and_leaves_nothing_behind() {
    let platform = TestPlatform::sample().await;
    platform.fresh_pass().await;
    let _elsewhere = platform.start_another_cluster("elsewhere").await;

    // The old cluster still has other tiers, and a new process knows only what git and the clusters say.
    move_production(&platform, "production", "elsewhere");
    let mut reconciler = platform.reconciler();
    let pass = reconciler.pass(platform.now()).await.unwrap();
    assert_eq!(pass.diagnostics, []);
    assert!(platform.has_namespace_on("elsewhere", LINKS).await);
    assert!(!platform.has_namespace(LINKS).await);
    assert!(platform.has_namespace("quarterly-feedback-sandbox").await);
    let apps = changed_apps(&pass);
    assert!(apps.iter().all(|app| ["", "go-links", "vendor-requests"].contains(app)), "{apps:?}");
    assert_eq!(reconciler.pass(platform.now()).await.unwrap().writes, 0);
    assert_eq!(platform.fresh_pass().await.writes, 0);

    // And back, seen by a process that runs on: no tier names the cluster any more that production leaves.
    move_production(&platform, "elsewhere", "production");
    let pass = reconciler.pass(platform.now()).await.unwrap();
    assert_eq!(pass.diagnostics, []);
    assert!(platform.has_namespace(LINKS).await && !platform.has_namespace_on("elsewhere", LINKS).await);
    assert_eq!(
        (reconciler.pass(platform.now()).await.unwrap().writes, platform.inventories_on("elsewhere").await),
        (0, 0)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_moved_tier_left_behind_is_deleted_only_once_the_app_runs_on_its_new_cluster() {
    let platform = TestPlatform::sample().await;
    let _elsewhere = platform.start_another_cluster("elsewhere").await;
    move_production(&platform, "production", "elsewhere");
    platform.fresh_pass().await;
    assert!(platform.has_namespace_on("elsewhere", LINKS).await);

    platform.edit("apps/go-links/app.yaml", "template: link-shortener/v1", "template: link-shortener/v9");
    move_production(&platform, "elsewhere", "production");
    let waits = platform.fresh_pass().await;
    assert!(platform.has_namespace_on("elsewhere", LINKS).await && !platform.has_namespace(LINKS).await);
    let findings = findings_of(&waits, "remove/stays");
    let why = "go-links moves to another cluster and goes on running on elsewhere until it runs there";
    assert!(findings.iter().any(|finding| finding.message == why), "{findings:?}");

    platform.edit("apps/go-links/app.yaml", "template: link-shortener/v9", "template: link-shortener/v1");
    platform.approve();
    platform.fresh_pass().await;
    assert!(platform.has_namespace(LINKS).await && !platform.has_namespace_on("elsewhere", LINKS).await);
    assert_eq!(platform.inventories_on("elsewhere").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreachable_cluster_that_a_tier_moved_away_from_is_reported_until_people_approve_the_platform_without_it() {
    let platform = TestPlatform::sample().await;
    let elsewhere = platform.start_another_cluster("elsewhere").await;
    move_production(&platform, "production", "elsewhere");
    platform.fresh_pass().await;

    platform.remove_context("elsewhere");
    move_production(&platform, "elsewhere", "production");
    let pass = platform.fresh_pass().await;
    let [finding] = &findings_of(&pass, "remove/unknown")[..] else { panic!("{:?}", pass.diagnostics) };
    let fact = "production was there before, and what it left runs on: there is no usable connection: ";
    assert!(finding.path.starts_with("elsewhere: ") && finding.message.starts_with(fact), "{finding}");
    assert!(pass.items.iter().all(|item| item.phase == Phase::Ready), "{:#?}", pass.items);

    platform.edit("environments/production/environment.yaml", "perApp: 150", "perApp: 140");
    platform.approve();
    assert_eq!(platform.fresh_pass().await.diagnostics, []);
    elsewhere.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_under_another_context_name_is_the_same_cluster() {
    let platform = TestPlatform::sample().await;
    let first = platform.fresh_pass().await;
    platform.add_context_to_same_cluster("production", "by-another-user");
    move_production(&platform, "production", "by-another-user");
    let pass = platform.fresh_pass().await;
    assert_eq!((pass.changes, pass.diagnostics), (vec![], vec![]));
    let objects = |pass: &Pass| pass.items.iter().map(|item| item.objects).collect::<Vec<_>>();
    assert_eq!(objects(&platform.fresh_pass().await), objects(&first));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_app_whose_retirement_nobody_merges_is_suspended_without_an_address_until_it_is_renewed() {
    let (mut platform, mut reconciler) = deployed_sample().await;
    // travel-approval has 60 days in the pilot, and a day of grace.
    platform.days_pass(60);
    let pass = reconciler.pass(platform.now()).await.unwrap();
    assert!(pass.proposals.iter().any(|proposed| proposed.app.as_str() == "travel-approval"), "{:?}", pass.proposals);
    assert_eq!(status_of(&pass, "travel-approval").health.as_str(), "Healthy (simulated)");

    platform.days_pass(2);
    let pass = reconciler.pass(platform.now()).await.unwrap();
    assert_eq!(status_of(&pass, "travel-approval").health.as_str(), "Suspended");
    assert!(platform.read("apps/travel-approval/app.yaml").contains("  suspend: true\n"));
    let routes = platform.objects("networking.k8s.io/v1", "Ingress", "travel-approval-pilot").await;
    let count = async || routes.list(&Default::default()).await.unwrap().items.len();
    assert_eq!(count().await, 0);
    let claims = platform.objects("v1", "PersistentVolumeClaim", "travel-approval-pilot").await;
    assert_eq!(claims.list(&Default::default()).await.unwrap().items.len(), 1, "nothing that it stores is deleted");
    for reconciler in [&mut reconciler, &mut platform.reconciler()] {
        let rest = reconciler.pass(platform.now()).await.unwrap();
        assert_eq!((rest.writes, &rest.changes), (0, &vec![]));
    }

    let git = platform.git();
    let retirement = git.find_commit(oid(head_of(&platform, "refs/heads/dayfly/retire/_expired/pilot"))).unwrap();
    assert_eq!(retirement.parent_id(0).unwrap(), oid(platform.tip()), "its retirement can be merged all the same");
    let preview = preview(&platform).await;
    assert!(preview.changes.is_empty(), "{:#?}", preview.changes);

    let renewed = format!("  renewed: {}", platform.now().strftime("%Y-%m-%d"));
    platform.edit("apps/travel-approval/app.yaml", "  suspend: true", &renewed);
    let pass = reconciler.pass(platform.now()).await.unwrap();
    assert_eq!((status_of(&pass, "travel-approval").health.as_str(), count().await), ("Healthy (simulated)", 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_whose_manifest_is_broken_ends_when_its_last_readable_manifest_said() {
    let (mut platform, mut reconciler) = deployed_sample().await;
    platform.commit(&[("apps/quarterly-feedback/app.yaml", Some("spec: [\n"))]);
    let pass = reconciler.pass(platform.now()).await.unwrap();
    let broken = status_of(&pass, "quarterly-feedback");
    assert_eq!((broken.phase, broken.objects, broken.expires.is_some()), (Phase::Stalled, 14, true), "{broken:?}");
    assert!(broken.message.ends_with("what ran before runs on"), "{}", broken.message);
    platform.days_pass(13);
    assert_eq!(reconciler.pass(platform.now()).await.unwrap().retired, []);
    platform.days_pass(2);
    let pass = reconciler.pass(platform.now()).await.unwrap();
    assert_eq!(pass.retired.len(), 1);
    assert!(!platform.has_namespace("quarterly-feedback-sandbox").await);
    assert_eq!(platform.fresh_pass().await.writes, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_of_a_deletion_names_what_others_put_into_the_namespace() {
    let platform = TestPlatform::sample().await;
    platform.fresh_pass().await;
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "by-hand"}});
    let secrets = platform.objects("v1", "Secret", "quarterly-feedback-sandbox").await;
    secrets.create(&Default::default(), &serde_json::from_value(secret).unwrap()).await.unwrap();
    platform.commit(&[("apps/quarterly-feedback/", None)]);
    let preview = preview(&platform).await;
    let along: Vec<_> = preview.changes.iter().flat_map(|change| &change.along).collect();
    assert_eq!(along, ["Secret/quarterly-feedback-sandbox/by-hand"]);
}
