//! What is not to be trusted: histories that were rewritten, lines that a merge swapped, ledgers cut short, kubeconfigs that
//! lead elsewhere. Everything stays as it is, and is told.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails loudly")]

use std::collections::BTreeSet;

use dayfly_controller::{Pass, Reconciler};
use dayfly_lifecycle::ledger::LedgerFact;
use dayfly_model::digest::Revision;
use dayfly_model::rule::Rule;
use dayfly_plan::status::Phase;
use dayfly_tests::apps::item;
use dayfly_tests::world::World;

fn apps(pass: &Pass) -> BTreeSet<&str> {
    pass.changes.iter().map(|change| change.app.as_str()).collect()
}

fn git(world: &World) -> git2::Repository {
    git2::Repository::open(world.repository().path()).unwrap()
}

fn oid(revision: Revision) -> git2::Oid {
    git2::Oid::from_bytes(revision.as_bytes()).unwrap()
}

/// Moves a branch to a commit, whatever it had.
fn force(world: &World, branch: &str, to: Revision) {
    git(world).reference(branch, oid(to), true, "forced").unwrap();
}

/// A merge of two lines, the first one first, with the files of one of them.
fn merge(world: &World, lines: [Revision; 2], files: Revision) -> Revision {
    let git = git(world);
    let [ours, theirs, files] = [lines[0], lines[1], files].map(|id| git.find_commit(oid(id)).unwrap());
    let now = git2::Time::new(world.now().as_second(), 0);
    let by = git2::Signature::new("A person", "person@example.com", &now).unwrap();
    let merge = git.commit(None, &by, &by, "merge", &files.tree().unwrap(), &[&ours, &theirs]).unwrap();
    merge.to_string().parse().unwrap()
}

async fn refused(reconciler: &mut Reconciler, world: &World) -> String {
    reconciler.pass(world.now()).await.unwrap_err().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rewritten_history_pauses_everything() {
    let world = World::of_the_sample().await;
    let first = world.tip();
    let mut reconciler = world.reconciler();
    reconciler.pass(world.now()).await.unwrap();
    world.edit("apps/quarterly-feedback/app.yaml", "How was your quarter?", "And this quarter?");
    reconciler.pass(world.now()).await.unwrap();
    let git = git(&world);
    let first = git2::Oid::from_bytes(first.as_bytes()).unwrap();
    git.reference(&world.repository().tip().unwrap().branch, first, true, "rewritten").unwrap();
    world.commit(&[("apps/quarterly-feedback/", None)]);
    let error = reconciler.pass(world.now()).await.unwrap_err();
    assert!(error.to_string().starts_with("the history of main was rewritten"), "{error}");
    assert!(world.has_namespace("quarterly-feedback-sandbox").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merge_that_makes_the_platform_s_line_the_second_parent_is_no_rewrite() {
    let world = World::of_the_sample().await;
    let mine = world.tip();
    let mut reconciler = world.reconciler();
    // The pass retires lunch-poll by a commit of its own; a person pulls that into theirs and pushes the merge.
    let first = reconciler.pass(world.now()).await.unwrap();
    force(&world, "refs/heads/main", merge(&world, [mine, first.revision], first.revision));
    let pass = reconciler.pass(world.now()).await.unwrap();
    assert_eq!((pass.writes, pass.changes.len()), (0, 0));
    assert_eq!(world.reconciler().pass(world.now()).await.unwrap().writes, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_back_to_the_baseline_is_a_rewrite_and_approving_what_came_of_one_ends_the_pause() {
    let world = World::of_the_sample().await;
    let mut reconciler = world.reconciler();
    reconciler.pass(world.now()).await.unwrap();
    world.approve();
    let baseline = git2::Oid::from_bytes(world.tip().as_bytes()).unwrap();
    world.edit("apps/quarterly-feedback/app.yaml", "How was your quarter?", "And this quarter?");
    reconciler.pass(world.now()).await.unwrap();
    let git = git(&world);
    git.reference(&world.repository().tip().unwrap().branch, baseline, true, "rewritten").unwrap();
    let error = reconciler.pass(world.now()).await.unwrap_err();
    assert!(error.to_string().starts_with("the history of main was rewritten"), "{error}");

    // One app cannot be read, so its inventory still names the lost commit when the next commits come.
    world.commit(&[("apps/quarterly-feedback/app.yaml", Some("spec: [\n"))]);
    world.approve();
    world.edit("apps/travel-approval/app.yaml", "owner: theo@example.com", "owner: tess@example.com");
    for mut reconciler in [reconciler, world.reconciler()] {
        let pass = reconciler.pass(world.now()).await.unwrap();
        assert_eq!(item(&pass, "quarterly-feedback").phase, Phase::Stalled);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_that_lost_a_record_pauses_everything() {
    let world = World::of_the_sample().await;
    let git = git(&world);
    let ledger = || git.refname_to_id("refs/heads/dayfly-ledger").unwrap();
    let before = ledger();
    world.edit("environments/production/environment.yaml", "perApp: 150", "perApp: 100");
    world.approve();
    let mut reconciler = world.reconciler();
    reconciler.pass(world.now()).await.unwrap();
    git.reference("refs/heads/dayfly-ledger", before, true, "rewritten").unwrap();
    let error = reconciler.pass(world.now()).await.unwrap_err();
    assert!(error.to_string().starts_with("dayfly-ledger: records that stood there are gone"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_repository_pauses_everything_until_it_is_whole() {
    let world = World::of_the_sample().await;
    let mut reconciler = world.reconciler();
    reconciler.pass(world.now()).await.unwrap();
    world.commit(&[("apps/quarterly-feedback/", None)]);
    world.edit("apps/travel-approval/app.yaml", "owner: theo@example.com", "owner: tess@example.com");
    let id = git2::Oid::hash_object(git2::ObjectType::Blob, world.read("apps/travel-approval/app.yaml").as_bytes());
    let id = id.unwrap().to_string();
    let object = world.repository().path().join("objects").join(&id[..2]).join(&id[2..]);
    let bytes = std::fs::read(&object).unwrap();
    std::fs::remove_file(&object).unwrap();
    for rubbish in [None, Some(&bytes[..bytes.len() / 2]), Some(b"rubbish")] {
        rubbish.iter().for_each(|rubbish| std::fs::write(&object, rubbish).unwrap());
        for reconciler in [&mut reconciler, &mut world.reconciler()] {
            let error = reconciler.pass(world.now()).await.unwrap_err();
            let help = error.help().unwrap_or_default();
            assert!(help.contains("brings back what a clone has whole"), "{error}: {help}");
        }
    }
    assert!(world.has_namespace("quarterly-feedback-sandbox").await);
    std::fs::write(&object, &bytes).unwrap();
    let pass = reconciler.pass(world.now()).await.unwrap();
    assert_eq!(apps(&pass), BTreeSet::from(["quarterly-feedback", "travel-approval"]));
    assert!(!world.has_namespace("quarterly-feedback-sandbox").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_default_branch_that_is_renamed_pauses_everything_until_the_new_one_is_named() {
    let world = World::of_the_sample().await;
    let mut reconciler = world.reconciler();
    reconciler.pass(world.now()).await.unwrap();
    let git = git(&world);
    git.find_reference("refs/heads/main").unwrap().rename("refs/heads/trunk", false, "renamed").unwrap();
    git.set_head("refs/heads/main").unwrap();
    for reconciler in [&mut reconciler, &mut world.reconciler()] {
        let error = reconciler.pass(world.now()).await.unwrap_err().to_string();
        assert!(error.ends_with("the default branch main is not there any more; there is trunk"), "{error}");
    }
    git.set_head("refs/heads/trunk").unwrap();
    let pass = reconciler.pass(world.now()).await.unwrap();
    assert_eq!((pass.writes, pass.changes.len()), (0, 0));
    assert_eq!(world.reconciler().pass(world.now()).await.unwrap().writes, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merge_that_swaps_lines_revives_no_approval_that_ended() {
    let world = World::of_the_sample().await;
    let (mut reconciler, before) = (world.reconciler(), world.tip());
    reconciler.pass(world.now()).await.unwrap();
    world.commit(&[("apps/go-links/", None)]);
    reconciler.pass(world.now()).await.unwrap();
    assert!(!world.has_namespace("go-links-production").await);

    // Somebody goes on from before, and merges the line on which the app was deleted as the second parent.
    let main = world.tip();
    force(&world, "refs/heads/main", before);
    let mine = world.edit("apps/travel-approval/app.yaml", "owner: theo@example.com", "owner: tess@example.com");
    force(&world, "refs/heads/main", merge(&world, [mine, main], mine));
    for reconciler in [&mut reconciler, &mut world.reconciler()] {
        let pass = reconciler.pass(world.now()).await.unwrap();
        assert_eq!(item(&pass, "go-links").phase, Phase::Held, "{:#?}", pass.items);
        assert!(!world.has_namespace("go-links-production").await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_that_is_put_back_to_an_earlier_record_is_refused_by_whoever_begins_now() {
    let world = World::of_the_sample().await;
    let before = git(&world).refname_to_id("refs/heads/dayfly-ledger").unwrap();
    world.edit("policies/images.rego", "registry.example.com", "registry.example.org");
    world.edit("apps/go-links/app.yaml", "owner: ines@example.com", "owner: iris@example.com");
    world.approve();
    world.reconciler().pass(world.now()).await.unwrap();
    world.edit("catalog/simple-survey/v1/resources/deployment.yaml", "registry.example.com", "registry.example.org");
    world.edit("catalog/link-shortener/v1/resources/deployment.yaml", "registry.example.com", "registry.example.org");
    world.approve();
    world.reconciler().pass(world.now()).await.unwrap();
    git(&world).reference("refs/heads/dayfly-ledger", before, true, "forced").unwrap();
    let error = refused(&mut world.reconciler(), &world).await;
    assert!(error.starts_with("dayfly-ledger: records that stood there are gone"), "{error}");
    world.approve();
    assert!(world.reconciler().pass(world.now()).await.is_ok(), "who approves a later commit has looked at it");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_retired_on_a_history_that_was_rewritten() {
    let mut world = World::of_the_sample().await;
    let mut reconciler = world.reconciler();
    reconciler.pass(world.now()).await.unwrap();
    let first = world.tip();
    world.days_pass(10);
    world.edit("apps/quarterly-feedback/app.yaml", "  ttl: 14d", "  ttl: 14d\n  renewed: 2026-03-12");
    reconciler.pass(world.now()).await.unwrap();
    // The renewal changes nothing that runs; without it the app is due.
    world.days_pass(10);
    force(&world, "refs/heads/main", first);
    let error = refused(&mut reconciler, &world).await;
    assert!(error.contains("which is where it stood before"), "{error}");
    assert_eq!(world.tip(), first, "nothing was committed");
    assert!(world.has_namespace("quarterly-feedback-sandbox").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_process_went_by_is_known_to_the_next() {
    let world = World::of_the_sample().await;
    let memory = world.home().state().join("elsewhere/lifecycle.json");
    let reconciler = || world.reconciler().at_stated_times(false).remembering(memory.clone());
    let first = world.tip();
    world.edit("apps/travel-approval/app.yaml", "purpose: Try", "purpose: Really try");
    world.approve();
    reconciler().pass(world.now()).await.unwrap();
    let tip = world.edit("apps/quarterly-feedback/app.yaml", "purpose: Ask", "purpose: Really ask");
    reconciler().pass(world.now()).await.unwrap();
    force(&world, "refs/heads/main", first);
    assert!(refused(&mut reconciler(), &world).await.contains("was rewritten"));
    force(&world, "refs/heads/main", tip);
    assert!(reconciler().pass(world.now()).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_memory_that_cannot_be_kept_stops_nothing() {
    let world = World::of_the_sample().await;
    let folder = world.home().state().join("a-file");
    std::fs::write(&folder, "").unwrap();
    let mut reconciler = world.reconciler().at_stated_times(false).remembering(folder.join("lifecycle.json"));
    let pass = reconciler.pass(world.now()).await.unwrap();
    assert!(pass.items.iter().all(|item| item.phase == Phase::Ready), "{:#?}", pass.items);
    let told: Vec<_> = pass.diagnostics.iter().map(|found| found.rule.id()).collect();
    assert_eq!(told, ["retire/memory"], "{:#?}", pass.diagnostics);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kubeconfig_that_leads_elsewhere_deletes_nothing() {
    let world = World::of_the_sample().await;
    let mut reconciler = world.reconciler();
    reconciler.pass(world.now()).await.unwrap();
    let _elsewhere = world.another_cluster("elsewhere").await;
    world.lose_context("pilot");
    world.rename_context("elsewhere", "pilot");
    let pass = world.reconciler().pass(world.now()).await.unwrap();
    assert!(world.has_namespace("travel-approval-pilot").await, "{:#?}", pass.diagnostics);
    let why = "pilot is on another cluster than before, and no approved commit moved it away from ";
    assert!(pass.diagnostics.iter().any(|found| found.message.starts_with(why)), "{:#?}", pass.diagnostics);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_rewritten_history_knows_nothing_of_goes_when_a_person_confirms_the_tip() {
    let world = World::of_the_sample().await;
    let first = world.tip();
    let survey = world.read("apps/quarterly-feedback/app.yaml").replace("quarterly-feedback", "extra");
    world.commit(&[("apps/extra/app.yaml", Some(&survey))]);
    world.reconciler().pass(world.now()).await.unwrap();
    force(&world, "refs/heads/main", first);
    world.edit("apps/travel-approval/app.yaml", "owner: theo@example.com", "owner: tess@example.com");
    assert!(refused(&mut world.reconciler(), &world).await.contains("was rewritten"));
    world.approve();
    let pass = world.reconciler().pass(world.now()).await.unwrap();
    assert!(world.has_namespace("extra-sandbox").await);
    let told = pass.diagnostics.iter().find(|found| found.rule == Rule::REMOVE_STAYS).unwrap();
    assert!(told.help.as_ref().is_some_and(|help| help.ends_with("dayfly retire --confirm")), "{told:?}");
    world.record(LedgerFact::Confirmation);
    world.reconciler().pass(world.now()).await.unwrap();
    assert!(!world.has_namespace("extra-sandbox").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_branch_that_was_brought_up_to_date_takes_no_approval_back() {
    let world = World::of_the_sample().await;
    let (mut reconciler, first) = (world.reconciler(), world.tip());
    let links = world.read("apps/go-links/app.yaml");
    let feature = world.edit("apps/travel-approval/app.yaml", "owner: theo@example.com", "owner: tess@example.com");
    force(&world, "refs/heads/main", first);
    let deleted = world.commit(&[("apps/go-links/", None)]);
    let updated = merge(&world, [feature, deleted], deleted);
    let restored = world.commit(&[("apps/go-links/app.yaml", Some(&links))]);
    world.approve();
    let first = reconciler.pass(world.now()).await.unwrap();
    assert_eq!(item(&first, "go-links").phase, Phase::Ready);

    let tip = world.tip();
    force(&world, "refs/heads/main", merge(&world, [tip, updated], tip));
    for reconciler in [&mut reconciler, &mut world.reconciler()] {
        let pass = reconciler.pass(world.now()).await.unwrap();
        assert_eq!(item(&pass, "go-links").phase, Phase::Ready, "{restored}: {:#?}", pass.items);
        assert_eq!(pass.writes, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tier_whose_context_leads_elsewhere_after_a_while_is_deployed_there() {
    let world = World::of_the_sample().await;
    let mut reconciler = world.reconciler();
    reconciler.pass(world.now()).await.unwrap();
    let _elsewhere = world.another_cluster("elsewhere").await;
    let silent = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    world.leads_to("pilot", silent.local_addr().unwrap());
    let pass = reconciler.watch_pass(world.now()).await.unwrap();
    assert!(pass.is_unfinished(), "it is looked at again");
    assert_eq!(item(&pass, "travel-approval").health, "Missing");
    world.lose_context("pilot");
    world.rename_context("elsewhere", "pilot");
    let pass = reconciler.pass(world.now()).await.unwrap();
    assert_eq!(item(&pass, "travel-approval").phase, Phase::Ready, "{:#?}", pass.items);
    assert!(world.has_namespace_on("pilot", "travel-approval-pilot").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_key_that_approves_a_later_commit_ends_what_the_first_one_said() {
    let mut world = World::of_the_sample().await;
    let memory = world.home().state().join("lifecycle.json");
    let reconciler = |world: &World| world.reconciler().at_stated_times(false).remembering(memory.clone());
    reconciler(&world).pass(world.now()).await.unwrap();
    world.edit("apps/travel-approval/app.yaml", "owner: theo@example.com", "owner: tess@example.com");
    world.loses_its_key();
    world.approve();
    let pass = reconciler(&world).pass(world.now()).await.unwrap();
    assert!(pass.items.iter().all(|item| item.phase == Phase::Ready), "{:#?}", pass.items);
}
