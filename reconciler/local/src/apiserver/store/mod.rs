//! The store of all objects: writes in one order, lists from memory, a file that persists them, and the latest events
//! of each kind for watches.

mod disk;
mod history;
mod stored_object;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use serde_json::Value;
use tokio::sync::{mpsc, watch};

use disk::{Disk, DiskRecord};
use history::EventHistory;
use stored_object::is_readable;

pub use disk::DiskError;
pub use stored_object::{StoreKey, StoredObject};

/// A restart skips this many versions, so that versions which a watch saw before a crash and which did not reach the
/// file are never used again.
const RESTART_GAP: u64 = 100_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventType {
    Added,
    Modified,
    Deleted,
}

/// One write, as watches see it.
#[derive(Clone, Debug)]
pub struct StoreEvent {
    pub event_type: EventType,
    /// The new version; of a deleted object its last one, with the version number of the deletion.
    pub object: Arc<StoredObject>,
    pub previous: Option<Arc<StoredObject>>,
}

/// Why the store does not make a write.
#[derive(Debug, PartialEq, Eq)]
pub enum WriteRefusal {
    /// There is an object of that name.
    Exists,
    /// There is no object of that name.
    Missing,
    /// The object has another version than expected.
    Stale,
    /// There is no such namespace.
    NoNamespace,
    /// The namespace is being deleted.
    Terminating,
    /// The object is nested so deeply that it could not be read back.
    TooDeep,
}

/// The events after the version that was asked for are no longer all kept.
#[derive(Debug)]
pub struct HistoryExpired {
    /// The oldest version that can still be asked for.
    pub oldest: u64,
}

/// All objects. Every method is short and synchronous but [`ObjectStore::persisted`].
pub struct ObjectStore {
    state: RwLock<StoreState>,
    disk: Disk,
    history: usize,
}

#[derive(Default)]
struct StoreState {
    version: u64,
    /// By group resource, such as `deployments.apps`.
    kinds: HashMap<Arc<str>, ObjectsOfKind>,
    uids: HashMap<String, StoreKey>,
    /// By the uid of the owner.
    dependents: HashMap<String, BTreeSet<StoreKey>>,
    listeners: Vec<mpsc::UnboundedSender<StoreEvent>>,
}

struct ObjectsOfKind {
    /// By `namespace/name`.
    objects: BTreeMap<String, Arc<StoredObject>>,
    history: EventHistory,
    /// The version of the latest event.
    latest: watch::Sender<u64>,
}

impl ObjectsOfKind {
    fn new(forgotten: u64) -> Self {
        let latest = watch::channel(forgotten).0;
        Self { objects: BTreeMap::new(), history: EventHistory::new(forgotten), latest }
    }
}

impl ObjectStore {
    /// Opens the store in `folder`, keeping `history` events of each kind for watches.
    pub fn open(folder: &Path, history: usize) -> Result<Self, DiskError> {
        let (disk, loaded) = Disk::open(folder)?;
        let version = if loaded.version == 0 { 1 } else { loaded.version + RESTART_GAP };
        let mut state = StoreState { version, ..StoreState::default() };
        for (path, bytes) in loaded.objects {
            let object = StoredObject::restore(&path, bytes).ok_or_else(|| DiskError::Damaged(folder.to_owned()))?;
            state.insert(Arc::new(object));
        }
        Ok(Self { state: RwLock::new(state), disk, history })
    }

    /// The version of the latest write.
    pub fn version(&self) -> u64 {
        self.read().version
    }

    pub fn get(&self, key: &StoreKey) -> Option<Arc<StoredObject>> {
        self.read().get(key)
    }

    /// The objects of a kind in one namespace or (`""`) in all, in order, and the version of the store at that moment.
    pub fn list(&self, group_resource: &str, namespace: &str) -> (Vec<Arc<StoredObject>>, u64) {
        let state = self.read();
        let objects = state.kinds.get(group_resource).map(|kind| &kind.objects);
        let found = objects.into_iter().flat_map(|o| in_namespace(o, namespace)).cloned().collect();
        (found, state.version)
    }

    /// The group resources of the kinds that have objects in a namespace.
    pub fn kinds_in(&self, namespace: &str) -> Vec<Arc<str>> {
        let state = self.read();
        let occupied = |kind: &ObjectsOfKind| in_namespace(&kind.objects, namespace).next().is_some();
        state.kinds.iter().filter(|(_, kind)| occupied(kind)).map(|(name, _)| name.clone()).collect()
    }

    pub fn by_uid(&self, uid: &str) -> Option<StoreKey> {
        self.read().uids.get(uid).cloned()
    }

    /// The objects that name this uid as an owner.
    pub fn dependents(&self, uid: &str) -> Vec<StoreKey> {
        self.read().dependents.get(uid).into_iter().flatten().cloned().collect()
    }

    /// Whether new objects can be created in a namespace, or (`""`) in the cluster.
    pub fn accepts_new(&self, namespace: &str) -> Result<(), WriteRefusal> {
        self.read().accepts_new(namespace)
    }

    pub fn create(&self, key: &StoreKey, value: Value) -> Result<Arc<StoredObject>, WriteRefusal> {
        let mut state = self.write();
        if state.get(key).is_some() {
            return Err(WriteRefusal::Exists);
        }
        state.accepts_new(&key.namespace)?;
        self.put(&mut state, key, value, None)
    }

    /// Writes an object over the version `expected`.
    pub fn replace(&self, key: &StoreKey, expected: u64, value: Value) -> Result<Arc<StoredObject>, WriteRefusal> {
        let mut state = self.write();
        let current = state.get(key).ok_or(WriteRefusal::Missing)?;
        if current.version != expected {
            return Err(WriteRefusal::Stale);
        }
        self.put(&mut state, key, value, Some(current))
    }

    /// Removes an object that has the version `expected`. Returns it with the version number of the deletion.
    pub fn remove(&self, key: &StoreKey, expected: u64) -> Result<Arc<StoredObject>, WriteRefusal> {
        let mut state = self.write();
        let current = state.get(key).ok_or(WriteRefusal::Missing)?;
        if current.version != expected {
            return Err(WriteRefusal::Stale);
        }
        state.version += 1;
        let last = Arc::new(StoredObject::new(key, state.version, current.value()));
        state.remove(&current);
        self.disk.push(DiskRecord { path: key.disk_path(), bytes: None, version: last.version });
        let event = StoreEvent { event_type: EventType::Deleted, object: last.clone(), previous: Some(current) };
        self.publish(&mut state, event);
        Ok(last)
    }

    /// The events of a kind after `version`, oldest first.
    pub fn events(&self, group_resource: &str, version: u64) -> Result<Vec<StoreEvent>, HistoryExpired> {
        self.read().kinds.get(group_resource).map_or(Ok(Vec::new()), |kind| kind.history.since(version))
    }

    /// The version of the latest event of a kind, now and whenever it changes.
    pub fn follow(&self, group_resource: &Arc<str>) -> watch::Receiver<u64> {
        let mut state = self.write();
        state.kind(group_resource).latest.subscribe()
    }

    /// All events of all kinds from now on.
    pub fn listen(&self) -> mpsc::UnboundedReceiver<StoreEvent> {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.write().listeners.push(sender);
        receiver
    }

    /// Every object, in no particular order.
    pub fn all(&self) -> Vec<Arc<StoredObject>> {
        self.read().kinds.values().flat_map(|kind| kind.objects.values().cloned()).collect()
    }

    /// Forgets all events, so that a watch can start at no earlier version than the present one.
    pub fn compact(&self) {
        let mut state = self.write();
        let version = state.version;
        for kind in state.kinds.values_mut() {
            kind.history = EventHistory::new(version);
        }
    }

    /// Waits until the write of `version` is in the file. The error says why it cannot be written.
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
        state: &mut StoreState,
        key: &StoreKey,
        value: Value,
        previous: Option<Arc<StoredObject>>,
    ) -> Result<Arc<StoredObject>, WriteRefusal> {
        let new = Arc::new(StoredObject::new(key, state.version + 1, value));
        if !is_readable(&new.bytes) {
            return Err(WriteRefusal::TooDeep);
        }
        state.version = new.version;
        if let Some(previous) = &previous {
            state.remove(previous);
        }
        state.insert(new.clone());
        self.disk.push(DiskRecord { path: key.disk_path(), bytes: Some(new.bytes.clone()), version: new.version });
        let event_type = if previous.is_some() { EventType::Modified } else { EventType::Added };
        self.publish(state, StoreEvent { event_type, object: new.clone(), previous });
        Ok(new)
    }

    fn publish(&self, state: &mut StoreState, event: StoreEvent) {
        state.listeners.retain(|l| l.send(event.clone()).is_ok());
        let version = event.object.version;
        let kind = state.kind(&event.object.key.group_resource);
        kind.history.push(event, self.history);
        kind.latest.send_replace(version);
    }

    fn read(&self) -> RwLockReadGuard<'_, StoreState> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, StoreState> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StoreState {
    fn get(&self, key: &StoreKey) -> Option<Arc<StoredObject>> {
        self.kinds.get(&key.group_resource)?.objects.get(&key.path()).cloned()
    }

    fn accepts_new(&self, namespace: &str) -> Result<(), WriteRefusal> {
        if namespace.is_empty() {
            return Ok(());
        }
        match self.kinds.get("namespaces").and_then(|kind| kind.objects.get(&format!("/{namespace}"))) {
            None => Err(WriteRefusal::NoNamespace),
            Some(namespace) if namespace.deleting => Err(WriteRefusal::Terminating),
            Some(_) => Ok(()),
        }
    }

    fn kind(&mut self, group_resource: &Arc<str>) -> &mut ObjectsOfKind {
        // A kind that has its first object now has no events before now.
        let version = self.version.saturating_sub(1);
        self.kinds.entry(group_resource.clone()).or_insert_with(|| ObjectsOfKind::new(version))
    }

    fn insert(&mut self, object: Arc<StoredObject>) {
        for owner in &object.owners {
            self.dependents.entry(owner.clone()).or_default().insert(object.key.clone());
        }
        self.uids.insert(object.uid.clone(), object.key.clone());
        self.kind(&object.key.group_resource).objects.insert(object.key.path(), object);
    }

    fn remove(&mut self, object: &StoredObject) {
        for owner in &object.owners {
            if let Some(keys) = self.dependents.get_mut(owner) {
                keys.remove(&object.key);
                if keys.is_empty() {
                    self.dependents.remove(owner);
                }
            }
        }
        self.uids.remove(&object.uid);
        self.kind(&object.key.group_resource).objects.remove(&object.key.path());
    }
}

fn in_namespace<'a>(
    objects: &'a BTreeMap<String, Arc<StoredObject>>,
    namespace: &str,
) -> Box<dyn Iterator<Item = &'a Arc<StoredObject>> + 'a> {
    if namespace.is_empty() {
        return Box::new(objects.values());
    }
    // '0' follows '/' in ASCII, so this is the range of all "<namespace>/…".
    Box::new(objects.range(format!("{namespace}/")..format!("{namespace}0")).map(|(_, object)| object))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nothing_is_created_in_a_namespace_that_is_missing_or_being_deleted() {
        let folder = tempfile::tempdir().unwrap();
        let store = ObjectStore::open(folder.path(), 10).unwrap();
        let maps: Arc<str> = "configmaps".into();
        let create = |name: &str| store.create(&StoreKey::new(&maps, "a", name), json!({"metadata": {}})).map(drop);
        assert_eq!(create("early"), Err(WriteRefusal::NoNamespace));
        let namespace = StoreKey::new(&"namespaces".into(), "", "a");
        let made = store.create(&namespace, json!({"metadata": {}})).unwrap();
        assert_eq!(create("fine"), Ok(()));
        let deleting = json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}});
        store.replace(&namespace, made.version, deleting).unwrap();
        assert_eq!(create("late"), Err(WriteRefusal::Terminating));
    }
}
