//! Stands in for a scheduler and a kubelet: pods are bound and reported as running, and nothing runs.

use std::pin::pin;

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client, ResourceExt as _};
use serde_json::{Value, json};

/// Every pod's node.
const NODE: &str = "node";

/// Moves all pods along, for ever.
pub(crate) async fn run(client: Client) {
    let node = serde_json::from_value(json!({"metadata": {"name": NODE}})).unwrap();
    Api::<Node>::all(client.clone()).create(&PostParams::default(), &node).await.unwrap();
    let pods = Api::<Pod>::all(client.clone());
    let mut changes = pin!(watcher(pods, watcher::Config::default()).default_backoff().touched_objects());
    while let Some(change) = changes.next().await {
        if let Ok(pod) = change {
            // Who lost a race sees the pod again in a moment.
            let _ = advance(&client, &pod).await;
        }
    }
}

/// The next step in a pod's life: bound, running (a job's: succeeded), and gone once it is being deleted.
async fn advance(client: &Client, pod: &Pod) -> kube::Result<()> {
    let (namespace, name) = (pod.namespace().unwrap_or_default(), pod.name_any());
    let pods = Api::<Pod>::namespaced(client.clone(), &namespace);
    let spec = pod.spec.as_ref();
    if pod.metadata.deletion_timestamp.is_some() {
        pods.delete(&name, &DeleteParams::default().grace_period(0)).await?;
    } else if spec.is_some_and(|spec| spec.node_name.is_none()) {
        let binding = json!({"metadata": {"name": name}, "target": {"kind": "Node", "name": NODE}});
        let path = format!("/api/v1/namespaces/{namespace}/pods/{name}/binding");
        let request = http::Request::post(path).header("Content-Type", "application/json");
        client.request::<Value>(request.body(binding.to_string().into_bytes()).unwrap()).await?;
    } else if pod.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Pending") {
        pods.patch_status(&name, &PatchParams::default(), &Patch::Merge(json!({"status": running(pod)}))).await?;
    }
    Ok(())
}

fn running(pod: &Pod) -> Value {
    let spec = pod.spec.as_ref();
    let restarts = spec.and_then(|spec| spec.restart_policy.as_deref()) == Some("Always");
    let ready = if restarts { "True" } else { "False" };
    let conditions = ["Initialized", "ContainersReady", "Ready"].map(|of| json!({"type": of, "status": ready}));
    let containers = spec.map(|spec| spec.containers.as_slice()).unwrap_or_default();
    let statuses = containers.iter().map(|container| {
        let image = container.image.as_deref().unwrap_or_default();
        json!({"name": container.name, "image": image, "imageID": image, "ready": restarts, "restartCount": 0})
    });
    json!({
        "phase": if restarts { "Running" } else { "Succeeded" },
        "conditions": conditions,
        "containerStatuses": statuses.collect::<Vec<_>>(),
        "podIP": "192.0.2.1",
        "podIPs": [{"ip": "192.0.2.1"}],
    })
}
