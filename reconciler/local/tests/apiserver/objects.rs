//! Create, read, replace, patch, apply: the outcomes and the refusals.

use serde_json::json;

use crate::client::{APPLY, MAPS, MERGE, Stack, content_type, deployment, map};

#[tokio::test]
async fn an_object_is_created_read_replaced_patched_and_deleted() {
    let stack = Stack::new().await;
    let path = format!("{MAPS}/a");
    let created = stack.post(MAPS, &map("a")).await;
    assert_eq!(created.code, 201);
    let created = created.json();
    assert!(created["metadata"]["uid"].as_str().unwrap().len() == 36);
    assert_eq!(created["metadata"]["managedFields"][0]["manager"], "tester");
    let mut changed = stack.get(&path).await.ok();
    assert_eq!(changed, created);
    changed["data"]["key"] = "2".into();
    let replaced = stack.put(&path, &changed).await.ok();
    assert_ne!(replaced["metadata"]["resourceVersion"], created["metadata"]["resourceVersion"]);
    assert_eq!(replaced["metadata"]["uid"], created["metadata"]["uid"]);
    let patched = stack.patch(&path, MERGE, &json!({"data": {"more": "3"}})).await.ok();
    assert_eq!(patched["data"], json!({"key": "2", "more": "3"}));
    let deleted = stack.delete(&path).await.ok();
    assert_eq!(deleted["status"], "Success");
    assert_eq!(deleted["details"]["uid"], created["metadata"]["uid"]);
    let gone = stack.get(&path).await;
    assert_eq!((gone.code, gone.message()), (404, "configmaps \"a\" not found".to_owned()));
    assert_eq!(gone.json()["details"], json!({"name": "a", "kind": "configmaps"}));
}

#[tokio::test]
async fn a_second_object_of_a_name_is_refused() {
    let stack = Stack::new().await;
    stack.post(MAPS, &map("a")).await.ok();
    let refused = stack.post(MAPS, &map("a")).await;
    assert_eq!((refused.code, refused.message()), (409, "configmaps \"a\" already exists".to_owned()));
    assert_eq!(refused.json()["reason"], "AlreadyExists");
}

#[tokio::test]
async fn a_write_over_an_older_version_conflicts() {
    let stack = Stack::new().await;
    let first = stack.post(MAPS, &map("a")).await.ok();
    let path = format!("{MAPS}/a");
    stack.patch(&path, MERGE, &json!({"data": {"key": "2"}})).await.ok();
    let stale = stack.put(&path, &first).await;
    assert_eq!(stale.code, 409);
    assert!(stale.message().starts_with("Operation cannot be fulfilled on configmaps \"a\": the object has been"));
    let other = stack.patch(&path, MERGE, &json!({"metadata": {"uid": "other"}})).await;
    assert!(other.message().contains("Precondition failed: UID in precondition: other"), "{}", other.text);
}

#[tokio::test]
async fn concurrent_patches_are_all_kept() {
    let stack = Stack::new().await;
    stack.post(MAPS, &map("a")).await.ok();
    let path = format!("{MAPS}/a");
    let patches: Vec<_> = (0..20).map(|n| json!({"data": {format!("n{n}"): "1"}})).collect();
    futures::future::join_all(patches.iter().map(|p| async { stack.patch(&path, MERGE, p).await.ok() })).await;
    assert_eq!(stack.get(&path).await.ok()["data"].as_object().unwrap().len(), 21);
}

#[tokio::test]
async fn a_write_that_changes_nothing_keeps_the_version() {
    let stack = Stack::new().await;
    let path = format!("{MAPS}/a?fieldManager=one");
    let first = stack.patch(&path, APPLY, &map("a")).await;
    assert_eq!(first.code, 201);
    let second = stack.patch(&path, APPLY, &map("a")).await;
    assert_eq!(second.code, 200);
    assert_eq!(second.json(), first.json());
    let merged = stack.patch(&path, MERGE, &json!({"data": {"key": "1"}})).await.ok();
    assert_eq!(merged, first.json());
}

#[tokio::test]
async fn an_apply_against_another_owner_names_the_owner_and_the_field() {
    let stack = Stack::new().await;
    stack.patch(&format!("{MAPS}/a?fieldManager=one"), APPLY, &map("a")).await.ok();
    let mut other = map("a");
    other["data"]["key"] = "2".into();
    let refused = stack.patch(&format!("{MAPS}/a?fieldManager=two"), APPLY, &other).await;
    assert_eq!(refused.code, 409);
    assert_eq!(refused.message(), "Apply failed with 1 conflict: conflict with \"one\": .data.key");
    assert_eq!(
        refused.json()["details"]["causes"],
        json!([{"reason": "FieldManagerConflict", "message": "conflict with \"one\"", "field": ".data.key"}])
    );
    let forced = stack.patch(&format!("{MAPS}/a?fieldManager=two&force=true"), APPLY, &other).await.ok();
    assert_eq!(forced["data"]["key"], "2");
}

#[tokio::test]
async fn an_apply_without_a_manager_is_refused() {
    let stack = Stack::new().await;
    let refused = stack.patch(&format!("{MAPS}/a"), APPLY, &map("a")).await;
    assert_eq!(refused.code, 422);
    assert!(refused.message().contains("fieldManager: Required value: is required for apply patch"));
}

#[tokio::test]
async fn a_dry_run_answers_and_writes_nothing() {
    let stack = Stack::new().await;
    let planned = stack.patch(&format!("{MAPS}/a?fieldManager=one&dryRun=All"), APPLY, &map("a")).await.ok();
    assert_eq!(planned["data"]["key"], "1");
    assert_eq!(stack.get(&format!("{MAPS}/a")).await.code, 404);
    stack.post(MAPS, &map("a")).await.ok();
    stack.patch(&format!("{MAPS}/a?dryRun=All"), MERGE, &json!({"data": {"key": "2"}})).await.ok();
    stack.send("DELETE", &format!("{MAPS}/a?dryRun=All"), "", "").await.ok();
    assert_eq!(stack.get(&format!("{MAPS}/a")).await.ok()["data"]["key"], "1");
    assert_eq!(stack.get(&format!("{MAPS}/a?dryRun=Some")).await.code, 400);
}

#[tokio::test]
async fn status_and_specification_are_written_apart() {
    let stack = Stack::with(|config| config.controllers = false).await;
    let all = "/apis/apps/v1/namespaces/default/deployments";
    let mut object = deployment("web", 1);
    object["status"] = json!({"replicas": 9});
    let created = stack.post(all, &object).await.ok();
    assert_eq!((&created["status"], &created["metadata"]["generation"]), (&json!({}), &json!(1)));
    let path = format!("{all}/web");
    let mut with_status = created.clone();
    with_status["status"] = json!({"replicas": 1});
    with_status["spec"]["replicas"] = 5.into();
    let updated = stack.put(&format!("{path}/status"), &with_status).await.ok();
    assert_eq!((&updated["status"]["replicas"], &updated["spec"]["replicas"]), (&json!(1), &json!(1)));
    assert_eq!(updated["metadata"]["generation"], 1);
    let patched = stack.patch(&path, MERGE, &json!({"spec": {"replicas": 2}, "status": null})).await.ok();
    assert_eq!((&patched["status"]["replicas"], &patched["metadata"]["generation"]), (&json!(1), &json!(2)));
    let scaled = stack.patch(&format!("{path}/scale"), MERGE, &json!({"spec": {"replicas": 3}})).await.ok();
    assert_eq!((&scaled["kind"], &scaled["spec"]["replicas"]), (&json!("Scale"), &json!(3)));
    assert_eq!(stack.get(&path).await.ok()["spec"]["replicas"], 3);
}

#[tokio::test]
async fn fixed_fields_stay() {
    let stack = Stack::with(|config| config.controllers = false).await;
    let all = "/apis/apps/v1/namespaces/default/deployments";
    stack.post(all, &deployment("web", 1)).await.ok();
    let change = json!({"spec": {"selector": {"matchLabels": {"app": "x"}}, "template": {"metadata": {"labels": {"app": "x"}}}}});
    let refused = stack.patch(&format!("{all}/web"), MERGE, &change).await;
    assert_eq!((refused.code, refused.json()["reason"].clone()), (422, json!("Invalid")));
    assert!(refused.message().ends_with("field is immutable"), "{}", refused.text);
    assert_eq!(refused.json()["details"]["causes"][0]["field"], "spec.selector");
}

#[tokio::test]
async fn names_are_generated_and_judged() {
    let stack = Stack::new().await;
    let generated = stack.post(MAPS, &json!({"metadata": {"generateName": "job-"}})).await.ok();
    assert_eq!(generated["metadata"]["name"].as_str().unwrap().len(), 9);
    for (body, part) in [
        (json!({"metadata": {}}), "name or generateName is required"),
        (json!({"metadata": {"name": "No Good"}}), "a lowercase RFC 1123 subdomain must consist of"),
    ] {
        let refused = stack.post(MAPS, &body).await;
        assert_eq!(refused.code, 422);
        assert!(refused.message().contains(part), "{}", refused.text);
    }
    let elsewhere = stack.post(MAPS, &json!({"metadata": {"name": "a", "namespace": "other"}})).await;
    assert_eq!(elsewhere.code, 400);
    let missing = stack.post("/api/v1/namespaces/none/configmaps", &map("a")).await;
    assert_eq!((missing.code, missing.message()), (404, "namespaces \"none\" not found".to_owned()));
}

#[tokio::test]
async fn protobuf_is_refused_with_advice_and_never_sent() {
    let stack = Stack::new().await;
    let refused = stack.send("POST", MAPS, "application/vnd.kubernetes.protobuf", "k8s\0").await;
    assert_eq!((refused.code, refused.json()["reason"].clone()), (415, json!("UnsupportedMediaType")));
    assert!(refused.message().contains("kubectl apply -f -"));
    let accept = "Accept: application/vnd.kubernetes.protobuf,application/json\r\n";
    let listed = stack.try_send("GET", MAPS, accept, "").await.unwrap();
    assert_eq!(listed.json()["kind"], "ConfigMapList");
    let only = "Accept: application/vnd.kubernetes.protobuf\r\n";
    assert_eq!(stack.try_send("GET", MAPS, only, "").await.unwrap().code, 406);
}

#[tokio::test]
async fn unknown_fields_are_named_and_wrong_values_refused() {
    let stack = Stack::new().await;
    let mut object = map("a");
    object["dta"] = json!({});
    let strict = stack.post(&format!("{MAPS}?fieldValidation=Strict"), &object).await;
    assert_eq!(strict.code, 400);
    assert!(strict.message().ends_with("strict decoding error: unknown field \"dta\""), "{}", strict.text);
    let warned = stack.post(MAPS, &object).await;
    assert!(warned.head.contains(r#"299 - "unknown field \"dta\"""#), "{}", warned.head);
    assert!(warned.ok().get("dta").is_none());
    let services = "/api/v1/namespaces/default/services";
    let refused = stack.post(services, &json!({"metadata": {"name": "a"}, "spec": {"ports": [{"port": 0}]}})).await;
    assert_eq!((refused.code, refused.json()["reason"].clone()), (422, json!("Invalid")));
    assert_eq!(refused.json()["details"]["causes"][0]["field"], "spec.ports[0].port");
    let mistyped = stack.post(services, &json!({"metadata": {"name": "a"}, "spec": "text"})).await;
    assert_eq!(mistyped.code, 400);
}

#[tokio::test]
async fn yaml_is_read_and_two_equal_keys_are_not() {
    let stack = Stack::new().await;
    let yaml = "metadata:\n  name: a\ndata:\n  key: text\n";
    let created = stack.send("POST", MAPS, "application/yaml", yaml).await;
    assert_eq!((created.code, created.json()["data"]["key"].clone()), (201, json!("text")));
    let twice = stack.send("POST", MAPS, "application/yaml", "metadata: {name: b}\nmetadata: {name: c}\n").await;
    assert_eq!(twice.code, 400);
    let wrong = stack.post(MAPS, &json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}})).await;
    assert!(wrong.message().contains("cannot be handled as a ConfigMap"), "{}", wrong.text);
}

#[tokio::test]
async fn strangers_are_turned_away() {
    let stack = Stack::new().await;
    for headers in ["Host: rebound.example.com\r\n", "Origin: https://example.com\r\n"] {
        let refused = stack.try_send("GET", MAPS, headers, "").await.unwrap();
        assert_eq!(refused.code, 403, "{headers}");
    }
    for host in ["localhost", "127.0.0.1:80", "[::1]:80"] {
        assert_eq!(stack.try_send("GET", MAPS, &format!("Host: {host}\r\n"), "").await.unwrap().code, 200, "{host}");
    }
    let large = " ".repeat(4 * 1024 * 1024);
    let refused = stack.try_send("POST", MAPS, &content_type("application/json"), &large).await;
    assert!(refused.is_err() || refused.unwrap().code == 413);
}

#[tokio::test]
async fn what_is_too_deep_to_be_read_back_is_refused_at_once() {
    let stack = Stack::new().await;
    let all = "/apis/apps/v1/namespaces/default/controllerrevisions";
    let mut refused = 0;
    for depth in 100..126 {
        let name = format!("depth-{depth}");
        let data = format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth));
        let body = format!("{{\"metadata\":{{\"name\":\"{name}\"}},\"revision\":1,\"data\":{data}}}");
        let made = stack.send("POST", all, "application/json", &body).await;
        if made.code != 201 {
            assert_eq!(made.code, 400, "{}", made.text);
            refused += 1;
            continue;
        }
        let path = format!("{all}/{name}");
        stack.patch(&path, MERGE, &json!({"metadata": {"labels": {"a": "b"}}})).await;
        let kept = stack.get(&path).await;
        assert!(kept.text.contains(&data) && kept.text.contains("\"uid\""), "{depth}: {}", kept.text);
    }
    assert!(refused > 0);
}

#[tokio::test]
async fn queries_that_say_nothing_sensible_are_refused() {
    let stack = Stack::new().await;
    for (query, code) in [
        ("timeoutSeconds=abc&watch=1", 400),
        ("limit=x", 400),
        ("labelSelector=%2C", 400),
        ("resourceVersionMatch=Foo&resourceVersion=1", 422),
        ("resourceVersionMatch=Exact", 422),
        ("resourceVersionMatch=Exact&resourceVersion=0", 422),
        ("resourceVersionMatch=NotOlderThan&watch=1", 422),
        ("resourceVersionMatch=NotOlderThan&resourceVersion=1", 200),
    ] {
        assert_eq!(stack.get(&format!("{MAPS}?{query}")).await.code, code, "{query}");
    }
}
