//! What the cluster door promises, tried against a real API server and the embedded one.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails loudly")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use dayfly_calls::{CallPhase, Calls, Stopped};
use dayfly_cluster::{ChangeSet, Cluster, ClusterErrorKind, WaitLimits};
use dayfly_judge::render::Manifests;
use dayfly_local::apiserver::{ApiServer, Config, FAIL_ANNOTATION};
use dayfly_model::digest::Digest;
use dayfly_model::object::Object;
use dayfly_model::platform::environment::{self, Drift};
use dayfly_model::scope::Scope;
use dayfly_plan::inventory::{Inventory, LastPass};
use dayfly_plan::plan::{Plan, SkipReason, plan_removal, plan_shared};
use dayfly_tests::oracle::Oracle;
use serde_json::{Value, json};

const LIMITS: WaitLimits = WaitLimits { health: Duration::from_secs(30), deletion: Duration::from_secs(60) };

/// One scope on a cluster, with a namespace of its name.
struct World {
    kubeconfig: PathBuf,
    context: String,
    cluster: Cluster,
    scope: Scope,
}

impl World {
    async fn new(kubeconfig: PathBuf, context: &str, name: &str) -> Self {
        let cluster = connect(&kubeconfig, context, Calls::default()).await;
        Self { kubeconfig, context: context.into(), cluster, scope: name.parse().unwrap() }
    }

    fn name(&self) -> String {
        self.scope.to_string()
    }

    fn object(&self, api_version: &str, kind: &str, name: &str, rest: Value) -> Object {
        let mut object = json!({"apiVersion": api_version, "kind": kind,
            "metadata": {"name": name, "labels": {"app.kubernetes.io/managed-by": "dayfly"}}});
        if kind != "Namespace" {
            object["metadata"]["namespace"] = self.name().into();
        }
        for (field, value) in rest.as_object().unwrap() {
            object[field] = value.clone();
        }
        Object::new(object).unwrap()
    }

    fn namespace(&self) -> Object {
        self.object("v1", "Namespace", &self.name(), json!({}))
    }

    fn config(&self, name: &str, value: &str) -> Object {
        self.object("v1", "ConfigMap", name, json!({"data": {"key": value}}))
    }

    fn deployment(&self, label: &str, annotations: Value) -> Object {
        let labels = json!({"app": label});
        let template = json!({"metadata": {"labels": labels},
            "spec": {"containers": [{"name": "main", "image": "example.com/main"}]}});
        let spec = json!({"replicas": 1, "selector": {"matchLabels": labels}, "template": template});
        let object = self.object("apps/v1", "Deployment", "web", json!({"spec": spec}));
        let mut value = (**object.value()).clone();
        value["metadata"]["annotations"] = annotations;
        Object::new(value).unwrap()
    }

    fn whole(&self) -> Vec<Object> {
        let port = json!([{"name": "http", "port": 80, "protocol": "TCP"}]);
        let backend = json!({"service": {"name": "web", "port": {"name": "http"}}});
        let path = json!([{"path": "/", "pathType": "Prefix", "backend": backend}]);
        vec![
            self.namespace(),
            self.object("networking.k8s.io/v1", "NetworkPolicy", "deny", json!({"spec": {"podSelector": {}}})),
            self.object("v1", "ServiceAccount", "web", json!({})),
            self.config("settings", "1"),
            self.deployment("web", json!({})),
            self.object("v1", "Service", "web", json!({"spec": {"ports": port, "selector": {"app": "web"}}})),
            self.object(
                "networking.k8s.io/v1",
                "Ingress",
                "web",
                json!({"spec": {"rules": [{"host": "web.example.com", "http": {"paths": path}}]}}),
            ),
        ]
    }

    fn plan(&self, inventory: &Inventory, desired: &[Object]) -> Plan {
        plan_shared(&manifests(desired), inventory, &self.cluster.observed(), Drift::Repair)
    }

    async fn pass(&self, desired: &[Object]) -> ChangeSet {
        let mut inventory = self.cluster.inventory(&self.scope).await.unwrap();
        let plan = self.plan(&inventory, desired);
        self.cluster.apply(&plan, &mut inventory, last(desired), LIMITS).await
    }

    async fn removal(&self) -> ChangeSet {
        let mut inventory = self.cluster.inventory(&self.scope).await.unwrap();
        let plan = plan_removal(&inventory, &self.cluster.observed());
        let limits = WaitLimits { deletion: Duration::from_secs(30), ..LIMITS };
        self.cluster.apply(&plan, &mut inventory, LastPass::default(), limits).await
    }

    /// Somebody else's client.
    async fn other(&self) -> kube::Client {
        let kubeconfig = kube::config::Kubeconfig::read_from(&self.kubeconfig).unwrap();
        let options = kube::config::KubeConfigOptions { context: Some(self.context.clone()), ..Default::default() };
        kube::Client::try_from(kube::Config::from_custom_kubeconfig(kubeconfig, &options).await.unwrap()).unwrap()
    }

    /// Somebody else calls the API about config maps of the namespace.
    async fn others(&self, method: &str, name: &str, body: Value) -> Value {
        let content = if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
        let path = format!("/api/v1/namespaces/{}/configmaps{name}?fieldManager=another-tool", self.name());
        let body = if body.is_null() { vec![] } else { body.to_string().into_bytes() };
        let request = http::Request::builder().method(method).uri(path).header("Content-Type", content);
        self.other().await.request(request.body(body).unwrap()).await.unwrap()
    }

    async fn eventually(&self, what: &str, question: impl Fn(&Self) -> bool) {
        for _ in 0..400 {
            if question(self) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("never: {what}");
    }

    /// Waits until the watch has told of something that gives this plan.
    async fn planned(&self, desired: &[Object], what: &str, yes: impl Fn(&Plan) -> bool) {
        let inventory = self.cluster.inventory(&self.scope).await.unwrap();
        self.eventually(what, |world| yes(&world.plan(&inventory, desired))).await;
    }
}

async fn connect(kubeconfig: &Path, context: &str, calls: Calls) -> Cluster {
    let target = environment::ClusterRef::Context(context.into());
    let cluster = Cluster::connect(context.into(), &target, Some(kubeconfig), calls).await.unwrap();
    cluster.watch();
    assert!(cluster.ready().await.is_empty());
    cluster
}

fn manifests(desired: &[Object]) -> Manifests {
    let digests: Vec<_> = desired.iter().map(|object| object.digest()).collect();
    let digest = Digest::of_parts(digests.iter().map(|digest| digest.as_bytes().as_slice()));
    Manifests { objects: desired.to_vec(), digest }
}

fn last(desired: &[Object]) -> LastPass {
    LastPass { rendered: Some(manifests(desired).digest), ..LastPass::default() }
}

fn actions(set: &ChangeSet) -> Vec<String> {
    set.changes.iter().map(|done| format!("{} {}", done.action, done.key)).collect()
}

async fn an_app_comes_rests_and_goes(world: World) {
    let desired = world.whole();
    let set = world.pass(&desired).await;
    assert!(set.complete, "{set:?}");
    assert_eq!(set.changes.len(), desired.len());

    let mut inventory = world.cluster.inventory(&world.scope).await.unwrap();
    assert!(inventory.entries().all(|(_, entry)| entry.uid.is_some() && entry.owned.is_some() && !entry.pending));
    let calls = world.cluster.calls().reads() + world.cluster.calls().writes();
    let plan = world.plan(&inventory, &desired);
    assert!(plan.is_empty(), "{plan}");
    let set = world.cluster.apply(&plan, &mut inventory, last(&desired), LIMITS).await;
    assert!(set.complete && set.changes.is_empty());
    assert_eq!(world.cluster.calls().reads() + world.cluster.calls().writes(), calls, "a pass at rest calls nothing");

    let set = world.pass(&[world.namespace(), world.config("settings", "2")]).await;
    assert!(set.complete, "{set:?}");
    assert_eq!(actions(&set)[0], format!("update ConfigMap/{}/settings", world.name()));
    assert_eq!(set.changes.len(), 6);

    let set = world.removal().await;
    assert!(set.complete, "{set:?}");
    let (inventories, broken) = world.cluster.inventories().await.unwrap();
    assert!(broken.is_empty() && inventories.iter().all(|inventory| inventory.scope() != &world.scope));
}

async fn what_others_made_stays_as_it_is(world: World) {
    world.pass(&[world.namespace()]).await;
    let made = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": {"key": "1"}});
    let made = world.others("POST", "", made).await;
    let desired = [world.namespace(), world.config("settings", "1")];
    let set = world.pass(&desired).await;
    assert!(
        matches!(&set.failures[0].error.kind, ClusterErrorKind::Foreign(owner) if owner == "another-tool"),
        "{set:?}"
    );
    assert_eq!(world.others("GET", "/settings", Value::Null).await, made, "not even co-owned");
    let writes = world.cluster.calls().writes();
    let set = world.pass(&desired).await;
    assert!(!set.complete && !set.failures.is_empty());
    assert_eq!(world.cluster.calls().writes(), writes, "what is known to be foreign is not tried again");
    let set = world.pass(&[world.namespace()]).await;
    assert!(set.complete && set.changes.is_empty(), "{set:?}");
    assert_eq!(world.others("GET", "/settings", Value::Null).await, made);
    world.removal().await;
}

async fn drift_is_repaired_and_only_drift(world: World) {
    let desired = [world.namespace(), world.config("settings", "1")];
    assert!(world.pass(&desired).await.complete);
    world.others("PATCH", "/settings", json!({"data": {"theirs": "x"}})).await;
    world.others("PATCH", "/settings", json!({"data": {"key": "edited"}})).await;
    world.planned(&desired, "drift", |plan| !plan.is_empty()).await;
    let set = world.pass(&desired).await;
    assert!(set.complete, "{set:?}");
    let live = world.others("GET", "/settings", Value::Null).await;
    assert_eq!(live["data"], json!({"key": "1", "theirs": "x"}));

    // An object that lost its label is found by name, and is still ours.
    let unlabeled = json!({"metadata": {"labels": {"app.kubernetes.io/managed-by": null}}});
    world.others("PATCH", "/settings", unlabeled).await;
    world.planned(&desired, "a lost label", |plan| !plan.is_empty()).await;
    assert!(world.pass(&desired).await.complete);
    assert_eq!(world.others("GET", "/settings", Value::Null).await["metadata"]["uid"], live["metadata"]["uid"]);

    // One that was deleted comes back; one that somebody else made in its place does not become ours.
    world.others("DELETE", "/settings", Value::Null).await;
    world.planned(&desired, "a deletion", |plan| !plan.is_empty()).await;
    assert!(world.pass(&desired).await.complete);
    world.others("DELETE", "/settings", Value::Null).await;
    let labels = json!({"app.kubernetes.io/managed-by": "dayfly"});
    let made = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings", "labels": labels}});
    world.others("POST", "", made).await;
    world
        .planned(&desired, "a successor", |plan| {
            plan.skipped()
                .iter()
                .any(|note| matches!(&note.reason, SkipReason::Recreated(owner) if owner == "another-tool"))
        })
        .await;
    world.removal().await;
}

async fn a_stuck_finalizer_is_named_and_waited_for(world: World) {
    let desired = [world.namespace(), world.config("settings", "1")];
    assert!(world.pass(&desired).await.complete);
    world.others("PATCH", "/settings", json!({"metadata": {"finalizers": ["example.com/hold"]}})).await;
    let mut inventory = world.cluster.inventory(&world.scope).await.unwrap();
    let plan = world.plan(&inventory, &[world.namespace()]);
    let limits = WaitLimits { deletion: Duration::from_secs(1), ..LIMITS };
    let set = world.cluster.apply(&plan, &mut inventory, LastPass::default(), limits).await;
    assert!(!set.complete && inventory.len() == 2, "{set:?}");
    assert_eq!(set.unhealthy[0].1.to_string(), "terminating: held by finalizer example.com/hold");
    let writes = world.cluster.calls().writes();
    assert!(!world.pass(&[world.namespace()]).await.complete);
    assert_eq!(world.cluster.calls().writes(), writes, "a deletion is asked for once");
    world.others("PATCH", "/settings", json!({"metadata": {"finalizers": null}})).await;
    world.planned(&[world.namespace()], "the end", |plan| !plan.forgets().is_empty()).await;
    assert!(world.pass(&[world.namespace()]).await.complete);
    world.removal().await;
}

async fn an_immutable_field_needs_consent(world: World) {
    let agrees = json!({"dayfly.dev/replace": "enabled"});
    let desired = |label: &str, annotations: &Value| [world.namespace(), world.deployment(label, annotations.clone())];
    assert!(world.pass(&desired("a", &json!({}))).await.complete);
    let set = world.pass(&desired("b", &json!({}))).await;
    assert!(!set.complete && matches!(set.notes[0].reason, SkipReason::Immutable(_)), "{set:?}");
    let set = world.pass(&desired("b", &agrees)).await;
    assert!(set.complete, "{set:?}");
    assert_eq!(actions(&set), [format!("replace apps/Deployment/{}/web", world.name())]);
    world.removal().await;
}

async fn nothing_goes_before_its_successor_is_healthy(world: World) {
    assert!(world.pass(&[world.namespace(), world.config("old", "1")]).await.complete);
    let value = (**world.deployment("web", json!({})).value()).clone();
    let mut invalid = value.clone();
    invalid["spec"]["replicaz"] = 1.into();
    let desired = [world.namespace(), Object::new(invalid).unwrap()];
    let set = world.pass(&desired).await;
    assert!(!set.complete && matches!(set.failures[0].error.kind, ClusterErrorKind::Invalid(_)), "{set:?}");

    // Its pods count as available only after minutes; the embedded server has a word of its own for that.
    let mut slow = value;
    slow["spec"]["minReadySeconds"] = 500.into();
    slow["metadata"]["annotations"] = json!({FAIL_ANNOTATION: "SlowStart"});
    let desired = [world.namespace(), Object::new(slow).unwrap()];
    for _ in 0..2 {
        let mut inventory = world.cluster.inventory(&world.scope).await.unwrap();
        let plan = world.plan(&inventory, &desired);
        let limits = WaitLimits { health: Duration::from_secs(1), ..LIMITS };
        let set = world.cluster.apply(&plan, &mut inventory, last(&desired), limits).await;
        assert!(!set.complete && set.failures.is_empty() && !set.unhealthy.is_empty(), "{set:?}");
        assert!(world.others("GET", "/old", Value::Null).await["metadata"]["uid"].is_string());
    }
    world.removal().await;
}

async fn a_preview_shows_what_would_change_and_what_goes_along(world: World) {
    let inventory = world.cluster.inventory(&world.scope).await.unwrap();
    let desired = [world.namespace(), world.config("settings", "1")];
    let plan = world.plan(&inventory, &desired);
    let (previews, errors) = world.cluster.preview(&plan).await;
    assert!(errors.is_empty(), "{errors:?}");
    assert!(previews[1].diff.contains("+  key: \"1\"\n"), "{}", previews[1].diff);
    assert_eq!(world.cluster.calls().writes(), 0, "a preview writes nothing");

    assert!(world.pass(&desired).await.complete);
    let inventory = world.cluster.inventory(&world.scope).await.unwrap();
    let plan = world.plan(&inventory, &[world.namespace(), world.config("settings", "2")]);
    let (previews, _) = world.cluster.preview(&plan).await;
    assert!(previews[0].diff.contains("-  key: \"1\"\n+  key: \"2\"\n"), "{}", previews[0].diff);
    let made = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "theirs"}});
    world.others("POST", "", made).await;
    let contents = world.cluster.contents(&world.name()).await.unwrap();
    let removal = plan_removal(&inventory, &world.cluster.observed());
    let along = dayfly_plan::plan::cascade(&removal, &contents);
    assert_eq!(along.iter().map(|key| key.name.as_str()).collect::<Vec<_>>(), ["theirs"]);
    world.removal().await;
}

async fn two_writers_never_lose_an_inventory(world: World) {
    let desired = [world.namespace()];
    let mut one = world.cluster.inventory(&world.scope).await.unwrap();
    let mut two = one.clone();
    let plan = world.plan(&one, &desired);
    assert!(world.cluster.apply(&plan, &mut one, last(&desired), LIMITS).await.complete);
    let set = world.cluster.apply(&plan, &mut two, last(&desired), LIMITS).await;
    assert!(matches!(set.failures[0].error.kind, ClusterErrorKind::Moved(_)), "{set:?}");
    assert!(set.changes.is_empty());
    world.removal().await;
}

/// A second client of the same scope that is stopped at its nth write, before or after it is sent.
async fn stopped(world: &World, stop: u64, moment: CallPhase) -> (World, Arc<AtomicU64>) {
    let writes = Arc::new(AtomicU64::new(0));
    let counter = writes.clone();
    let calls = Calls::with_fault(Arc::new(move |call, now| {
        let counts = call.writes && now == moment;
        let over = counts && counter.fetch_add(1, Ordering::Relaxed) + 1 >= stop;
        if over { Err(Stopped) } else { Ok(()) }
    }));
    let (kubeconfig, context) = (world.kubeconfig.clone(), world.context.clone());
    let cluster = connect(&kubeconfig, &context, calls).await;
    (World { cluster, kubeconfig, context, scope: world.scope.clone() }, writes)
}

/// The writes of an apply are the inventory, three objects, the inventory; of a removal the namespace, the inventory.
async fn a_stop_at_any_write_is_recovered_from_in_two_passes(world: World, stop: u64, moment: CallPhase) {
    let desired = [world.namespace(), world.config("a", "1"), world.config("b", "1")];
    let (first, writes) = stopped(&world, stop, moment).await;
    assert_eq!(first.pass(&desired).await.complete, stop > 5);
    assert!(stop <= 5 || writes.load(Ordering::Relaxed) == 5);
    drop(first);
    let fresh = World::new(world.kubeconfig.clone(), &world.context, &world.name()).await;
    let set = fresh.pass(&desired).await;
    let complete = set.complete || fresh.pass(&desired).await.complete;
    assert!(complete, "{stop} {moment:?}: {set:?}");
    assert!(fresh.pass(&desired).await.changes.is_empty());

    let (first, _) = stopped(&world, stop, moment).await;
    assert_eq!(first.removal().await.complete, stop > 2);
    drop(first);
    let fresh = World::new(world.kubeconfig.clone(), &world.context, &world.name()).await;
    let set = fresh.removal().await;
    if !set.complete {
        let none = Inventory::new(world.scope.clone());
        fresh.eventually("the end", |world| world.plan(&none, &desired).skipped().is_empty()).await;
        assert!(fresh.removal().await.complete, "{stop} {moment:?}: {set:?}");
    }
}

async fn the_cluster_door_keeps_its_promises(kubeconfig: PathBuf, context: &str) {
    let world = async |name: &str| World::new(kubeconfig.clone(), context, name).await;
    tokio::join!(
        an_app_comes_rests_and_goes(world("whole").await),
        what_others_made_stays_as_it_is(world("foreign").await),
        drift_is_repaired_and_only_drift(world("drift").await),
        a_stuck_finalizer_is_named_and_waited_for(world("stuck").await),
        an_immutable_field_needs_consent(world("immutable").await),
        nothing_goes_before_its_successor_is_healthy(world("successor").await),
        a_preview_shows_what_would_change_and_what_goes_along(world("preview").await),
        two_writers_never_lose_an_inventory(world("writers").await),
    );
    let mut stops = vec![];
    for (stop, moment) in (1..=6).flat_map(|stop| [(stop, CallPhase::Before), (stop, CallPhase::After)]) {
        let name = format!("stop-{stop}-{moment:?}").to_lowercase();
        stops.push(a_stop_at_any_write_is_recovered_from_in_two_passes(world(&name).await, stop, moment));
    }
    futures::future::join_all(stops).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_api_server() {
    let Some(oracle) = Oracle::start().await else { return };
    the_cluster_door_keeps_its_promises(oracle.kubeconfig(), "oracle").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_embedded_api_server() {
    let directory = tempfile::tempdir().unwrap();
    let server = ApiServer::start(Config::new(directory.path().join("data"))).await.unwrap();
    let kubeconfig = directory.path().join("kubeconfig");
    std::fs::write(&kubeconfig, server.kubeconfig("embedded")).unwrap();
    the_cluster_door_keeps_its_promises(kubeconfig, "embedded").await;
    server.shutdown().await;
}
