//! Writing to the repository with git2: one commit at a time, by compare-and-swap of the branch.

use std::path::Path;

use dayfly_model::digest::Revision;
use git2::{ErrorCode, Oid, Signature, Time};
use jiff::Timestamp;

use super::Error;

/// Writes commits. Hooks and filters of the repository are not run.
pub struct Writer {
    git: git2::Repository,
}

/// A commit to be made.
pub struct Commit<'a> {
    /// The branch, in full.
    pub branch: &'a str,
    /// The commit before; none for a first one.
    pub parent: Option<Revision>,
    /// Whether the branch is made by this commit; else it has to stand at the parent.
    pub is_new_branch: bool,
    /// Each path with its new bytes, or nothing where the file goes. A path that ends in `/` removes the whole folder.
    pub edits: &'a [(String, Option<Vec<u8>>)],
    /// The message.
    pub message: &'a str,
    /// The moment.
    pub time: Timestamp,
}

impl Writer {
    /// Opens the repository at `path` for writing.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let git = git2::Repository::open_ext(path, git2::RepositoryOpenFlags::NO_SEARCH, &[] as &[&Path])
            .map_err(|_| Error::NotFound(path.to_owned()))?;
        Ok(Self { git })
    }

    /// Makes the commit, if it changes anything, and moves the branch from its parent to it, or fails with [`Error::Moved`]. Where the branch is
    /// checked out, the edited files follow; where one of them has uncommitted changes, nothing happens.
    pub fn commit(&self, commit: &Commit<'_>) -> Result<Revision, Error> {
        let checked_out = self.is_checked_out(commit.branch) && !commit.edits.is_empty();
        if checked_out {
            self.refuse_uncommitted(commit)?;
        }
        let id = self.write(commit).map_err(|error| match error.code() {
            ErrorCode::Modified | ErrorCode::Exists | ErrorCode::Locked => Error::Moved {
                branch: commit.branch.trim_start_matches("refs/heads/").to_owned(),
                expected: commit.parent.map_or("nothing".into(), |parent| parent.short()),
            },
            _ => self.broken(error),
        })?;
        if checked_out {
            self.follow(commit).map_err(|e| self.broken(e))?;
        }
        id.to_string().parse().map_err(|e: String| self.broken(e))
    }

    /// Removes a branch that stands at `at`, and no other.
    pub fn remove_branch(&self, branch: &str, at: Revision) -> Result<(), Error> {
        let mut reference = self.git.find_reference(branch).map_err(|e| self.broken(e))?;
        let is_there = reference.target().is_some_and(|target| target.as_bytes() == at.as_bytes());
        match is_there.then(|| reference.delete()) {
            Some(removed) => removed.map_err(|e| self.broken(e)),
            None => Err(Error::Moved { branch: branch.to_owned(), expected: at.short() }),
        }
    }

    fn write(&self, commit: &Commit<'_>) -> Result<Oid, git2::Error> {
        let parent =
            commit.parent.map(|parent| self.git.find_commit(Oid::from_bytes(parent.as_bytes())?)).transpose()?;
        let base = match &parent {
            Some(parent) => parent.tree()?,
            None => self.git.find_tree(self.git.treebuilder(None)?.write()?)?,
        };
        let mut update = git2::build::TreeUpdateBuilder::new();
        for (path, bytes) in commit.edits {
            match bytes {
                Some(bytes) => drop(update.upsert(path.as_str(), self.git.blob(bytes)?, git2::FileMode::Blob)),
                // What is gone already is no change.
                None if base.get_path(Path::new(path.trim_end_matches('/'))).is_err() => {}
                None => drop(update.remove(path.trim_end_matches('/'))),
            }
        }
        let tree = self.git.find_tree(update.create_updated(&self.git, &base)?)?;
        if let Some(parent) = parent.as_ref().filter(|_| tree.id() == base.id()) {
            return Ok(parent.id());
        }
        let by = self.signature(commit.time)?;
        let parents: Vec<_> = parent.iter().collect();
        let id = self.git.commit(None, &by, &by, commit.message, &tree, &parents)?;
        match &parent {
            Some(parent) if !commit.is_new_branch => {
                self.git.reference_matching(commit.branch, id, true, parent.id(), "dayfly")?
            }
            _ => self.git.reference(commit.branch, id, false, "dayfly")?,
        };
        Ok(id)
    }

    /// Whether the branch is what the working tree shows.
    fn is_checked_out(&self, branch: &str) -> bool {
        let head = self.git.find_reference("HEAD");
        !self.git.is_bare() && head.is_ok_and(|head| head.symbolic_target().ok().flatten() == Some(branch))
    }

    /// Refuses to write over what a person changed and did not commit.
    fn refuse_uncommitted(&self, commit: &Commit<'_>) -> Result<(), Error> {
        let mut options = git2::StatusOptions::new();
        options.include_untracked(true).recurse_untracked_dirs(true).disable_pathspec_match(true);
        for (path, _) in commit.edits {
            options.pathspec(path.trim_end_matches('/'));
        }
        let statuses = self.git.statuses(Some(&mut options)).map_err(|e| self.broken(e))?;
        match statuses.iter().next() {
            Some(status) => Err(Error::Uncommitted(status.path().unwrap_or_default().to_owned())),
            None => Ok(()),
        }
    }

    /// Brings index and working tree along, touching only the edited paths.
    fn follow(&self, commit: &Commit<'_>) -> Result<(), git2::Error> {
        let mut checkout = git2::build::CheckoutBuilder::new();
        checkout.force().remove_untracked(true).disable_pathspec_match(true);
        for (path, _) in commit.edits {
            checkout.path(path.trim_end_matches('/'));
        }
        self.git.checkout_head(Some(&mut checkout))
    }

    fn signature(&self, time: Timestamp) -> Result<Signature<'static>, git2::Error> {
        Signature::new("Dayfly", "dayfly@localhost", &Time::new(time.as_second(), 0))
    }

    fn broken(&self, error: impl std::fmt::Display) -> Error {
        Error::broken(self.git.path(), error)
    }
}
