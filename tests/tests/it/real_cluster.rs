//! The sample platform on a real kube-apiserver: the same passes, the same promises.

use dayfly_cluster::clusters::ClusterTarget;
use dayfly_plan::status::Phase;
use dayfly_tests::oracle::Oracle;
use dayfly_tests::platform::TestPlatform;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn the_sample_is_deployed_repaired_and_retired_on_a_real_api_server() {
    let Some(oracle) = Oracle::start().await else { return };
    let mut platform = TestPlatform::sample().await;
    let kubeconfig = kube::config::Kubeconfig::read_from(oracle.kubeconfig()).unwrap();
    let target = ClusterTarget { kubeconfig: Some(oracle.kubeconfig()), context: kubeconfig.current_context };
    let mut reconciler = platform.reconciler_on(target.clone());
    let first = reconciler.pass(platform.now()).await.unwrap();
    assert_eq!(first.diagnostics, []);
    assert!(first.items.iter().all(|item| item.phase == Phase::Ready), "{:#?}", first.items);
    assert!(first.items.iter().any(|item| item.health.as_str() == "Healthy"), "nothing is simulated here");
    let second = reconciler.pass(platform.now()).await.unwrap();
    assert_eq!((second.writes, second.calls), (0, 0), "{:#?}", second.changes);
    let restarted = platform.reconciler_on(target.clone()).pass(platform.now()).await.unwrap();
    assert_eq!((restarted.writes, &restarted.changes), (0, &vec![]));

    let client = oracle.client().await;
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), "quarterly-feedback-sandbox");
    let by_hand = Patch::Merge(json!({"spec": {"replicas": 3}}));
    deployments.patch("quarterly-feedback", &PatchParams::default(), &by_hand).await.unwrap();
    reconciler.cluster_changed().await;
    reconciler.pass(platform.now()).await.unwrap();
    let repaired = deployments.get("quarterly-feedback").await.unwrap();
    assert_eq!(repaired.spec.replicas, Some(1));

    platform.days_pass(15);
    let last = reconciler.pass(platform.now()).await.unwrap();
    assert_eq!(last.retired.len(), 1);
    let namespaces: Api<Namespace> = Api::all(client);
    assert!(namespaces.get_opt("quarterly-feedback-sandbox").await.unwrap().is_none());
    assert!(namespaces.get_opt("go-links-production").await.unwrap().is_some());
    assert_eq!(platform.reconciler_on(target).pass(platform.now()).await.unwrap().writes, 0);
}
