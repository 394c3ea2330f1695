//! The latest events of one kind, for watches that come back: as many as are asked for, and as fit in memory.

use std::collections::VecDeque;

use super::store::{Event, Expired};

/// All states in a history of one kind take so many bytes at most.
const MOST_BYTES: usize = 64 * 1024 * 1024;

#[derive(Debug)]
pub(super) struct History {
    events: VecDeque<Event>,
    bytes: usize,
    /// Events up to this version are forgotten.
    forgotten: u64,
}

impl History {
    /// A history that begins after a version.
    pub fn new(forgotten: u64) -> Self {
        Self { events: VecDeque::new(), bytes: 0, forgotten }
    }

    /// Adds an event and forgets the oldest ones beyond `limit`, or beyond what fits.
    pub fn push(&mut self, event: Event, limit: usize) {
        self.bytes += event.entry.bytes.len();
        self.events.push_back(event);
        while self.events.len() > limit || self.bytes > MOST_BYTES {
            let Some(old) = self.events.pop_front() else { return };
            self.bytes -= old.entry.bytes.len();
            self.forgotten = old.entry.version;
        }
    }

    /// The events after `version`, oldest first.
    pub fn since(&self, version: u64) -> Result<Vec<Event>, Expired> {
        if version < self.forgotten {
            return Err(Expired { oldest: self.forgotten });
        }
        let start = self.events.partition_point(|e| e.entry.version <= version);
        Ok(self.events.range(start..).cloned().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::super::store::{Key, Store};
    use serde_json::json;

    #[test]
    fn a_history_of_large_states_is_short() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), 1000).unwrap();
        let key = Key::new(&"namespaces".into(), "", "large");
        let value = json!({"metadata": {}, "data": "x".repeat(1024 * 1024)});
        let mut last = store.create(&key, value.clone()).unwrap().version;
        for _ in 0..100 {
            last = store.replace(&key, last, value.clone()).unwrap().version;
        }
        assert_eq!(store.events("namespaces", last - 60).unwrap().len(), 60);
        assert!(store.events("namespaces", last - 70).is_err());
    }
}
