//! What a pass did, as data: what the JSON formats and the terminal tell.

use std::collections::BTreeSet;
use std::time::Duration;

use dayfly_cluster::{ChangeSet, ClusterError};
use dayfly_model::diagnostic::Diagnostic;
use dayfly_model::digest::Revision;
use dayfly_model::names::{AppName, TierName};
use dayfly_model::object::ObjectKey;
use dayfly_model::scope::Scope;
use dayfly_plan::plan::ChangeAction;
use dayfly_plan::status::Status;
use jiff::Timestamp;
use serde::Serialize;

use crate::findings;
use crate::view::View;

/// What a pass did. Serialized, it is the `Pass` of the JSON formats.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Pass {
    /// The tip.
    pub revision: Revision,
    /// Every app.
    pub items: Vec<Status>,
    /// Every object that was changed.
    pub changes: Vec<Changed>,
    /// How many calls changed something, in clusters, git and forge.
    pub writes: usize,
    /// How many calls there were, reads and watches included.
    pub calls: usize,
    /// The apps that were retired.
    pub retired: Vec<Retired>,
    /// The changes that wait for a person's approval.
    pub proposals: Vec<Proposed>,
    /// What somebody should know.
    pub diagnostics: Vec<Diagnostic>,
    /// When it was.
    #[serde(skip)]
    pub time: Timestamp,
    /// How long it took.
    #[serde(skip)]
    pub took: Duration,
    /// When something is due next.
    #[serde(skip)]
    pub next_due: Option<Timestamp>,
    /// How many instances were rendered anew.
    #[serde(skip)]
    pub renders: usize,
    /// What failed and may go well later.
    #[serde(skip)]
    pub unfinished: BTreeSet<Scope>,
}

/// An object that was changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Changed {
    /// The app; empty for what a tier has once.
    pub app: String,
    /// The tier.
    pub tier: TierName,
    /// What happened.
    pub action: ChangeAction,
    /// To which object.
    pub object: String,
}

/// An app that was retired.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Retired {
    /// The app.
    pub app: AppName,
    /// The tier it was in.
    pub tier: TierName,
    /// The commit that deleted it.
    pub commit: Revision,
}

/// A change that waits for a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Proposed {
    /// What it is about: `retire`.
    pub action: String,
    /// The app.
    pub app: AppName,
    /// The tier.
    pub tier: TierName,
    /// The pull request's number, where the forge has one.
    pub pull_request: Option<u64>,
    /// The branch that carries it.
    pub branch: String,
}

impl Pass {
    /// A pass over what a view says, that did nothing yet.
    pub(crate) fn new(view: &View, time: Timestamp) -> Self {
        Self { renders: view.renders, ..Self::nothing(view.tip.revision, time) }
    }

    /// A pass that did nothing.
    pub(crate) fn nothing(revision: Revision, time: Timestamp) -> Self {
        Self {
            revision,
            items: Vec::new(),
            changes: Vec::new(),
            writes: 0,
            calls: 0,
            retired: Vec::new(),
            proposals: Vec::new(),
            diagnostics: Vec::new(),
            time,
            took: Duration::ZERO,
            next_due: None,
            renders: 0,
            unfinished: BTreeSet::new(),
        }
    }

    /// Records that the tip is another one by now.
    pub(crate) fn moves_on(&mut self, view: &View) {
        self.revision = view.tip.revision;
        self.renders += view.renders;
    }

    /// Records what was done for one scope.
    pub(crate) fn record(&mut self, done: &ChangeSet) {
        let scope = &done.scope;
        self.changes.extend(done.changes.iter().map(|change| Changed::of(scope, change.action, &change.key)));
        let failures = done.failures.iter().map(|failure| findings::of_error(&failure.error));
        let found = failures.chain(done.unhealthy.iter().filter_map(findings::of_deletion));
        self.diagnostics.extend(found.map(|found| findings::about(found, scope)));
    }

    /// Records that a scope could not even be planned.
    pub(crate) fn fail(&mut self, scope: &Scope, error: &ClusterError) {
        self.diagnostics.push(findings::about(findings::of_error(error), scope));
        self.unfinished.insert(scope.clone());
    }

    /// Whether something failed that may go well later.
    pub fn is_unfinished(&self) -> bool {
        !self.unfinished.is_empty()
    }

    /// Whether something is not as git says.
    pub fn has_failed(&self) -> bool {
        self.is_unfinished() || self.items.iter().any(Status::is_unhealthy)
    }
}

impl Changed {
    pub(crate) fn of(scope: &Scope, action: ChangeAction, key: &ObjectKey) -> Self {
        let app = scope.app().map(ToString::to_string).unwrap_or_default();
        Self { app, tier: scope.tier().clone(), action, object: key.to_string() }
    }
}
