//! Inputs that are not to be trusted: histories that were rewritten, merges that swap their parents, ledgers cut short,
//! kubeconfigs that lead elsewhere. Everything is left as it is, and reported.

use std::collections::BTreeSet;
use std::fs;

use dayfly_controller::Reconciler;
use dayfly_git::{LEDGER, MAIN};
use dayfly_lifecycle::ledger::LedgerFact;
use dayfly_plan::status::Phase;
use dayfly_tests::fixtures::{change_owner, change_survey, deployed_sample};
use dayfly_tests::history::{force, head_of, merge, object_file, oid};
use dayfly_tests::passes::{changed_apps, findings_of, status_of};
use dayfly_tests::platform::TestPlatform;
use git2::{ObjectType, Oid};
use tokio::net::TcpListener;

/// Why a pass is refused.
async fn refused(reconciler: &mut Reconciler, platform: &TestPlatform) -> String {
    reconciler.pass(platform.now()).await.unwrap_err().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rewritten_history_pauses_everything() {
    let platform = TestPlatform::sample().await;
    let first = platform.tip();
    let mut reconciler = platform.reconciler();
    reconciler.pass(platform.now()).await.unwrap();
    change_survey(&platform);
    reconciler.pass(platform.now()).await.unwrap();
    force(&platform, MAIN, first);
    platform.commit(&[("apps/quarterly-feedback/", None)]);
    let error = refused(&mut reconciler, &platform).await;
    assert!(error.starts_with("the history of main was rewritten"), "{error}");
    assert!(platform.has_namespace("quarterly-feedback-sandbox").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merge_with_the_commits_of_dayfly_as_second_parent_is_no_rewritten_history() {
    let platform = TestPlatform::sample().await;
    let mine = platform.tip();
    let mut reconciler = platform.reconciler();
    // The pass retires lunch-poll by a commit of its own; a person pulls that into theirs and pushes the merge.
    let first = reconciler.pass(platform.now()).await.unwrap();
    force(&platform, MAIN, merge(&platform, [mine, first.revision], first.revision));
    let pass = reconciler.pass(platform.now()).await.unwrap();
    assert_eq!((pass.writes, pass.changes.len()), (0, 0));
    assert_eq!(platform.fresh_pass().await.writes, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_back_to_the_baseline_is_a_rewritten_history_and_pauses_everything_until_the_tip_is_approved() {
    let (platform, mut reconciler) = deployed_sample().await;
    platform.approve();
    let baseline = platform.tip();
    change_survey(&platform);
    reconciler.pass(platform.now()).await.unwrap();
    force(&platform, MAIN, baseline);
    let error = refused(&mut reconciler, &platform).await;
    assert!(error.starts_with("the history of main was rewritten"), "{error}");

    // One app cannot be read, so its inventory still names the lost commit when the next commits come.
    platform.commit(&[("apps/quarterly-feedback/app.yaml", Some("spec: [\n"))]);
    platform.approve();
    change_owner(&platform);
    for mut reconciler in [reconciler, platform.reconciler()] {
        let pass = reconciler.pass(platform.now()).await.unwrap();
        assert_eq!(status_of(&pass, "quarterly-feedback").phase, Phase::Stalled);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_that_lost_a_record_pauses_everything() {
    let platform = TestPlatform::sample().await;
    let before = head_of(&platform, LEDGER);
    platform.edit("environments/production/environment.yaml", "perApp: 150", "perApp: 100");
    platform.approve();
    let mut reconciler = platform.reconciler();
    reconciler.pass(platform.now()).await.unwrap();
    force(&platform, LEDGER, before);
    let error = refused(&mut reconciler, &platform).await;
    assert!(error.starts_with("dayfly-ledger: records that stood there are gone"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_repository_pauses_everything_until_it_is_repaired() {
    let (platform, mut reconciler) = deployed_sample().await;
    platform.commit(&[("apps/quarterly-feedback/", None)]);
    change_owner(&platform);
    let id = Oid::hash_object(ObjectType::Blob, platform.read("apps/travel-approval/app.yaml").as_bytes());
    let object = object_file(&platform, id.unwrap());
    let bytes = fs::read(&object).unwrap();
    fs::remove_file(&object).unwrap();
    for rubbish in [None, Some(&bytes[..bytes.len() / 2]), Some(b"rubbish")] {
        rubbish.iter().for_each(|rubbish| fs::write(&object, rubbish).unwrap());
        for reconciler in [&mut reconciler, &mut platform.reconciler()] {
            let error = reconciler.pass(platform.now()).await.unwrap_err();
            let help = error.help().unwrap_or_default();
            assert!(help.contains("brings back what a clone has whole"), "{error}: {help}");
        }
    }
    assert!(platform.has_namespace("quarterly-feedback-sandbox").await);
    fs::write(&object, &bytes).unwrap();
    let pass = reconciler.pass(platform.now()).await.unwrap();
    assert_eq!(changed_apps(&pass), BTreeSet::from(["quarterly-feedback", "travel-approval"]));
    assert!(!platform.has_namespace("quarterly-feedback-sandbox").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renamed_default_branch_pauses_everything_until_head_names_the_new_one() {
    let (platform, mut reconciler) = deployed_sample().await;
    let git = platform.git();
    git.find_reference(MAIN).unwrap().rename("refs/heads/trunk", false, "renamed").unwrap();
    git.set_head(MAIN).unwrap();
    for reconciler in [&mut reconciler, &mut platform.reconciler()] {
        let error = refused(reconciler, &platform).await;
        assert!(error.ends_with("the default branch main is not there any more; there is trunk"), "{error}");
    }
    git.set_head("refs/heads/trunk").unwrap();
    let pass = reconciler.pass(platform.now()).await.unwrap();
    assert_eq!((pass.writes, pass.changes.len()), (0, 0));
    assert_eq!(platform.fresh_pass().await.writes, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merge_that_swaps_its_parents_revives_no_approval_that_ended() {
    let platform = TestPlatform::sample().await;
    let (mut reconciler, before) = (platform.reconciler(), platform.tip());
    reconciler.pass(platform.now()).await.unwrap();
    platform.commit(&[("apps/go-links/", None)]);
    reconciler.pass(platform.now()).await.unwrap();
    assert!(!platform.has_namespace("go-links-production").await);

    // Somebody commits on top of the commit before, and merges the line that deleted the app as the second parent.
    let main = platform.tip();
    force(&platform, MAIN, before);
    let mine = change_owner(&platform);
    force(&platform, MAIN, merge(&platform, [mine, main], mine));
    for reconciler in [&mut reconciler, &mut platform.reconciler()] {
        let pass = reconciler.pass(platform.now()).await.unwrap();
        assert_eq!(status_of(&pass, "go-links").phase, Phase::Held, "{:#?}", pass.items);
        assert!(!platform.has_namespace("go-links-production").await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merge_of_which_one_line_could_not_be_read_at_first_revives_no_approval_that_another_line_ended() {
    let platform = TestPlatform::sample().await;
    let (mut reconciler, before) = (platform.reconciler(), platform.tip());
    reconciler.pass(platform.now()).await.unwrap();
    let deleted = platform.commit(&[("apps/go-links/", None)]);
    force(&platform, MAIN, before);
    let mine = change_owner(&platform);
    force(&platform, MAIN, before);
    let unreadable = change_survey(&platform);
    force(&platform, MAIN, merge(&platform, [mine, deleted, unreadable], mine));

    let object = object_file(&platform, oid(unreadable));
    let bytes = fs::read(&object).unwrap();
    fs::remove_file(&object).unwrap();
    refused(&mut reconciler, &platform).await;
    fs::write(&object, bytes).unwrap();
    let pass = reconciler.pass(platform.now()).await.unwrap();
    assert_eq!(status_of(&pass, "go-links").phase, Phase::Held, "{:#?}", pass.items);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_process_refuses_a_ledger_that_was_reset_to_an_earlier_record() {
    let platform = TestPlatform::sample().await;
    let before = head_of(&platform, LEDGER);
    platform.edit("policies/images.rego", "registry.example.com", "registry.example.org");
    platform.edit("apps/go-links/app.yaml", "owner: ines@example.com", "owner: iris@example.com");
    platform.approve();
    platform.fresh_pass().await;
    platform.edit("catalog/simple-survey/v1/resources/deployment.yaml", "registry.example.com", "registry.example.org");
    platform.edit(
        "catalog/link-shortener/v1/resources/deployment.yaml",
        "registry.example.com",
        "registry.example.org",
    );
    platform.approve();
    platform.fresh_pass().await;
    force(&platform, LEDGER, before);
    let error = refused(&mut platform.reconciler(), &platform).await;
    assert!(error.starts_with("dayfly-ledger: records that stood there are gone"), "{error}");
    platform.approve();
    assert!(platform.reconciler().pass(platform.now()).await.is_ok(), "who approves a later commit has looked at it");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_retired_on_a_history_that_was_rewritten() {
    let (mut platform, mut reconciler) = deployed_sample().await;
    let first = platform.tip();
    platform.days_pass(10);
    platform.edit("apps/quarterly-feedback/app.yaml", "  ttl: 14d", "  ttl: 14d\n  renewed: 2026-03-12");
    reconciler.pass(platform.now()).await.unwrap();
    // The renewal changes nothing that runs; without it the app is due.
    platform.days_pass(10);
    force(&platform, MAIN, first);
    let error = refused(&mut reconciler, &platform).await;
    assert!(error.contains("which is where it stood before"), "{error}");
    assert_eq!(platform.tip(), first, "nothing was committed");
    assert!(platform.has_namespace("quarterly-feedback-sandbox").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_process_knows_which_commits_an_earlier_one_acted_upon() {
    let platform = TestPlatform::sample().await;
    let memory = platform.home().state().join("elsewhere/lifecycle.json");
    let reconciler = || platform.reconciler().at_stated_times(false).remembering(memory.clone());
    let first = platform.tip();
    platform.edit("apps/travel-approval/app.yaml", "purpose: Try", "purpose: Really try");
    platform.approve();
    reconciler().pass(platform.now()).await.unwrap();
    let tip = platform.edit("apps/quarterly-feedback/app.yaml", "purpose: Ask", "purpose: Really ask");
    reconciler().pass(platform.now()).await.unwrap();
    force(&platform, MAIN, first);
    assert!(refused(&mut reconciler(), &platform).await.contains("was rewritten"));
    force(&platform, MAIN, tip);
    assert!(reconciler().pass(platform.now()).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_memory_file_that_cannot_be_written_is_reported_and_stops_nothing() {
    let platform = TestPlatform::sample().await;
    let folder = platform.home().state().join("a-file");
    fs::write(&folder, "").unwrap();
    let mut reconciler = platform.reconciler().at_stated_times(false).remembering(folder.join("lifecycle.json"));
    let pass = reconciler.pass(platform.now()).await.unwrap();
    assert!(pass.items.iter().all(|item| item.phase == Phase::Ready), "{:#?}", pass.items);
    let rules: Vec<_> = pass.diagnostics.iter().map(|finding| finding.rule.id()).collect();
    assert_eq!(rules, ["retire/memory"], "{:#?}", pass.diagnostics);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kubeconfig_that_leads_to_another_cluster_deletes_nothing() {
    let (platform, _running) = deployed_sample().await;
    let _elsewhere = platform.start_another_cluster("elsewhere").await;
    platform.remove_context("pilot");
    platform.rename_context("elsewhere", "pilot");
    let pass = platform.fresh_pass().await;
    assert!(platform.has_namespace("travel-approval-pilot").await, "{:#?}", pass.diagnostics);
    let why = "pilot is on another cluster than before, and no approved commit moved it away from ";
    assert!(pass.diagnostics.iter().any(|finding| finding.message.starts_with(why)), "{:#?}", pass.diagnostics);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_that_a_rewritten_history_never_had_is_deleted_once_a_person_confirms_the_tip() {
    let platform = TestPlatform::sample().await;
    let first = platform.tip();
    let survey = platform.read("apps/quarterly-feedback/app.yaml").replace("quarterly-feedback", "extra");
    platform.commit(&[("apps/extra/app.yaml", Some(&survey))]);
    platform.fresh_pass().await;
    force(&platform, MAIN, first);
    change_owner(&platform);
    assert!(refused(&mut platform.reconciler(), &platform).await.contains("was rewritten"));
    platform.approve();
    let pass = platform.fresh_pass().await;
    assert!(platform.has_namespace("extra-sandbox").await);
    let finding = findings_of(&pass, "remove/stays")[0];
    assert!(finding.help.as_ref().is_some_and(|help| help.ends_with("dayfly retire --confirm")), "{finding:?}");
    platform.record(LedgerFact::Confirmation);
    platform.fresh_pass().await;
    assert!(!platform.has_namespace("extra-sandbox").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn merging_a_branch_that_was_brought_up_to_date_ends_no_approval() {
    let platform = TestPlatform::sample().await;
    let (mut reconciler, first) = (platform.reconciler(), platform.tip());
    let links = platform.read("apps/go-links/app.yaml");
    let feature = change_owner(&platform);
    force(&platform, MAIN, first);
    let deleted = platform.commit(&[("apps/go-links/", None)]);
    let updated = merge(&platform, [feature, deleted], deleted);
    let restored = platform.commit(&[("apps/go-links/app.yaml", Some(&links))]);
    platform.approve();
    let first = reconciler.pass(platform.now()).await.unwrap();
    assert_eq!(status_of(&first, "go-links").phase, Phase::Ready);

    let tip = platform.tip();
    force(&platform, MAIN, merge(&platform, [tip, updated], tip));
    for reconciler in [&mut reconciler, &mut platform.reconciler()] {
        let pass = reconciler.pass(platform.now()).await.unwrap();
        assert_eq!(status_of(&pass, "go-links").phase, Phase::Ready, "{restored}: {:#?}", pass.items);
        assert_eq!(pass.writes, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tier_whose_context_leads_to_another_cluster_after_an_outage_is_deployed_there() {
    let (platform, mut reconciler) = deployed_sample().await;
    let _elsewhere = platform.start_another_cluster("elsewhere").await;
    let silent = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    platform.point_context_at("pilot", silent.local_addr().unwrap());
    let pass = reconciler.watch_pass(platform.now()).await.unwrap();
    assert!(pass.is_unfinished(), "it is probed again");
    assert_eq!(status_of(&pass, "travel-approval").health.as_str(), "Missing");
    platform.remove_context("pilot");
    platform.rename_context("elsewhere", "pilot");
    let pass = reconciler.pass(platform.now()).await.unwrap();
    assert_eq!(status_of(&pass, "travel-approval").phase, Phase::Ready, "{:#?}", pass.items);
    assert!(platform.has_namespace_on("pilot", "travel-approval-pilot").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_key_that_approves_a_later_commit_replaces_what_the_lost_key_signed() {
    let mut platform = TestPlatform::sample().await;
    let memory = platform.home().state().join("lifecycle.json");
    let reconciler = |platform: &TestPlatform| platform.reconciler().at_stated_times(false).remembering(memory.clone());
    reconciler(&platform).pass(platform.now()).await.unwrap();
    change_owner(&platform);
    platform.replace_signing_key();
    platform.approve();
    let pass = reconciler(&platform).pass(platform.now()).await.unwrap();
    assert!(pass.items.iter().all(|item| item.phase == Phase::Ready), "{:#?}", pass.items);
}
