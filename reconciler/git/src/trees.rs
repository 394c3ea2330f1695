//! Trees as they are, whoever made them. Git writes the entries of a tree sorted, each name once, and without a slash; whoever
//! pushes can write others, which make one reader see what another does not. So a tree is read into a map: what two trees
//! differ in follows from these alone, and whether both were sound is told beside.

use std::collections::{BTreeMap, BTreeSet};

use dayfly_model::digest::ObjectId;

use crate::repository::{object_id, oid};
use crate::{Error, FOLDERS, Repository, is_litter, within};

/// At most so many entries are compared, and at most so many levels deep: a tree of ten lines can stand for a billion files.
const MOST_ENTRIES: usize = 500_000;
const MOST_LEVELS: usize = 64;

/// What stands at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EntryKind {
    Tree,
    File,
    Link,
    Submodule,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TreeEntry {
    pub kind: EntryKind,
    pub id: ObjectId,
}

/// A tree's entries by their names.
#[derive(Debug, Default)]
pub(crate) struct TreeObject {
    pub entries: BTreeMap<String, TreeEntry>,
    /// Whether git could have written it.
    pub is_sound: bool,
}

/// What two trees differ in, within the platform.
#[derive(Default)]
pub(crate) struct TreeDifference {
    /// The files that differ by their paths, each as it was and as it is.
    pub files: Vec<(String, Option<TreeEntry>, Option<TreeEntry>)>,
    /// The first folder, by its path, whose tree git could not have written; empty for the root.
    pub unsound: Option<String>,
    compared: usize,
}

impl TreeObject {
    fn parse(bytes: &[u8]) -> Self {
        let mut tree = Self { entries: BTreeMap::new(), is_sound: true };
        let (mut rest, mut last) = (bytes, Vec::new());
        while !rest.is_empty() {
            let Some((mode, name, id)) = take_entry(&mut rest) else {
                tree.is_sound = false;
                break;
            };
            let Some(kind) = kind(mode) else {
                tree.is_sound = false;
                continue;
            };
            // Git sorts a folder as if its name ended in a slash.
            let key = [name, if kind == EntryKind::Tree { b"/" } else { b"" }].concat();
            let is_name = !name.is_empty() && !name.contains(&b'/') && name != b"." && name != b"..";
            let name = String::from_utf8_lossy(name).into_owned();
            tree.is_sound &= is_name && key > last && !tree.entries.contains_key(&name);
            last = key;
            if is_name {
                tree.entries.entry(name).or_insert(TreeEntry { kind, id });
            }
        }
        tree
    }
}

/// Takes the first entry off a tree's bytes: its mode, name and id.
fn take_entry<'b>(rest: &mut &'b [u8]) -> Option<(&'b [u8], &'b [u8], ObjectId)> {
    let (mode, after) = rest.split_at(rest.iter().position(|byte| *byte == b' ')?);
    let (name, after) = after[1..].split_at(after[1..].iter().position(|byte| *byte == 0)?);
    let (id, after) = after[1..].split_first_chunk::<20>()?;
    *rest = after;
    Some((mode, name, ObjectId::from(*id)))
}

/// What a mode stands for; old versions of git wrote zeros before it.
fn kind(mode: &[u8]) -> Option<EntryKind> {
    let digits = mode.iter().position(|byte| *byte != b'0').unwrap_or(mode.len());
    match &mode[digits..] {
        b"40000" => Some(EntryKind::Tree),
        b"100644" | b"100755" | b"100664" => Some(EntryKind::File),
        b"120000" => Some(EntryKind::Link),
        b"160000" => Some(EntryKind::Submodule),
        _ => None,
    }
}

impl Repository {
    /// A tree's entries.
    pub(crate) fn tree(&self, id: gix::ObjectId) -> Result<TreeObject, Error> {
        if id == self.gix.empty_tree().id {
            return Ok(TreeObject { is_sound: true, ..TreeObject::default() });
        }
        let object = self.gix.find_object(id).map_err(|e| self.broken(e))?;
        if object.kind != gix::objs::Kind::Tree {
            return Err(self.broken(format!("{id} is no tree")));
        }
        Ok(TreeObject::parse(&object.data))
    }

    /// What stands at a path below a tree.
    pub(crate) fn entry_at(&self, tree: gix::ObjectId, path: &str) -> Result<Option<TreeEntry>, Error> {
        let mut found = TreeEntry { kind: EntryKind::Tree, id: object_id(tree) };
        for name in path.split('/') {
            if found.kind != EntryKind::Tree {
                return Ok(None);
            }
            match self.tree(oid(found.id))?.entries.get(name) {
                Some(entry) => found = *entry,
                None => return Ok(None),
            }
        }
        Ok(Some(found))
    }

    /// What two trees differ in that stand at a folder (`apps/survey/`; empty for the root), within the platform.
    ///
    /// # Errors
    /// [`Error::TooLarge`] where they are larger than any platform.
    pub(crate) fn difference(
        &self,
        before: Option<gix::ObjectId>,
        after: Option<gix::ObjectId>,
        folder: &str,
    ) -> Result<TreeDifference, Error> {
        let mut difference = TreeDifference::default();
        self.compare(before.map(object_id), after.map(object_id), folder, 0, &mut difference)?;
        Ok(difference)
    }

    fn compare(
        &self,
        before: Option<ObjectId>,
        after: Option<ObjectId>,
        folder: &str,
        level: usize,
        difference: &mut TreeDifference,
    ) -> Result<(), Error> {
        if before == after {
            return Ok(());
        }
        let tree = |id: Option<ObjectId>| id.map_or_else(|| Ok(TreeObject::default()), |id| self.tree(oid(id)));
        let (was, is) = (tree(before)?, tree(after)?);
        if after.is_some() && !is.is_sound && difference.unsound.is_none() {
            difference.unsound = Some(folder.to_owned());
        }
        difference.compared += was.entries.len() + is.entries.len();
        if difference.compared > MOST_ENTRIES || level > MOST_LEVELS {
            return Err(Error::TooLarge { path: self.path().to_owned(), folder: folder.to_owned() });
        }
        let is_seen = |name: &str| !is_litter(name) && (level > 0 || !folder.is_empty() || is_root(name));
        let names: BTreeSet<_> = was.entries.keys().chain(is.entries.keys()).collect();
        for name in names.into_iter().filter(|name| is_seen(name)) {
            let (old, new) = (was.entries.get(name).copied(), is.entries.get(name).copied());
            if old == new {
                continue;
            }
            let below = |entry: Option<TreeEntry>| entry.filter(|it| it.kind == EntryKind::Tree).map(|it| it.id);
            let path = format!("{folder}{name}");
            self.compare(below(old), below(new), &format!("{path}/"), level + 1, difference)?;
            let file = |entry: Option<TreeEntry>| entry.filter(|it| it.kind != EntryKind::Tree);
            if (file(old).is_some() || file(new).is_some()) && within(&path) {
                difference.files.push((path, file(old), file(new)));
            }
        }
        Ok(())
    }
}

/// Whether a name in the root is one of the platform's folders.
fn is_root(name: &str) -> bool {
    FOLDERS.iter().any(|folder| folder.strip_suffix('/') == Some(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(mode: &str, name: &str) -> Vec<u8> {
        [mode.as_bytes(), b" ", name.as_bytes(), b"\0", &[7; 20]].concat()
    }

    fn parsed(entries: &[(&str, &str)]) -> (Vec<String>, bool) {
        let bytes: Vec<u8> = entries.iter().flat_map(|(mode, name)| entry(mode, name)).collect();
        let tree = TreeObject::parse(&bytes);
        (tree.entries.into_keys().collect(), tree.is_sound)
    }

    #[test]
    fn a_tree_of_git_is_sound() {
        let entries = [("100644", "a-b"), ("40000", "a"), ("100755", "a0"), ("120000", "b"), ("160000", "c")];
        assert_eq!(parsed(&entries), (["a", "a-b", "a0", "b", "c"].map(str::to_owned).into(), true));
        assert_eq!(parsed(&[("040000", "a")]), (vec!["a".to_owned()], true));
        assert_eq!(parsed(&[]), (vec![], true));
    }

    #[test]
    fn a_tree_that_git_never_writes_is_unsound_and_read_the_same_every_time() {
        for (entries, names) in [
            (&[("100644", "a"), ("100644", "a")][..], &["a"][..]),
            (&[("100644", "a"), ("40000", "a")], &["a"]),
            (&[("40000", "b"), ("40000", "a")], &["a", "b"]),
            (&[("100644", "a/b"), ("40000", "c")], &["c"]),
            (&[("40000", "a"), ("100644", "a/b")], &["a"]),
            (&[("100644", ""), ("100644", "b")], &["b"]),
            (&[("40000", "."), ("40000", "..")], &[]),
            (&[("777777", "a"), ("100644", "b")], &["b"]),
            (&[("", "a")], &[]),
        ] {
            assert_eq!(parsed(entries), (names.iter().map(|name| (*name).to_owned()).collect(), false), "{entries:?}");
        }
        let mut cut = entry("100644", "a");
        cut.extend(b"100644 b\0");
        assert!(!TreeObject::parse(&cut).is_sound);
        assert!(!TreeObject::parse(b"rubbish").is_sound);
    }
}
