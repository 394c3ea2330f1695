//! Keeps a small view of everything that carries Dayfly's label: one list and one watch for each kind, and no polling.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use dayfly_model::kinds::{Kind, Kinds};
use dayfly_model::object::ObjectKey;
use dayfly_model::scope::Scope;
use dayfly_plan::observed::{Live, MANAGED_BY, Observed};
use futures::StreamExt as _;
use kube::core::WatchEvent;
use serde_json::Value;
use tokio::sync::{Notify, watch};

use super::request::Request;
use super::{Cluster, ClusterError, ClusterErrorKind};

const PAGE: u32 = 500;
/// How long the server keeps a watch open, and how long we wait on top of that before we take it for dead.
const WATCH_SECONDS: u64 = 290;
const WATCH_SLACK: Duration = Duration::from_secs(30);
/// The longest pause between attempts at a kind that cannot be read.
const SLOWEST: u32 = 7;
/// How many objects are remembered that are gone; an answer is under way for a minute at most.
const GONE: usize = 8192;
/// Kinds listed at once.
const LISTS: usize = 4;

/// The shared view, and who waits for its changes.
pub(super) struct ObservedStore {
    observed: RwLock<Observed>,
    pub(super) kinds: Kinds,
    /// Why a kind is unknown.
    read_errors: Mutex<BTreeMap<&'static str, ClusterError>>,
    /// Kinds that were tried at least once.
    tried: Mutex<BTreeSet<(&'static str, &'static str)>>,
    scopes: Mutex<HashMap<String, Scope>>,
    touched: Mutex<BTreeSet<Scope>>,
    wake: Notify,
    version: watch::Sender<u64>,
    gone: Mutex<Gone>,
}

/// The UIDs of the objects that left the view last. An answer that was under way when its object went does not bring it
/// back.
#[derive(Default)]
struct Gone {
    uids: BTreeSet<Box<str>>,
    order: VecDeque<Box<str>>,
}

impl Gone {
    fn add(&mut self, uid: &str) {
        if self.uids.insert(uid.into()) {
            self.order.push_back(uid.into());
        }
        if self.order.len() > GONE
            && let Some(oldest) = self.order.pop_front()
        {
            self.uids.remove(&oldest);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl ObservedStore {
    pub(super) fn new(kinds: Kinds) -> Self {
        Self {
            observed: RwLock::new(Observed::of_kinds(kinds.clone())),
            kinds,
            read_errors: Mutex::default(),
            tried: Mutex::default(),
            scopes: Mutex::default(),
            touched: Mutex::default(),
            wake: Notify::new(),
            version: watch::Sender::new(0),
            gone: Mutex::default(),
        }
    }

    pub(super) fn observed(&self) -> RwLockReadGuard<'_, Observed> {
        self.observed.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the view, and tells everybody whose objects changed.
    fn change(&self, change: impl FnOnce(&mut Observed) -> Vec<Live>) {
        let changed = change(&mut self.observed.write().unwrap_or_else(PoisonError::into_inner));
        if changed.is_empty() {
            return;
        }
        let scopes = lock(&self.scopes);
        let of = |live: &Live| scopes.get(live.apply_set.as_deref()?).cloned();
        let touched: Vec<_> = changed.iter().filter_map(of).collect();
        drop(scopes);
        self.touch(touched);
    }

    fn touch(&self, scopes: impl IntoIterator<Item = Scope>) {
        lock(&self.touched).extend(scopes);
        self.version.send_modify(|version| *version += 1);
        self.wake.notify_one();
    }

    /// Records an object from an answer, unless its watch has seen meanwhile that it is gone.
    pub(super) fn answered(&self, live: Live) {
        self.change(|observed| if lock(&self.gone).uids.contains(&live.uid) { vec![] } else { insert(observed, live) });
    }

    /// Records an object from a watch.
    fn watched(&self, live: Live) {
        self.change(|observed| {
            lock(&self.gone).uids.remove(&live.uid);
            insert(observed, live)
        });
    }

    /// Records that an object is gone.
    pub(super) fn remove(&self, key: &ObjectKey, uid: &str) {
        self.change(|observed| {
            lock(&self.gone).add(uid);
            observed.remove(key, uid).into_iter().collect()
        });
    }

    /// Records a complete list. Objects that were written after it was made are kept.
    fn replace(&self, kind: &'static Kind, listed: Vec<Live>, version: &str) {
        self.change(|observed| {
            let known = observed.objects().filter(|live| live.kind == kind);
            let later: Vec<_> = known.filter(|live| newer(&live.resource_version, version)).cloned().collect();
            let changed = listed
                .iter()
                .filter(|live| !current(observed, live).is_some_and(|known| is_same(known, live)))
                .chain(&later)
                .cloned()
                .collect::<Vec<_>>();
            let mut gone: Vec<_> = observed.objects().filter(|live| live.kind == kind).cloned().collect();
            let was_known = !observed.unknown_kinds().any(|unknown| unknown == kind);
            observed.replace(kind, listed.into_iter().chain(later));
            gone.retain(|live| current(observed, live).is_none());
            if was_known { changed.into_iter().chain(gone).collect() } else { observed.objects().cloned().collect() }
        });
        lock(&self.read_errors).remove(kind.plural);
        self.tried(kind);
    }

    fn lose(&self, kind: &'static Kind, error: ClusterError) {
        self.observed.write().unwrap_or_else(PoisonError::into_inner).lose(kind);
        lock(&self.read_errors).insert(kind.plural, error);
        self.tried(kind);
    }

    fn tried(&self, kind: &'static Kind) {
        lock(&self.tried).insert((kind.group, kind.kind));
        self.version.send_modify(|version| *version += 1);
    }

    /// Remembers whose ApplySet this is, so that a change of an object names its scope.
    pub(super) fn register(&self, scope: &Scope) {
        lock(&self.scopes).insert(scope.apply_set(), scope.clone());
    }

    /// Waits until a question about the view has an answer. It is asked again after every change, once for a burst of them.
    pub(super) async fn until<T>(&self, mut question: impl FnMut(&Observed) -> Option<T>) -> T {
        let mut version = self.version.subscribe();
        loop {
            version.borrow_and_update();
            if let Some(answer) = question(&self.observed()) {
                return answer;
            }
            // The sender lives as long as the store.
            let _ = version.changed().await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// Adds an object unless a newer version is known already. Returns what changed.
fn insert(observed: &mut Observed, live: Live) -> Vec<Live> {
    if current(observed, &live).is_some_and(|known| is_newer(known, &live)) {
        return vec![];
    }
    let now = live.clone();
    match observed.insert(live) {
        Some(before) if is_same(&before, &now) => vec![],
        before => before.into_iter().chain([now]).collect(),
    }
}

fn current<'a>(observed: &'a Observed, live: &Live) -> Option<&'a Live> {
    match observed.get(&live.key()) {
        dayfly_plan::observed::Seen::Live(known) if known.uid == live.uid => Some(known),
        _ => None,
    }
}

/// Whether two versions of an object are the same for planning and health.
fn is_same(a: &Live, b: &Live) -> bool {
    let mut a = a.clone();
    a.resource_version = b.resource_version.clone();
    a == *b
}

fn is_newer(known: &Live, live: &Live) -> bool {
    newer(&known.resource_version, &live.resource_version)
}

/// Resource versions of one kind can be compared as numbers (KEP-5504); what is no number is never newer.
fn newer(a: &str, b: &str) -> bool {
    matches!((a.parse::<u64>(), b.parse::<u64>()), (Ok(a), Ok(b)) if a > b)
}

impl Cluster {
    /// Reads every kind once, without watching. A kind that cannot be read is unknown afterwards, and its error is among
    /// those returned.
    pub async fn observe(&self) -> Vec<ClusterError> {
        let lists = self.store().kinds.iter().map(|kind| async move {
            if let Err(error) = self.list(kind).await {
                self.store().lose(kind, error);
            }
        });
        futures::stream::iter(lists).buffer_unordered(LISTS).collect::<Vec<()>>().await;
        self.read_errors()
    }

    /// Begins to watch every kind, for as long as a clone of this cluster is held. Watches that run go on as they are.
    pub fn watch(&self) {
        let mut tasks = lock(&self.watches.0);
        if tasks.is_empty() {
            tasks.extend(self.store().kinds.iter().map(|kind| {
                let cluster = Self { inner: self.inner.clone(), watches: Arc::default() };
                tokio::spawn(async move { cluster.keep_following(kind).await }).abort_handle()
            }));
        }
    }

    async fn keep_following(&self, kind: &'static Kind) {
        let mut version = None;
        let mut failures = 0;
        loop {
            match self.follow(kind, version.take()).await {
                Ok(next) => (version, failures) = (next, 0),
                Err(error) => {
                    tracing::warn!(%error, "a kind cannot be read");
                    self.store().lose(kind, error);
                    failures = (failures + 1).min(SLOWEST);
                    tokio::time::sleep(self.backoff(failures)).await;
                }
            }
        }
    }

    /// Waits until every kind was read, or tried in vain, and returns the errors of the latter.
    pub async fn ready(&self) -> Vec<ClusterError> {
        let store = self.store();
        store.until(|_| (lock(&store.tried).len() == store.kinds.iter().len()).then_some(())).await;
        self.read_errors()
    }

    /// Why kinds cannot be read at the moment.
    pub fn read_errors(&self) -> Vec<ClusterError> {
        lock(&self.store().read_errors).values().cloned().collect()
    }

    /// Waits until objects of known scopes changed, and returns whose. Many changes of one scope count once, so what is
    /// not fetched takes little room.
    pub async fn touched(&self) -> BTreeSet<Scope> {
        loop {
            let touched = std::mem::take(&mut *lock(&self.store().touched));
            if !touched.is_empty() {
                return touched;
            }
            self.store().wake.notified().await;
        }
    }

    /// Lists if there is no version to go on from, and watches until the stream ends. Returns the version to go on from;
    /// none if it has expired.
    async fn follow(&self, kind: &'static Kind, version: Option<String>) -> Result<Option<String>, ClusterError> {
        let mut version = match version {
            Some(version) => version,
            None => self.list(kind).await?,
        };
        let request = Request::watch(kind)
            .with("labelSelector", format!("{MANAGED_BY}=dayfly"))
            .with("allowWatchBookmarks", "true")
            .with("timeoutSeconds", WATCH_SECONDS.to_string())
            .with("resourceVersion", version.as_str());
        let mut events = match self.stream(request).await {
            Ok(events) => pin!(events),
            Err(error) if matches!(error.kind, ClusterErrorKind::Moved(_)) || is_gone(&error.kind) => return Ok(None),
            Err(error) => return Err(error),
        };
        let patience = Duration::from_secs(WATCH_SECONDS) + WATCH_SLACK;
        while let Ok(Some(event)) = tokio::time::timeout(patience, events.next()).await {
            match event {
                Ok(event) => match self.take(kind, event) {
                    Some(seen) => version = seen,
                    None => return Ok(None),
                },
                Err(ClusterErrorKind::Moved(_)) => return Ok(None),
                Err(fact) => {
                    tracing::debug!(cluster = self.name(), kind = kind.kind, %fact, "a watch broke off");
                    tokio::time::sleep(self.backoff(1)).await;
                    break;
                }
            }
        }
        Ok(Some(version))
    }

    /// Records an event. Returns the version it brings; none if the watch must begin anew.
    fn take(&self, kind: &'static Kind, event: WatchEvent<Value>) -> Option<String> {
        let version = |object: &Value| object.pointer("/metadata/resourceVersion")?.as_str().map(str::to_owned);
        match event {
            WatchEvent::Added(object) | WatchEvent::Modified(object) => {
                let seen = version(&object)?;
                self.store().watched(Live::of_kind(kind, &object).ok()?);
                Some(seen)
            }
            WatchEvent::Deleted(object) => {
                let live = Live::of_kind(kind, &object).ok()?;
                self.store().remove(&live.key(), &live.uid);
                version(&object)
            }
            WatchEvent::Bookmark(bookmark) => Some(bookmark.metadata.resource_version),
            WatchEvent::Error(_) => None,
        }
    }

    /// Reads a kind page by page into the view. Returns the version of the list.
    async fn list(&self, kind: &'static Kind) -> Result<String, ClusterError> {
        let mut lives = vec![];
        let request = Request::list(kind, None).with("labelSelector", format!("{MANAGED_BY}=dayfly"));
        let version = self
            .pages(request, |object| {
                lives.extend(Live::of_kind(kind, object).inspect_err(|error| tracing::warn!(%error, "left out")));
            })
            .await?;
        self.store().replace(kind, lives, &version);
        Ok(version)
    }

    /// Walks a list page by page. When a page's continuation has expired, the list begins anew; the caller may then see
    /// an object twice.
    pub(super) async fn pages(&self, request: Request, mut each: impl FnMut(&Value)) -> Result<String, ClusterError> {
        let mut next = String::new();
        loop {
            let mut page = request.clone().with("limit", PAGE.to_string());
            if !next.is_empty() {
                page = page.with("continue", next.as_str());
            }
            let body = match self.call(page).await {
                Ok(answer) => answer.body,
                Err(error) if is_gone(&error.kind) && !next.is_empty() => {
                    next.clear();
                    continue;
                }
                Err(error) => return Err(error),
            };
            body["items"].as_array().into_iter().flatten().for_each(&mut each);
            let meta = |field: &str| body["metadata"][field].as_str().unwrap_or_default().to_owned();
            next = meta("continue");
            if next.is_empty() {
                return Ok(meta("resourceVersion"));
            }
        }
    }
}

fn is_gone(kind: &ClusterErrorKind) -> bool {
    matches!(kind, ClusterErrorKind::Server { status: 410, .. })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn live(uid: &str, version: &str) -> Live {
        let object = json!({"apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": "a", "namespace": "n", "uid": uid, "resourceVersion": version}});
        Live::from_object(&object).unwrap()
    }

    #[test]
    fn a_late_answer_does_not_bring_back_what_is_gone() {
        let store = ObservedStore::new(Kinds::builtin());
        store.watched(live("u1", "1"));
        store.remove(&live("u1", "1").key(), "u1");
        store.answered(live("u1", "2"));
        assert!(store.observed().is_empty());
        store.answered(live("u2", "3"));
        assert_eq!(store.observed().len(), 1);
        store.watched(live("u1", "4"));
        assert!(store.gone.lock().unwrap().uids.is_empty(), "a watch that tells of it again is right");
    }

    #[test]
    fn an_older_version_never_replaces_a_newer_one() {
        let store = ObservedStore::new(Kinds::builtin());
        store.answered(live("u1", "10"));
        store.watched(live("u1", "9"));
        assert!(store.observed().objects().all(|live| &*live.resource_version == "10"));
    }
}
