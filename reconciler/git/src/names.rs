//! Commits as people name them: an id, `HEAD`, or a reference spelled in full, and steps from there to a parent.
//!
//! Whoever may push names branches and tags as they like, so a short name could mean theirs: `1a2b3c4` is an id and nothing
//! else, `main` has to be written `refs/heads/main`, and digits that begin several ids name none of them.

use dayfly_model::digest::Revision;
use gix::hash::Prefix;

use crate::repository::{object_id, oid};
use crate::{Error, Repository};

/// The fewest digits of an id that name a commit.
const SHORTEST_ID: usize = 4;
/// Where a short name is looked for, to suggest the full one.
const NAMESPACES: [&str; 3] = ["refs/heads/", "refs/tags/", "refs/remotes/"];

/// A way from a commit to another: so many times to its parent of that index.
struct ParentStep {
    times: usize,
    parent: usize,
}

impl Repository {
    /// The commit of that name: an id or its first digits, `HEAD`, or a reference in full, as in `refs/heads/main`. `~2` and
    /// `^2` after it lead to parents, as in git.
    ///
    /// # Errors
    /// [`Error::NoRevision`] and [`Error::SeveralRevisions`].
    pub fn resolve(&self, name: &str) -> Result<Revision, Error> {
        let (start, steps) = split(name);
        self.follow(self.named(start)?, name, steps)
    }

    /// The same where nothing but reading follows: a short name will do for a reference that is the only one of it.
    ///
    /// # Errors
    /// [`Error::NoRevision`] and [`Error::SeveralRevisions`].
    pub fn resolve_to_read(&self, name: &str) -> Result<Revision, Error> {
        let (start, steps) = split(name);
        let at = match self.named(start) {
            Err(Error::NoRevision { meant, .. }) if meant.len() == 1 => self.named(&meant[0]),
            found => found,
        };
        self.follow(at?, name, steps)
    }

    fn follow(&self, mut at: Revision, name: &str, steps: &str) -> Result<Revision, Error> {
        for step in parent_steps(steps).ok_or_else(|| self.no_revision(name))? {
            for _ in 0..step.times {
                at = *self.parents(at)?.get(step.parent).ok_or_else(|| self.no_revision(name))?;
            }
        }
        Ok(at)
    }

    fn named(&self, name: &str) -> Result<Revision, Error> {
        let is_id = name.len() >= SHORTEST_ID && name.bytes().all(|byte| byte.is_ascii_hexdigit());
        let found = match name {
            "HEAD" => Some(self.tip()?.revision),
            _ if name.starts_with("refs/") => self.branch_tip(name).ok().flatten(),
            _ if is_id => self.by_id(name)?,
            _ => None,
        };
        let object = found.and_then(|id| self.gix.find_object(oid(id)).ok());
        let commit = object.and_then(|object| object.peel_to_commit().ok());
        commit.map(|commit| object_id(commit.id)).ok_or_else(|| self.no_revision(name))
    }

    /// The object whose id begins so.
    fn by_id(&self, digits: &str) -> Result<Option<Revision>, Error> {
        let Ok(prefix) = Prefix::from_hex(digits) else { return Ok(None) };
        match self.gix.objects.lookup_prefix(prefix, None).map_err(|e| self.broken(e))? {
            Some(Ok(id)) => Ok(Some(object_id(id))),
            Some(Err(())) => Err(Error::SeveralRevisions(digits.to_owned())),
            None => Ok(None),
        }
    }

    /// That a name leads to no commit, and what was probably meant.
    fn no_revision(&self, name: &str) -> Error {
        let full = NAMESPACES.iter().map(|namespace| format!("{namespace}{name}"));
        let meant = full.filter(|full| matches!(self.branch_tip(full), Ok(Some(_)))).collect();
        Error::NoRevision { path: self.path().to_owned(), name: name.to_owned(), meant }
    }
}

/// Where a name begins, and the steps from there.
fn split(name: &str) -> (&str, &str) {
    name.split_at(name.find(['~', '^']).unwrap_or(name.len()))
}

/// The steps that `~2^2` stands for; none where it is not of that form.
fn parent_steps(text: &str) -> Option<Vec<ParentStep>> {
    let mut steps = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let after = rest.strip_prefix(['~', '^'])?;
        let (digits, next) = after.split_at(after.find(|c: char| !c.is_ascii_digit()).unwrap_or(after.len()));
        let number = if digits.is_empty() { 1 } else { digits.parse().ok()? };
        steps.push(match number {
            times if rest.starts_with('~') => ParentStep { times, parent: 0 },
            0 => ParentStep { times: 0, parent: 0 },
            number => ParentStep { times: 1, parent: number - 1 },
        });
        rest = next;
    }
    Some(steps)
}

#[cfg(test)]
mod tests;
