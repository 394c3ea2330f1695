//! What a cluster refuses: by a quota, a rule of its own, a webhook that hangs, rights that are absent, a kind that it does
//! not have. The embedded API server gets a rule to say what a real one says; a real one has its own reasons. On both, the
//! object and the next step are named, nothing is deleted, other apps go on, and all converges when the reason is gone.

use std::time::{Duration, Instant};

use dayfly_cluster::clusters::ClusterTarget;
use dayfly_controller::{Pass, Reconciler};
use dayfly_local::apiserver::{FaultRule, InjectedFault};
use dayfly_model::kinds::Kinds;
use dayfly_plan::plan::ChangeAction;
use dayfly_plan::status::Phase;
use dayfly_tests::fixtures::{change_title, deploy, running_title, two_apps};
use dayfly_tests::oracle::Oracle;
use dayfly_tests::passes::{assert_converged, findings_text, finished_pass, pass_until, status_of};
use dayfly_tests::platform::TestPlatform;
use dayfly_tests::{DEADLINE, clients};
use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// A platform of two apps that run, on one of the two API servers.
struct RefusalTrial {
    platform: TestPlatform,
    reconciler: Reconciler,
    real: Option<Oracle>,
}

/// What a real API server refuses by, and what the embedded one says in its place.
struct Refusal {
    /// The objects that make a real one refuse.
    reasons: Vec<Value>,
    /// What the embedded one refuses, and how.
    rule: FaultRule,
    /// What a person reads of it, after the object.
    reported: &'static str,
}

/// A refusal of ConfigMaps of the app `survey`.
fn refusal(code: u16, message: &str, reported: &'static str, reasons: Vec<Value>) -> Refusal {
    let fault = InjectedFault::Status { code, retry_after: None, message: Some(message.into()) };
    let (resource, namespace) = (Some("configmaps".into()), Some("survey-sandbox".into()));
    Refusal {
        reasons,
        rule: FaultRule { mutating: true, resource, namespace, fault, ..FaultRule::default() },
        reported,
    }
}

/// What Dayfly's account may do, but for some verbs of a resource.
fn rights(without: &[(&str, &str)]) -> Value {
    let verbs = |resource: &str| {
        let all = ["get", "list", "watch", "create", "patch", "update", "delete"].into_iter();
        all.filter(|verb| !without.contains(&(*verb, resource))).collect::<Vec<_>>()
    };
    let kinds = Kinds::builtin();
    let rules = kinds.iter().map(|kind| {
        let resource = format!("{}.{}", kind.plural, kind.group);
        json!({"apiGroups": [kind.group], "resources": [kind.plural], "verbs": verbs(resource.trim_end_matches('.'))})
    });
    // Who grants rights has to have them.
    let grants = json!({"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["roles", "clusterroles"],
        "verbs": ["escalate", "bind"]});
    json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "dayfly"},
        "rules": rules.chain([grants]).collect::<Vec<_>>()})
}

fn all_rights() -> Vec<Value> {
    let reference = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "dayfly"});
    let subject = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "dayfly"});
    let binding = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
        "metadata": {"name": "dayfly"}, "roleRef": reference, "subjects": [subject]});
    vec![rights(&[]), binding]
}

/// The objects of the kind and namespace of this one.
fn api(client: &Client, object: &Value) -> Api<DynamicObject> {
    let [api_version, kind] = ["apiVersion", "kind"].map(|field| object[field].as_str().unwrap());
    clients::api(client, api_version, kind, object.pointer("/metadata/namespace").and_then(Value::as_str))
}

fn name(object: &Value) -> &str {
    object.pointer("/metadata/name").and_then(Value::as_str).unwrap()
}

impl RefusalTrial {
    async fn embedded() -> Self {
        let platform = two_apps().await;
        let reconciler = platform.reconciler();
        Self { platform, reconciler, real: None }.deployed().await
    }

    async fn real() -> Option<Self> {
        let oracle = Oracle::start().await?;
        let platform = two_apps().await;
        let reconciler = reconciler(&platform, &oracle);
        let trial = Self { platform, reconciler, real: Some(oracle) };
        for object in all_rights() {
            trial.create(&object).await;
        }
        Some(trial.deployed().await)
    }

    async fn deployed(mut self) -> Self {
        deploy(&self.platform, &mut self.reconciler).await;
        self
    }

    /// A process that knows nothing.
    fn fresh(&self) -> Reconciler {
        match &self.real {
            Some(oracle) => reconciler(&self.platform, oracle),
            None => self.platform.reconciler(),
        }
    }

    /// Somebody who may do everything.
    async fn client(&self) -> Client {
        match &self.real {
            Some(oracle) => oracle.client().await,
            None => self.platform.client().await,
        }
    }

    async fn create(&self, object: &Value) {
        let parsed = serde_json::from_value(object.clone()).unwrap();
        api(&self.client().await, object).create(&PostParams::default(), &parsed).await.unwrap();
    }

    async fn refuses(&self, refusal: &Refusal) {
        match &self.real {
            Some(_) => {
                for object in &refusal.reasons {
                    self.create(object).await;
                }
                self.until_it_is_refused().await;
            }
            None => self.platform.server().set_faults(vec![refusal.rule.clone()]),
        }
    }

    /// A real API server takes a moment to learn of a new rule.
    async fn until_it_is_refused(&self) {
        let probe = json!({"apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": "probe", "namespace": "survey-sandbox"}});
        let (api, parsed) = (api(&self.client().await, &probe), serde_json::from_value(probe).unwrap());
        let deadline = Instant::now() + DEADLINE;
        while api.create(&PostParams { dry_run: true, field_manager: None }, &parsed).await.is_ok() {
            assert!(Instant::now() < deadline, "a new rule has no effect");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn refuses_no_more(&self, refusal: &Refusal) {
        match &self.real {
            Some(_) => {
                for object in &refusal.reasons {
                    let api = api(&self.client().await, object);
                    api.delete(name(object), &DeleteParams::default()).await.unwrap();
                }
            }
            None => self.platform.server().set_faults(vec![]),
        }
    }

    /// What Dayfly's account may not do from now on.
    async fn may_not(&self, what: &[(&str, &str)]) {
        match &self.real {
            Some(_) => {
                let role = rights(what);
                let patch = Patch::Merge(json!({"rules": role["rules"]}));
                api(&self.client().await, &role).patch("dayfly", &PatchParams::default(), &patch).await.unwrap();
            }
            None => {
                let rules = what.iter().map(|(verb, resource)| {
                    let message = format!("{resource} \"x\" is forbidden: User \"dayfly\" cannot {verb} resource");
                    let fault = InjectedFault::Status { code: 403, retry_after: None, message: Some(message) };
                    FaultRule {
                        verbs: vec![(*verb).into()],
                        resource: Some((*resource).into()),
                        fault,
                        ..FaultRule::default()
                    }
                });
                self.platform.server().set_faults(rules.collect());
            }
        }
    }

    async fn title(&self, app: &str) -> String {
        running_title(&self.client().await, app).await
    }

    async fn pass_until(&mut self, what: &str, is_wished: impl Fn(&Pass) -> bool) -> std::sync::Arc<Pass> {
        pass_until(&mut self.reconciler, self.platform.now(), what, is_wished).await
    }

    /// All is as git says, for a process that begins now, too.
    async fn converges(&mut self) {
        self.pass_until("a finished pass without findings", |pass| {
            !pass.is_unfinished() && pass.diagnostics.is_empty()
        })
        .await;
        assert_converged(&self.fresh().pass(self.platform.now()).await.unwrap());
    }

    /// What a refusal does to an app that changes, and to the other one.
    async fn survives(&mut self, refusal: Refusal, title: &str) {
        self.refuses(&refusal).await;
        let more = format!("apps/survey/{title}.txt");
        self.platform.commit(&[(&more, Some("one more file"))]);
        change_title(&self.platform, "survey", title);
        change_title(&self.platform, "poll", title);
        let pass = self.pass_until(refusal.reported, |pass| findings_text(pass).contains(refusal.reported)).await;
        let survey = status_of(&pass, "survey");
        let named = "ConfigMap/survey-sandbox/";
        assert_eq!((survey.phase, pass.is_unfinished()), (Phase::Stalled, true), "{}", findings_text(&pass));
        assert!(survey.message.contains(named) && survey.message.contains(refusal.reported), "{}", survey.message);
        assert_eq!(status_of(&pass, "poll").phase, Phase::Ready);
        assert_eq!(self.title("poll").await, title, "the other app goes on");

        self.refuses_no_more(&refusal).await;
        self.converges().await;
        assert_eq!(self.title("survey").await, title);
    }
}

fn reconciler(platform: &TestPlatform, oracle: &Oracle) -> Reconciler {
    platform.reconciler_on(ClusterTarget { kubeconfig: Some(oracle.kubeconfig()), context: Some("dayfly".into()) })
}

/// A rule of the cluster's own.
fn own_rule() -> Refusal {
    let guard = |kind: &str, spec: Value| json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": {"name": "guard"}, "spec": spec});
    let rule = json!({"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"],
        "resources": ["configmaps"]});
    let policy = guard(
        "ValidatingAdmissionPolicy",
        json!({
            "failurePolicy": "Fail",
            "matchConstraints": {"resourceRules": [rule]},
            "validations": [{"expression": "false", "message": "not on Fridays"}],
        }),
    );
    let here = json!({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "survey-sandbox"}}});
    let binding = guard(
        "ValidatingAdmissionPolicyBinding",
        json!({
            "policyName": "guard", "validationActions": ["Deny"], "matchResources": here,
        }),
    );
    let message = "configmaps \"survey\" is forbidden: ValidatingAdmissionPolicy 'guard' with binding 'guard' denied \
                   request: not on Fridays";
    refusal(422, message, "denied request: not on Fridays", vec![policy, binding])
}

/// A webhook that takes a call and never answers.
async fn hanging_webhook() -> (Refusal, TcpListener) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("https://{}/", listener.local_addr().unwrap());
    let webhook = json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": "hangs"},
        "webhooks": [{
            "name": "hangs.example.com", "clientConfig": {"url": url}, "timeoutSeconds": 1, "failurePolicy": "Fail",
            "sideEffects": "None", "admissionReviewVersions": ["v1"],
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "survey-sandbox"}},
            "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"],
                "resources": ["configmaps"]}],
        }],
    });
    let message = "Internal error occurred: failed calling webhook \"hangs.example.com\": failed to call webhook: Post \
                   \"https://127.0.0.1/?timeout=1s\": context deadline exceeded";
    (refusal(500, message, "an admission webhook failed: ", vec![webhook]), listener)
}

/// A quota that lets no further ConfigMap in.
fn quota() -> Refusal {
    let quota = json!({"apiVersion": "v1", "kind": "ResourceQuota",
        "metadata": {"name": "narrow", "namespace": "survey-sandbox"}, "spec": {"hard": {"count/configmaps": "1"}}});
    let message = "configmaps \"survey-more\" is forbidden: exceeded quota: narrow, requested: count/configmaps=1, used: \
                   count/configmaps=2, limited: count/configmaps=1";
    refusal(403, message, "the quota refuses it: ", vec![quota])
}

async fn survives_all(mut trial: RefusalTrial) {
    // One more ConfigMap for an app that has one more file.
    let more = "{% if files | length > 0 %}
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ app.name }}-more
data:
  more: there is more
{% endif %}
";
    trial.platform.commit(&[("catalog/simple-survey/v1/resources/more.yaml", Some(more))]);
    trial.survives(quota(), "Second").await;
    trial.survives(own_rule(), "Third").await;
    let (webhook, _listener) = hanging_webhook().await;
    trial.survives(webhook, "Fourth").await;
    survives_without_rights(&mut trial).await;
}

/// Rights that are taken away and given back.
async fn survives_without_rights(trial: &mut RefusalTrial) {
    trial.may_not(&[("patch", "deployments.apps")]).await;
    change_title(&trial.platform, "survey", "Fifth");
    let named = "apps/Deployment/survey-sandbox/survey: Dayfly may not patch deployments.apps";
    let pass = trial.pass_until(named, |pass| status_of(pass, "survey").message.contains(named)).await;
    assert_eq!((status_of(&pass, "survey").phase, status_of(&pass, "poll").phase), (Phase::Stalled, Phase::Ready));

    // A process that begins and may not even list: what it cannot see is not absent.
    trial.may_not(&[("list", "deployments.apps"), ("patch", "deployments.apps")]).await;
    let mut blind = trial.fresh();
    let pass = blind.watch_pass(trial.platform.now()).await.unwrap();
    let findings = findings_text(&pass);
    assert!(findings.contains("Dayfly may not list deployments.apps"), "{findings}");
    assert!(pass.changes.iter().all(|change| change.action != ChangeAction::Delete), "{:?}", pass.changes);

    trial.may_not(&[]).await;
    trial.converges().await;
    assert_eq!(trial.title("survey").await, "Fifth");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_embedded_api_server_refuses_is_reported_until_it_is_allowed() {
    survives_all(RefusalTrial::embedded().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_real_api_server_refuses_is_reported_until_it_is_allowed() {
    if let Some(trial) = RefusalTrial::real().await {
        survives_all(trial).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kind_that_a_cluster_does_not_have_is_reported_until_it_is_there() {
    let platform = TestPlatform::sample().await;
    let message = Some("the server could not find the requested resource".into());
    let fault = InjectedFault::Status { code: 404, retry_after: None, message };
    let resource = Some("horizontalpodautoscalers.autoscaling".into());
    platform.server().set_faults(vec![FaultRule { resource, fault, ..FaultRule::default() }]);
    let mut reconciler = platform.reconciler();
    let pass = reconciler.watch_pass(platform.now()).await.unwrap();
    let kind = "this cluster does not know the kind horizontalpodautoscalers.autoscaling";
    assert!(findings_text(&pass).contains(kind), "{}", findings_text(&pass));
    let links = status_of(&pass, "go-links");
    assert_eq!((links.phase, pass.is_unfinished()), (Phase::Stalled, true), "{links:?}");
    assert!(links.message.contains("HorizontalPodAutoscaler/go-links-production/go-links"), "{}", links.message);
    assert_eq!(status_of(&pass, "quarterly-feedback").phase, Phase::Ready, "an app without that kind goes on");

    platform.server().set_faults(vec![]);
    finished_pass(&mut reconciler, platform.now()).await;
    assert_converged(&platform.fresh_pass().await);
}
