//! The persistent store of all objects: one order of writes, lists from memory, a window of history for watches.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use serde_json::Value;
use tokio::sync::{mpsc, watch};

use super::disk::{Disk, DiskError, Record};
use super::entry::{disk_path, entry, is_readable, restore};
use super::history::History;

pub use super::entry::{Entry, Key};

/// A restart skips this many versions: those a crash may have shown to a watch but not written are never reused.
const RESTART_GAP: u64 = 100_000;

/// What happened to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    Added,
    Modified,
    Deleted,
}

/// One write, as watches see it.
#[derive(Clone, Debug)]
pub struct Event {
    pub change: Change,
    /// The new state; of a deletion the last one, under the deletion's version.
    pub entry: Arc<Entry>,
    pub previous: Option<Arc<Entry>>,
}

/// Why a write was not made.
#[derive(Debug, PartialEq, Eq)]
pub enum Refused {
    /// An object of that name is there.
    Exists,
    /// None is there.
    Missing,
    /// It is at another version than expected.
    Stale,
    /// Its namespace is not there.
    NoNamespace,
    /// Its namespace is being deleted.
    Terminating,
    /// It is nested so deeply that it could not be read back.
    TooDeep,
}

/// History before the asked version is gone.
#[derive(Debug)]
pub struct Expired {
    /// The oldest version that can still be asked for.
    pub oldest: u64,
}

/// All objects. Cheap to share behind an `Arc`; every method is short and synchronous but [`Store::persisted`].
pub struct Store {
    state: RwLock<State>,
    disk: Disk,
    history: usize,
}

#[derive(Default)]
struct State {
    version: u64,
    kinds: HashMap<Arc<str>, Collection>,
    uids: HashMap<String, Key>,
    dependents: HashMap<String, BTreeSet<Key>>,
    listeners: Vec<mpsc::UnboundedSender<Event>>,
}

struct Collection {
    objects: BTreeMap<String, Arc<Entry>>,
    history: History,
    latest: watch::Sender<u64>,
}

impl Collection {
    fn new(forgotten: u64) -> Self {
        let latest = watch::channel(forgotten).0;
        Self { objects: BTreeMap::new(), history: History::new(forgotten), latest }
    }
}

impl Store {
    /// Opens the store in `folder`, keeping `history` events of each kind for watches.
    pub fn open(folder: &Path, history: usize) -> Result<Self, DiskError> {
        let (disk, loaded) = Disk::open(folder)?;
        let version = if loaded.version == 0 { 1 } else { loaded.version + RESTART_GAP };
        let mut state = State { version, ..State::default() };
        for (path, bytes) in loaded.objects {
            let entry = restore(&path, bytes).ok_or_else(|| DiskError::Damaged(folder.to_owned()))?;
            state.insert(Arc::new(entry));
        }
        Ok(Self { state: RwLock::new(state), disk, history })
    }

    /// The version of the latest write.
    pub fn version(&self) -> u64 {
        self.read().version
    }

    pub fn get(&self, key: &Key) -> Option<Arc<Entry>> {
        self.read().kinds.get(&key.kind)?.objects.get(&key.path()).cloned()
    }

    /// The objects of a kind, of one namespace or (`""`) of all, in order, and the version they are true at.
    pub fn list(&self, kind: &str, namespace: &str) -> (Vec<Arc<Entry>>, u64) {
        let state = self.read();
        let objects = state.kinds.get(kind).map(|c| &c.objects);
        let found = objects.into_iter().flat_map(|o| in_namespace(o, namespace)).cloned().collect();
        (found, state.version)
    }

    /// The kinds that have objects in a namespace.
    pub fn kinds_in(&self, namespace: &str) -> Vec<Arc<str>> {
        let state = self.read();
        let occupied = |c: &Collection| in_namespace(&c.objects, namespace).next().is_some();
        state.kinds.iter().filter(|(_, c)| occupied(c)).map(|(kind, _)| kind.clone()).collect()
    }

    /// The object with this uid.
    pub fn by_uid(&self, uid: &str) -> Option<Key> {
        self.read().uids.get(uid).cloned()
    }

    /// The objects that name this uid as an owner.
    pub fn dependents(&self, uid: &str) -> Vec<Key> {
        self.read().dependents.get(uid).into_iter().flatten().cloned().collect()
    }

    /// Whether a namespace, or (`""`) the cluster, takes new objects.
    pub fn takes(&self, namespace: &str) -> Result<(), Refused> {
        self.read().takes(namespace)
    }

    /// Writes a new object.
    pub fn create(&self, key: &Key, value: Value) -> Result<Arc<Entry>, Refused> {
        let mut state = self.write();
        if state.entry(key).is_some() {
            return Err(Refused::Exists);
        }
        state.takes(&key.namespace)?;
        self.put(&mut state, key, value, None)
    }

    /// Writes an object over the version `expected`.
    pub fn replace(&self, key: &Key, expected: u64, value: Value) -> Result<Arc<Entry>, Refused> {
        let mut state = self.write();
        let current = state.entry(key).ok_or(Refused::Missing)?;
        if current.version != expected {
            return Err(Refused::Stale);
        }
        self.put(&mut state, key, value, Some(current))
    }

    /// Removes an object at the version `expected`; returns its last state under the deletion's version.
    pub fn remove(&self, key: &Key, expected: u64) -> Result<Arc<Entry>, Refused> {
        let mut state = self.write();
        let current = state.entry(key).ok_or(Refused::Missing)?;
        if current.version != expected {
            return Err(Refused::Stale);
        }
        state.version += 1;
        let last = Arc::new(entry(key, state.version, current.value()));
        state.forget(&current);
        self.disk.push(Record { path: disk_path(key), bytes: None, version: last.version });
        let event = Event { change: Change::Deleted, entry: last.clone(), previous: Some(current) };
        self.publish(&mut state, event);
        Ok(last)
    }

    /// The events of a kind after `version`, oldest first.
    pub fn events(&self, kind: &str, version: u64) -> Result<Vec<Event>, Expired> {
        self.read().kinds.get(kind).map_or(Ok(Vec::new()), |collection| collection.history.since(version))
    }

    /// Tells the version of the latest event of a kind, as it changes.
    pub fn follow(&self, kind: &Arc<str>) -> watch::Receiver<u64> {
        let mut state = self.write();
        state.collection(kind).latest.subscribe()
    }

    /// All events of all kinds from now on.
    pub fn listen(&self) -> mpsc::UnboundedReceiver<Event> {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.write().listeners.push(sender);
        receiver
    }

    /// Every object there is, in no order that matters.
    pub fn all(&self) -> Vec<Arc<Entry>> {
        self.read().kinds.values().flat_map(|c| c.objects.values().cloned()).collect()
    }

    /// Forgets all history, so that every older version is `410 Gone`.
    pub fn compact(&self) {
        let mut state = self.write();
        let version = state.version;
        for collection in state.kinds.values_mut() {
            collection.history = History::new(version);
        }
    }

    /// Waits until the write of `version` is in the file; the error is the file's reason.
    pub async fn persisted(&self, version: u64) -> Result<(), String> {
        let mut progress = self.disk.progress();
        let reached = progress.wait_for(|p| p.version >= version || p.failure.is_some()).await;
        match reached.map(|p| p.failure.clone()) {
            Ok(None) => Ok(()),
            Ok(Some(failure)) => Err(failure),
            Err(_) => Err("the store is closed".to_owned()),
        }
    }

    fn put(
        &self,
        state: &mut State,
        key: &Key,
        value: Value,
        previous: Option<Arc<Entry>>,
    ) -> Result<Arc<Entry>, Refused> {
        let new = Arc::new(entry(key, state.version + 1, value));
        if !is_readable(&new.bytes) {
            return Err(Refused::TooDeep);
        }
        state.version = new.version;
        if let Some(previous) = &previous {
            state.forget(previous);
        }
        state.insert(new.clone());
        self.disk.push(Record { path: disk_path(key), bytes: Some(new.bytes.clone()), version: new.version });
        let change = if previous.is_some() { Change::Modified } else { Change::Added };
        self.publish(state, Event { change, entry: new.clone(), previous });
        Ok(new)
    }

    fn publish(&self, state: &mut State, event: Event) {
        state.listeners.retain(|l| l.send(event.clone()).is_ok());
        let version = event.entry.version;
        let collection = state.collection(&event.entry.key.kind);
        collection.history.push(event, self.history);
        collection.latest.send_replace(version);
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn entry(&self, key: &Key) -> Option<Arc<Entry>> {
        self.kinds.get(&key.kind)?.objects.get(&key.path()).cloned()
    }

    fn takes(&self, namespace: &str) -> Result<(), Refused> {
        if namespace.is_empty() {
            return Ok(());
        }
        match self.kinds.get("namespaces").and_then(|c| c.objects.get(&format!("/{namespace}"))) {
            None => Err(Refused::NoNamespace),
            Some(entry) if entry.deleting => Err(Refused::Terminating),
            Some(_) => Ok(()),
        }
    }

    fn collection(&mut self, kind: &Arc<str>) -> &mut Collection {
        // A kind first seen now has no history before now.
        let version = self.version.saturating_sub(1);
        self.kinds.entry(kind.clone()).or_insert_with(|| Collection::new(version))
    }

    fn insert(&mut self, entry: Arc<Entry>) {
        for owner in &entry.owners {
            self.dependents.entry(owner.clone()).or_default().insert(entry.key.clone());
        }
        self.uids.insert(entry.uid.clone(), entry.key.clone());
        self.collection(&entry.key.kind).objects.insert(entry.key.path(), entry);
    }

    fn forget(&mut self, entry: &Entry) {
        for owner in &entry.owners {
            if let Some(keys) = self.dependents.get_mut(owner) {
                keys.remove(&entry.key);
                if keys.is_empty() {
                    self.dependents.remove(owner);
                }
            }
        }
        self.uids.remove(&entry.uid);
        self.collection(&entry.key.kind).objects.remove(&entry.key.path());
    }
}

fn in_namespace<'a>(
    objects: &'a BTreeMap<String, Arc<Entry>>,
    namespace: &str,
) -> Box<dyn Iterator<Item = &'a Arc<Entry>> + 'a> {
    if namespace.is_empty() {
        return Box::new(objects.values());
    }
    // '0' follows '/' in ASCII, so this is the range of all "<namespace>/…".
    Box::new(objects.range(format!("{namespace}/")..format!("{namespace}0")).map(|(_, entry)| entry))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn nothing_is_created_where_there_is_no_namespace_or_one_that_goes() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), 10).unwrap();
        let maps: Arc<str> = "configmaps".into();
        let create = |name: &str| store.create(&Key::new(&maps, "a", name), json!({"metadata": {}})).map(drop);
        assert_eq!(create("early"), Err(Refused::NoNamespace));
        let namespace = Key::new(&"namespaces".into(), "", "a");
        let made = store.create(&namespace, json!({"metadata": {}})).unwrap();
        assert_eq!(create("fine"), Ok(()));
        let going = json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}});
        store.replace(&namespace, made.version, going).unwrap();
        assert_eq!(create("late"), Err(Refused::Terminating));
    }
}
