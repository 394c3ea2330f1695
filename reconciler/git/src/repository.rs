//! A repository as gix opens it: its branches, and the objects of single ids.

use std::path::{Path, PathBuf};

use dayfly_model::digest::{ObjectId, Revision};
use dayfly_model::snapshot::MAX_FILE;

use crate::{Error, LEDGER};

/// How many bytes of decoded objects are kept.
const OBJECT_CACHE: usize = 16 << 20;
/// An object is what its id says: whoever may push references could put another one in its place.
const NO_REPLACEMENTS: &str = "core.useReplaceRefs=false";

/// A git repository, bare or with a working tree. It is read commit by commit; a working tree is never looked at.
pub struct Repository {
    path: PathBuf,
    pub(crate) gix: gix::Repository,
}

/// Where a branch stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tip {
    /// The branch, in full: `refs/heads/main`.
    pub branch: String,
    /// Its last commit.
    pub revision: Revision,
}

impl Tip {
    /// The branch as people say it: `main`.
    pub fn short_branch(&self) -> &str {
        self.branch.trim_start_matches("refs/heads/")
    }
}

impl Repository {
    /// Opens the repository at `path` (its working tree or its git directory), and no other one above it.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let options = gix::open::Options::isolated().config_overrides([NO_REPLACEMENTS]);
        let mut gix = gix::open_opts(path, options).map_err(|_| Error::NotFound(path.to_owned()))?;
        // Neighboring commits share most of their trees.
        gix.object_cache_size(OBJECT_CACHE);
        Ok(Self { path: path.to_owned(), gix })
    }

    /// The path that it was opened at.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The git directory, which holds references and objects.
    pub fn git_dir(&self) -> &Path {
        self.gix.git_dir()
    }

    /// Whether the history is cut off.
    pub fn is_shallow(&self) -> Result<bool, Error> {
        self.gix.is_shallow().map_err(|e| self.broken(e))
    }

    /// The default branch and its commit.
    pub fn tip(&self) -> Result<Tip, Error> {
        let head = self.gix.head().map_err(|e| self.broken(e))?;
        let branch = head.referent_name().map_or_else(|| "HEAD".to_owned(), |name| name.as_bstr().to_string());
        if head.is_unborn() {
            let (path, others) = (self.path.clone(), self.branches()?);
            return Err(Error::Unborn { path, branch, others });
        }
        let damaged = |error| self.broken(format!("the commit that {branch} names is damaged: {error}"));
        let id = head.into_peeled_id().map_err(damaged)?;
        Ok(Tip { revision: object_id(id.detach()), branch })
    }

    /// The commit that a branch stands at, named in full (`refs/heads/main`); none where there is no such branch.
    pub fn branch_tip(&self, branch: &str) -> Result<Option<Revision>, Error> {
        let Some(mut reference) = self.gix.try_find_reference(branch).map_err(|e| self.broken(e))? else {
            return Ok(None);
        };
        Ok(Some(object_id(reference.peel_to_id().map_err(|e| self.broken(e))?.detach())))
    }

    /// The commit that the ledger's branch stands at; none where there is no ledger.
    pub fn ledger_tip(&self) -> Result<Option<Revision>, Error> {
        self.branch_tip(LEDGER)
    }

    /// The branches that people made, by their short names.
    fn branches(&self) -> Result<Vec<String>, Error> {
        let references = self.gix.references().map_err(|e| self.broken(e))?;
        let names = references.local_branches().map_err(|e| self.broken(e))?.filter_map(Result::ok);
        let names = names.map(|branch| branch.name().shorten().to_string());
        Ok(names.filter(|name| !name.starts_with("dayfly-ledger") && !name.starts_with("dayfly/")).collect())
    }

    /// How many objects have a replacement (`refs/replace/`). Git shows it in their place; nothing here does.
    pub fn replacements(&self) -> Result<usize, Error> {
        let references = self.gix.references().map_err(|e| self.broken(e))?;
        Ok(references.prefixed("refs/replace/").map_err(|e| self.broken(e))?.count())
    }

    /// A commit object.
    pub fn commit(&self, at: Revision) -> Result<gix::Commit<'_>, Error> {
        self.gix.find_commit(oid(at)).map_err(|e| self.broken(e))
    }

    pub(crate) fn tree_of(&self, at: Revision) -> Result<gix::ObjectId, Error> {
        Ok(self.commit(at)?.tree_id().map_err(|e| self.broken(e))?.detach())
    }

    /// A blob's bytes, or nothing where it is larger than [`MAX_FILE`].
    pub(crate) fn blob(&self, id: ObjectId) -> Result<Option<Vec<u8>>, Error> {
        if self.size(id)? > MAX_FILE {
            return Ok(None);
        }
        Ok(Some(self.gix.find_blob(oid(id)).map_err(|e| self.broken(e))?.take_data()))
    }

    /// An object's size in bytes.
    pub(crate) fn size(&self, id: ObjectId) -> Result<u64, Error> {
        Ok(self.gix.find_header(oid(id)).map_err(|e| self.broken(e))?.size())
    }

    pub(crate) fn broken(&self, error: impl std::fmt::Display) -> Error {
        Error::broken(&self.path, error)
    }
}

pub(crate) fn oid(id: ObjectId) -> gix::ObjectId {
    gix::ObjectId::Sha1(*id.as_bytes())
}

pub(crate) fn object_id(id: gix::ObjectId) -> ObjectId {
    let mut bytes = [0; 20];
    bytes.copy_from_slice(&id.as_slice()[..20]);
    ObjectId::from(bytes)
}
