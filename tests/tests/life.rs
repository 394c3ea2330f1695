//! How apps live and die: a repository, the embedded cluster, and the very passes that production runs.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails loudly")]

use std::collections::BTreeSet;

use dayfly_controller::Pass;
use dayfly_lifecycle::ledger::LedgerFact;
use dayfly_model::digest::Digest;
use dayfly_model::names::InstanceKey;
use dayfly_model::rule::Rule;
use dayfly_plan::plan::ChangeAction;
use dayfly_plan::status::Phase;
use dayfly_tests::apps::item;
use dayfly_tests::world::World;
use kube::api::{Patch, PatchParams};
use serde_json::json;

fn apps(pass: &Pass) -> BTreeSet<&str> {
    pass.changes.iter().map(|change| change.app.as_str()).collect()
}

fn phases(pass: &Pass, phase: Phase) -> Vec<&str> {
    pass.items.iter().filter(|item| item.phase == phase).map(|item| item.app.as_str()).collect()
}

/// The approval of one instance by itself.
fn approval(key: &str) -> LedgerFact {
    let InstanceKey { app, tier } = key.parse().unwrap();
    LedgerFact::Approval { app, tier, rendered: Digest::of(b"") }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_pass_deploys_the_sample_and_a_second_writes_nothing() {
    let world = World::of_the_sample().await;
    let mut reconciler = world.reconciler();
    let first = reconciler.pass(world.now()).await.unwrap();
    assert_eq!(first.diagnostics, [], "{:#?}", first.items);
    assert!(first.items.iter().all(|item| item.phase == Phase::Ready), "{:#?}", first.items);
    assert_eq!(first.retired.iter().map(|retired| retired.app.as_str()).collect::<Vec<_>>(), ["lunch-poll"]);
    assert!(!world.has_namespace("lunch-poll-sandbox").await, "what is over is not even started");

    let second = reconciler.pass(world.now()).await.unwrap();
    assert_eq!((second.writes, second.calls, second.changes.len()), (0, 0, 0));

    let restarted = world.reconciler().pass(world.now()).await.unwrap();
    assert_eq!((restarted.writes, restarted.changes.len()), (0, 0));
    assert_eq!(restarted.items, second.items);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_touches_only_its_app() {
    let world = World::of_the_sample().await;
    let mut reconciler = world.reconciler();
    reconciler.pass(world.now()).await.unwrap();
    let revision = world.edit("apps/quarterly-feedback/app.yaml", "How was your quarter?", "And this quarter?");
    let pass = reconciler.watch_pass(world.now()).await.unwrap();
    assert_eq!((pass.renders, apps(&pass)), (1, BTreeSet::from(["quarterly-feedback"])));
    assert!(pass.changes.iter().all(|change| change.action == ChangeAction::Update));
    assert_eq!(item(&pass, "quarterly-feedback").revision, Some(revision));
    let config =
        world.objects("v1", "ConfigMap", "quarterly-feedback-sandbox").await.get("quarterly-feedback").await.unwrap();
    assert!(config.data["data"]["survey.json"].as_str().unwrap().contains("And this quarter?"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_app_takes_exactly_its_objects_along() {
    let world = World::of_the_sample().await;
    let mut reconciler = world.reconciler();
    let first = reconciler.pass(world.now()).await.unwrap();
    let objects = item(&first, "quarterly-feedback").objects;
    world.commit(&[("apps/quarterly-feedback/", None)]);
    let pass = reconciler.pass(world.now()).await.unwrap();
    assert_eq!(apps(&pass), BTreeSet::from(["quarterly-feedback"]));
    assert_eq!(pass.changes.iter().filter(|change| change.action == ChangeAction::Delete).count(), objects);
    assert!(!world.has_namespace("quarterly-feedback-sandbox").await);
    assert!(world.has_namespace("go-links-production").await);
    assert_eq!(world.reconciler().pass(world.now()).await.unwrap().writes, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_by_hand_is_repaired_where_the_tier_says_so() {
    let world = World::of_the_sample().await;
    let mut reconciler = world.reconciler();
    reconciler.pass(world.now()).await.unwrap();
    let deployments = world.objects("apps/v1", "Deployment", "quarterly-feedback-sandbox").await;
    let by_hand = Patch::Merge(json!({"spec": {"replicas": 7}}));
    deployments.patch("quarterly-feedback", &PatchParams::default(), &by_hand).await.unwrap();
    reconciler.cluster_changed().await;
    let pass = reconciler.watch_pass(world.now()).await.unwrap();
    assert_eq!(apps(&pass), BTreeSet::from(["quarterly-feedback"]));
    assert_eq!(deployments.get("quarterly-feedback").await.unwrap().data["spec"]["replicas"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_by_hand_is_reported_where_the_tier_says_so() {
    let world = World::of_the_sample().await;
    world.edit("environments/sandbox/environment.yaml", "drift: repair", "drift: report");
    world.approve();
    let mut reconciler = world.reconciler();
    reconciler.pass(world.now()).await.unwrap();
    let deployments = world.objects("apps/v1", "Deployment", "quarterly-feedback-sandbox").await;
    let by_hand = Patch::Merge(json!({"spec": {"replicas": 7}}));
    deployments.patch("quarterly-feedback", &PatchParams::default(), &by_hand).await.unwrap();
    reconciler.cluster_changed().await;
    let pass = reconciler.watch_pass(world.now()).await.unwrap();
    assert_eq!(pass.writes, 0);
    let told = pass.diagnostics.iter().find(|found| found.path.contains("Deployment")).unwrap();
    assert!(told.message.contains("was changed in the cluster by"), "{told}");
    assert_eq!(deployments.get("quarterly-feedback").await.unwrap().data["spec"]["replicas"], 7);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_a_production_app_waits_for_approval() {
    let world = World::of_the_sample().await;
    let mut reconciler = world.reconciler();
    reconciler.pass(world.now()).await.unwrap();
    world.edit(
        "apps/go-links/app.yaml",
        "https://intranet.example.com/handbook",
        "https://elsewhere.example.com/handbook",
    );
    let held = reconciler.pass(world.now()).await.unwrap();
    assert_eq!((item(&held, "go-links").phase, held.changes.len()), (Phase::Held, 0));
    let config = world.objects("v1", "ConfigMap", "go-links-production").await;
    let live = serde_json::to_string(&config.get("go-links").await.unwrap()).unwrap();
    assert!(live.contains("intranet.example.com/handbook") && !live.contains("elsewhere"));

    world.approve();
    let approved = reconciler.pass(world.now()).await.unwrap();
    assert_eq!(item(&approved, "go-links").phase, Phase::Ready);
    let live = serde_json::to_string(&config.get("go-links").await.unwrap()).unwrap();
    assert!(live.contains("elsewhere.example.com/handbook"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_is_approved_by_itself_while_another_waits() {
    let world = World::of_the_sample().await;
    let mut reconciler = world.reconciler();
    reconciler.pass(world.now()).await.unwrap();
    world.edit("catalog/link-shortener/v1/resources/deployment.yaml", "cpu: 50m", "cpu: 60m");
    let approved = world.edit("apps/travel-approval/app.yaml", "title: ", "title: Approved ");
    assert_eq!(phases(&reconciler.pass(world.now()).await.unwrap(), Phase::Held), ["go-links", "travel-approval"]);
    world.record(approval("travel-approval.pilot"));
    let pass = reconciler.pass(world.now()).await.unwrap();
    assert_eq!((phases(&pass, Phase::Held), apps(&pass)), (vec!["go-links"], BTreeSet::from(["travel-approval"])));
    assert_eq!(item(&pass, "travel-approval").revision, Some(approved));

    world.edit("apps/travel-approval/app.yaml", "title: Approved ", "title: Another ");
    let mut restarted = world.reconciler();
    let pass = restarted.pass(world.now()).await.unwrap();
    assert_eq!((phases(&pass, Phase::Held), pass.writes), (vec!["go-links", "travel-approval"], 0));
    assert_eq!(item(&pass, "travel-approval").revision, Some(approved), "what was approved runs on");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_ends_with_the_app() {
    let world = World::of_the_sample().await;
    let mut reconciler = world.reconciler();
    reconciler.pass(world.now()).await.unwrap();
    let manifest = world.read("apps/go-links/app.yaml");
    world.commit(&[("apps/go-links/", None)]);
    reconciler.pass(world.now()).await.unwrap();
    assert!(!world.has_namespace("go-links-production").await);
    world.commit(&[("apps/go-links/app.yaml", Some(&manifest))]);
    for mut reconciler in [reconciler, world.reconciler()] {
        let pass = reconciler.pass(world.now()).await.unwrap();
        assert_eq!((item(&pass, "go-links").phase, pass.writes), (Phase::Held, 0));
    }
    world.record(approval("go-links.production"));
    world.reconciler().pass(world.now()).await.unwrap();
    assert!(world.has_namespace("go-links-production").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_template_change_that_alters_a_production_app_waits_too() {
    let world = World::of_the_sample().await;
    let mut reconciler = world.reconciler();
    reconciler.pass(world.now()).await.unwrap();
    world.edit("catalog/link-shortener/v1/resources/deployment.yaml", "cpu: 50m", "cpu: 60m");
    let pass = reconciler.pass(world.now()).await.unwrap();
    assert_eq!((item(&pass, "go-links").phase, pass.changes.len()), (Phase::Held, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn policies_are_those_that_were_approved() {
    let world = World::of_the_sample().await;
    let mut reconciler = world.reconciler();
    reconciler.pass(world.now()).await.unwrap();
    world.commit(&[("policies/images.rego", None)]);
    world.edit(
        "catalog/simple-survey/v1/resources/deployment.yaml",
        "registry.example.com/",
        "registry.corp.evil.com/",
    );
    let pass = reconciler.pass(world.now()).await.unwrap();
    let survey = item(&pass, "quarterly-feedback");
    assert_eq!((survey.phase, pass.changes.len()), (Phase::Stalled, 0), "{}", survey.message);
    assert!(survey.message.contains("registry"), "{}", survey.message);
    assert!(pass.diagnostics.iter().any(|found| found.rule == Rule::APPROVAL_CONTROL));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_whose_time_is_up_is_retired_by_a_commit() {
    let mut world = World::of_the_sample().await;
    let mut reconciler = world.reconciler();
    reconciler.pass(world.now()).await.unwrap();
    world.days_pass(15);
    let pass = reconciler.pass(world.now()).await.unwrap();
    assert_eq!(pass.retired.iter().map(|retired| retired.app.as_str()).collect::<Vec<_>>(), ["quarterly-feedback"]);
    assert_eq!(pass.retired[0].commit, world.tip());
    assert!(!world.has_namespace("quarterly-feedback-sandbox").await);
    let facts = world.repository().facts(world.tip()).unwrap();
    assert!(facts.message.contains("Dayfly-Action: retire\nDayfly-App: quarterly-feedback\n"), "{}", facts.message);
    assert_eq!(reconciler.pass(world.now()).await.unwrap().writes, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_is_not_absent_and_neighbors_go_on() {
    let world = World::of_the_sample().await;
    let mut reconciler = world.reconciler();
    reconciler.pass(world.now()).await.unwrap();
    world.commit(&[("apps/quarterly-feedback/app.yaml", Some("spec: [\n"))]);
    world.edit("apps/travel-approval/app.yaml", "owner: theo@example.com", "owner: tess@example.com");
    let pass = reconciler.pass(world.now()).await.unwrap();
    assert_eq!(item(&pass, "quarterly-feedback").phase, Phase::Stalled);
    assert_eq!(apps(&pass), BTreeSet::from(["travel-approval"]), "the owner follows the tip without approval");
    assert!(world.has_namespace("quarterly-feedback-sandbox").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_emptied_platform_deletes_nothing_until_it_is_confirmed() {
    let world = World::of_the_sample().await;
    let mut reconciler = world.reconciler();
    reconciler.pass(world.now()).await.unwrap();
    world.commit(&[("apps/", None)]);
    let pass = reconciler.pass(world.now()).await.unwrap();
    assert_eq!((pass.writes, pass.changes.len()), (0, 0));
    let told = pass.diagnostics.iter().find(|found| found.rule == Rule::REMOVE_STAYS).unwrap();
    assert_eq!(told.help.as_deref(), Some("if all apps are meant to go, confirm it: dayfly retire --confirm"));

    world.record(LedgerFact::Confirmation);
    let pass = reconciler.pass(world.now()).await.unwrap();
    assert_eq!(apps(&pass).len(), 5, "{:?}", pass.diagnostics);
    assert!(!world.has_namespace("go-links-production").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_app_goes_when_a_person_retired_it() {
    let world = World::of_the_sample().await;
    let mut reconciler = world.reconciler();
    for app in ["apps/go-links/", "apps/travel-approval/", "apps/vendor-requests/", "apps/event-signup/"] {
        world.commit(&[(app, None)]);
    }
    reconciler.pass(world.now()).await.unwrap();
    world.commit(&[("apps/quarterly-feedback/", None)]);
    assert_eq!(reconciler.pass(world.now()).await.unwrap().changes.len(), 0);
    let (items, told) = reconciler.status(world.now()).await.unwrap();
    assert!(items.is_empty() && told.iter().any(|found| found.rule == Rule::REMOVE_STAYS), "{told:?}");
    world.record(LedgerFact::Retirement { app: "quarterly-feedback".parse().unwrap() });
    reconciler.pass(world.now()).await.unwrap();
    assert!(!world.has_namespace("quarterly-feedback-sandbox").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_object_of_the_same_name_is_left_untouched() {
    let world = World::of_the_sample().await;
    let client = world.client().await;
    let namespaces: kube::Api<k8s_openapi::api::core::v1::Namespace> = kube::Api::all(client);
    let foreign = serde_json::from_value(json!({"metadata": {"name": "quarterly-feedback-sandbox"}})).unwrap();
    namespaces.create(&Default::default(), &foreign).await.unwrap();
    let pass = world.reconciler().pass(world.now()).await.unwrap();
    let survey = item(&pass, "quarterly-feedback");
    assert_eq!(survey.phase, Phase::Stalled);
    assert!(survey.message.contains("exists and is not Dayfly's"), "{}", survey.message);
    let live = namespaces.get("quarterly-feedback-sandbox").await.unwrap();
    assert_eq!(live.metadata.labels.unwrap_or_default().get("app.kubernetes.io/managed-by"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_app_keeps_everything_but_its_pods() {
    let world = World::of_the_sample().await;
    let mut reconciler = world.reconciler();
    let first = reconciler.pass(world.now()).await.unwrap();
    assert_eq!(item(&first, "event-signup").health, "Suspended");
    world.edit("apps/event-signup/app.yaml", "suspend: true", "suspend: false");
    let pass = reconciler.pass(world.now()).await.unwrap();
    assert_eq!(item(&pass, "event-signup").health, "Healthy (simulated)");
    assert!(pass.changes.iter().all(|change| change.action == ChangeAction::Update));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_nobody_can_read_stops_nobody() {
    let world = World::of_the_sample().await;
    let mut reconciler = world.reconciler();
    reconciler.pass(world.now()).await.unwrap();
    let git = git2::Repository::open(world.repository().path()).unwrap();
    let tip = world.tip();
    let tree = |id: git2::Oid| git.find_commit(id).unwrap().tree().unwrap();
    let before = tree(git2::Oid::from_bytes(tip.as_bytes()).unwrap());
    // A submodule where a manifest belongs, of a commit that is nowhere, by an author who is nobody; and its removal.
    let mut app = git.treebuilder(None).unwrap();
    app.insert("app.yaml", git2::Oid::from_bytes(&[7; 20]).unwrap(), 0o160000).unwrap();
    let app = app.write().unwrap();
    let mut folder = git.treebuilder(Some(&git.find_tree(before.get_name("apps").unwrap().id()).unwrap())).unwrap();
    folder.insert("strange", app, 0o040000).unwrap();
    let mut root = git.treebuilder(Some(&before)).unwrap();
    root.insert("apps", folder.write().unwrap(), 0o040000).unwrap();
    let push = |tree: git2::Oid, parent: String| {
        let text = format!("tree {tree}\nparent {parent}\nauthor nobody\ncommitter nobody\n\nstrange\n");
        let commit = git.odb().unwrap().write(git2::ObjectType::Commit, text.as_bytes()).unwrap();
        git.reference(&world.repository().tip().unwrap().branch, commit, true, "push").unwrap();
        commit.to_string()
    };
    let strange = push(root.write().unwrap(), tip.to_string());
    let pass = reconciler.pass(world.now()).await.unwrap();
    assert_eq!((item(&pass, "strange").phase, pass.changes.len()), (Phase::Stalled, 0));
    push(before.id(), strange);
    assert_eq!(reconciler.pass(world.now()).await.unwrap().diagnostics, []);
    assert_eq!(world.reconciler().pass(world.now()).await.unwrap().diagnostics, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retirement_that_cannot_be_written_stops_nobody() {
    let mut world = World::of_the_sample().await;
    let mut reconciler = world.reconciler();
    reconciler.pass(world.now()).await.unwrap();
    let git = git2::Repository::open(world.repository().path()).unwrap();
    let tip = git2::Oid::from_bytes(world.tip().as_bytes()).unwrap();
    git.reference("refs/heads/dayfly/retire/_expired", tip, false, "in the way").unwrap();
    world.days_pass(60);
    let pass = reconciler.pass(world.now()).await.unwrap();
    assert!(pass.diagnostics.iter().any(|found| found.rule == Rule::RETIRE_WAITS), "{:#?}", pass.diagnostics);
    assert!(!pass.retired.is_empty(), "the sandbox's apps go");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_that_moves_leaves_its_old_tier_only_when_it_is_healthy_in_the_new_one() {
    let world = World::of_the_sample().await;
    let mut reconciler = world.reconciler();
    reconciler.pass(world.now()).await.unwrap();
    let deployment = "catalog/simple-survey/v1/resources/deployment.yaml";
    let sound = "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n";
    let broken = format!("{sound}  annotations: {{local.dayfly.dev/fail: ImagePullBackOff}}\n");
    world.edit(deployment, sound, &broken);
    world.commit(&[("catalog/simple-survey/v1/resources/ingress.yaml", None)]);
    world.edit("apps/quarterly-feedback/app.yaml", "tier: sandbox", "tier: pilot");
    world.approve();
    for _ in 0..3 {
        let pass = reconciler.watch_pass(world.now()).await.unwrap();
        assert!(pass.diagnostics.iter().any(|found| found.rule == Rule::REMOVE_STAYS), "{:#?}", pass.diagnostics);
    }
    assert!(world.has_namespace("quarterly-feedback-pilot").await);
    assert!(world.has_namespace("quarterly-feedback-sandbox").await);

    world.edit(deployment, &broken, sound);
    world.approve();
    reconciler.pass(world.now()).await.unwrap();
    assert!(!world.has_namespace("quarterly-feedback-sandbox").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_branch_of_an_earlier_retirement_does_not_hide_a_later_one() {
    let mut world = World::of_the_sample().await;
    let mut reconciler = world.reconciler();
    reconciler.pass(world.now()).await.unwrap();
    world.days_pass(61);
    reconciler.pass(world.now()).await.unwrap();
    let deleted = |world: &World| -> BTreeSet<String> {
        let repository = world.repository();
        let head = repository.resolve("refs/heads/dayfly/retire/_expired/pilot").unwrap();
        repository.changes(head).unwrap().into_iter().map(|change| change.path).collect()
    };
    let first = deleted(&world);
    assert!(first.contains("apps/travel-approval/app.yaml") && !first.contains("apps/event-signup/app.yaml"));
    assert_eq!(reconciler.pass(world.now()).await.unwrap().writes, 0);
    world.days_pass(30);
    reconciler.pass(world.now()).await.unwrap();
    assert!(deleted(&world).contains("apps/event-signup/app.yaml"));
}
