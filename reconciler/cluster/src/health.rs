//! Waits, on the watch, until objects are healthy or gone.

use std::time::Duration;

use dayfly_model::object::ObjectKey;
use dayfly_plan::health::Health;
use dayfly_plan::observed::{Observed, Seen};

use super::Cluster;

impl Cluster {
    /// Waits until all of these let the next wave pass, or until one says that it failed, or until the time is up.
    /// Returns those that don't let pass, and why; nothing if all is well. Needs the watches to run.
    pub async fn wait_healthy(&self, keys: &[ObjectKey], patience: Duration) -> Vec<(ObjectKey, Health)> {
        let wait = self.store().until(|observed| {
            let open = unhealthy(observed, keys);
            let failed = open.iter().any(|(_, health)| matches!(health, Health::Failed(_)));
            (open.is_empty() || failed).then_some(open)
        });
        match tokio::time::timeout(patience, wait).await {
            Ok(open) => open,
            Err(_) => unhealthy(&self.observed(), keys),
        }
    }

    /// Waits until none of these is live under its UID, or until the time is up. Returns those that still are, and what
    /// holds them.
    pub(super) async fn wait_gone(&self, keys: &[(ObjectKey, String)], patience: Duration) -> Vec<(ObjectKey, Health)> {
        let wait = self.store().until(|observed| remaining(observed, keys).is_empty().then_some(()));
        let _ = tokio::time::timeout(patience, wait).await;
        remaining(&self.observed(), keys)
    }
}

/// The objects that don't let a next wave pass.
fn unhealthy(observed: &Observed, keys: &[ObjectKey]) -> Vec<(ObjectKey, Health)> {
    let state = |key: &ObjectKey| match observed.get(key) {
        Seen::Live(live) if live.health.lets_pass() => None,
        Seen::Live(live) => Some(live.health.clone()),
        Seen::Absent => Some(Health::Progressing("it has not appeared yet".into())),
        Seen::Unknown => Some(Health::Progressing("its kind cannot be read".into())),
    };
    keys.iter().filter_map(|key| Some((key.clone(), state(key)?))).collect()
}

fn remaining(observed: &Observed, keys: &[(ObjectKey, String)]) -> Vec<(ObjectKey, Health)> {
    let state = |key: &ObjectKey, uid: &str| match observed.get(key) {
        Seen::Live(live) if *live.uid == *uid => Some(live.health.clone()),
        _ => None,
    };
    keys.iter().filter_map(|(key, uid)| Some((key.clone(), state(key, uid)?))).collect()
}
