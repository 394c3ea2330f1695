//! Discovery, OpenAPI, tables, health, reviews, and paths that are not there.

use serde_json::json;

use crate::client::{MAPS, Stack, map};

#[tokio::test]
async fn unknown_paths_answer_as_a_real_server_does() {
    let stack = Stack::new().await;
    for path in [
        "/apis/example.com/v1",
        "/apis/example.com/v1/things",
        "/apis/apps/v1/things",
        "/apis/apps/v1beta1/deployments",
        "/nothing",
    ] {
        let reply = stack.get(path).await;
        assert_eq!((reply.code, reply.text.as_str()), (404, "404 page not found\n"), "{path}");
    }
    let log = stack.get("/api/v1/namespaces/default/pods/a/log").await;
    assert_eq!((log.code, log.message()), (501, "this embedded API server does not serve pods/log".to_owned()));
    let method = stack.post(&format!("{MAPS}/a"), &map("a")).await;
    assert_eq!(
        (method.code, method.message()),
        (405, "the server does not allow this method on the requested resource".to_owned())
    );
}

#[tokio::test]
async fn discovery_tells_the_same_in_both_forms() {
    let stack = Stack::new().await;
    let accept = "Accept: application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json\r\n";
    let reply = stack.try_send("GET", "/apis", accept, "").await.unwrap();
    assert!(reply.head.contains("as=APIGroupDiscoveryList"), "{}", reply.head);
    let groups = reply.ok();
    let apps = groups["items"].as_array().unwrap().iter().find(|g| g["metadata"]["name"] == "apps").unwrap();
    let aggregated: Vec<_> =
        apps["versions"][0]["resources"].as_array().unwrap().iter().map(|r| r["resource"].clone()).collect();
    let legacy = stack.get("/apis/apps/v1").await.ok();
    let names = legacy["resources"].as_array().unwrap().iter().map(|r| r["name"].clone());
    let plain: Vec<_> = names.filter(|n| !n.as_str().unwrap().contains('/')).collect();
    assert_eq!(aggregated, plain);
    assert!(legacy["resources"].as_array().unwrap().iter().any(|r| r["name"] == "deployments/scale"));
    assert_eq!(stack.get("/apis/apps").await.ok()["preferredVersion"]["groupVersion"], "apps/v1");
}

#[tokio::test]
async fn openapi_knows_how_lists_are_merged() {
    let stack = Stack::new().await;
    let index = stack.get("/openapi/v3").await.ok();
    let path = index["paths"]["apis/apps/v1"]["serverRelativeURL"].as_str().unwrap();
    let document = stack.get(path).await.ok();
    let containers = &document["components"]["schemas"]["core.v1.PodSpec"]["properties"]["containers"];
    assert_eq!(containers["x-kubernetes-patch-merge-key"], "name");
    assert_eq!(containers["x-kubernetes-list-map-keys"], json!(["name"]));
}

#[tokio::test]
async fn kubectl_gets_the_older_schemas_that_it_falls_back_to() {
    let stack = Stack::new().await;
    let accept = "Accept: application/com.github.proto-openapi.spec.v2@v1.0+protobuf\r\n";
    let reply = stack.try_send("GET", "/openapi/v2", accept, "").await.unwrap();
    assert_eq!((reply.code, reply.text.as_str()), (200, ""));
    assert!(reply.head.contains("application/com.github.proto-openapi.spec.v2.v1.0+protobuf"), "{}", reply.head);
}

#[tokio::test]
async fn a_table_has_columns_for_people() {
    let stack = Stack::new().await;
    stack.post(MAPS, &map("a")).await.ok();
    let accept = "Accept: application/json;as=Table;v=v1;g=meta.k8s.io,application/json\r\n";
    let table = stack.try_send("GET", MAPS, accept, "").await.unwrap().ok();
    assert_eq!(table["columnDefinitions"][1]["name"], "Data");
    assert_eq!(table["rows"][0]["cells"][0], "a");
    assert_eq!(table["rows"][0]["cells"][1], 1);
    assert_eq!(table["rows"][0]["object"]["kind"], "PartialObjectMetadata");
    let accept = "Accept: application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io\r\n";
    let list = stack.try_send("GET", MAPS, accept, "").await.unwrap().ok();
    assert!(list["items"][0].get("data").is_none());
}

#[tokio::test]
async fn health_version_and_access_reviews_answer() {
    let stack = Stack::new().await;
    assert_eq!(stack.get("/readyz").await.text, "ok");
    assert!(stack.get("/version").await.ok()["gitVersion"].as_str().unwrap().starts_with("v1."));
    let review = stack.post("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", &json!({"spec": {}})).await;
    assert_eq!(review.ok()["status"]["allowed"], true);
}

#[tokio::test]
async fn tables_say_of_networks_and_schedules_what_a_real_server_says() {
    let stack = Stack::new().await;
    let networks = "/apis/networking.k8s.io/v1/namespaces/default";
    let backend = json!({"service": {"name": "a", "port": {"number": 80}}});
    let rules: Vec<_> = ["a", "b", "c", "d"].iter().map(|h| json!({"host": format!("{h}.example.com")})).collect();
    let template = crate::client::deployment("x", 1)["spec"]["template"].clone();
    let mut job = json!({"spec": {"template": template}});
    job["spec"]["template"]["spec"]["restartPolicy"] = "Never".into();
    let mut deployment = crate::client::deployment("web", 0);
    deployment["spec"]["selector"]["matchExpressions"] = json!([{"key": "a", "operator": "DoesNotExist"}]);
    let port = json!([{"port": 80}]);
    let services = "/api/v1/namespaces/default/services".to_owned();
    let accept = "Accept: application/json;as=Table;v=v1;g=meta.k8s.io\r\n";
    for (all, name, spec, column, shown) in [
        (format!("{networks}/ingresses"), "a", json!({"defaultBackend": backend, "tls": [{}]}), "Ports", "80, 443"),
        (format!("{networks}/ingresses"), "b", json!({"defaultBackend": backend}), "Ports", "80"),
        (format!("{networks}/ingresses"), "c", json!({"defaultBackend": backend}), "Hosts", "*"),
        (
            format!("{networks}/ingresses"),
            "d",
            json!({"rules": rules}),
            "Hosts",
            "a.example.com,b.example.com,c.example.com + 1 more...",
        ),
        (services.clone(), "a", json!({"type": "ExternalName", "externalName": "b.c"}), "External-IP", "b.c"),
        (services.clone(), "b", json!({"type": "LoadBalancer", "ports": port}), "External-IP", "<pending>"),
        (services.clone(), "c", json!({"externalIPs": ["1.2.3.4"], "ports": port}), "External-IP", "1.2.3.4"),
        (services, "d", json!({"ports": port}), "External-IP", "<none>"),
        (
            "/apis/batch/v1/namespaces/default/cronjobs".to_owned(),
            "a",
            json!({"schedule": "@daily", "suspend": true, "jobTemplate": job}),
            "Suspend",
            "True",
        ),
        (
            "/apis/apps/v1/namespaces/default/deployments".to_owned(),
            "a",
            deployment["spec"].clone(),
            "Selector",
            "!a,app=web",
        ),
    ] {
        stack.post(&all, &json!({"metadata": {"name": name}, "spec": spec})).await.ok();
        let table = stack.try_send("GET", &format!("{all}/{name}"), accept, "").await.unwrap().ok();
        let at = table["columnDefinitions"].as_array().unwrap().iter().position(|c| c["name"] == column).unwrap();
        assert_eq!(table["rows"][0]["cells"][at], shown, "{all}/{name}");
    }
}
