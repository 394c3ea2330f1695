//! Trees that git never writes, and trees that stand for more than anybody has: they say the same to every reader, or
//! nothing; what runs is left as it is, and the next sound commit is taken as any other.

use dayfly_controller::{Pass, Reconciler};
use dayfly_git::MAIN;
use dayfly_model::digest::Revision;
use dayfly_plan::status::Phase;
use dayfly_tests::fixtures::{change_survey, deployed_sample};
use dayfly_tests::history::{force, oid};
use dayfly_tests::passes::{changed_apps, status_of};
use dayfly_tests::platform::TestPlatform;
use git2::{ObjectType, Oid};

/// The bytes of a commit's root tree.
fn root(platform: &TestPlatform, commit: Revision) -> Vec<u8> {
    let git = platform.git();
    let tree = git.find_commit(oid(commit)).unwrap().tree_id();
    git.odb().unwrap().read(tree).unwrap().data().to_vec()
}

fn entry(mode: &str, name: &str, id: Oid) -> Vec<u8> {
    [mode.as_bytes(), b" ", name.as_bytes(), b"\0", id.as_bytes()].concat()
}

fn write_tree(platform: &TestPlatform, bytes: &[u8]) -> Oid {
    platform.git().odb().unwrap().write(ObjectType::Tree, bytes).unwrap()
}

/// A commit on the default branch with a root tree of these bytes.
fn commit_root(platform: &TestPlatform, bytes: &[u8]) -> Revision {
    let (git, tip) = (platform.git(), platform.tip());
    let tree = write_tree(platform, bytes);
    let time = platform.now().as_second();
    let text = format!(
        "tree {tree}\nparent {}\nauthor A <a@example.com> {time} +0000\ncommitter A <a@example.com> {time} +0000\n\na change\n",
        oid(tip)
    );
    let id = git.odb().unwrap().write(ObjectType::Commit, text.as_bytes()).unwrap();
    let revision = id.to_string().parse().unwrap();
    force(platform, MAIN, revision);
    revision
}

/// The tree at a path of a commit.
fn subtree(platform: &TestPlatform, commit: Revision, path: &str) -> Oid {
    let git = platform.git();
    let tree = git.find_commit(oid(commit)).unwrap().tree().unwrap();
    tree.get_path(path.as_ref()).unwrap().id()
}

/// The tip's trees are refused, nothing is changed, and a sound commit on top goes on where the last one stood.
async fn pauses_until_a_sound_commit(platform: &TestPlatform, reconciler: &mut Reconciler, good: Revision) {
    for reconciler in [&mut *reconciler, &mut platform.reconciler()] {
        let error = reconciler.pass(platform.now()).await.unwrap_err().to_string();
        assert!(error.contains("is a folder as git never writes one"), "{error}");
    }
    let bytes = root(platform, good);
    commit_root(platform, &bytes);
    for reconciler in [reconciler, &mut platform.reconciler()] {
        let pass = reconciler.pass(platform.now()).await.unwrap();
        unchanged(&pass);
    }
}

fn unchanged(pass: &Pass) {
    assert_eq!((pass.writes, pass.changes.len()), (0, 0), "{:#?}", pass.changes);
    assert!(pass.items.iter().all(|item| item.phase == Phase::Ready), "{:#?}", pass.items);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_stands_twice_deletes_nothing_and_overrides_nothing() {
    for path in ["apps", "policies", "environments", "catalog"] {
        let (platform, mut reconciler) = deployed_sample().await;
        let good = platform.tip();
        let changed = platform.commit(&[
            ("apps/vendor-requests/", None),
            ("environments/production/resources/network.yaml", None),
            ("policies/connections.rego", None),
            ("catalog/approval-form/v1/resources/storage.yaml", None),
        ]);
        force(&platform, MAIN, good);
        let twice = entry("40000", path, subtree(&platform, changed, path));
        commit_root(&platform, &[root(&platform, good), twice].concat());
        pauses_until_a_sound_commit(&platform, &mut reconciler, good).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_with_a_slash_hides_no_change_and_makes_none() {
    for (name, is_first) in
        [("a/b", true), ("catalog/approval-form/v1/resources/storage.yaml", false), ("apps/go-links/app.yaml", false)]
    {
        let (platform, mut reconciler) = deployed_sample().await;
        let good = platform.tip();
        let other = entry("100644", name, platform.git().blob(b"spec: {}\n").unwrap());
        let bytes = root(&platform, good);
        let bytes = if is_first { [other, bytes].concat() } else { [bytes, other].concat() };
        commit_root(&platform, &bytes);
        pauses_until_a_sound_commit(&platform, &mut reconciler, good).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_a_malformed_commit_takes_back_is_taken_back_also_for_whoever_watched() {
    let (platform, mut reconciler) = deployed_sample().await;
    let good = platform.tip();
    let before = root(&platform, good);
    platform.edit("apps/go-links/app.yaml", "/handbook", "/phish");
    let pass = reconciler.pass(platform.now()).await.unwrap();
    assert_eq!(status_of(&pass, "go-links").phase, Phase::Held);
    let other = entry("100644", "a/b", platform.git().blob(b"").unwrap());
    commit_root(&platform, &[other, before.clone()].concat());
    reconciler.pass(platform.now()).await.unwrap_err();
    commit_root(&platform, &before);
    reconciler.pass(platform.now()).await.unwrap();
    platform.approve();
    for reconciler in [&mut reconciler, &mut platform.reconciler()] {
        unchanged(&reconciler.pass(platform.now()).await.unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mode_that_git_never_writes_pauses_everything_until_the_next_commit() {
    let (platform, mut reconciler) = deployed_sample().await;
    let good = platform.tip();
    let odd = entry("1006440", "zz", platform.git().blob(b"").unwrap());
    commit_root(&platform, &[root(&platform, good), odd].concat());
    pauses_until_a_sound_commit(&platform, &mut reconciler, good).await;
}

/// A tree of ten levels, each of which has the next ten times.
fn bomb(platform: &TestPlatform) -> Oid {
    let mut id = platform.git().blob(b"x").unwrap();
    for level in 0..10 {
        let mode = if level == 0 { "100644" } else { "40000" };
        let entries = (0..10).flat_map(|number| entry(mode, &format!("d{number}"), id));
        id = write_tree(platform, &entries.collect::<Vec<_>>());
    }
    id
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tree_that_stands_for_billions_of_files_outside_the_platform_is_never_walked() {
    let (platform, mut reconciler) = deployed_sample().await;
    let bomb = entry("40000", "zdocs", bomb(&platform));
    commit_root(&platform, &[root(&platform, platform.tip()), bomb].concat());
    for reconciler in [&mut reconciler, &mut platform.reconciler()] {
        unchanged(&reconciler.pass(platform.now()).await.unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tree_that_stands_for_billions_of_files_in_the_platform_pauses_everything_until_the_next_commit() {
    let (platform, mut reconciler) = deployed_sample().await;
    let good = platform.tip();
    let charts = entry("40000", "charts", bomb(&platform));
    let bytes = root(&platform, good);
    // After `catalog`, before `environments`.
    let at = bytes.windows(19).position(|window| window == b"40000 environments\0").unwrap();
    commit_root(&platform, &[&bytes[..at], &charts, &bytes[at..]].concat());
    for reconciler in [&mut reconciler, &mut platform.reconciler()] {
        let error = reconciler.pass(platform.now()).await.unwrap_err().to_string();
        assert!(error.contains("is larger than any platform"), "{error}");
    }
    commit_root(&platform, &bytes);
    for reconciler in [&mut reconciler, &mut platform.reconciler()] {
        unchanged(&reconciler.pass(platform.now()).await.unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_file_under_thousands_of_names_takes_its_memory_once() {
    let (platform, mut reconciler) = deployed_sample().await;
    let large = platform.git().blob(&vec![b'x'; 1 << 20]).unwrap();
    let many: Vec<u8> = (0..4000).flat_map(|number| entry("100644", &format!("f{number:04}"), large)).collect();
    let charts = entry("40000", "charts", write_tree(&platform, &many));
    let bytes = root(&platform, platform.tip());
    let at = bytes.windows(19).position(|window| window == b"40000 environments\0").unwrap();
    commit_root(&platform, &[&bytes[..at], &charts, &bytes[at..]].concat());
    unchanged(&reconciler.pass(platform.now()).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ordinary_commit_beside_files_that_are_no_apps_goes_live() {
    let (platform, mut reconciler) = deployed_sample().await;
    platform.commit(&[("docs/a/b/c.md", Some("text")), ("charts/a/Chart.yaml", Some("name: a\n"))]);
    change_survey(&platform);
    let pass = reconciler.pass(platform.now()).await.unwrap();
    assert_eq!(changed_apps(&pass).into_iter().collect::<Vec<_>>(), ["quarterly-feedback"]);
}
