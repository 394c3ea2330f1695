//! Deletion: finalizers, preconditions, owners, namespaces, and what survives a restart.

use serde_json::{Value, json};

use crate::client::{MAPS, MERGE, Stack, map};

const LAST: &str = "/api/v1/namespaces/gone/configmaps";

async fn owned(stack: &Stack, name: &str, owner: &Value) {
    let mut object = map(name);
    object["metadata"]["ownerReferences"] = json!([{
        "apiVersion": "v1", "kind": "ConfigMap", "name": owner["metadata"]["name"], "uid": owner["metadata"]["uid"],
        "blockOwnerDeletion": true,
    }]);
    stack.post(MAPS, &object).await.ok();
}

#[tokio::test]
async fn a_finalizer_holds_an_object_until_it_is_removed() {
    let stack = Stack::new().await;
    let path = format!("{MAPS}/a");
    let mut object = map("a");
    object["metadata"]["finalizers"] = json!(["example.com/hold"]);
    stack.post(MAPS, &object).await.ok();
    let marked = stack.delete(&path).await.ok();
    assert!(marked["metadata"]["deletionTimestamp"].is_string());
    let more = json!({"metadata": {"finalizers": ["example.com/hold", "example.com/more"]}});
    let refused = stack.patch(&path, MERGE, &more).await;
    assert!(refused.message().contains("no new finalizers can be added if the object is being deleted"));
    stack.patch(&path, MERGE, &json!({"metadata": {"finalizers": null}})).await.ok();
    assert_eq!(stack.get(&path).await.code, 404);
}

#[tokio::test]
async fn a_delete_with_another_uid_is_refused() {
    let stack = Stack::new().await;
    let created = stack.post(MAPS, &map("a")).await.ok();
    let options = |uid: &Value| json!({"preconditions": {"uid": uid}}).to_string();
    let path = format!("{MAPS}/a");
    let refused = stack.send("DELETE", &path, "application/json", &options(&json!("other"))).await;
    assert_eq!(refused.code, 409);
    assert!(refused.message().contains("Precondition failed: UID in precondition: other, UID in object meta: "));
    stack.send("DELETE", &path, "application/json", &options(&created["metadata"]["uid"])).await.ok();
    assert_eq!(stack.get(&path).await.code, 404);
}

#[tokio::test]
async fn what_an_object_owned_goes_with_it() {
    let stack = Stack::new().await;
    let owner = stack.post(MAPS, &map("owner")).await.ok();
    owned(&stack, "child", &owner).await;
    stack.delete(&format!("{MAPS}/owner")).await.ok();
    stack.until_gone(&format!("{MAPS}/child")).await;
    owned(&stack, "late", &owner).await;
    stack.until_gone(&format!("{MAPS}/late")).await;
}

#[tokio::test]
async fn in_the_foreground_the_owner_goes_last() {
    let stack = Stack::new().await;
    let owner = stack.post(MAPS, &map("owner")).await.ok();
    owned(&stack, "child", &owner).await;
    let child = format!("{MAPS}/child");
    stack.patch(&child, MERGE, &json!({"metadata": {"finalizers": ["example.com/hold"]}})).await.ok();
    let path = format!("{MAPS}/owner");
    let marked = stack.delete(&format!("{path}?propagationPolicy=Foreground")).await.ok();
    assert_eq!(marked["metadata"]["finalizers"], json!(["foregroundDeletion"]));
    stack.until(&child, |reply| reply.json()["metadata"]["deletionTimestamp"].is_string()).await;
    assert_eq!(stack.get(&path).await.code, 200);
    stack.patch(&child, MERGE, &json!({"metadata": {"finalizers": null}})).await.ok();
    stack.until_gone(&path).await;
}

#[tokio::test]
async fn orphans_stay_and_lose_the_reference() {
    let stack = Stack::new().await;
    let owner = stack.post(MAPS, &map("owner")).await.ok();
    owned(&stack, "child", &owner).await;
    stack.delete(&format!("{MAPS}/owner?propagationPolicy=Orphan")).await.ok();
    stack.until_gone(&format!("{MAPS}/owner")).await;
    let child = stack.get(&format!("{MAPS}/child")).await.ok();
    assert!(child["metadata"].get("ownerReferences").is_none());
}

#[tokio::test]
async fn a_namespace_goes_with_all_that_is_in_it() {
    let stack = Stack::new().await;
    let created = stack.post("/api/v1/namespaces", &json!({"metadata": {"name": "gone"}})).await.ok();
    assert_eq!(created["status"]["phase"], "Active");
    stack.until("/api/v1/namespaces/gone/serviceaccounts/default", |reply| reply.code == 200).await;
    let mut held = map("held");
    held["metadata"]["finalizers"] = json!(["example.com/hold"]);
    stack.post(LAST, &held).await.ok();
    stack.post(LAST, &map("free")).await.ok();
    let marked = stack.delete("/api/v1/namespaces/gone").await.ok();
    assert_eq!(marked["status"]["phase"], "Terminating");
    stack.until_gone(&format!("{LAST}/free")).await;
    let refused = stack.post(LAST, &map("new")).await;
    assert_eq!(refused.code, 403);
    assert!(refused.message().ends_with("in namespace gone because it is being terminated"));
    let says = |reply: &crate::client::Reply| reply.text.contains("example.com/hold in 1 resource instances");
    stack.until("/api/v1/namespaces/gone", says).await;
    stack.patch(&format!("{LAST}/held"), MERGE, &json!({"metadata": {"finalizers": null}})).await.ok();
    stack.until_gone("/api/v1/namespaces/gone").await;
    assert_eq!(stack.delete("/api/v1/namespaces/default").await.code, 403);
}

#[tokio::test]
async fn a_collection_is_deleted_by_selector() {
    let stack = Stack::new().await;
    for (name, label) in [("a", "x"), ("b", "x"), ("c", "y")] {
        stack.post(MAPS, &crate::client::labelled(name, label)).await.ok();
    }
    stack.delete(&format!("{MAPS}?labelSelector=app%3Dx")).await.ok();
    let left = stack.get(MAPS).await.ok();
    assert_eq!(left["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_restart_keeps_objects_and_never_reuses_a_version() {
    let stack = Stack::new().await;
    let before = stack.post(MAPS, &map("a")).await.ok();
    stack.post(MAPS, &map("b")).await.ok();
    stack.delete(&format!("{MAPS}/b")).await.ok();
    let seen: u64 = stack.get(MAPS).await.ok()["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap();
    let stack = stack.restarted().await;
    assert_eq!(stack.get(&format!("{MAPS}/a")).await.ok(), before);
    assert_eq!(stack.get(&format!("{MAPS}/b")).await.code, 404);
    let after = stack.post(MAPS, &map("c")).await.ok();
    assert!(after["metadata"]["resourceVersion"].as_str().unwrap().parse::<u64>().unwrap() > seen);
    let old = stack.get(&format!("{MAPS}?watch=1&resourceVersion={seen}")).await;
    assert_eq!((old.code, old.json()["reason"].clone()), (410, json!("Expired")));
    let second = dayfly_local::apiserver::ApiServer::start(dayfly_local::apiserver::Config::new(stack.folder())).await;
    assert!(second.is_err_and(|e| e.to_string().contains("in use by another server")));
}

#[tokio::test]
async fn a_damaged_store_says_so_and_what_to_do() {
    let stack = Stack::new().await;
    for n in 0..50 {
        stack.post(MAPS, &map(&format!("a{n}"))).await.ok();
    }
    let (server, folder) = stack.apart();
    server.shutdown().await;
    let file = folder.path().join("objects.redb");
    let whole = std::fs::read(&file).unwrap();
    let mut damaged = 0;
    for page in (4096..whole.len()).step_by(4096) {
        let mut bytes = whole.clone();
        bytes[page..(page + 4096).min(whole.len())].fill(0xff);
        std::fs::write(&file, bytes).unwrap();
        let config = dayfly_local::apiserver::Config::new(folder.path());
        match dayfly_local::apiserver::ApiServer::start(config).await {
            Ok(server) => server.shutdown().await,
            Err(error) => {
                let advice = "the store is damaged; delete this folder";
                damaged += usize::from(error.to_string().contains(advice));
            }
        }
    }
    assert!(damaged > 0);
}
