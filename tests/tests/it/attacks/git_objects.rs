//! Git says only what its ids say: neither references nor files beside the objects put others in their place.

use std::fs;

use dayfly_git::{LEDGER, MAIN};
use dayfly_model::digest::{ObjectId, Revision};
use dayfly_plan::status::{Phase, Status};
use dayfly_tests::fixtures::{change_survey, deployed_sample};
use dayfly_tests::history::{force, head_of, oid};
use dayfly_tests::passes::{changed_apps, findings_of, status_of};
use dayfly_tests::platform::TestPlatform;
use git2::Oid;

const LINKS: &str = "catalog/link-shortener/v1/resources/deployment.yaml";

/// Says that git shall show another object in the place of one.
fn replace(platform: &TestPlatform, object: Oid, other: Oid) {
    platform.git().reference(&format!("refs/replace/{object}"), other, true, "replaced").unwrap();
}

/// The tip's blob of a file.
fn blob(platform: &TestPlatform, path: &str) -> Oid {
    let id: ObjectId = platform.repository().file_id(platform.tip(), path).unwrap().unwrap();
    oid(id)
}

/// Puts a changed file in the place of one of the tip's.
fn replace_in_file(platform: &TestPlatform, path: &str, from: &str, to: &str) {
    let text = platform.read(path);
    assert!(text.contains(from), "{path} has no {from:?}");
    let other = platform.git().blob(text.replace(from, to).as_bytes()).unwrap();
    replace(platform, blob(platform, path), other);
}

/// The root tree of a commit.
fn tree(platform: &TestPlatform, commit: Revision) -> Oid {
    platform.git().find_commit(oid(commit)).unwrap().tree_id()
}

/// A new process finds nothing to do, and every app as it was; the replacement is reported.
async fn nothing_changes(platform: &TestPlatform, before: &[Status]) {
    let pass = platform.fresh_pass().await;
    assert_eq!((pass.writes, pass.changes.len()), (0, 0), "{:#?}", pass.changes);
    assert_eq!(pass.items, before);
    let finding = findings_of(&pass, "git/replaced")[0].to_string();
    assert!(finding.starts_with("refs/replace/: 1 of git's objects"), "{finding}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replaced_blob_puts_no_other_image_into_production() {
    let (platform, mut reconciler) = deployed_sample().await;
    let before = reconciler.pass(platform.now()).await.unwrap();
    replace_in_file(&platform, LINKS, "registry.example.com", "registry.example.org");
    nothing_changes(&platform, &before.items).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replaced_tree_deletes_no_app() {
    let (platform, mut reconciler) = deployed_sample().await;
    let before = reconciler.pass(platform.now()).await.unwrap();
    let tip = platform.tip();
    let without = platform.commit(&[("apps/quarterly-feedback/", None)]);
    force(&platform, MAIN, tip);
    replace(&platform, tree(&platform, tip), tree(&platform, without));
    nothing_changes(&platform, &before.items).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replaced_commit_changes_neither_files_nor_dates() {
    let (mut platform, mut reconciler) = deployed_sample().await;
    let before = reconciler.pass(platform.now()).await.unwrap();
    let tip = platform.tip();
    platform.days_pass(3);
    let later = change_survey(&platform);
    force(&platform, MAIN, tip);
    platform.days_pass(-3);
    replace(&platform, oid(tip), oid(later));
    nothing_changes(&platform, &before.items).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replaced_policy_admits_no_image_of_another_registry() {
    let (platform, _) = deployed_sample().await;
    replace_in_file(&platform, "policies/images.rego", "registry.example.com", "registry.example.org");
    platform.edit("catalog/simple-survey/v1/resources/deployment.yaml", "registry.example.com", "registry.example.org");
    let pass = platform.fresh_pass().await;
    let status = status_of(&pass, "quarterly-feedback");
    assert_eq!(status.phase, Phase::Stalled);
    assert!(status.message.starts_with("policy forbids it"), "{}", status.message);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replaced_ledger_approves_nothing() {
    let (platform, _) = deployed_sample().await;
    let unapproved = head_of(&platform, LEDGER);
    platform.edit("apps/go-links/app.yaml", "ttl: 180d", "ttl: 90d");
    let before = platform.fresh_pass().await;
    platform.approve();
    let approved = head_of(&platform, LEDGER);
    force(&platform, LEDGER, unapproved);
    replace(&platform, oid(unapproved), oid(approved));
    let pass = platform.fresh_pass().await;
    assert_eq!(pass.items, before.items);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_repositorys_own_configuration_switches_no_replacement_on() {
    let (platform, mut reconciler) = deployed_sample().await;
    let before = reconciler.pass(platform.now()).await.unwrap();
    let git = platform.git();
    let mut config = git.config().unwrap();
    config.set_bool("core.useReplaceRefs", true).unwrap();
    config.set_str("gitoxide.objects.replaceRefBase", "refs/heads/other/").unwrap();
    let other = git.blob(platform.read(LINKS).replace("example.com", "example.org").as_bytes()).unwrap();
    git.reference(&format!("refs/heads/other/{}", blob(&platform, LINKS)), other, true, "replaced").unwrap();
    let pass = platform.fresh_pass().await;
    assert_eq!((pass.writes, &pass.items), (0, &before.items));
}

#[tokio::test(flavor = "multi_thread")]
async fn grafts_give_no_commit_other_parents() {
    let (mut platform, _) = deployed_sample().await;
    platform.days_pass(5);
    platform.edit("apps/quarterly-feedback/app.yaml", "How was", "What about");
    let before = platform.fresh_pass().await;
    let info = platform.repository().path().join("info");
    fs::create_dir_all(&info).unwrap();
    fs::write(info.join("grafts"), format!("{}\n", platform.tip())).unwrap();
    let pass = platform.fresh_pass().await;
    assert_eq!((pass.writes, &pass.items), (0, &before.items));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ordinary_commit_goes_live_beside_a_replacement_that_is_ignored() {
    let (platform, _) = deployed_sample().await;
    replace_in_file(&platform, LINKS, "registry.example.com", "registry.example.org");
    change_survey(&platform);
    let pass = platform.fresh_pass().await;
    assert_eq!(changed_apps(&pass).into_iter().collect::<Vec<_>>(), ["quarterly-feedback"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_that_borrows_its_objects_is_read_as_any_other() {
    let (platform, _) = deployed_sample().await;
    let objects = platform.repository().path().join("objects");
    let elsewhere = platform.home().state().join("elsewhere");
    fs::rename(&objects, &elsewhere).unwrap();
    fs::create_dir_all(objects.join("info")).unwrap();
    fs::write(objects.join("info/alternates"), format!("{}\n", elsewhere.display())).unwrap();
    change_survey(&platform);
    let pass = platform.fresh_pass().await;
    assert_eq!(changed_apps(&pass).into_iter().collect::<Vec<_>>(), ["quarterly-feedback"]);
}
