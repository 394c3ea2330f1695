//! Watches: where they start, what they show, how they end.

use serde_json::json;

use crate::client::{MAPS, MERGE, Stack, labelled, map};

#[tokio::test]
async fn a_watch_shows_each_change_after_its_version_once() {
    let stack = Stack::new().await;
    stack.post(MAPS, &map("before")).await.ok();
    let version = stack.get(MAPS).await.ok()["metadata"]["resourceVersion"].as_str().unwrap().to_owned();
    stack.post(MAPS, &map("a")).await.ok();
    let mut watch = stack.watch(&format!("{MAPS}?watch=true&resourceVersion={version}")).await;
    assert_eq!(watch.short().await, "ADDED a");
    stack.patch(&format!("{MAPS}/a"), MERGE, &json!({"data": {"key": "2"}})).await.ok();
    let event = watch.next().await.unwrap();
    assert_eq!((&event["type"], &event["object"]["data"]["key"]), (&json!("MODIFIED"), &json!("2")));
    assert_eq!(event["object"]["kind"], "ConfigMap");
    stack.delete(&format!("{MAPS}/a")).await.ok();
    let last = watch.next().await.unwrap();
    assert_eq!(last["type"], "DELETED");
    assert_ne!(last["object"]["metadata"]["resourceVersion"], event["object"]["metadata"]["resourceVersion"]);
}

#[tokio::test]
async fn a_watch_without_a_version_begins_with_all_objects() {
    let stack = Stack::new().await;
    stack.post(MAPS, &map("a")).await.ok();
    let mut watch = stack.watch(&format!("{MAPS}?watch=1&timeoutSeconds=1&allowWatchBookmarks=true")).await;
    assert_eq!(watch.short().await, "ADDED a");
    assert_eq!(watch.short().await, "BOOKMARK -");
    assert!(watch.next().await.is_none());
}

#[tokio::test]
async fn initial_events_end_with_a_bookmark_that_says_so() {
    let stack = Stack::new().await;
    stack.post(MAPS, &map("a")).await.ok();
    let query = "watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";
    let mut watch = stack.watch(&format!("{MAPS}?{query}")).await;
    assert_eq!(watch.short().await, "ADDED a");
    let bookmark = watch.next().await.unwrap();
    assert_eq!(bookmark["object"]["metadata"]["annotations"]["k8s.io/initial-events-end"], "true");
    assert_eq!(bookmark["object"]["kind"], "ConfigMap");
    stack.post(MAPS, &map("b")).await.ok();
    assert_eq!(watch.short().await, "ADDED b");
}

#[tokio::test]
async fn objects_that_begin_or_cease_to_match_a_selector_are_added_or_deleted() {
    let stack = Stack::new().await;
    stack.post(MAPS, &labelled("a", "x")).await.ok();
    let mut watch = stack.watch(&format!("{MAPS}?watch=1&labelSelector=app%3Dx")).await;
    assert_eq!(watch.short().await, "ADDED a");
    let path = format!("{MAPS}/a");
    stack.patch(&path, MERGE, &json!({"metadata": {"labels": {"app": "y"}}})).await.ok();
    let left = watch.next().await.unwrap();
    assert_eq!((&left["type"], &left["object"]["metadata"]["labels"]["app"]), (&json!("DELETED"), &json!("x")));
    stack.patch(&path, MERGE, &json!({"data": {"n": "1"}})).await.ok();
    stack.patch(&path, MERGE, &json!({"metadata": {"labels": {"app": "x"}}})).await.ok();
    assert_eq!(watch.short().await, "ADDED a");
    let mut one = stack.watch(&format!("{MAPS}?watch=1&fieldSelector=metadata.name%3Db")).await;
    stack.post(MAPS, &map("b")).await.ok();
    assert_eq!(one.short().await, "ADDED b");
}

#[tokio::test]
async fn a_watch_from_a_version_older_than_the_history_is_refused() {
    let stack = Stack::with(|config| config.history = 4).await;
    let first = stack.post(MAPS, &map("a")).await.ok();
    let version = first["metadata"]["resourceVersion"].as_str().unwrap();
    for n in 0..6 {
        stack.patch(&format!("{MAPS}/a"), MERGE, &json!({"data": {"key": format!("n{n}")}})).await.ok();
    }
    let expired = stack.get(&format!("{MAPS}?watch=1&resourceVersion={version}")).await;
    assert_eq!((expired.code, expired.json()["reason"].clone()), (410, json!("Expired")));
    assert!(expired.message().starts_with(&format!("too old resource version: {version} (")));
}

#[tokio::test]
async fn open_watches_end_when_they_are_expired_or_dropped() {
    let stack = Stack::new().await;
    let mut watch = stack.watch(&format!("{MAPS}?watch=1")).await;
    stack.server.expire_watches();
    let event = watch.next().await.unwrap();
    assert_eq!((&event["type"], &event["object"]["code"]), (&json!("ERROR"), &json!(410)));
    assert!(watch.next().await.is_none());
    let mut other = stack.watch(&format!("{MAPS}?watch=1")).await;
    stack.server.drop_watches();
    assert!(other.next().await.is_none());
}
