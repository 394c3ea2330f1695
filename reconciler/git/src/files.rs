//! The platform's files at a commit, and what differs between two commits. Blobs alone are read; nothing is checked out.

use dayfly_model::digest::{ObjectId, Revision};
use dayfly_model::snapshot::{FileContent, FileEntry, Snapshot};
use gix::bstr::ByteSlice;
use gix::diff::tree::recorder::{Change, Location};
use gix::diff::tree::{Recorder, State};
use gix::objs::TreeRefIter;
use gix::objs::tree::{EntryKind, EntryMode};

use crate::repository::object_id;
use crate::{Error, Repository, within};

/// One changed path between two commits.
pub struct FileChange {
    /// The path, from the repository's root.
    pub path: String,
    /// What stood there; none where the path is new.
    pub before: Option<ObjectId>,
    /// What stands there; none where the path is gone.
    pub after: Option<ObjectId>,
    pub(crate) mode_before: EntryMode,
    pub(crate) mode_after: EntryMode,
}

impl Repository {
    /// The platform's files at a commit.
    pub fn snapshot(&self, at: Revision) -> Result<Snapshot, Error> {
        Ok(Snapshot::new(Some(at), self.files(self.tree_of(at)?, "")?))
    }

    /// The platform's files at a commit, from those of another: only what differs is read.
    pub fn snapshot_from(&self, before: &Snapshot, at: Revision) -> Result<Snapshot, Error> {
        let Some(from) = before.revision() else { return self.snapshot(at) };
        let mut changes = Vec::new();
        for change in self.diff_trees(self.tree_of(from)?, self.tree_of(at)?, "")? {
            let entry = change.after.map(|id| self.entry(id, change.mode_after)).transpose()?;
            changes.push((change.path, entry));
        }
        Ok(before.patched(Some(at), changes))
    }

    /// Of the platform's files at a commit, those of one folder (`apps/survey/`, with the slash).
    pub fn folder(&self, at: Revision, folder: &str) -> Result<Vec<(String, FileEntry)>, Error> {
        let tree = self.gix.find_tree(self.tree_of(at)?).map_err(|e| self.broken(e))?;
        match tree.lookup_entry_by_path(folder.trim_end_matches('/')).map_err(|e| self.broken(e))? {
            Some(entry) if entry.mode().is_tree() => self.files(entry.object_id(), folder),
            _ => Ok(Vec::new()),
        }
    }

    /// The object of a file at a commit; none where there is no file.
    pub fn file_id(&self, at: Revision, path: &str) -> Result<Option<ObjectId>, Error> {
        let tree = self.gix.find_tree(self.tree_of(at)?).map_err(|e| self.broken(e))?;
        let entry = tree.lookup_entry_by_path(path).map_err(|e| self.broken(e))?;
        Ok(entry.filter(|entry| !entry.mode().is_tree()).map(|entry| object_id(entry.object_id())))
    }

    /// What a commit changed against its first parent, within the platform's folders.
    pub fn changes(&self, at: Revision) -> Result<Vec<FileChange>, Error> {
        self.changes_against(at, self.first_parent(at)?)
    }

    pub(crate) fn changes_against(&self, at: Revision, parent: Option<Revision>) -> Result<Vec<FileChange>, Error> {
        let before = parent.map_or(Ok(self.gix.empty_tree().id), |parent| self.tree_of(parent))?;
        self.diff_trees(before, self.tree_of(at)?, "")
    }

    /// All files of a tree that stands at a folder.
    fn files(&self, tree: gix::ObjectId, folder: &str) -> Result<Vec<(String, FileEntry)>, Error> {
        let found = self.diff_trees(self.gix.empty_tree().id, tree, folder)?;
        let files = found.into_iter().filter_map(|file| Some((file.after?, file)));
        files.map(|(id, file)| Ok((file.path, self.entry(id, file.mode_after)?))).collect()
    }

    fn entry(&self, id: ObjectId, mode: EntryMode) -> Result<FileEntry, Error> {
        let content = match mode.kind() {
            EntryKind::Link => FileContent::Symlink,
            EntryKind::Commit => FileContent::Submodule,
            _ => match self.blob(id)? {
                Some(bytes) => FileContent::Bytes(bytes.into()),
                None => FileContent::TooLarge(self.size(id)?),
            },
        };
        Ok(FileEntry { id, content })
    }

    /// Every file of a commit with its bytes, the platform's or not, in the order of the paths; too large ones left out.
    pub(crate) fn blobs(&self, at: Revision) -> Result<Vec<(String, Vec<u8>)>, Error> {
        let mut blobs = Vec::new();
        for change in self.tree_changes(self.gix.empty_tree().id, self.tree_of(at)?)? {
            if let Change::Addition { entry_mode, oid, path, .. } = change
                && entry_mode.is_blob()
                && let Some(bytes) = self.blob(object_id(oid))?
            {
                blobs.push((path.to_string(), bytes));
            }
        }
        blobs.sort_unstable();
        Ok(blobs)
    }

    /// What differs between two trees that stand at a folder, within the platform.
    fn diff_trees(&self, before: gix::ObjectId, after: gix::ObjectId, folder: &str) -> Result<Vec<FileChange>, Error> {
        let changes = self.tree_changes(before, after)?.into_iter().filter_map(|change| {
            let (path, before, after, mode_before, mode_after) = match change {
                Change::Addition { entry_mode: mode, oid, path, .. } => (path, None, Some(oid), mode, mode),
                Change::Deletion { entry_mode: mode, oid, path, .. } => (path, Some(oid), None, mode, mode),
                Change::Modification { previous_oid, previous_entry_mode, entry_mode, oid, path } => {
                    (path, Some(previous_oid), Some(oid), previous_entry_mode, entry_mode)
                }
            };
            let path = format!("{folder}{}", path.to_str_lossy());
            (!mode_after.is_tree() && within(&path)).then(|| FileChange {
                path,
                before: before.map(object_id),
                after: after.map(object_id),
                mode_before,
                mode_after,
            })
        });
        // A path that changes its type is deleted and added: the addition is what counts.
        let mut changes: Vec<_> = changes.collect();
        changes.sort_by(|a, b| a.path.cmp(&b.path).then(b.after.is_some().cmp(&a.after.is_some())));
        changes.dedup_by(|later, first| later.path == first.path);
        Ok(changes)
    }

    fn tree_changes(&self, before: gix::ObjectId, after: gix::ObjectId) -> Result<Vec<Change>, Error> {
        let tree = |id| self.gix.find_tree(id).map_err(|e| self.broken(e));
        let (before, after) = (tree(before)?, tree(after)?);
        let mut recorder = Recorder::default().track_location(Some(Location::Path));
        let nodes = TreeRefIter::from_bytes(&before.data, before.id.kind());
        let nodes_after = TreeRefIter::from_bytes(&after.data, after.id.kind());
        gix::diff::tree(nodes, nodes_after, State::default(), &self.gix.objects, &mut recorder)
            .map_err(|e| self.broken(e))?;
        Ok(recorder.records)
    }
}
