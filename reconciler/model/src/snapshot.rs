//! The files of one commit (or of a working tree): path -> bytes, with git object ids.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use crate::digest::{Digest, ObjectId, Revision};

/// A file larger than this is not read: 1 MiB. Nothing a platform is made of is larger.
pub const MAX_FILE: u64 = 1 << 20;

/// What stands at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileContent {
    /// A regular file's bytes.
    Bytes(Arc<[u8]>),
    /// A regular file above [`MAX_FILE`], of this many bytes, unread.
    TooLarge(u64),
    /// A symbolic link, never followed.
    Symlink,
    /// A submodule, never entered.
    Submodule,
}

/// A file of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileEntry {
    /// Git's id of the content.
    pub id: ObjectId,
    /// What stands there.
    pub content: FileContent,
}

impl FileEntry {
    /// A regular file of these bytes.
    pub fn file(bytes: impl Into<Arc<[u8]>>) -> Self {
        let bytes = bytes.into();
        Self { id: ObjectId::of_blob(&bytes), content: FileContent::Bytes(bytes) }
    }

    /// The bytes of a regular file that was read.
    pub fn bytes(&self) -> Option<&[u8]> {
        match &self.content {
            FileContent::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }
}

/// The files of one commit, by path relative to the repository's root with `/` between names. Cheap to patch: a
/// commit's snapshot shares everything with the one before that it did not change.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    revision: Option<Revision>,
    files: BTreeMap<Arc<str>, FileEntry>,
}

impl Snapshot {
    /// A snapshot of a commit, or of a working tree (no revision).
    pub fn new(revision: Option<Revision>, files: impl IntoIterator<Item = (String, FileEntry)>) -> Self {
        Self { revision, files: files.into_iter().map(|(path, entry)| (path.into(), entry)).collect() }
    }

    /// A working tree in memory, for tests and tools.
    pub fn from_texts<P: Into<String>, B: AsRef<[u8]>>(files: impl IntoIterator<Item = (P, B)>) -> Self {
        Self::new(None, files.into_iter().map(|(path, bytes)| (path.into(), FileEntry::file(bytes.as_ref()))))
    }

    /// The commit, if it is one.
    pub fn revision(&self) -> Option<Revision> {
        self.revision
    }

    /// The snapshot of the next commit: each change sets a path or (`None`) removes it.
    pub fn patched(
        &self,
        revision: Option<Revision>,
        changes: impl IntoIterator<Item = (String, Option<FileEntry>)>,
    ) -> Self {
        let mut next = Self { revision, files: self.files.clone() };
        for (path, entry) in changes {
            match entry {
                Some(entry) => next.files.insert(path.into(), entry),
                None => next.files.remove(path.as_str()),
            };
        }
        next
    }

    /// The same snapshot with everything under these folders (`environments/`, with the slash) taken from another.
    pub fn with_folders_of(&self, other: &Self, folders: &[&str]) -> Self {
        let within = |path: &str| folders.iter().any(|folder| path.starts_with(folder));
        let mut files: BTreeMap<_, _> =
            self.files.iter().filter(|(path, _)| !within(path)).map(|(p, e)| (p.clone(), e.clone())).collect();
        files.extend(other.files.iter().filter(|(path, _)| within(path)).map(|(p, e)| (p.clone(), e.clone())));
        Self { revision: self.revision, files }
    }

    /// The entry at a path.
    pub fn get(&self, path: &str) -> Option<&FileEntry> {
        self.files.get(path)
    }

    /// All files, in the order of their paths.
    pub fn files(&self) -> impl Iterator<Item = (&str, &FileEntry)> {
        self.files.iter().map(|(path, entry)| (&**path, entry))
    }

    /// The files under a folder (`apps/survey/`, with the slash), in the order of their paths.
    pub fn folder<'a>(&'a self, folder: &'a str) -> impl Iterator<Item = (&'a str, &'a FileEntry)> {
        self.files
            .range::<str, _>((Bound::Included(folder), Bound::Unbounded))
            .map(|(path, entry)| (&**path, entry))
            .take_while(move |(path, _)| path.starts_with(folder))
    }

    /// The names directly under a folder (`apps/`), in order: files and folders alike.
    pub fn names<'a>(&'a self, folder: &'a str) -> impl Iterator<Item = &'a str> {
        let mut last = "";
        self.folder(folder).filter_map(move |(path, _)| {
            let rest = &path[folder.len()..];
            let name = rest.split_once('/').map_or(rest, |(name, _)| name);
            (name != last).then(|| {
                last = name;
                name
            })
        })
    }

    /// One digest for all that stands under a folder: equal digests, equal files.
    pub fn folder_digest(&self, folder: &str) -> Digest {
        let parts: Vec<_> = self
            .folder(folder)
            .flat_map(|(path, entry)| {
                let kind: &[u8] = match entry.content {
                    FileContent::Bytes(_) | FileContent::TooLarge(_) => b"f",
                    FileContent::Symlink => b"l",
                    FileContent::Submodule => b"m",
                };
                [&path.as_bytes()[folder.len()..], kind, entry.id.as_bytes().as_slice()]
            })
            .collect();
        Digest::of_parts(parts)
    }

    /// The paths at which two snapshots differ, in order.
    pub fn changed_paths<'a>(&'a self, other: &'a Self) -> Vec<&'a str> {
        let here = self.files.iter().filter(|(path, entry)| other.files.get(*path) != Some(entry));
        let gone = other.files.iter().filter(|(path, _)| !self.files.contains_key(*path));
        let mut paths: Vec<_> = here.chain(gone).map(|(path, _)| &**path).collect();
        paths.sort_unstable();
        paths
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_what_stands_below_it() {
        let snapshot = Snapshot::from_texts([
            ("apps/a/app.yaml", "1"),
            ("apps/a/x/y", "2"),
            ("apps/ab/app.yaml", "3"),
            ("apps/z", "4"),
        ]);
        assert_eq!(
            snapshot.folder("apps/a/").map(|(path, _)| path).collect::<Vec<_>>(),
            ["apps/a/app.yaml", "apps/a/x/y"]
        );
        assert_eq!(snapshot.names("apps/").collect::<Vec<_>>(), ["a", "ab", "z"]);
    }

    #[test]
    fn a_patch_changes_only_its_folder_s_digest() {
        let before = Snapshot::from_texts([("apps/a/app.yaml", "1"), ("apps/b/app.yaml", "2")]);
        let after = before.patched(
            None,
            [("apps/b/app.yaml".into(), Some(FileEntry::file(b"3".as_slice()))), ("apps/a/gone".into(), None)],
        );
        assert_eq!(before.folder_digest("apps/a/"), after.folder_digest("apps/a/"));
        assert_ne!(before.folder_digest("apps/b/"), after.folder_digest("apps/b/"));
        assert_eq!(before.changed_paths(&after), ["apps/b/app.yaml"]);
    }
}
