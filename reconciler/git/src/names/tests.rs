use std::collections::BTreeMap;

use git2::{ObjectType, Oid, Signature, Time};
use tempfile::TempDir;

use super::*;

/// A bare repository with commits of nothing.
struct TestRepository {
    _folder: TempDir,
    git: git2::Repository,
    repository: Repository,
}

impl TestRepository {
    /// One with a branch `main` of two commits.
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        crate::seed(&folder.path().join("none"), folder.path(), jiff::Timestamp::UNIX_EPOCH).unwrap();
        let git = git2::Repository::open(folder.path()).unwrap();
        let repository = Repository::open(folder.path()).unwrap();
        let test = Self { _folder: folder, git, repository };
        let second = test.commit("second", &[test.id("HEAD")]);
        test.name("refs/heads/main", second);
        test
    }

    fn commit(&self, message: &str, parents: &[Oid]) -> Oid {
        let by = Signature::new("A person", "person@example.com", &Time::new(0, 0)).unwrap();
        let tree = self.git.find_tree(self.git.treebuilder(None).unwrap().write().unwrap()).unwrap();
        let parents: Vec<_> = parents.iter().map(|id| self.git.find_commit(*id).unwrap()).collect();
        self.git.commit(None, &by, &by, message, &tree, &parents.iter().collect::<Vec<_>>()).unwrap()
    }

    fn name(&self, reference: &str, id: Oid) {
        self.git.reference(reference, id, true, "named").unwrap();
    }

    fn id(&self, name: &str) -> Oid {
        Oid::from_bytes(self.repository.resolve(name).unwrap().as_bytes()).unwrap()
    }

    /// What is said where a name leads to no commit, and the next step.
    fn refused(&self, name: &str) -> String {
        let error = self.repository.resolve(name).unwrap_err();
        format!("{}; {}", error.to_string().split(" in /").next().unwrap_or_default(), error.help().unwrap())
    }
}

#[test]
fn an_id_is_an_id_whatever_branches_and_tags_are_called() {
    let test = TestRepository::new();
    let (honest, other) = (test.id("HEAD"), test.commit("other", &[]));
    let whole = honest.to_string();
    for length in [4, 7, 12, 39, 40] {
        let id = &whole[..length];
        for namespace in NAMESPACES {
            test.name(&format!("{namespace}{id}"), other);
        }
        test.name(&format!("refs/{id}"), other);
        assert_eq!(test.id(id), honest, "{id}");
        assert_eq!(test.id(&id.to_uppercase()), honest, "{id}");
    }
}

#[test]
fn digits_that_begin_several_ids_name_none() {
    let test = TestRepository::new();
    let mut known = BTreeMap::new();
    let taken = (0..).find_map(|number| {
        let id = test.commit(&format!("commit {number}"), &[]).to_string();
        known.insert(id[..4].to_owned(), id.clone()).map(|other| (id, other))
    });
    let (one, other) = taken.unwrap();
    let said = test.refused(&one[..4]);
    assert!(said.contains("several ids begin with these digits") && said.contains("write more"), "{said}");
    assert_eq!(test.id(&one).to_string(), one);
    assert_eq!(test.id(&other[..39]).to_string(), other);
}

#[test]
fn a_short_name_of_a_reference_is_refused_and_the_full_one_suggested() {
    let test = TestRepository::new();
    let head = test.id("HEAD");
    assert_eq!(
        test.refused("main"),
        "main: is a short name, and what is approved is named in full; write refs/heads/main"
    );
    assert_eq!(test.id("refs/heads/main"), head);
    test.name("refs/tags/main", head);
    test.name("refs/remotes/origin/main", head);
    assert_eq!(test.refused("main"), "main: is a short name of several; write one of refs/heads/main, refs/tags/main");
    assert_eq!(
        test.refused("origin/main"),
        "origin/main: is a short name, and what is approved is named in full; write refs/remotes/origin/main"
    );
}

#[test]
fn a_short_name_will_do_to_read_where_one_reference_alone_has_it() {
    let test = TestRepository::new();
    let (head, other) = (test.id("HEAD"), test.commit("other", &[]));
    let read = |name: &str| test.repository.resolve_to_read(name).map(|id| Oid::from_bytes(id.as_bytes()).unwrap());
    assert_eq!(read("main").unwrap(), head);
    assert_eq!(read("main~1").unwrap(), test.id("HEAD~1"));
    test.name("refs/heads/abcd1234", other);
    assert_eq!(read("abcd1234").unwrap(), other, "no object has that id");
    test.name(&format!("refs/heads/{}", &head.to_string()[..8]), other);
    assert_eq!(read(&head.to_string()[..8]).unwrap(), head);
    test.name("refs/tags/main", other);
    assert!(read("main").is_err());
}

#[test]
fn an_annotated_tag_leads_to_its_commit_and_a_tag_of_something_else_to_none() {
    let test = TestRepository::new();
    let head = test.id("HEAD");
    let by = Signature::new("A person", "person@example.com", &Time::new(0, 0)).unwrap();
    let commit = test.git.find_object(head, Some(ObjectType::Commit)).unwrap();
    test.git.tag("v1", &commit, &by, "version 1", false).unwrap();
    assert_eq!(test.id("refs/tags/v1"), head);
    let tree = commit.as_commit().unwrap().tree_id();
    test.name("refs/tags/tree", tree);
    for name in ["refs/tags/tree", &tree.to_string()] {
        assert!(test.refused(name).contains("no such commit"), "{name}");
    }
}

#[test]
fn steps_lead_to_parents() {
    let test = TestRepository::new();
    let second = test.id("HEAD");
    let first = test.id("HEAD~1");
    let side = test.commit("side", &[first]);
    let merge = test.commit("merge", &[second, side]);
    test.name("refs/heads/main", merge);
    let steps =
        [("~", second), ("^", second), ("^1", second), ("^2", side), ("~2", first), ("^2~1", first), ("^0", merge)];
    for (step, id) in steps {
        assert_eq!(test.id(&format!("refs/heads/main{step}")), id, "{step}");
        assert_eq!(test.id(&format!("{merge}{step}")), id, "{step}");
    }
}

#[test]
fn what_is_neither_an_id_nor_a_full_reference_is_refused() {
    let test = TestRepository::new();
    let head = test.id("HEAD").to_string();
    let odd =
        ["", "@", "abc", ":/second", "HEAD@{0}", "@{-1}", "refs/heads/", "refs/heads/..", "refs/heads/none", "-x"];
    let steps = ["HEAD^{/second}", "HEAD^{tree}", "HEAD~x", "HEAD^3", "HEAD~9", "HEAD~99999999999999999999", "HEAD^é"];
    let more = [format!("{head}0"), format!("{head}:apps"), "0".repeat(40), "1".repeat(7), "f".repeat(4000)];
    for name in odd.into_iter().chain(steps).chain(more.iter().map(String::as_str)) {
        assert!(test.repository.resolve(name).is_err(), "{name}");
    }
}
