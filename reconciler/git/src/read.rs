//! Reading the repository with gix: tips, snapshots, what changed, and history. Blobs at a commit; never a checkout.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use dayfly_lifecycle::history::{AppChange, AppFacts, CommitFacts};
use dayfly_model::digest::{ObjectId, Revision};
use dayfly_model::names::AppName;
use dayfly_model::snapshot::{FileContent, FileEntry, MAX_FILE, Snapshot};
use gix::bstr::ByteSlice;
use gix::diff::tree::{Recorder, recorder};
use gix::objs::tree::{EntryKind, EntryMode};
use jiff::Timestamp;

use super::{Error, LEDGER, Tip, within};

/// How many bytes of decoded objects are kept.
const OBJECT_CACHE: usize = 16 << 20;

/// A git repository, bare or with a working tree.
pub struct Repository {
    path: PathBuf,
    gix: gix::Repository,
}

/// One changed path between two commits.
pub struct FileChange {
    /// The path, from the repository's root.
    pub path: String,
    /// What stood there.
    pub before: Option<ObjectId>,
    /// What stands there.
    pub after: Option<ObjectId>,
    /// The mode of what stood there, if anything did.
    mode_before: EntryMode,
    mode: EntryMode,
}

/// The ledger branch as it stands.
#[derive(Default)]
pub struct Ledger {
    /// Its commit; none where the branch is absent.
    pub tip: Option<Revision>,
    /// Its records, path and bytes, in the order of their paths.
    pub records: Vec<(String, Vec<u8>)>,
}

impl Repository {
    /// Opens the repository at `path` (its working tree or its git directory), and no other one above it.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let mut gix =
            gix::open_opts(path, gix::open::Options::isolated()).map_err(|_| Error::NotFound(path.to_owned()))?;
        // Neighboring commits share most of their trees.
        gix.object_cache_size(OBJECT_CACHE);
        Ok(Self { path: path.to_owned(), gix })
    }

    /// Where it was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The git directory: where refs and objects stand.
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
        Ok(Tip { revision: revision(&id), branch })
    }

    /// The branches that people made, by their short names.
    fn branches(&self) -> Result<Vec<String>, Error> {
        let references = self.gix.references().map_err(|e| self.broken(e))?;
        let names = references.local_branches().map_err(|e| self.broken(e))?.filter_map(Result::ok);
        let names = names.map(|branch| branch.name().shorten().to_string());
        Ok(names.filter(|name| !name.starts_with("dayfly-ledger") && !name.starts_with("dayfly/")).collect())
    }

    /// The commit that a branch, a tag or a (short) id names.
    pub fn resolve(&self, name: &str) -> Result<Revision, Error> {
        let absent = || Error::NoRevision { path: self.path.clone(), name: name.to_owned() };
        let id = self.gix.rev_parse_single(format!("{name}^{{commit}}").as_str()).map_err(|_| absent())?;
        Ok(revision(&id))
    }

    /// The platform's files at a commit.
    pub fn snapshot(&self, at: Revision) -> Result<Snapshot, Error> {
        Ok(Snapshot::new(Some(at), self.files(self.tree_of(at)?, "")?))
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

    /// All files of a tree that stands at a folder.
    fn files(&self, tree: gix::ObjectId, folder: &str) -> Result<Vec<(String, FileEntry)>, Error> {
        let found = self.diff_trees(self.gix.empty_tree().id, tree, folder)?;
        let files = found.into_iter().filter_map(|file| Some((file.after?, file)));
        files.map(|(id, file)| Ok((file.path, self.entry(id, file.mode)?))).collect()
    }

    /// The platform's files at a commit, from those of another: reads only what differs.
    pub fn snapshot_from(&self, before: &Snapshot, at: Revision) -> Result<Snapshot, Error> {
        let Some(from) = before.revision() else { return self.snapshot(at) };
        let mut changes = Vec::new();
        for change in self.diff_trees(self.tree_of(from)?, self.tree_of(at)?, "")? {
            let entry = change.after.map(|id| self.entry(id, change.mode)).transpose()?;
            changes.push((change.path, entry));
        }
        Ok(before.patched(Some(at), changes))
    }

    /// The first-parent history from the root to `tip`, without commits that are known, oldest first.
    pub fn first_parents(&self, tip: Revision, is_known: impl Fn(&Revision) -> bool) -> Result<Vec<Revision>, Error> {
        let mut line = Vec::new();
        let mut next = Some(tip);
        while let Some(at) = next.filter(|at| !is_known(at)) {
            line.push(at);
            next = self.first_parent(at)?;
        }
        line.reverse();
        Ok(line)
    }

    /// What a commit changed against its first parent, within the platform's folders.
    pub fn changes(&self, at: Revision) -> Result<Vec<FileChange>, Error> {
        self.changes_against(at, self.first_parent(at)?)
    }

    fn changes_against(&self, at: Revision, parent: Option<Revision>) -> Result<Vec<FileChange>, Error> {
        let before = parent.map_or(Ok(self.gix.empty_tree().id), |parent| self.tree_of(parent))?;
        self.diff_trees(before, self.tree_of(at)?, "")
    }

    /// All commits that lead to `tip`, by whatever parent, without the `known` ones; and the known ones it met.
    pub fn ancestors(
        &self,
        tip: Revision,
        known: &BTreeSet<Revision>,
    ) -> Result<(BTreeSet<Revision>, BTreeSet<Revision>), Error> {
        let (mut found, mut met, mut open) = (BTreeSet::new(), BTreeSet::new(), vec![tip]);
        while let Some(at) = open.pop() {
            if known.contains(&at) {
                met.insert(at);
            } else if found.insert(at) {
                open.extend(self.commit(at)?.parent_ids().map(|id| revision(&id)));
            }
        }
        Ok((found, met))
    }

    /// Whether a commit is another one, or leads to it.
    pub fn leads_to(&self, at: Revision, tip: Revision) -> bool {
        self.gix.merge_base(oid(at), oid(tip)).is_ok_and(|base| base.is_some_and(|base| base.detach() == oid(at)))
    }

    /// The parents of a commit, the first one first.
    pub fn parents(&self, at: Revision) -> Result<Vec<Revision>, Error> {
        Ok(self.commit(at)?.parent_ids().map(|id| revision(&id)).collect())
    }

    /// The first parent of a commit; none of a root.
    pub fn first_parent(&self, at: Revision) -> Result<Option<Revision>, Error> {
        Ok(self.parents(at)?.into_iter().next())
    }

    /// What a commit says about apps.
    pub fn facts(&self, at: Revision) -> Result<CommitFacts, Error> {
        let commit = self.commit(at)?;
        // Whoever can push can push a commit whose head nobody can read: it says nothing, and stops nobody.
        let author = commit.author().map(|author| format!("{} <{}>", author.name, author.email));
        Ok(CommitFacts {
            author: author.unwrap_or_default(),
            message: commit.message_raw_sloppy().to_str_lossy().into_owned(),
            ..CommitFacts::new(at, self.time(at)?, self.app_changes(self.changes(at)?)?)
        })
    }

    /// The committer's date; the earliest of all where nobody can read it.
    pub fn time(&self, at: Revision) -> Result<Timestamp, Error> {
        let time = self.commit(at)?.time().ok().and_then(|time| Timestamp::from_second(time.seconds).ok());
        Ok(time.unwrap_or(Timestamp::MIN))
    }

    /// What a commit did to apps that none of its parents has done: a merge only takes over what one of them did.
    pub fn own_changes(&self, at: Revision) -> Result<Vec<AppChange>, Error> {
        let mut changes = self.changes(at)?;
        for other in self.parents(at)?.into_iter().skip(1) {
            let others: BTreeSet<_> = self.changes_against(at, Some(other))?.into_iter().map(|it| it.path).collect();
            changes.retain(|change| others.contains(&change.path));
        }
        self.app_changes(changes)
    }

    fn app_changes(&self, changes: Vec<FileChange>) -> Result<Vec<AppChange>, Error> {
        let facts = |id: Option<ObjectId>, mode: EntryMode| -> Result<_, Error> {
            let Some(id) = id else { return Ok(None) };
            // A submodule's commit is in no repository that we know.
            let bytes = if mode.is_commit() { None } else { self.blob(id)? };
            Ok(Some(bytes.map(|bytes| AppFacts::read(&bytes)).unwrap_or_default()))
        };
        let mut of_apps = Vec::new();
        for change in changes {
            let name = change.path.strip_prefix("apps/").and_then(|rest| rest.strip_suffix("/app.yaml"));
            let Some(app) = name.and_then(|name| name.parse::<AppName>().ok()) else { continue };
            let (before, after) = (facts(change.before, change.mode_before)?, facts(change.after, change.mode)?);
            of_apps.push(AppChange { app, before, after });
        }
        Ok(of_apps)
    }

    /// A commit object.
    pub fn commit(&self, at: Revision) -> Result<gix::Commit<'_>, Error> {
        self.gix.find_commit(oid(at)).map_err(|e| self.broken(e))
    }

    /// A blob's bytes, or nothing where it is larger than [`MAX_FILE`].
    pub fn blob(&self, id: ObjectId) -> Result<Option<Vec<u8>>, Error> {
        let header = self.gix.find_header(oid(id)).map_err(|e| self.broken(e))?;
        if header.size() > MAX_FILE {
            return Ok(None);
        }
        Ok(Some(self.gix.find_blob(oid(id)).map_err(|e| self.broken(e))?.take_data()))
    }

    /// The ledger branch's commit; none where the branch is absent.
    pub fn ledger_tip(&self) -> Result<Option<Revision>, Error> {
        let Some(mut reference) = self.gix.try_find_reference(LEDGER).map_err(|e| self.broken(e))? else {
            return Ok(None);
        };
        Ok(Some(revision(&reference.peel_to_id().map_err(|e| self.broken(e))?)))
    }

    /// The ledger branch.
    pub fn ledger(&self) -> Result<Ledger, Error> {
        let Some(tip) = self.ledger_tip()? else { return Ok(Ledger::default()) };
        let mut files = Recorder::default().track_location(Some(recorder::Location::Path));
        self.record(self.gix.empty_tree().id, self.tree_of(tip)?, &mut files)?;
        let mut records = Vec::new();
        for change in files.records {
            if let recorder::Change::Addition { entry_mode, oid, path, .. } = change
                && entry_mode.is_blob()
                && let Some(bytes) = self.blob(object_id(oid))?
            {
                records.push((path.to_string(), bytes));
            }
        }
        records.sort_unstable();
        Ok(Ledger { tip: Some(tip), records })
    }

    fn tree_of(&self, at: Revision) -> Result<gix::ObjectId, Error> {
        Ok(self.commit(at)?.tree_id().map_err(|e| self.broken(e))?.detach())
    }

    fn record(&self, before: gix::ObjectId, after: gix::ObjectId, into: &mut Recorder) -> Result<(), Error> {
        let before = self.gix.find_tree(before).map_err(|e| self.broken(e))?;
        let after = self.gix.find_tree(after).map_err(|e| self.broken(e))?;
        let (before, after) = (
            gix::objs::TreeRefIter::from_bytes(&before.data, before.id.kind()),
            gix::objs::TreeRefIter::from_bytes(&after.data, after.id.kind()),
        );
        gix::diff::tree(before, after, gix::diff::tree::State::default(), &self.gix.objects, into)
            .map_err(|e| self.broken(e))
    }

    /// What differs between two trees that stand at a folder, within the platform.
    fn diff_trees(&self, before: gix::ObjectId, after: gix::ObjectId, folder: &str) -> Result<Vec<FileChange>, Error> {
        let mut recorder = Recorder::default().track_location(Some(recorder::Location::Path));
        self.record(before, after, &mut recorder)?;
        let changes = recorder.records.into_iter().filter_map(|change| {
            let (path, before, after, mode_before, mode) = match change {
                recorder::Change::Addition { entry_mode: mode, oid, path, .. } => (path, None, Some(oid), mode, mode),
                recorder::Change::Deletion { entry_mode: mode, oid, path, .. } => (path, Some(oid), None, mode, mode),
                recorder::Change::Modification { previous_oid, previous_entry_mode, entry_mode, oid, path } => {
                    (path, Some(previous_oid), Some(oid), previous_entry_mode, entry_mode)
                }
            };
            let path = format!("{folder}{}", path.to_str_lossy());
            (!mode.is_tree() && within(&path)).then(|| FileChange {
                path,
                before: before.map(object_id),
                after: after.map(object_id),
                mode_before,
                mode,
            })
        });
        // A path that changes its type is deleted and added: the addition is what counts.
        let mut changes: Vec<_> = changes.collect();
        changes.sort_by(|a, b| a.path.cmp(&b.path).then(b.after.is_some().cmp(&a.after.is_some())));
        changes.dedup_by(|later, first| later.path == first.path);
        Ok(changes)
    }

    fn entry(&self, id: ObjectId, mode: EntryMode) -> Result<FileEntry, Error> {
        let content = match mode.kind() {
            EntryKind::Link => FileContent::Symlink,
            EntryKind::Commit => FileContent::Submodule,
            _ => match self.blob(id)? {
                Some(bytes) => FileContent::Bytes(bytes.into()),
                None => FileContent::TooLarge(self.gix.find_header(oid(id)).map_err(|e| self.broken(e))?.size()),
            },
        };
        Ok(FileEntry { id, content })
    }

    fn broken(&self, error: impl std::fmt::Display) -> Error {
        Error::broken(&self.path, error)
    }
}

fn oid(id: ObjectId) -> gix::ObjectId {
    gix::ObjectId::Sha1(*id.as_bytes())
}

fn object_id(id: gix::ObjectId) -> ObjectId {
    let mut bytes = [0; 20];
    bytes.copy_from_slice(&id.as_slice()[..20]);
    ObjectId::from(bytes)
}

fn revision(id: &gix::Id<'_>) -> Revision {
    object_id(id.detach())
}
