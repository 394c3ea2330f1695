//! Simulated workloads become ready, roll over, and fail when told to.

use dayfly_local::apiserver::FAIL_ANNOTATION;
use serde_json::json;

use crate::client::{MERGE, Stack, deployment};

const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/default/deployments";
const PODS: &str = "/api/v1/namespaces/default/pods";

fn available(reply: &crate::client::Reply, replicas: u32) -> bool {
    let object = reply.json();
    object["status"]["observedGeneration"] == object["metadata"]["generation"]
        && object["status"]["availableReplicas"] == replicas
        && object["status"]["replicas"] == replicas
}

#[tokio::test]
async fn a_deployment_becomes_available_with_its_pods_and_rolls_over() {
    let stack = Stack::new().await;
    let path = format!("{DEPLOYMENTS}/web");
    stack.post(DEPLOYMENTS, &deployment("web", 2)).await.ok();
    stack.until(&path, |reply| available(reply, 2)).await;
    let pods = stack.get(&format!("{PODS}?labelSelector=app%3Dweb")).await.ok();
    assert_eq!(pods["items"].as_array().unwrap().len(), 2);
    assert_eq!(pods["items"][0]["status"]["phase"], "Running");
    let mut template = deployment("web", 3)["spec"].clone();
    template["template"]["spec"]["containers"][0]["image"] = "registry.example.com/main:2".into();
    stack.patch(&path, MERGE, &json!({"spec": template})).await.ok();
    stack.until(&path, |reply| available(reply, 3)).await;
    let settled = stack.get(&path).await.ok();
    let pods = stack.get(PODS).await.ok();
    let new = |p: &serde_json::Value| p["spec"]["containers"][0]["image"] == "registry.example.com/main:2";
    assert!(pods["items"].as_array().unwrap().iter().all(new), "{pods}");
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    assert_eq!(stack.get(&path).await.ok(), settled);
    let before = json!({"containers": [{"image": "registry.example.com/main:1", "name": "main"}]});
    let merge = "application/strategic-merge-patch+json";
    stack.patch(&path, merge, &json!({"spec": {"template": {"spec": before}}})).await.ok();
    stack.until(&path, |reply| reply.text.contains("\"deployment.kubernetes.io/revision\":\"3\"")).await;
    let sets = stack.get("/apis/apps/v1/namespaces/default/replicasets").await.ok();
    assert_eq!(sets["items"].as_array().unwrap().len(), 2, "an earlier template takes its ReplicaSet up again");
    stack.delete(&path).await.ok();
    stack.until(PODS, |reply| reply.json()["items"] == json!([])).await;
}

#[tokio::test]
async fn a_deployment_that_is_told_to_fail_says_why_until_it_may_run() {
    let stack = Stack::new().await;
    let path = format!("{DEPLOYMENTS}/web");
    let mut object = deployment("web", 1);
    object["metadata"]["annotations"] = json!({FAIL_ANNOTATION: "ImagePullBackOff"});
    stack.post(DEPLOYMENTS, &object).await.ok();
    let failed = stack.until(&path, |reply| reply.text.contains("ProgressDeadlineExceeded")).await.json();
    assert_eq!(failed["status"]["conditions"][0]["status"], "False");
    let pods = stack.get(PODS).await.ok();
    let state = &pods["items"][0]["status"]["containerStatuses"][0]["state"];
    assert_eq!(state["waiting"]["reason"], "ImagePullBackOff");
    stack.patch(&path, MERGE, &json!({"metadata": {"annotations": {FAIL_ANNOTATION: null}}})).await.ok();
    stack.until(&path, |reply| available(reply, 1)).await;
}

#[tokio::test]
async fn jobs_complete_claims_are_bound_and_stateful_pods_have_numbers() {
    let stack = Stack::new().await;
    let template = deployment("x", 1)["spec"]["template"].clone();
    let mut job = json!({"metadata": {"name": "once"}, "spec": {"template": template}});
    job["spec"]["template"]["spec"]["restartPolicy"] = "Never".into();
    let jobs = "/apis/batch/v1/namespaces/default/jobs";
    stack.post(jobs, &job).await.ok();
    stack.until(&format!("{jobs}/once"), |reply| reply.text.contains("\"Complete\"")).await;
    let claim = json!({"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}});
    let set = json!({"metadata": {"name": "db"}, "spec": {
        "replicas": 2, "serviceName": "db", "selector": {"matchLabels": {"app": "x"}}, "template": template,
        "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": claim}],
    }});
    let sets = "/apis/apps/v1/namespaces/default/statefulsets";
    stack.post(sets, &set).await.ok();
    stack.until(&format!("{sets}/db"), |reply| reply.json()["status"]["readyReplicas"] == 2).await;
    assert_eq!(stack.get(&format!("{PODS}/db-1")).await.code, 200);
    let claims = "/api/v1/namespaces/default/persistentvolumeclaims";
    stack.until(&format!("{claims}/data-db-0"), |reply| reply.json()["status"]["phase"] == "Bound").await;
}

#[tokio::test]
async fn services_get_addresses_that_stay() {
    let stack = Stack::new().await;
    let all = "/api/v1/namespaces/default/services";
    let service = |name: &str| json!({"metadata": {"name": name}, "spec": {"ports": [{"port": 80}]}});
    let first = stack.post(all, &service("a")).await.ok();
    let second = stack.post(all, &service("b")).await.ok();
    assert_ne!(first["spec"]["clusterIP"], second["spec"]["clusterIP"]);
    let replaced = stack.put(&format!("{all}/a"), &service("a")).await.ok();
    assert_eq!(replaced["spec"]["clusterIP"], first["spec"]["clusterIP"]);
    let node = stack.patch(&format!("{all}/a"), MERGE, &json!({"spec": {"type": "NodePort"}})).await.ok();
    assert!(node["spec"]["ports"][0]["nodePort"].as_u64().unwrap() >= 30_000);
}

#[tokio::test]
async fn a_number_that_the_field_cannot_hold_is_refused() {
    let stack = Stack::new().await;
    let mut object = deployment("web", 1);
    object["spec"]["replicas"] = 5_000_000_000_i64.into();
    let refused = stack.post(DEPLOYMENTS, &object).await;
    assert_eq!(refused.code, 400);
    assert!(refused.message().ends_with(
        "cannot unmarshal number 5000000000 into Go struct field DeploymentSpec.spec.replicas of type int32"
    ));
}

#[tokio::test]
async fn of_many_replicas_some_have_pods_and_all_are_counted() {
    let stack = Stack::new().await;
    stack.post(DEPLOYMENTS, &deployment("web", i32::MAX as u32)).await.ok();
    stack.until(&format!("{DEPLOYMENTS}/web"), |reply| available(reply, i32::MAX as u32)).await;
    assert_eq!(stack.get(PODS).await.ok()["items"].as_array().unwrap().len(), 500);
}

#[tokio::test]
async fn a_deployment_takes_over_the_set_that_an_orphaning_one_left() {
    let stack = Stack::new().await;
    let path = format!("{DEPLOYMENTS}/web");
    stack.post(DEPLOYMENTS, &deployment("web", 2)).await.ok();
    stack.until(&path, |reply| available(reply, 2)).await;
    stack.delete(&format!("{path}?propagationPolicy=Orphan")).await.ok();
    stack.until_gone(&path).await;
    let created = stack.post(DEPLOYMENTS, &deployment("web", 3)).await.ok();
    stack.until(&path, |reply| available(reply, 3)).await;
    let sets = stack.get("/apis/apps/v1/namespaces/default/replicasets").await.ok();
    assert_eq!(sets["items"].as_array().unwrap().len(), 1);
    assert_eq!(sets["items"][0]["metadata"]["ownerReferences"][0]["uid"], created["metadata"]["uid"]);
}

#[tokio::test]
async fn a_workload_that_is_made_again_at_once_becomes_ready() {
    let stack = Stack::new().await;
    let set = "/apis/apps/v1/namespaces/default/statefulsets";
    let stateful = json!({"metadata": {"name": "db"}, "spec": {"serviceName": "db",
        "selector": {"matchLabels": {"app": "x"}}, "template": deployment("x", 1)["spec"]["template"]}});
    for (all, name, object) in [(DEPLOYMENTS, "web", deployment("web", 1)), (set, "db", stateful)] {
        let path = format!("{all}/{name}");
        for _ in 0..20 {
            stack.post(all, &object).await.ok();
            stack.delete(&path).await.ok();
            stack.post(all, &object).await.ok();
            stack.until(&path, |reply| reply.json()["status"]["availableReplicas"] == 1).await;
            stack.delete(&path).await.ok();
        }
    }
}

#[tokio::test]
async fn a_paused_deployment_only_scales_and_old_sets_are_forgotten() {
    let stack = Stack::new().await;
    let path = format!("{DEPLOYMENTS}/web");
    let sets = "/apis/apps/v1/namespaces/default/replicasets";
    let image = |n: u32| {
        let containers = json!([{"name": "main", "image": format!("registry.example.com/main:{n}")}]);
        json!({"spec": {"template": {"spec": {"containers": containers}}}})
    };
    let mut object = deployment("web", 1);
    object["spec"]["revisionHistoryLimit"] = 1.into();
    stack.post(DEPLOYMENTS, &object).await.ok();
    for n in 1..5 {
        stack.patch(&path, MERGE, &image(n)).await.ok();
        stack.until(&path, |reply| available(reply, 1)).await;
    }
    stack.until(sets, |reply| reply.json()["items"].as_array().unwrap().len() == 2).await;
    stack.patch(&path, MERGE, &json!({"spec": {"paused": true, "replicas": 2}})).await.ok();
    stack.patch(&path, MERGE, &image(9)).await.ok();
    let scaled = stack.until(&path, |reply| reply.json()["status"]["readyReplicas"] == 2).await.json();
    assert_eq!(scaled["status"]["conditions"][1]["reason"], "DeploymentPaused");
    assert!(!stack.get(sets).await.text.contains("main:9"));
    stack.patch(&path, MERGE, &json!({"spec": {"paused": null}})).await.ok();
    stack.until(&path, |reply| available(reply, 2) && reply.json()["status"]["updatedReplicas"] == 2).await;
    assert!(stack.get(sets).await.text.contains("main:9"));
}
