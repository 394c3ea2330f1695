//! Faults on purpose, set over HTTP and through the handle, and the counters.

use std::time::{Duration, Instant};

use dayfly_local::apiserver::{Fault, Rule};
use serde_json::{Value, json};

use crate::client::{APPLY, MAPS, Stack, content_type, map};

async fn set(stack: &Stack, rules: Value) {
    stack.put("/faults", &json!({"rules": rules})).await.ok();
}

#[tokio::test]
async fn the_nth_mutating_call_fails_and_only_that() {
    let stack = Stack::new().await;
    let status = json!({"status": {"code": 500}});
    set(&stack, json!([{"mutating": true, "skip": 2, "count": 1, "fault": status}])).await;
    let mut codes = Vec::new();
    for n in 0..5 {
        stack.get(MAPS).await.ok();
        codes.push(stack.post(MAPS, &map(&format!("a{n}"))).await.code);
    }
    assert_eq!(codes, [201, 201, 500, 201, 201]);
    let state = stack.get("/faults").await.ok();
    assert_eq!((&state["rules"][0]["matched"], &state["rules"][0]["hit"]), (&json!(5), &json!(1)));
    let counters = stack.get("/counters").await.ok();
    assert_eq!((&counters["mutating"], &counters["by_verb"]["create configmaps"]), (&json!(5), &json!(5)));
}

#[tokio::test]
async fn a_429_says_when_to_come_back() {
    let stack = Stack::new().await;
    let rule = Rule {
        verbs: vec!["list".to_owned()],
        resource: Some("configmaps".to_owned()),
        count: Some(1),
        fault: Fault::Status { code: 429, retry_after: Some(7), message: None },
        ..Rule::default()
    };
    stack.server.set_faults(vec![rule]);
    let refused = stack.get(MAPS).await;
    assert_eq!(refused.code, 429);
    assert!(refused.head.to_lowercase().contains("retry-after: 7"), "{}", refused.head);
    assert_eq!(refused.json()["details"]["retryAfterSeconds"], 7);
    stack.get(MAPS).await.ok();
}

#[tokio::test]
async fn a_lost_response_was_executed_and_a_refused_connection_was_not() {
    let stack = Stack::new().await;
    let path = format!("{MAPS}/a?fieldManager=one");
    set(&stack, json!([{"verbs": ["apply"], "count": 1, "fault": "disconnect"}])).await;
    let body = map("a").to_string();
    assert!(stack.try_send("PATCH", &path, &content_type(APPLY), &body).await.is_err());
    assert_eq!(stack.get(&format!("{MAPS}/a")).await.code, 404);
    set(&stack, json!([{"verbs": ["patch"], "name": "a", "count": 1, "fault": "loseResponse"}])).await;
    assert!(stack.try_send("PATCH", &path, &content_type(APPLY), &body).await.is_err());
    assert_eq!(stack.get(&format!("{MAPS}/a")).await.code, 200);
    assert_eq!(stack.patch(&path, APPLY, &map("a")).await.code, 200);
}

#[tokio::test]
async fn latency_delays_and_then_answers() {
    let stack = Stack::new().await;
    set(&stack, json!([{"pathPrefix": "/api/v1/namespaces/default", "fault": {"latency": {"millis": 80}}}])).await;
    let start = Instant::now();
    stack.get(MAPS).await.ok();
    assert!(start.elapsed() >= Duration::from_millis(80));
    stack.delete("/faults").await.ok();
    assert_eq!(stack.server.faults(), []);
}

#[tokio::test]
async fn a_watch_is_dropped_after_some_events_or_expired() {
    let stack = Stack::new().await;
    for name in ["a", "b"] {
        stack.post(MAPS, &map(name)).await.ok();
    }
    set(&stack, json!([{"verbs": ["watch"], "count": 1, "fault": {"dropWatch": {"after": 1}}}])).await;
    let mut watch = stack.watch(&format!("{MAPS}?watch=1")).await;
    assert_eq!(watch.short().await, "ADDED a");
    assert!(watch.next().await.is_none());
    set(&stack, json!([{"verbs": ["watch"], "fault": "expireWatch"}])).await;
    assert_eq!(stack.get(&format!("{MAPS}?watch=1&resourceVersion=1")).await.code, 410);
}

#[tokio::test]
async fn a_rule_that_is_misspelled_is_refused() {
    let stack = Stack::new().await;
    let refused = stack.put("/faults", &json!({"rules": [{"verb": "list", "fault": "disconnect"}]})).await;
    assert_eq!(refused.code, 400);
    assert!(refused.message().contains("unknown field `verb`"), "{}", refused.text);
}
