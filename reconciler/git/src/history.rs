//! The history of a commit: the commits that lead to it, and what each of them did to apps.

use std::collections::{BTreeMap, BTreeSet};

use dayfly_lifecycle::history::{AppChange, AppFacts, CommitFacts};
use dayfly_model::digest::Revision;
use dayfly_model::names::AppName;
use gix::bstr::ByteSlice;
use jiff::Timestamp;

use crate::repository::{object_id, oid};
use crate::trees::{EntryKind, TreeEntry};
use crate::{Error, Repository};

/// Of each app whose manifest changed, the one before and the one after.
type ManifestChanges = BTreeMap<AppName, (Option<TreeEntry>, Option<TreeEntry>)>;

impl Repository {
    /// The first-parent history from the root to `tip`, oldest first, without `tip`'s ancestors from the first known one
    /// on down.
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

    /// All commits that lead to `tip`, by whatever parent, `tip` among them, without the `known` ones and what only they
    /// lead to.
    pub fn ancestors(&self, tip: Revision, known: &BTreeSet<Revision>) -> Result<BTreeSet<Revision>, Error> {
        let (mut found, mut open) = (BTreeSet::new(), vec![tip]);
        while let Some(at) = open.pop() {
            if !known.contains(&at) && found.insert(at) {
                open.extend(self.parents(at)?);
            }
        }
        Ok(found)
    }

    /// Whether a commit is another one, or leads to it.
    pub fn leads_to(&self, at: Revision, tip: Revision) -> bool {
        self.gix.merge_base(oid(at), oid(tip)).is_ok_and(|base| base.is_some_and(|base| base.detach() == oid(at)))
    }

    /// The parents of a commit, the first one first.
    pub fn parents(&self, at: Revision) -> Result<Vec<Revision>, Error> {
        Ok(self.commit(at)?.parent_ids().map(|id| object_id(id.detach())).collect())
    }

    /// The first parent of a commit; none of a root.
    pub fn first_parent(&self, at: Revision) -> Result<Option<Revision>, Error> {
        Ok(self.parents(at)?.into_iter().next())
    }

    /// The committer's date; the earliest of all where nobody can read it.
    pub fn time(&self, at: Revision) -> Result<Timestamp, Error> {
        let time = self.commit(at)?.time().ok().and_then(|time| Timestamp::from_second(time.seconds).ok());
        Ok(time.unwrap_or(Timestamp::MIN))
    }

    /// What a commit says about apps.
    pub fn facts(&self, at: Revision) -> Result<CommitFacts, Error> {
        let commit = self.commit(at)?;
        // Whoever can push can push a commit whose head nobody can read: it says nothing, and stops nobody.
        let author = commit.author().map(|author| format!("{} <{}>", author.name, author.email));
        Ok(CommitFacts {
            author: author.unwrap_or_default(),
            message: commit.message_raw_sloppy().to_str_lossy().into_owned(),
            ..CommitFacts::new(
                at,
                self.time(at)?,
                self.app_changes(self.manifests_changed(at, self.first_parent(at)?)?)?,
            )
        })
    }

    /// What a commit did to apps that none of its parents has done: a merge only takes over what one of them did.
    pub fn own_changes(&self, at: Revision) -> Result<Vec<AppChange>, Error> {
        let parents = self.parents(at)?;
        let mut changed = self.manifests_changed(at, parents.first().copied())?;
        for other in parents.into_iter().skip(1) {
            let others = self.manifests_changed(at, Some(other))?;
            changed.retain(|app, _| others.contains_key(app));
        }
        self.app_changes(changed)
    }

    /// The apps whose manifests differ between two commits, each with the one before and the one after. Nothing else of the
    /// trees is read, however large they are and whoever made them.
    fn manifests_changed(&self, at: Revision, before: Option<Revision>) -> Result<ManifestChanges, Error> {
        let (was, is) = (before.map(|before| self.apps(before)).transpose()?, self.apps(at)?);
        let was = was.unwrap_or_default();
        let mut changed = ManifestChanges::new();
        for name in was.keys().chain(is.keys()).collect::<BTreeSet<_>>() {
            let (old, new) = (was.get(name).copied(), is.get(name).copied());
            let Some(app) = name.parse::<AppName>().ok().filter(|_| old != new) else { continue };
            let (old, new) = (self.manifest(old)?, self.manifest(new)?);
            if old != new {
                changed.insert(app, (old, new));
            }
        }
        Ok(changed)
    }

    /// What stands in a commit's folder `apps/`.
    fn apps(&self, at: Revision) -> Result<BTreeMap<String, TreeEntry>, Error> {
        match self.tree(self.tree_of(at)?)?.entries.get("apps") {
            Some(apps) if apps.kind == EntryKind::Tree => Ok(self.tree(oid(apps.id))?.entries),
            _ => Ok(BTreeMap::new()),
        }
    }

    /// The manifest in an app's folder.
    fn manifest(&self, app: Option<TreeEntry>) -> Result<Option<TreeEntry>, Error> {
        let Some(folder) = app.filter(|app| app.kind == EntryKind::Tree) else { return Ok(None) };
        let found = self.tree(oid(folder.id))?.entries.get("app.yaml").copied();
        Ok(found.filter(|found| found.kind != EntryKind::Tree))
    }

    fn app_changes(&self, changed: ManifestChanges) -> Result<Vec<AppChange>, Error> {
        let facts = |manifest: Option<TreeEntry>| -> Result<_, Error> {
            let Some(manifest) = manifest else { return Ok(None) };
            // A submodule's commit is in no repository that we know.
            let bytes = if manifest.kind == EntryKind::Submodule { None } else { self.blob(manifest.id)? };
            Ok(Some(bytes.map(|bytes| AppFacts::read(&bytes)).unwrap_or_default()))
        };
        let change = |(app, (before, after))| Ok(AppChange { app, before: facts(before)?, after: facts(after)? });
        changed.into_iter().map(change).collect()
    }
}
