//! What the cluster crate promises, tried against a real API server and the embedded one.

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
use dayfly_tests::clients;
use dayfly_tests::oracle::Oracle;
use serde_json::{Value, json};

const LIMITS: WaitLimits = WaitLimits { health: Duration::from_secs(30), deletion: Duration::from_secs(60) };

/// One scope on a cluster, with a namespace of its name.
struct TestScope {
    kubeconfig: PathBuf,
    context: String,
    cluster: Cluster,
    key: Scope,
}

impl TestScope {
    async fn new(kubeconfig: PathBuf, context: &str, name: &str) -> Self {
        let cluster = connect(&kubeconfig, context, Calls::default()).await;
        Self { kubeconfig, context: context.into(), cluster, key: name.parse().unwrap() }
    }

    fn name(&self) -> String {
        self.key.to_string()
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
        let mut inventory = self.cluster.inventory(&self.key).await.unwrap();
        let plan = self.plan(&inventory, desired);
        self.cluster.apply(&plan, &mut inventory, last(desired), LIMITS).await
    }

    async fn removal(&self) -> ChangeSet {
        let mut inventory = self.cluster.inventory(&self.key).await.unwrap();
        let plan = plan_removal(&inventory, &self.cluster.observed());
        let limits = WaitLimits { deletion: Duration::from_secs(30), ..LIMITS };
        self.cluster.apply(&plan, &mut inventory, LastPass::default(), limits).await
    }

    /// Another tool calls the API about config maps of the namespace.
    async fn other_tool(&self, method: &str, name: &str, body: Value) -> Value {
        let content = if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
        let path = format!("/api/v1/namespaces/{}/configmaps{name}?fieldManager=another-tool", self.name());
        let body = if body.is_null() { vec![] } else { body.to_string().into_bytes() };
        let request = http::Request::builder().method(method).uri(path).header("Content-Type", content);
        let client = clients::client(&self.kubeconfig, &self.context).await;
        client.request(request.body(body).unwrap()).await.unwrap()
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

    /// Waits until the watch has reported something that gives such a plan.
    async fn planned(&self, desired: &[Object], what: &str, yes: impl Fn(&Plan) -> bool) {
        let inventory = self.cluster.inventory(&self.key).await.unwrap();
        self.eventually(what, |scope| yes(&scope.plan(&inventory, desired))).await;
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

async fn an_app_is_created_left_alone_and_removed(scope: TestScope) {
    let desired = scope.whole();
    let set = scope.pass(&desired).await;
    assert!(set.complete, "{set:?}");
    assert_eq!(set.changes.len(), desired.len());

    let mut inventory = scope.cluster.inventory(&scope.key).await.unwrap();
    assert!(inventory.entries().all(|(_, entry)| entry.uid.is_some() && entry.owned.is_some() && !entry.pending));
    let calls = scope.cluster.calls().reads() + scope.cluster.calls().writes();
    let plan = scope.plan(&inventory, &desired);
    assert!(plan.is_empty(), "{plan}");
    let set = scope.cluster.apply(&plan, &mut inventory, last(&desired), LIMITS).await;
    assert!(set.complete && set.changes.is_empty());
    assert_eq!(
        scope.cluster.calls().reads() + scope.cluster.calls().writes(),
        calls,
        "a pass with nothing to do calls nothing"
    );

    let set = scope.pass(&[scope.namespace(), scope.config("settings", "2")]).await;
    assert!(set.complete, "{set:?}");
    assert_eq!(actions(&set)[0], format!("update ConfigMap/{}/settings", scope.name()));
    assert_eq!(set.changes.len(), 6);

    let set = scope.removal().await;
    assert!(set.complete, "{set:?}");
    let (inventories, broken) = scope.cluster.inventories().await.unwrap();
    assert!(broken.is_empty() && inventories.iter().all(|inventory| inventory.scope() != &scope.key));
}

async fn objects_of_other_tools_are_never_changed(scope: TestScope) {
    scope.pass(&[scope.namespace()]).await;
    let made = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": {"key": "1"}});
    let made = scope.other_tool("POST", "", made).await;
    let desired = [scope.namespace(), scope.config("settings", "1")];
    let set = scope.pass(&desired).await;
    assert!(
        matches!(&set.failures[0].error.kind, ClusterErrorKind::Foreign(owner) if owner == "another-tool"),
        "{set:?}"
    );
    assert_eq!(scope.other_tool("GET", "/settings", Value::Null).await, made, "not even co-owned");
    let writes = scope.cluster.calls().writes();
    let set = scope.pass(&desired).await;
    assert!(!set.complete && !set.failures.is_empty());
    assert_eq!(scope.cluster.calls().writes(), writes, "what is known to be foreign is not tried again");
    let set = scope.pass(&[scope.namespace()]).await;
    assert!(set.complete && set.changes.is_empty(), "{set:?}");
    assert_eq!(scope.other_tool("GET", "/settings", Value::Null).await, made);
    scope.removal().await;
}

async fn drift_is_repaired_and_nothing_else(scope: TestScope) {
    let desired = [scope.namespace(), scope.config("settings", "1")];
    assert!(scope.pass(&desired).await.complete);
    scope.other_tool("PATCH", "/settings", json!({"data": {"theirs": "x"}})).await;
    scope.other_tool("PATCH", "/settings", json!({"data": {"key": "edited"}})).await;
    scope.planned(&desired, "drift", |plan| !plan.is_empty()).await;
    let set = scope.pass(&desired).await;
    assert!(set.complete, "{set:?}");
    let live = scope.other_tool("GET", "/settings", Value::Null).await;
    assert_eq!(live["data"], json!({"key": "1", "theirs": "x"}));

    // An object that lost its label is found by name, and is still ours.
    let unlabeled = json!({"metadata": {"labels": {"app.kubernetes.io/managed-by": null}}});
    scope.other_tool("PATCH", "/settings", unlabeled).await;
    scope.planned(&desired, "a lost label", |plan| !plan.is_empty()).await;
    assert!(scope.pass(&desired).await.complete);
    assert_eq!(scope.other_tool("GET", "/settings", Value::Null).await["metadata"]["uid"], live["metadata"]["uid"]);

    // One that was deleted comes back; one that somebody else made in its place does not become ours.
    scope.other_tool("DELETE", "/settings", Value::Null).await;
    scope.planned(&desired, "a deletion", |plan| !plan.is_empty()).await;
    assert!(scope.pass(&desired).await.complete);
    scope.other_tool("DELETE", "/settings", Value::Null).await;
    let labels = json!({"app.kubernetes.io/managed-by": "dayfly"});
    let made = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings", "labels": labels}});
    scope.other_tool("POST", "", made).await;
    scope
        .planned(&desired, "a successor", |plan| {
            plan.skipped()
                .iter()
                .any(|note| matches!(&note.reason, SkipReason::Recreated(owner) if owner == "another-tool"))
        })
        .await;
    scope.removal().await;
}

async fn a_deletion_that_a_finalizer_holds_is_reported_and_waited_for(scope: TestScope) {
    let desired = [scope.namespace(), scope.config("settings", "1")];
    assert!(scope.pass(&desired).await.complete);
    scope.other_tool("PATCH", "/settings", json!({"metadata": {"finalizers": ["example.com/hold"]}})).await;
    let mut inventory = scope.cluster.inventory(&scope.key).await.unwrap();
    let plan = scope.plan(&inventory, &[scope.namespace()]);
    let limits = WaitLimits { deletion: Duration::from_secs(1), ..LIMITS };
    let set = scope.cluster.apply(&plan, &mut inventory, LastPass::default(), limits).await;
    assert!(!set.complete && inventory.len() == 2, "{set:?}");
    assert_eq!(set.unhealthy[0].1.to_string(), "terminating: held by finalizer example.com/hold");
    let writes = scope.cluster.calls().writes();
    assert!(!scope.pass(&[scope.namespace()]).await.complete);
    assert_eq!(scope.cluster.calls().writes(), writes, "a deletion is asked for once");
    scope.other_tool("PATCH", "/settings", json!({"metadata": {"finalizers": null}})).await;
    scope.planned(&[scope.namespace()], "the deletion", |plan| !plan.forgets().is_empty()).await;
    assert!(scope.pass(&[scope.namespace()]).await.complete);
    scope.removal().await;
}

async fn an_immutable_field_changes_only_with_consent(scope: TestScope) {
    let agrees = json!({"dayfly.dev/replace": "enabled"});
    let desired = |label: &str, annotations: &Value| [scope.namespace(), scope.deployment(label, annotations.clone())];
    assert!(scope.pass(&desired("a", &json!({}))).await.complete);
    let set = scope.pass(&desired("b", &json!({}))).await;
    assert!(!set.complete && matches!(set.skipped[0].reason, SkipReason::Immutable(_)), "{set:?}");
    let set = scope.pass(&desired("b", &agrees)).await;
    assert!(set.complete, "{set:?}");
    assert_eq!(actions(&set), [format!("replace apps/Deployment/{}/web", scope.name())]);
    scope.removal().await;
}

async fn nothing_is_deleted_before_its_successor_is_healthy(scope: TestScope) {
    assert!(scope.pass(&[scope.namespace(), scope.config("old", "1")]).await.complete);
    let value = (**scope.deployment("web", json!({})).value()).clone();
    let mut invalid = value.clone();
    invalid["spec"]["replicaz"] = 1.into();
    let desired = [scope.namespace(), Object::new(invalid).unwrap()];
    let set = scope.pass(&desired).await;
    assert!(!set.complete && matches!(set.failures[0].error.kind, ClusterErrorKind::Invalid(_)), "{set:?}");

    // Its pods count as available only after minutes; the embedded server has a word of its own for that.
    let mut slow = value;
    slow["spec"]["minReadySeconds"] = 500.into();
    slow["metadata"]["annotations"] = json!({FAIL_ANNOTATION: "SlowStart"});
    let desired = [scope.namespace(), Object::new(slow).unwrap()];
    for _ in 0..2 {
        let mut inventory = scope.cluster.inventory(&scope.key).await.unwrap();
        let plan = scope.plan(&inventory, &desired);
        let limits = WaitLimits { health: Duration::from_secs(1), ..LIMITS };
        let set = scope.cluster.apply(&plan, &mut inventory, last(&desired), limits).await;
        assert!(!set.complete && set.failures.is_empty() && !set.unhealthy.is_empty(), "{set:?}");
        assert!(scope.other_tool("GET", "/old", Value::Null).await["metadata"]["uid"].is_string());
    }
    scope.removal().await;
}

async fn a_preview_shows_changes_and_what_a_deletion_takes_along(scope: TestScope) {
    let inventory = scope.cluster.inventory(&scope.key).await.unwrap();
    let desired = [scope.namespace(), scope.config("settings", "1")];
    let plan = scope.plan(&inventory, &desired);
    let (previews, errors) = scope.cluster.preview(&plan).await;
    assert!(errors.is_empty(), "{errors:?}");
    assert!(previews[1].diff.contains("+  key: \"1\"\n"), "{}", previews[1].diff);
    assert_eq!(scope.cluster.calls().writes(), 0, "a preview writes nothing");

    assert!(scope.pass(&desired).await.complete);
    let inventory = scope.cluster.inventory(&scope.key).await.unwrap();
    let plan = scope.plan(&inventory, &[scope.namespace(), scope.config("settings", "2")]);
    let (previews, _) = scope.cluster.preview(&plan).await;
    assert!(previews[0].diff.contains("-  key: \"1\"\n+  key: \"2\"\n"), "{}", previews[0].diff);
    let made = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "theirs"}});
    scope.other_tool("POST", "", made).await;
    let contents = scope.cluster.contents(&scope.name()).await.unwrap();
    let removal = plan_removal(&inventory, &scope.cluster.observed());
    let along = dayfly_plan::plan::cascade(&removal, &contents);
    assert_eq!(along.iter().map(|key| key.name.as_str()).collect::<Vec<_>>(), ["theirs"]);
    scope.removal().await;
}

async fn of_two_writers_of_an_inventory_the_second_is_refused(scope: TestScope) {
    let desired = [scope.namespace()];
    let mut one = scope.cluster.inventory(&scope.key).await.unwrap();
    let mut two = one.clone();
    let plan = scope.plan(&one, &desired);
    assert!(scope.cluster.apply(&plan, &mut one, last(&desired), LIMITS).await.complete);
    let set = scope.cluster.apply(&plan, &mut two, last(&desired), LIMITS).await;
    assert!(matches!(set.failures[0].error.kind, ClusterErrorKind::Moved(_)), "{set:?}");
    assert!(set.changes.is_empty());
    scope.removal().await;
}

/// A second client of the same scope that is stopped at its nth write, before or after it is sent, and its writes.
async fn stopped(scope: &TestScope, stop: u64, moment: CallPhase) -> (TestScope, Arc<AtomicU64>) {
    let writes = Arc::new(AtomicU64::new(0));
    let counter = writes.clone();
    let calls = Calls::with_fault(Arc::new(move |call, now| {
        let counts = call.writes && now == moment;
        let over = counts && counter.fetch_add(1, Ordering::Relaxed) + 1 >= stop;
        if over { Err(Stopped) } else { Ok(()) }
    }));
    let (kubeconfig, context) = (scope.kubeconfig.clone(), scope.context.clone());
    let cluster = connect(&kubeconfig, &context, calls).await;
    (TestScope { cluster, kubeconfig, context, key: scope.key.clone() }, writes)
}

/// The writes of an apply are the inventory, three objects, the inventory; of a removal the namespace, the inventory.
async fn a_stop_at_any_write_is_recovered_from_in_two_passes(scope: TestScope, stop: u64, moment: CallPhase) {
    let desired = [scope.namespace(), scope.config("a", "1"), scope.config("b", "1")];
    let (first, writes) = stopped(&scope, stop, moment).await;
    assert_eq!(first.pass(&desired).await.complete, stop > 5);
    assert!(stop <= 5 || writes.load(Ordering::Relaxed) == 5);
    drop(first);
    let fresh = TestScope::new(scope.kubeconfig.clone(), &scope.context, &scope.name()).await;
    let set = fresh.pass(&desired).await;
    let complete = set.complete || fresh.pass(&desired).await.complete;
    assert!(complete, "{stop} {moment:?}: {set:?}");
    assert!(fresh.pass(&desired).await.changes.is_empty());

    let (first, _) = stopped(&scope, stop, moment).await;
    assert_eq!(first.removal().await.complete, stop > 2);
    drop(first);
    let fresh = TestScope::new(scope.kubeconfig.clone(), &scope.context, &scope.name()).await;
    let set = fresh.removal().await;
    if !set.complete {
        let none = Inventory::new(scope.key.clone());
        fresh.eventually("the namespace is gone", |scope| scope.plan(&none, &desired).skipped().is_empty()).await;
        assert!(fresh.removal().await.complete, "{stop} {moment:?}: {set:?}");
    }
}

async fn keeps_all_promises(kubeconfig: PathBuf, context: &str) {
    let scope = async |name: &str| TestScope::new(kubeconfig.clone(), context, name).await;
    tokio::join!(
        an_app_is_created_left_alone_and_removed(scope("whole").await),
        objects_of_other_tools_are_never_changed(scope("foreign").await),
        drift_is_repaired_and_nothing_else(scope("drift").await),
        a_deletion_that_a_finalizer_holds_is_reported_and_waited_for(scope("stuck").await),
        an_immutable_field_changes_only_with_consent(scope("immutable").await),
        nothing_is_deleted_before_its_successor_is_healthy(scope("successor").await),
        a_preview_shows_changes_and_what_a_deletion_takes_along(scope("preview").await),
        of_two_writers_of_an_inventory_the_second_is_refused(scope("writers").await),
    );
    let mut stops = vec![];
    for (stop, moment) in (1..=6).flat_map(|stop| [(stop, CallPhase::Before), (stop, CallPhase::After)]) {
        let name = format!("stop-{stop}-{moment:?}").to_lowercase();
        stops.push(a_stop_at_any_write_is_recovered_from_in_two_passes(scope(&name).await, stop, moment));
    }
    futures::future::join_all(stops).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cluster_crate_keeps_its_promises_on_a_real_api_server() {
    let Some(oracle) = Oracle::start().await else { return };
    keeps_all_promises(oracle.kubeconfig(), "oracle").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cluster_crate_keeps_its_promises_on_the_embedded_api_server() {
    let directory = tempfile::tempdir().unwrap();
    let server = ApiServer::start(Config::new(directory.path().join("data"))).await.unwrap();
    let kubeconfig = directory.path().join("kubeconfig");
    std::fs::write(&kubeconfig, server.kubeconfig("embedded")).unwrap();
    keeps_all_promises(kubeconfig, "embedded").await;
    server.shutdown().await;
}
