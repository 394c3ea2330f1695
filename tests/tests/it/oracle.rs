//! The real API server that other tests ask comes with working controllers.

use std::time::Duration;

use dayfly_tests::oracle::Oracle;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use kube::api::{DeleteParams, Patch, PatchParams};
use kube::{Api, Client};
use serde_json::{Value, json};

/// Asks until the answer is yes.
async fn eventually<F: Future<Output = bool>>(what: &str, question: impl Fn() -> F) {
    for _ in 0..600 {
        if question().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("never: {what}");
}

async fn apply<K>(api: &Api<K>, name: &str, spec: Value)
where
    K: kube::Resource<DynamicType = ()> + Clone + serde::de::DeserializeOwned + std::fmt::Debug,
{
    let object = json!({
        "apiVersion": K::api_version(&()), "kind": K::kind(&()), "metadata": {"name": name}, "spec": spec,
    });
    api.patch(name, &PatchParams::apply("test"), &Patch::Apply(object)).await.unwrap();
}

async fn workloads_become_ready_and_namespaces_end(client: Client) {
    let namespaces = Api::<Namespace>::all(client.clone());
    apply(&namespaces, "ours", json!({})).await;
    let accounts = Api::<ServiceAccount>::namespaced(client.clone(), "ours");
    eventually("a default service account", async || accounts.get("default").await.is_ok()).await;

    let pod = json!({"containers": [{"name": "main", "image": "example.com/main"}]});
    let template = json!({"metadata": {"labels": {"app": "web"}}, "spec": pod});
    let deployments = Api::<Deployment>::namespaced(client.clone(), "ours");
    let spec = json!({"replicas": 2, "selector": {"matchLabels": {"app": "web"}}, "template": template});
    apply(&deployments, "web", spec).await;
    eventually("two available replicas", async || {
        deployments.get("web").await.unwrap().status.and_then(|status| status.available_replicas) == Some(2)
    })
    .await;

    let jobs = Api::<Job>::namespaced(client, "ours");
    let pod = json!({"restartPolicy": "Never", "containers": [{"name": "main", "image": "example.com/main"}]});
    apply(&jobs, "once", json!({"template": {"spec": pod}})).await;
    eventually("a job that succeeded", async || {
        jobs.get("once").await.unwrap().status.and_then(|status| status.succeeded) == Some(1)
    })
    .await;

    namespaces.delete("ours", &DeleteParams::default()).await.unwrap();
    eventually("the end of the namespace", async || namespaces.get("ours").await.is_err()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_real_api_server_comes_with_working_controllers() {
    let Some(oracle) = Oracle::start().await else { return };
    workloads_become_ready_and_namespaces_end(oracle.client().await).await;
    let version = oracle.kubectl().args(["version", "-o", "json"]).output().unwrap();
    let version: Value = serde_json::from_slice(&version.stdout).unwrap();
    assert_eq!(version["serverVersion"]["minor"], "36");
}
