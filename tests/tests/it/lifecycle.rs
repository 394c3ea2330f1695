//! The life of apps: deployment, change, approval, retirement. A repository, the embedded cluster, and the very passes that
//! production runs.

use std::collections::BTreeSet;

use dayfly_lifecycle::ledger::LedgerFact;
use dayfly_model::digest::Digest;
use dayfly_model::names::InstanceKey;
use dayfly_model::rule::Rule;
use dayfly_plan::plan::ChangeAction;
use dayfly_plan::status::Phase;
use dayfly_tests::fixtures::{change_owner, change_survey, deployed_sample};
use dayfly_tests::history::{head_of, oid};
use dayfly_tests::passes::{apps_in_phase, changed_apps, findings_of, status_of};
use dayfly_tests::platform::TestPlatform;
use git2::{ObjectType, Oid};
use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use serde_json::json;

/// The namespace of the app that most tests change.
const SURVEY: &str = "quarterly-feedback-sandbox";

/// The approval of one instance by itself.
fn approval(key: &str) -> LedgerFact {
    let InstanceKey { app, tier } = key.parse().unwrap();
    LedgerFact::Approval { app, tier, rendered: Digest::of(b"") }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_pass_deploys_the_sample_and_a_second_writes_nothing() {
    let platform = TestPlatform::sample().await;
    let mut reconciler = platform.reconciler();
    let first = reconciler.pass(platform.now()).await.unwrap();
    assert_eq!(first.diagnostics, [], "{:#?}", first.items);
    assert!(first.items.iter().all(|item| item.phase == Phase::Ready), "{:#?}", first.items);
    assert_eq!(first.retired.iter().map(|retired| retired.app.as_str()).collect::<Vec<_>>(), ["lunch-poll"]);
    assert!(!platform.has_namespace("lunch-poll-sandbox").await, "an expired app is not even started");

    let second = reconciler.pass(platform.now()).await.unwrap();
    assert_eq!((second.writes, second.calls, second.changes.len()), (0, 0, 0));

    let restarted = platform.fresh_pass().await;
    assert_eq!((restarted.writes, restarted.changes.len()), (0, 0));
    assert_eq!(restarted.items, second.items);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_changes_only_the_objects_of_its_app() {
    let (platform, mut reconciler) = deployed_sample().await;
    let revision = change_survey(&platform);
    let pass = reconciler.watch_pass(platform.now()).await.unwrap();
    assert_eq!((pass.renders, changed_apps(&pass)), (1, BTreeSet::from(["quarterly-feedback"])));
    assert!(pass.changes.iter().all(|change| change.action == ChangeAction::Update));
    assert_eq!(status_of(&pass, "quarterly-feedback").revision, Some(revision));
    let config = platform.objects("v1", "ConfigMap", SURVEY).await.get("quarterly-feedback").await.unwrap();
    assert!(config.data["data"]["survey.json"].as_str().unwrap().contains("And this quarter?"));
}

#[tokio::test(flavor = "multi_thread")]
async fn deleting_an_app_deletes_exactly_its_objects() {
    let platform = TestPlatform::sample().await;
    let mut reconciler = platform.reconciler();
    let first = reconciler.pass(platform.now()).await.unwrap();
    let objects = status_of(&first, "quarterly-feedback").objects;
    platform.commit(&[("apps/quarterly-feedback/", None)]);
    let pass = reconciler.pass(platform.now()).await.unwrap();
    assert_eq!(changed_apps(&pass), BTreeSet::from(["quarterly-feedback"]));
    assert_eq!(pass.changes.iter().filter(|change| change.action == ChangeAction::Delete).count(), objects);
    assert!(!platform.has_namespace(SURVEY).await);
    assert!(platform.has_namespace("go-links-production").await);
    assert_eq!(platform.fresh_pass().await.writes, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_by_hand_is_repaired_where_the_tier_says_so() {
    let (platform, mut reconciler) = deployed_sample().await;
    platform.scale_by_hand(SURVEY, "quarterly-feedback", 7).await;
    reconciler.cluster_changed().await;
    let pass = reconciler.watch_pass(platform.now()).await.unwrap();
    assert_eq!(changed_apps(&pass), BTreeSet::from(["quarterly-feedback"]));
    assert_eq!(platform.replicas(SURVEY, "quarterly-feedback").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_by_hand_is_reported_where_the_tier_says_so() {
    let platform = TestPlatform::sample().await;
    platform.edit("environments/sandbox/environment.yaml", "drift: repair", "drift: report");
    platform.approve();
    let mut reconciler = platform.reconciler();
    reconciler.pass(platform.now()).await.unwrap();
    platform.scale_by_hand(SURVEY, "quarterly-feedback", 7).await;
    reconciler.cluster_changed().await;
    let pass = reconciler.watch_pass(platform.now()).await.unwrap();
    assert_eq!(pass.writes, 0);
    let finding = pass.diagnostics.iter().find(|finding| finding.path.contains("Deployment")).unwrap();
    assert!(finding.message.contains("was changed in the cluster by"), "{finding}");
    assert_eq!(platform.replicas(SURVEY, "quarterly-feedback").await, 7);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_a_production_app_waits_for_approval() {
    let (platform, mut reconciler) = deployed_sample().await;
    platform.edit(
        "apps/go-links/app.yaml",
        "https://intranet.example.com/handbook",
        "https://elsewhere.example.com/handbook",
    );
    let held = reconciler.pass(platform.now()).await.unwrap();
    assert_eq!((status_of(&held, "go-links").phase, held.changes.len()), (Phase::Held, 0));
    let config = platform.objects("v1", "ConfigMap", "go-links-production").await;
    let live = serde_json::to_string(&config.get("go-links").await.unwrap()).unwrap();
    assert!(live.contains("intranet.example.com/handbook") && !live.contains("elsewhere"));

    platform.approve();
    let approved = reconciler.pass(platform.now()).await.unwrap();
    assert_eq!(status_of(&approved, "go-links").phase, Phase::Ready);
    let live = serde_json::to_string(&config.get("go-links").await.unwrap()).unwrap();
    assert!(live.contains("elsewhere.example.com/handbook"));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_app_can_be_approved_while_another_waits() {
    let (platform, mut reconciler) = deployed_sample().await;
    platform.edit("catalog/link-shortener/v1/resources/deployment.yaml", "cpu: 50m", "cpu: 60m");
    let approved = platform.edit("apps/travel-approval/app.yaml", "title: ", "title: Approved ");
    assert_eq!(
        apps_in_phase(&reconciler.pass(platform.now()).await.unwrap(), Phase::Held),
        ["go-links", "travel-approval"]
    );
    platform.record(approval("travel-approval.pilot"));
    let pass = reconciler.pass(platform.now()).await.unwrap();
    assert_eq!(
        (apps_in_phase(&pass, Phase::Held), changed_apps(&pass)),
        (vec!["go-links"], BTreeSet::from(["travel-approval"]))
    );
    assert_eq!(status_of(&pass, "travel-approval").revision, Some(approved));

    platform.edit("apps/travel-approval/app.yaml", "title: Approved ", "title: Another ");
    let mut restarted = platform.reconciler();
    let pass = restarted.pass(platform.now()).await.unwrap();
    assert_eq!((apps_in_phase(&pass, Phase::Held), pass.writes), (vec!["go-links", "travel-approval"], 0));
    assert_eq!(status_of(&pass, "travel-approval").revision, Some(approved), "what was approved runs on");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_ends_when_its_app_is_deleted() {
    let (platform, mut reconciler) = deployed_sample().await;
    let manifest = platform.read("apps/go-links/app.yaml");
    platform.commit(&[("apps/go-links/", None)]);
    reconciler.pass(platform.now()).await.unwrap();
    assert!(!platform.has_namespace("go-links-production").await);
    platform.commit(&[("apps/go-links/app.yaml", Some(&manifest))]);
    for mut reconciler in [reconciler, platform.reconciler()] {
        let pass = reconciler.pass(platform.now()).await.unwrap();
        assert_eq!((status_of(&pass, "go-links").phase, pass.writes), (Phase::Held, 0));
    }
    platform.record(approval("go-links.production"));
    platform.fresh_pass().await;
    assert!(platform.has_namespace("go-links-production").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_template_change_that_alters_a_production_app_waits_for_approval_too() {
    let (platform, mut reconciler) = deployed_sample().await;
    platform.edit("catalog/link-shortener/v1/resources/deployment.yaml", "cpu: 50m", "cpu: 60m");
    let pass = reconciler.pass(platform.now()).await.unwrap();
    assert_eq!((status_of(&pass, "go-links").phase, pass.changes.len()), (Phase::Held, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn only_approved_policies_count() {
    let (platform, mut reconciler) = deployed_sample().await;
    platform.commit(&[("policies/images.rego", None)]);
    platform.edit(
        "catalog/simple-survey/v1/resources/deployment.yaml",
        "registry.example.com/",
        "registry.corp.evil.com/",
    );
    let pass = reconciler.pass(platform.now()).await.unwrap();
    let survey = status_of(&pass, "quarterly-feedback");
    assert_eq!((survey.phase, pass.changes.len()), (Phase::Stalled, 0), "{}", survey.message);
    assert!(survey.message.contains("registry"), "{}", survey.message);
    assert!(!findings_of(&pass, "approval/control").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_app_is_retired_by_a_commit() {
    let (mut platform, mut reconciler) = deployed_sample().await;
    platform.days_pass(15);
    let pass = reconciler.pass(platform.now()).await.unwrap();
    assert_eq!(pass.retired.iter().map(|retired| retired.app.as_str()).collect::<Vec<_>>(), ["quarterly-feedback"]);
    assert_eq!(pass.retired[0].commit, platform.tip());
    assert!(!platform.has_namespace(SURVEY).await);
    let facts = platform.repository().facts(platform.tip()).unwrap();
    assert!(facts.message.contains("Dayfly-Action: retire\nDayfly-App: quarterly-feedback\n"), "{}", facts.message);
    assert_eq!(reconciler.pass(platform.now()).await.unwrap().writes, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_manifest_deletes_nothing_and_other_apps_go_on() {
    let (platform, mut reconciler) = deployed_sample().await;
    platform.commit(&[("apps/quarterly-feedback/app.yaml", Some("spec: [\n"))]);
    change_owner(&platform);
    let pass = reconciler.pass(platform.now()).await.unwrap();
    assert_eq!(status_of(&pass, "quarterly-feedback").phase, Phase::Stalled);
    assert_eq!(changed_apps(&pass), BTreeSet::from(["travel-approval"]), "the owner follows the tip without approval");
    assert!(platform.has_namespace(SURVEY).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn deleting_all_apps_at_once_does_nothing_until_a_person_confirms_it() {
    let (platform, mut reconciler) = deployed_sample().await;
    platform.commit(&[("apps/", None)]);
    let pass = reconciler.pass(platform.now()).await.unwrap();
    assert_eq!((pass.writes, pass.changes.len()), (0, 0));
    let finding = findings_of(&pass, "remove/stays")[0];
    assert_eq!(finding.help.as_deref(), Some("if all apps are meant to go, confirm it: dayfly retire --confirm"));

    platform.record(LedgerFact::Confirmation);
    let pass = reconciler.pass(platform.now()).await.unwrap();
    assert_eq!(changed_apps(&pass).len(), 5, "{:?}", pass.diagnostics);
    assert!(!platform.has_namespace("go-links-production").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_app_is_deleted_when_a_person_retires_it() {
    let platform = TestPlatform::sample().await;
    let mut reconciler = platform.reconciler();
    for app in ["apps/go-links/", "apps/travel-approval/", "apps/vendor-requests/", "apps/event-signup/"] {
        platform.commit(&[(app, None)]);
    }
    reconciler.pass(platform.now()).await.unwrap();
    platform.commit(&[("apps/quarterly-feedback/", None)]);
    assert_eq!(reconciler.pass(platform.now()).await.unwrap().changes.len(), 0);
    let (items, findings) = reconciler.status(platform.now()).await.unwrap();
    assert!(items.is_empty() && findings.iter().any(|finding| finding.rule == Rule::REMOVE_STAYS), "{findings:?}");
    platform.record(LedgerFact::Retirement { app: "quarterly-feedback".parse().unwrap() });
    reconciler.pass(platform.now()).await.unwrap();
    assert!(!platform.has_namespace(SURVEY).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_object_of_the_same_name_is_left_untouched() {
    let platform = TestPlatform::sample().await;
    let namespaces: Api<Namespace> = Api::all(platform.client().await);
    let foreign = serde_json::from_value(json!({"metadata": {"name": SURVEY}})).unwrap();
    namespaces.create(&Default::default(), &foreign).await.unwrap();
    let pass = platform.fresh_pass().await;
    let survey = status_of(&pass, "quarterly-feedback");
    assert_eq!(survey.phase, Phase::Stalled);
    assert!(survey.message.contains("exists and is not Dayfly's"), "{}", survey.message);
    let live = namespaces.get(SURVEY).await.unwrap();
    assert_eq!(live.metadata.labels.unwrap_or_default().get("app.kubernetes.io/managed-by"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_app_keeps_its_objects_and_is_resumed_by_updating_them() {
    let platform = TestPlatform::sample().await;
    let mut reconciler = platform.reconciler();
    let first = reconciler.pass(platform.now()).await.unwrap();
    assert_eq!(status_of(&first, "event-signup").health.as_str(), "Suspended");
    platform.edit("apps/event-signup/app.yaml", "suspend: true", "suspend: false");
    let pass = reconciler.pass(platform.now()).await.unwrap();
    assert_eq!(status_of(&pass, "event-signup").health.as_str(), "Healthy (simulated)");
    assert!(pass.changes.iter().all(|change| change.action == ChangeAction::Update));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_malformed_commit_stops_no_other_app() {
    let (platform, mut reconciler) = deployed_sample().await;
    let (git, tip) = (platform.git(), platform.tip());
    let before = git.find_commit(oid(tip)).unwrap().tree().unwrap();
    // A commit by an author without an address, with a submodule in place of a manifest; then one that removes it.
    let mut app = git.treebuilder(None).unwrap();
    app.insert("app.yaml", Oid::from_bytes(&[7; 20]).unwrap(), 0o160000).unwrap();
    let app = app.write().unwrap();
    let mut folder = git.treebuilder(Some(&git.find_tree(before.get_name("apps").unwrap().id()).unwrap())).unwrap();
    folder.insert("strange", app, 0o040000).unwrap();
    let mut root = git.treebuilder(Some(&before)).unwrap();
    root.insert("apps", folder.write().unwrap(), 0o040000).unwrap();
    let push = |tree: Oid, parent: String| {
        let text = format!("tree {tree}\nparent {parent}\nauthor nobody\ncommitter nobody\n\nstrange\n");
        let commit = git.odb().unwrap().write(ObjectType::Commit, text.as_bytes()).unwrap();
        git.reference(&platform.repository().tip().unwrap().branch, commit, true, "push").unwrap();
        commit.to_string()
    };
    let strange = push(root.write().unwrap(), tip.to_string());
    let pass = reconciler.pass(platform.now()).await.unwrap();
    assert_eq!((status_of(&pass, "strange").phase, pass.changes.len()), (Phase::Stalled, 0));
    push(before.id(), strange);
    assert_eq!(reconciler.pass(platform.now()).await.unwrap().diagnostics, []);
    assert_eq!(platform.fresh_pass().await.diagnostics, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retirement_that_cannot_be_committed_stops_no_other() {
    let (mut platform, mut reconciler) = deployed_sample().await;
    // No branch can be made below a branch.
    platform.git().reference("refs/heads/dayfly/retire/_expired", oid(platform.tip()), false, "in the way").unwrap();
    platform.days_pass(60);
    let pass = reconciler.pass(platform.now()).await.unwrap();
    assert!(!findings_of(&pass, "retire/waits").is_empty(), "{:#?}", pass.diagnostics);
    assert!(!pass.retired.is_empty(), "the sandbox's apps are retired");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_that_moves_leaves_its_old_tier_only_once_it_is_healthy_in_the_new_one() {
    let (platform, mut reconciler) = deployed_sample().await;
    let deployment = "catalog/simple-survey/v1/resources/deployment.yaml";
    let sound = "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n";
    let broken = format!("{sound}  annotations: {{local.dayfly.dev/fail: ImagePullBackOff}}\n");
    platform.edit(deployment, sound, &broken);
    platform.commit(&[("catalog/simple-survey/v1/resources/ingress.yaml", None)]);
    platform.edit("apps/quarterly-feedback/app.yaml", "tier: sandbox", "tier: pilot");
    platform.approve();
    for _ in 0..3 {
        let pass = reconciler.watch_pass(platform.now()).await.unwrap();
        assert!(!findings_of(&pass, "remove/stays").is_empty(), "{:#?}", pass.diagnostics);
    }
    assert!(platform.has_namespace("quarterly-feedback-pilot").await);
    assert!(platform.has_namespace(SURVEY).await);

    platform.edit(deployment, &broken, sound);
    platform.approve();
    reconciler.pass(platform.now()).await.unwrap();
    assert!(!platform.has_namespace(SURVEY).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_branch_of_an_earlier_retirement_does_not_hide_a_later_one() {
    let (mut platform, mut reconciler) = deployed_sample().await;
    platform.days_pass(61);
    reconciler.pass(platform.now()).await.unwrap();
    let deleted = |platform: &TestPlatform| -> BTreeSet<String> {
        let head = head_of(platform, "refs/heads/dayfly/retire/_expired/pilot");
        platform.repository().changes(head).unwrap().into_iter().map(|change| change.path).collect()
    };
    let first = deleted(&platform);
    assert!(first.contains("apps/travel-approval/app.yaml") && !first.contains("apps/event-signup/app.yaml"));
    assert_eq!(reconciler.pass(platform.now()).await.unwrap().writes, 0);
    platform.days_pass(30);
    reconciler.pass(platform.now()).await.unwrap();
    assert!(deleted(&platform).contains("apps/event-signup/app.yaml"));
}
