//! Writing to the repository with git2: one commit at a time, and the branch moves by compare-and-swap.

use std::path::Path;

use dayfly_model::digest::Revision;
use git2::{ErrorCode, Oid, Signature, Time, Tree};
use jiff::Timestamp;

use crate::Error;

/// Writes commits. Hooks and filters of the repository are not run.
pub struct Writer {
    git: git2::Repository,
}

/// Where a commit goes: what its branch has to be when it gets there, so that nobody else's commit is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Base {
    /// A branch that does not exist yet, and begins without a history.
    Orphan,
    /// A branch that stands at this commit.
    Tip(Revision),
    /// A branch that does not exist yet, and begins at this commit.
    Fork(Revision),
}

/// A commit to be made: what it changes and says.
#[derive(Debug, Clone)]
pub struct Commit {
    /// Each path with its new bytes, or nothing where the file goes. A path that ends in `/` removes the whole folder.
    pub edits: Vec<(String, Option<Vec<u8>>)>,
    /// The whole message.
    pub message: String,
    /// The author's and the committer's date, to the second.
    pub time: Timestamp,
}

impl Base {
    /// The commit before; none for a first one.
    fn parent(self) -> Option<Revision> {
        match self {
            Self::Orphan => None,
            Self::Tip(revision) | Self::Fork(revision) => Some(revision),
        }
    }
}

impl Writer {
    /// Opens the repository at `path` for writing.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let git = git2::Repository::open_ext(path, git2::RepositoryOpenFlags::NO_SEARCH, &[] as &[&Path])
            .map_err(|_| Error::NotFound(path.to_owned()))?;
        Ok(Self { git })
    }

    /// Makes the commit, if it changes anything, and moves the branch (`refs/heads/main`) from its base to it. Where the
    /// branch is checked out, the edited files follow; where one of them has uncommitted changes, nothing happens.
    ///
    /// # Errors
    /// [`Error::Moved`] where the branch is not what `base` says: plan anew, or let [`crate::update_branch`] do it.
    pub fn commit(&self, branch: &str, base: Base, commit: &Commit) -> Result<Revision, Error> {
        let is_checked_out = self.is_checked_out(branch) && !commit.edits.is_empty();
        if is_checked_out {
            self.refuse_uncommitted(commit)?;
        }
        let id = self.write(branch, base, commit).map_err(|error| match error.code() {
            ErrorCode::Modified | ErrorCode::Exists | ErrorCode::Locked => Error::Moved {
                branch: branch.trim_start_matches("refs/heads/").to_owned(),
                expected: base.parent().map_or("nothing".into(), |parent| parent.short()),
            },
            _ => self.in_the_way(branch).map_or_else(|| self.broken(error), Error::ForeignBranch),
        })?;
        if is_checked_out {
            self.follow(commit).map_err(|e| self.broken(e))?;
        }
        id.to_string().parse().map_err(|e: String| self.broken(e))
    }

    /// The branch whose name keeps another from being made: one cannot be a folder of the other.
    fn in_the_way(&self, branch: &str) -> Option<String> {
        let above = branch.match_indices('/').map(|(at, _)| &branch[..at]);
        let above = above.filter(|name| self.git.find_reference(name).is_ok()).map(str::to_owned).next();
        let below = || {
            let mut names = self.git.references_glob(&format!("{branch}/*")).ok()?;
            let name = names.names().next()?.ok()?.to_owned();
            Some(name)
        };
        above.or_else(below).map(|name| name.trim_start_matches("refs/heads/").to_owned())
    }

    /// Whether a commit has one parent, and makes just these edits to it and nothing else in the whole repository.
    pub fn makes_just(&self, commit: Revision, edits: &[(String, Option<Vec<u8>>)]) -> Result<bool, Error> {
        let makes = || -> Result<bool, git2::Error> {
            let commit = self.git.find_commit(Oid::from_bytes(commit.as_bytes())?)?;
            if commit.parent_count() != 1 {
                return Ok(false);
            }
            Ok(self.edited(&commit.parent(0)?.tree()?, edits)?.id() == commit.tree_id())
        };
        makes().map_err(|e| self.broken(e))
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

    fn write(&self, branch: &str, base: Base, commit: &Commit) -> Result<Oid, git2::Error> {
        let parent =
            base.parent().map(|parent| self.git.find_commit(Oid::from_bytes(parent.as_bytes())?)).transpose()?;
        let before = match &parent {
            Some(parent) => parent.tree()?,
            None => self.git.find_tree(self.git.treebuilder(None)?.write()?)?,
        };
        let tree = self.edited(&before, &commit.edits)?;
        if let Some(parent) = parent.as_ref().filter(|_| tree.id() == before.id()) {
            return Ok(parent.id());
        }
        let by = self.signature(commit.time)?;
        let parents: Vec<_> = parent.iter().collect();
        let id = self.git.commit(None, &by, &by, &commit.message, &tree, &parents)?;
        // The id of zeros stands for "no such branch". It is compared while the reference is locked; what libgit2 checks
        // otherwise it checks before that, and of two writers who begin a branch at once one would lose the commit.
        let (is_there, stands_at) = match base {
            Base::Tip(at) => (true, Oid::from_bytes(at.as_bytes())?),
            Base::Orphan | Base::Fork(_) => (false, Oid::ZERO_SHA1),
        };
        self.git.reference_matching(branch, id, is_there, stands_at, "dayfly")?;
        Ok(id)
    }

    fn edited(&self, before: &Tree<'_>, edits: &[(String, Option<Vec<u8>>)]) -> Result<Tree<'_>, git2::Error> {
        let mut update = git2::build::TreeUpdateBuilder::new();
        for (path, bytes) in edits {
            let removed = path.trim_end_matches('/');
            match bytes {
                Some(bytes) => drop(update.upsert(path.as_str(), self.git.blob(bytes)?, git2::FileMode::Blob)),
                // What is gone already is no change.
                None if before.get_path(Path::new(removed)).is_err() => {}
                None => drop(update.remove(removed)),
            }
        }
        self.git.find_tree(update.create_updated(&self.git, before)?)
    }

    /// Whether the branch is what the working tree shows.
    fn is_checked_out(&self, branch: &str) -> bool {
        let head = self.git.find_reference("HEAD");
        !self.git.is_bare() && head.is_ok_and(|head| head.symbolic_target().ok().flatten() == Some(branch))
    }

    /// Refuses to write over what a person changed and did not commit.
    fn refuse_uncommitted(&self, commit: &Commit) -> Result<(), Error> {
        let mut options = git2::StatusOptions::new();
        options.include_untracked(true).recurse_untracked_dirs(true).disable_pathspec_match(true);
        for (path, _) in &commit.edits {
            options.pathspec(path.trim_end_matches('/'));
        }
        let statuses = self.git.statuses(Some(&mut options)).map_err(|e| self.broken(e))?;
        match statuses.iter().next() {
            Some(status) => Err(Error::Uncommitted(status.path().unwrap_or_default().to_owned())),
            None => Ok(()),
        }
    }

    /// Brings index and working tree along, touching only the edited paths.
    fn follow(&self, commit: &Commit) -> Result<(), git2::Error> {
        let mut checkout = git2::build::CheckoutBuilder::new();
        checkout.force().remove_untracked(true).disable_pathspec_match(true).disable_filters(true);
        for (path, _) in &commit.edits {
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
