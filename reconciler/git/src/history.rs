//! The history of a commit: the commits that lead to it, and what each of them did to apps.

use std::collections::BTreeSet;

use dayfly_lifecycle::history::{AppChange, AppFacts, CommitFacts};
use dayfly_model::digest::{ObjectId, Revision};
use dayfly_model::names::AppName;
use gix::bstr::ByteSlice;
use gix::objs::tree::EntryMode;
use jiff::Timestamp;

use crate::repository::{object_id, oid};
use crate::{Error, FileChange, Repository};

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
            ..CommitFacts::new(at, self.time(at)?, self.app_changes(self.changes(at)?)?)
        })
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
            let (before, after) = (facts(change.before, change.mode_before)?, facts(change.after, change.mode_after)?);
            of_apps.push(AppChange { app, before, after });
        }
        Ok(of_apps)
    }
}
