//! What somebody does to a repository's history without Dayfly.

use std::path::PathBuf;

use dayfly_model::digest::Revision;
use git2::{Oid, Signature, Time};

use crate::platform::TestPlatform;

/// A revision as libgit2 names it.
pub fn oid(revision: Revision) -> Oid {
    Oid::from_bytes(revision.as_bytes()).unwrap()
}

/// The commit that a branch names.
pub fn head_of(platform: &TestPlatform, branch: &str) -> Revision {
    platform.repository().resolve(branch).unwrap()
}

/// Moves a branch to a commit, whatever it had.
pub fn force(platform: &TestPlatform, branch: &str, to: Revision) {
    platform.git().reference(branch, oid(to), true, "forced").unwrap();
}

/// A merge of commits, the first parent first, with the files of any commit.
pub fn merge<const N: usize>(platform: &TestPlatform, parents: [Revision; N], files: Revision) -> Revision {
    let git = platform.git();
    let parents = parents.map(|id| git.find_commit(oid(id)).unwrap());
    let files = git.find_commit(oid(files)).unwrap();
    let now = Time::new(platform.now().as_second(), 0);
    let by = Signature::new("A person", "person@example.com", &now).unwrap();
    let merge = git.commit(None, &by, &by, "merge", &files.tree().unwrap(), &parents.each_ref()).unwrap();
    merge.to_string().parse().unwrap()
}

/// The file of a loose object.
pub fn object_file(platform: &TestPlatform, id: Oid) -> PathBuf {
    let id = id.to_string();
    platform.repository().path().join("objects").join(&id[..2]).join(&id[2..])
}
