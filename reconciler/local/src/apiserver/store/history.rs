//! The latest events of one kind, for watches that are resumed.

use std::collections::VecDeque;

use super::{HistoryExpired, StoreEvent};

/// The objects of one kind's events take at most this many bytes.
const MAX_BYTES: usize = 64 * 1024 * 1024;

#[derive(Debug)]
pub(super) struct EventHistory {
    events: VecDeque<StoreEvent>,
    bytes: usize,
    /// Events up to this version are no longer kept.
    forgotten: u64,
}

impl EventHistory {
    /// A history of the events after a version.
    pub fn new(forgotten: u64) -> Self {
        Self { events: VecDeque::new(), bytes: 0, forgotten }
    }

    /// Adds an event and drops the oldest ones, until there are at most `limit` events and `MAX_BYTES` bytes.
    pub fn push(&mut self, event: StoreEvent, limit: usize) {
        self.bytes += event.object.bytes.len();
        self.events.push_back(event);
        while self.events.len() > limit || self.bytes > MAX_BYTES {
            let Some(old) = self.events.pop_front() else { return };
            self.bytes -= old.object.bytes.len();
            self.forgotten = old.object.version;
        }
    }

    /// The events after `version`, oldest first.
    pub fn since(&self, version: u64) -> Result<Vec<StoreEvent>, HistoryExpired> {
        if version < self.forgotten {
            return Err(HistoryExpired { oldest: self.forgotten });
        }
        let start = self.events.partition_point(|e| e.object.version <= version);
        Ok(self.events.range(start..).cloned().collect())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::{ObjectStore, StoreKey};

    #[test]
    fn a_history_of_large_objects_keeps_fewer_events() {
        let folder = tempfile::tempdir().unwrap();
        let store = ObjectStore::open(folder.path(), 1000).unwrap();
        let key = StoreKey::new(&"namespaces".into(), "", "large");
        let value = json!({"metadata": {}, "data": "x".repeat(1024 * 1024)});
        let mut last = store.create(&key, value.clone()).unwrap().version;
        for _ in 0..100 {
            last = store.replace(&key, last, value.clone()).unwrap().version;
        }
        assert_eq!(store.events("namespaces", last - 60).unwrap().len(), 60);
        assert!(store.events("namespaces", last - 70).is_err());
    }
}
