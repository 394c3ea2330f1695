//! The rules of the house: which crate may know what, and how long a file may be.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use dayfly_tests::folders::repository_root;

/// A reader stops and thinks at 400 lines; nobody reads on after these.
const MOST_LINES: usize = 500;

/// The crates, lowest first: each may use those above it in this list, and only what its rule allows.
const CRATES: [(&str, &[&str]); 11] = [
    ("model", &[]),
    ("judge", &["model"]),
    ("lifecycle", &["model"]),
    ("plan", &["judge", "lifecycle", "model"]),
    ("calls", &[]),
    ("git", &["calls", "lifecycle", "model"]),
    ("forge", &["calls", "git", "lifecycle", "model"]),
    ("cluster", &["calls", "model", "plan"]),
    ("controller", &["calls", "cluster", "forge", "git", "judge", "lifecycle", "model", "plan"]),
    ("local", &[]),
    ("dayfly", &["calls", "cluster", "controller", "forge", "git", "judge", "lifecycle", "local", "model", "plan"]),
];

/// The crates that perform no input or output.
const PURE: [&str; 4] = ["model", "judge", "lifecycle", "plan"];
/// What a pure crate has nowhere in its tree.
const IMPURE: [&str; 7] = ["git2", "gix", "kube", "notify", "octocrab", "reqwest", "tokio"];
/// The libraries that one crate alone may name.
const OWNERS: [(&str, &str); 6] = [
    ("git2", "git"),
    ("gix", "git"),
    ("kube", "cluster"),
    ("notify", "controller"),
    ("regorus", "judge"),
    ("tera", "judge"),
];

/// The names of the crates that a crate's manifest lists, without those for its tests.
fn dependencies(name: &str) -> BTreeSet<String> {
    let manifest = fs::read_to_string(repository_root().join("reconciler").join(name).join("Cargo.toml")).unwrap();
    let (_, rest) = manifest.split_once("\n[dependencies]\n").unwrap_or(("", ""));
    let section = rest.split("\n[").next().unwrap_or_default();
    let names = section.lines().filter_map(|line| line.split(['.', ' ', '=']).next());
    names.filter(|name| !name.is_empty() && !name.starts_with('#')).map(str::to_owned).collect()
}

/// Everything that a crate is built from.
fn tree(name: &str) -> BTreeSet<String> {
    let package = format!("dayfly-{name}");
    let arguments = ["tree", "--offline", "--edges", "normal", "--prefix", "none", "--package", &package];
    let output = Command::new(env!("CARGO")).args(arguments).current_dir(repository_root()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout).unwrap();
    lines.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}

fn rust_files(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push(path);
        }
    }
}

#[test]
fn every_crate_is_in_the_list_and_uses_only_what_the_list_allows() {
    let folders = fs::read_dir(repository_root().join("reconciler")).unwrap().map(|entry| entry.unwrap());
    let folders = folders.filter(|entry| entry.path().is_dir()).map(|entry| entry.file_name().into_string().unwrap());
    assert_eq!(folders.collect::<BTreeSet<_>>(), CRATES.iter().map(|(name, _)| (*name).to_owned()).collect());
    for (name, allowed) in CRATES {
        let allowed: BTreeSet<_> = allowed.iter().map(|name| format!("dayfly-{name}")).collect();
        let ours = dependencies(name).into_iter().filter(|name| name.starts_with("dayfly"));
        let others: Vec<_> = ours.filter(|name| !allowed.contains(name)).collect();
        assert_eq!(others, [""; 0], "reconciler/{name}/Cargo.toml");
    }
}

#[test]
fn pure_crates_are_built_without_a_runtime_a_cluster_a_repository_or_a_network() {
    for name in PURE {
        let tree = tree(name);
        let found: Vec<_> = IMPURE.iter().filter(|impure| tree.contains(**impure)).collect();
        assert!(found.is_empty() && tree.contains("serde"), "{name} has {found:?}");
    }
}

#[test]
fn each_library_of_an_edge_or_an_engine_is_named_by_one_crate() {
    for (library, owner) in OWNERS {
        let names: Vec<_> =
            CRATES.iter().map(|(name, _)| *name).filter(|it| dependencies(it).contains(library)).collect();
        assert_eq!(names, [owner], "{library}");
    }
}

#[test]
fn model_and_lifecycle_are_built_without_tera_and_rego() {
    for name in ["model", "lifecycle"] {
        let tree = tree(name);
        assert!(!tree.contains("tera") && !tree.contains("regorus"), "{name}");
    }
}

#[test]
fn no_file_is_longer_than_a_reader_follows() {
    let mut files = Vec::new();
    for folder in ["reconciler", "tests"] {
        rust_files(&repository_root().join(folder), &mut files);
    }
    let lines = |path: &PathBuf| fs::read_to_string(path).unwrap().lines().count();
    let long: Vec<_> = files.iter().filter(|path| lines(path) > MOST_LINES).collect();
    assert!(files.len() > 100 && long.is_empty(), "over {MOST_LINES} lines: {long:#?}");
}
