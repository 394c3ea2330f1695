//! Deletes what a plan says, by UID, and waits until it was seen gone.

use std::time::Duration;

use dayfly_model::object::ObjectKey;
use dayfly_plan::health::Health;
use dayfly_plan::observed::Live;
use dayfly_plan::plan::{ObjectChange, SkipReason, Skipped};
use futures::StreamExt as _;
use serde_json::json;

use super::apply::{AT_ONCE, ApplyRun, Failure};
use super::request::Request;
use super::{Cluster, ClusterError, ClusterErrorKind};

impl Cluster {
    /// Asks for the deletion of the object with this UID and no other. What is gone already is no error.
    async fn delete(&self, key: &ObjectKey, uid: &str) -> Result<(), ClusterError> {
        let kind = self.kind_of(key)?;
        let options = json!({"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background",
            "preconditions": {"uid": uid}});
        match self.call(Request::delete(kind, key.namespace.as_deref(), &key.name, options)).await {
            // With finalizers the answer is the object that is ending; without, a Status, and it is gone.
            Ok(answer) => match Live::of_kind(kind, &answer.body) {
                Ok(live) if live.deleting => self.store().answered(live),
                _ => self.store().remove(key, uid),
            },
            Err(error)
                if matches!(
                    error.kind,
                    ClusterErrorKind::NotFound | ClusterErrorKind::NamespaceMissing | ClusterErrorKind::Moved(_)
                ) =>
            {
                self.store().remove(key, uid);
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Deletes one object and waits until it is gone.
    pub(super) async fn remove(&self, key: &ObjectKey, uid: &str, patience: Duration) -> Result<(), ClusterError> {
        self.delete(key, uid).await?;
        match self.wait_gone(&[(key.clone(), uid.to_owned())], patience).await.pop() {
            None => Ok(()),
            Some((_, health)) => {
                let what = format!("it is not gone, {health}");
                Err(self.error(key.to_string(), ClusterErrorKind::TimedOut { what, waited: patience }))
            }
        }
    }
}

impl ApplyRun<'_> {
    /// Deletes wave after wave, routes first. True if all is gone.
    pub(super) async fn deletes(&mut self) -> bool {
        let mut with_namespace = vec![];
        for (_, changes) in self.plan.deletions() {
            let (own, carried): (Vec<_>, Vec<_>) = changes.iter().partition(|change| change.is_own_call());
            with_namespace.extend(carried);
            if !(self.delete_wave(&own).await && self.gone(&own).await) {
                return false;
            }
        }
        self.gone(&with_namespace).await
    }

    async fn delete_wave(&mut self, changes: &[&ObjectChange]) -> bool {
        let cluster = self.cluster;
        let calls = changes.iter().map(|change| async move {
            (*change, cluster.delete(change.key(), change.uid().unwrap_or_default()).await)
        });
        let results: Vec<_> = futures::stream::iter(calls).buffer_unordered(AT_ONCE).collect().await;
        let mut good = true;
        for (change, result) in results {
            if let Err(error) = result {
                good = false;
                self.set.failures.push(Failure { key: Some(change.key().clone()), error });
            }
        }
        good
    }

    /// Waits until these are gone, and drops the entries of those that are.
    async fn gone(&mut self, changes: &[&ObjectChange]) -> bool {
        let keys: Vec<_> =
            changes.iter().map(|change| (change.key().clone(), change.uid().unwrap_or_default().to_owned())).collect();
        let left = self.cluster.wait_gone(&keys, self.limits.deletion).await;
        for change in changes.iter().filter(|change| !left.iter().any(|(key, _)| key == change.key())) {
            self.inventory.gone(change.key());
            self.done(change);
        }
        let good = left.is_empty();
        self.set.unhealthy.extend(left.into_iter().map(|(key, health)| match health {
            Health::Terminating(_) => (key, health),
            _ => (key, Health::Terminating("its deletion has not begun".into())),
        }));
        good
    }

    /// Reads once more what seems to be gone, since it may only have lost its label, and drops the entries of what is.
    pub(super) async fn forgets(&mut self) -> bool {
        let (cluster, plan) = (self.cluster, self.plan);
        let finds = plan.forgets().iter().map(|key| async move { (key, cluster.find(key).await) });
        let results: Vec<_> = futures::stream::iter(finds).buffer_unordered(AT_ONCE).collect().await;
        let failures = self.set.failures.len();
        for (key, result) in results {
            let claims = |live: &Live| self.inventory.get(key).is_some_and(|entry| entry.claims(live, plan.scope()));
            match result {
                Ok(Some((live, _))) if claims(&live) && live.labeled => cluster.store().answered(live),
                Ok(Some((live, _))) if claims(&live) => {
                    self.set.skipped.push(Skipped { key: key.clone(), reason: SkipReason::Unlabeled });
                }
                Ok(_) => {
                    self.inventory.gone(key);
                }
                Err(error) => self.set.failures.push(Failure { key: Some(key.clone()), error }),
            }
        }
        self.set.failures.len() == failures
    }
}
