//! The platform's files at a commit, and what differs between two commits. Blobs alone are read; nothing is checked out.

use std::collections::HashMap;
use std::sync::Arc;

use dayfly_model::digest::{ObjectId, Revision};
use dayfly_model::snapshot::{FileContent, FileEntry, Snapshot};

use crate::repository::oid;
use crate::trees::{EntryKind, TreeDifference, TreeEntry};
use crate::{Error, Repository};

/// At most so many bytes are read for one commit; what stands at several paths counts once.
const MOST_BYTES: u64 = 512 << 20;

/// One changed path between two commits.
pub struct FileChange {
    /// The path, from the repository's root.
    pub path: String,
    /// What stood there; none where the path is new.
    pub before: Option<ObjectId>,
    /// What stands there; none where the path is gone.
    pub after: Option<ObjectId>,
}

/// Blobs that were read, so that none is read or kept twice.
#[derive(Default)]
struct Blobs {
    known: HashMap<ObjectId, FileContent>,
    bytes: u64,
}

impl Repository {
    /// The platform's files at a commit.
    ///
    /// # Errors
    /// [`Error::Malformed`] where git could not have written its trees: readers would differ in what it says.
    pub fn snapshot(&self, at: Revision) -> Result<Snapshot, Error> {
        Ok(Snapshot::new(Some(at), self.files(at, self.tree_of(at)?, "")?))
    }

    /// The platform's files at a commit, from those of another: only what differs is read.
    ///
    /// # Errors
    /// As [`Repository::snapshot`].
    pub fn snapshot_from(&self, before: &Snapshot, at: Revision) -> Result<Snapshot, Error> {
        let Some(from) = before.revision() else { return self.snapshot(at) };
        let found = self.difference(Some(self.tree_of(from)?), Some(self.tree_of(at)?), "")?;
        refuse_unsound(&found, at)?;
        let mut blobs = Blobs::default();
        let mut changes = Vec::with_capacity(found.files.len());
        for (path, _, after) in found.files {
            let entry = after.map(|entry| self.file(entry, &mut blobs)).transpose()?;
            changes.push((path, entry));
        }
        Ok(before.patched(Some(at), changes))
    }

    /// Of the platform's files at a commit, those of one folder (`apps/survey/`, with the slash).
    pub fn folder(&self, at: Revision, folder: &str) -> Result<Vec<(String, FileEntry)>, Error> {
        match self.entry_at(self.tree_of(at)?, folder.trim_end_matches('/'))? {
            Some(entry) if entry.kind == EntryKind::Tree => self.files(at, oid(entry.id), folder),
            _ => Ok(Vec::new()),
        }
    }

    /// The object of a file at a commit; none where there is no file.
    pub fn file_id(&self, at: Revision, path: &str) -> Result<Option<ObjectId>, Error> {
        let entry = self.entry_at(self.tree_of(at)?, path)?;
        Ok(entry.filter(|entry| entry.kind != EntryKind::Tree).map(|entry| entry.id))
    }

    /// What a commit changed against its first parent, within the platform's folders.
    pub fn changes(&self, at: Revision) -> Result<Vec<FileChange>, Error> {
        let before = self.first_parent(at)?.map(|parent| self.tree_of(parent)).transpose()?;
        let found = self.difference(before, Some(self.tree_of(at)?), "")?;
        let id = |entry: Option<TreeEntry>| entry.map(|entry| entry.id);
        let change = |(path, before, after)| FileChange { path, before: id(before), after: id(after) };
        Ok(found.files.into_iter().map(change).collect())
    }

    /// All files of a commit's tree that stands at a folder.
    fn files(&self, at: Revision, tree: gix::ObjectId, folder: &str) -> Result<Vec<(String, FileEntry)>, Error> {
        let found = self.difference(None, Some(tree), folder)?;
        refuse_unsound(&found, at)?;
        let mut blobs = Blobs::default();
        let files = found.files.into_iter().filter_map(|(path, _, after)| Some((path, after?)));
        files.map(|(path, entry)| Ok((path, self.file(entry, &mut blobs)?))).collect()
    }

    fn file(&self, entry: TreeEntry, blobs: &mut Blobs) -> Result<FileEntry, Error> {
        let id = entry.id;
        let content = match entry.kind {
            EntryKind::Link => FileContent::Symlink,
            EntryKind::Submodule => FileContent::Submodule,
            EntryKind::File | EntryKind::Tree => match blobs.known.get(&id) {
                Some(known) => known.clone(),
                None => {
                    let content = match self.blob(id)? {
                        Some(bytes) => FileContent::Bytes(Arc::from(bytes)),
                        None => FileContent::TooLarge(self.size(id)?),
                    };
                    if let FileContent::Bytes(bytes) = &content {
                        blobs.bytes += bytes.len() as u64;
                    }
                    if blobs.bytes > MOST_BYTES {
                        return Err(Error::TooLarge { path: self.path().to_owned(), folder: String::new() });
                    }
                    blobs.known.insert(id, content.clone());
                    content
                }
            },
        };
        Ok(FileEntry { id, content })
    }

    /// The files in a commit's root with their bytes, in the order of their names; too large ones left out.
    pub(crate) fn root_files(&self, at: Revision) -> Result<Vec<(String, Vec<u8>)>, Error> {
        let mut files = Vec::new();
        for (name, entry) in self.tree(self.tree_of(at)?)?.entries {
            if entry.kind == EntryKind::File
                && let Some(bytes) = self.blob(entry.id)?
            {
                files.push((name, bytes));
            }
        }
        Ok(files)
    }
}

fn refuse_unsound(found: &TreeDifference, at: Revision) -> Result<(), Error> {
    match &found.unsound {
        Some(folder) => Err(Error::Malformed { revision: at.short(), folder: folder.clone() }),
        None => Ok(()),
    }
}
