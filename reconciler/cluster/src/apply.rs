//! Carries out a plan: wave by wave, each when the one before is healthy, then the deletions, with the inventory ahead of
//! every creation and behind every deletion.
//!
//! A creation must never take over an object that somebody else made under the same name in the meantime. Server-side
//! apply alone would quietly become its co-owner, and a POST would make us own defaults that we never sent. So a creation
//! is an apply that carries a resource version which no object has: the API server ignores it when it creates, and answers
//! 409 when the object exists. Every other apply carries the UID of the object it means; one that is gone or was made
//! anew answers 409 too. Both need one call and no lock, and a crash at any point leaves at most a pending inventory entry,
//! which claims only an object with our field manager and our apply id (the ApplySet label, sent with every apply).

use std::time::Duration;

use dayfly_model::kinds::{Kind, WAVES};
use dayfly_model::object::{Object, ObjectKey};
use dayfly_model::scope::Scope;
use dayfly_plan::health::Health;
use dayfly_plan::inventory::{Inventory, InventoryEntry, LastPass};
use dayfly_plan::observed::{Live, PART_OF_APPLY_SET, Seen};
use dayfly_plan::plan::{ChangeAction, ChangeReason, ObjectChange, Plan, Skipped};
use futures::StreamExt as _;
use serde_json::{Value, json};

use super::call::Answer;
use super::request::Request;
use super::{Cluster, ClusterError, ClusterErrorKind};

/// Changes of one plan under way at once; the limiter of the cluster has the last word.
pub(super) const AT_ONCE: usize = 16;
/// A resource version that no object has: the largest that etcd could count to.
const NEVER: &str = "9223372036854775807";

/// How long a pass waits.
#[derive(Debug, Clone, Copy)]
pub struct WaitLimits {
    /// For a wave to become healthy.
    pub health: Duration,
    /// For a wave of deletions to be gone.
    pub deletion: Duration,
}

impl Default for WaitLimits {
    fn default() -> Self {
        Self { health: Duration::from_secs(300), deletion: Duration::from_secs(120) }
    }
}

/// What a pass did for one scope.
#[derive(Debug, Clone)]
pub struct ChangeSet {
    /// Whose objects.
    pub scope: Scope,
    /// What changed in the cluster, in order.
    pub changes: Vec<AppliedChange>,
    /// What could not be done.
    pub failures: Vec<Failure>,
    /// What was left as it is, and why.
    pub notes: Vec<Skipped>,
    /// What is not healthy, or not gone, at the end.
    pub unhealthy: Vec<(ObjectKey, Health)>,
    /// Whether everything that the plan meant to do is done and healthy, and nothing waits behind a problem.
    pub complete: bool,
}

/// A change that was made.
#[derive(Debug, Clone)]
pub struct AppliedChange {
    /// What.
    pub action: ChangeAction,
    /// To what.
    pub key: ObjectKey,
    /// Why.
    pub reason: ChangeReason,
}

/// A change that could not be made.
#[derive(Debug, Clone)]
pub struct Failure {
    /// To what; none if it is the inventory itself.
    pub key: Option<ObjectKey>,
    /// Why not.
    pub error: ClusterError,
}

/// What must hold for an apply to be carried out.
#[derive(Clone, Copy)]
pub(super) enum Precondition<'a> {
    /// The object does not exist.
    Absent,
    /// The object has this UID.
    Uid(&'a str),
}

impl Cluster {
    /// Carries out a plan, and keeps the inventory true. The watches must run: waves wait for what they tell.
    pub async fn apply(&self, plan: &Plan, inventory: &mut Inventory, last: LastPass, limits: WaitLimits) -> ChangeSet {
        let set = ChangeSet {
            scope: plan.scope().clone(),
            changes: vec![],
            failures: vec![],
            notes: plan.skipped().to_vec(),
            unhealthy: vec![],
            complete: false,
        };
        let mut pass = ApplyRun { cluster: self, plan, inventory, limits, set };
        pass.run(last).await;
        pass.set
    }

    /// Reads one object by name, whatever its labels.
    pub(super) async fn find(&self, key: &ObjectKey) -> Result<Option<(Live, Value)>, ClusterError> {
        let kind = self.kind_of(key)?;
        match self.call(Request::get(kind, key.namespace.as_deref(), &key.name)).await {
            Ok(answer) => Ok(Some((self.live(key, &answer)?, answer.body))),
            Err(error) if matches!(error.kind, ClusterErrorKind::NotFound | ClusterErrorKind::NamespaceMissing) => {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    pub(super) fn kind_of(&self, key: &ObjectKey) -> Result<&'static Kind, ClusterError> {
        self.store().kinds.find(&key.group, &key.kind).ok_or_else(|| {
            self.error(key.to_string(), ClusterErrorKind::KindMissing(format!("{}.{}", key.kind, key.group)))
        })
    }

    fn live(&self, key: &ObjectKey, answer: &Answer) -> Result<Live, ClusterError> {
        Live::of_kind(self.kind_of(key)?, &answer.body).map_err(|error| {
            self.error(key.to_string(), ClusterErrorKind::Server { status: answer.status, message: error.to_string() })
        })
    }

    /// The request that applies an object under a condition.
    pub(super) fn apply_request(
        &self,
        scope: &Scope,
        object: &Object,
        precondition: Precondition<'_>,
        force: bool,
    ) -> Result<Request, ClusterError> {
        let key = object.key();
        let mut body = (**object.value()).clone();
        let meta = &mut body["metadata"];
        if !meta["labels"].is_object() {
            meta["labels"] = json!({});
        }
        meta["labels"][PART_OF_APPLY_SET] = scope.apply_set().into();
        match precondition {
            Precondition::Absent => meta["resourceVersion"] = NEVER.into(),
            Precondition::Uid(uid) => meta["uid"] = uid.into(),
        }
        let force = force && matches!(precondition, Precondition::Uid(_));
        let request = Request::apply(self.kind_of(key)?, key.namespace.as_deref(), &key.name, &body);
        Ok(request.with("force", force.to_string()))
    }

    async fn update(&self, plan: &Plan, object: &Object, uid: &str) -> Result<Live, ClusterError> {
        let request = self.apply_request(plan.scope(), object, Precondition::Uid(uid), plan.force())?;
        self.live(object.key(), &self.call(request).await?)
    }

    async fn create(&self, plan: &Plan, object: &Object, entry: &InventoryEntry) -> Result<Live, ClusterError> {
        let request = self.apply_request(plan.scope(), object, Precondition::Absent, false)?;
        match self.call(request).await {
            Ok(answer) => self.live(object.key(), &answer),
            // It exists: made by somebody else, or by our own call whose answer was lost.
            Err(error) if matches!(error.kind, ClusterErrorKind::Moved(_) | ClusterErrorKind::Owned(_)) => {
                self.adopt_existing(plan, object, entry).await?.ok_or(error)
            }
            Err(error) => Err(error),
        }
    }

    /// Updates the object of that name if it is the entry's. None if there is no object.
    async fn adopt_existing(
        &self,
        plan: &Plan,
        object: &Object,
        entry: &InventoryEntry,
    ) -> Result<Option<Live>, ClusterError> {
        match self.find(object.key()).await? {
            None => Ok(None),
            Some((live, _)) if entry.claims(&live, plan.scope()) => {
                self.update(plan, object, &live.uid).await.map(Some)
            }
            Some((live, _)) => Err(self.error(object.key().to_string(), ClusterErrorKind::Foreign(live.owners()))),
        }
    }

    /// Makes one change that is no deletion.
    async fn change(
        &self,
        plan: &Plan,
        change: &ObjectChange,
        entry: InventoryEntry,
        limits: WaitLimits,
    ) -> Result<Live, ClusterError> {
        let nothing = || self.error(change.key().to_string(), ClusterErrorKind::NotFound);
        let object = change.desired().ok_or_else(nothing)?;
        match (change.action(), change.uid()) {
            (ChangeAction::Update, Some(uid)) => self.update(plan, object, uid).await,
            (ChangeAction::Replace, Some(uid)) => {
                self.remove(change.key(), uid, limits.deletion).await?;
                self.create(plan, object, &entry).await
            }
            (ChangeAction::Create, _) if change.verify() => match self.adopt_existing(plan, object, &entry).await? {
                Some(live) => Ok(live),
                None => self.create(plan, object, &entry).await,
            },
            (ChangeAction::Create, _) => self.create(plan, object, &entry).await,
            _ => Err(nothing()),
        }
    }
}

/// One plan under way.
pub(super) struct ApplyRun<'a> {
    pub(super) cluster: &'a Cluster,
    pub(super) plan: &'a Plan,
    pub(super) inventory: &'a mut Inventory,
    pub(super) limits: WaitLimits,
    pub(super) set: ChangeSet,
}

impl ApplyRun<'_> {
    async fn run(&mut self, last: LastPass) {
        if self.inventory.begin(self.plan.begins(self.inventory))
            && let Err(error) = self.cluster.store_inventory(self.inventory).await
        {
            self.set.failures.push(Failure { key: None, error });
            return;
        }
        let before = self.inventory.clone();
        let applied = self.plan.is_empty() || self.applies().await;
        let deleted = applied && self.deletes_after_health().await;
        let problems = self.plan.blocked() > 0 || self.set.notes.iter().any(Skipped::is_problem);
        self.set.complete = deleted && !problems && self.set.unhealthy.is_empty();
        // What is applied but not healthy yet is what git says all the same; only what is still to go is not.
        let went = deleted || self.plan.deletions().next().is_none();
        if applied && went && !problems {
            self.inventory.passed(last);
        }
        if *self.inventory != before {
            self.finish().await;
        }
    }

    /// Writes what was learned. A removal that left nothing takes the inventory with it.
    async fn finish(&mut self) {
        let written = if self.inventory.is_empty() && self.plan.is_removal() {
            self.cluster.delete_inventory(self.inventory).await
        } else {
            self.cluster.store_inventory(self.inventory).await
        };
        if let Err(error) = written {
            self.set.complete = false;
            self.set.failures.push(Failure { key: None, error });
        }
    }

    /// Applies wave after wave, each when those before are healthy. True if all was applied.
    async fn applies(&mut self) -> bool {
        let mut below: Vec<ObjectKey> = vec![];
        let mut waves = self.plan.waves().peekable();
        for wave in WAVES {
            if let Some((_, changes)) = waves.next_if(|(of, _)| *of == wave)
                && !(self.healthy(&below).await && self.apply_wave(changes).await)
            {
                return false;
            }
            below.extend_from_slice(self.plan.gates(wave));
        }
        true
    }

    /// Deletes only when everything that git has now is healthy: until then what is to go may still be needed.
    async fn deletes_after_health(&mut self) -> bool {
        if self.plan.is_empty() {
            return true;
        }
        let all: Vec<_> = WAVES.iter().flat_map(|wave| self.plan.gates(*wave)).cloned().collect();
        self.healthy(&all).await && self.deletes().await && self.forgets().await
    }

    async fn healthy(&mut self, keys: &[ObjectKey]) -> bool {
        self.set.unhealthy = self.cluster.wait_healthy(keys, self.limits.health).await;
        self.set.unhealthy.is_empty()
    }

    async fn apply_wave(&mut self, changes: &[ObjectChange]) -> bool {
        let (cluster, plan, limits) = (self.cluster, self.plan, self.limits);
        let inventory = &*self.inventory;
        let calls = changes.iter().map(|change| async move {
            let known = version(cluster, change.key());
            let entry = inventory.get(change.key()).cloned().unwrap_or_default();
            (change, known, cluster.change(plan, change, entry, limits).await)
        });
        let results: Vec<_> = futures::stream::iter(calls).buffer_unordered(AT_ONCE).collect().await;
        let mut good = true;
        for (change, known, result) in results {
            match (result, change.desired()) {
                (Ok(live), Some(object)) => {
                    self.inventory.applied(object, &live);
                    // An apply that changes nothing leaves the version as it was.
                    if known.as_deref() != Some(&*live.resource_version) {
                        self.done(change);
                    }
                    self.cluster.store().answered(live);
                }
                (Ok(_), None) => {}
                (Err(error), _) => {
                    good = false;
                    self.set.failures.push(Failure { key: Some(change.key().clone()), error });
                }
            }
        }
        good
    }

    pub(super) fn done(&mut self, change: &ObjectChange) {
        self.set.changes.push(AppliedChange {
            action: change.action(),
            key: change.key().clone(),
            reason: change.reason(),
        });
    }
}

fn version(cluster: &Cluster, key: &ObjectKey) -> Option<String> {
    match cluster.observed().get(key) {
        Seen::Live(live) => Some(live.resource_version.to_string()),
        _ => None,
    }
}
