//! The defaults of workloads and of their autoscalers.

use serde_json::{Value, json};

use super::{set, set_all, text, within};
use crate::apiserver::canonical::is_zero;
use crate::apiserver::object::JsonObject;

pub(super) fn deployment(fields: &mut JsonObject) {
    let spec = within(fields, "spec");
    set_all(
        spec,
        &[("replicas", json!(1)), ("revisionHistoryLimit", json!(10)), ("progressDeadlineSeconds", json!(600))],
    );
    let strategy = within(spec, "strategy");
    set(strategy, "type", json!("RollingUpdate"));
    if text(strategy, "type") == "RollingUpdate" {
        let rolling = within(strategy, "rollingUpdate");
        set_all(rolling, &[("maxUnavailable", json!("25%")), ("maxSurge", json!("25%"))]);
    }
}

pub(super) fn stateful_set(fields: &mut JsonObject) {
    let spec = within(fields, "spec");
    set_all(
        spec,
        &[("replicas", json!(1)), ("revisionHistoryLimit", json!(10)), ("podManagementPolicy", json!("OrderedReady"))],
    );
    let keep = json!("Retain");
    set_all(
        within(spec, "persistentVolumeClaimRetentionPolicy"),
        &[("whenDeleted", keep.clone()), ("whenScaled", keep)],
    );
    let strategy = within(spec, "updateStrategy");
    if text(strategy, "type").is_empty() {
        set(strategy, "type", json!("RollingUpdate"));
        within(strategy, "rollingUpdate");
    }
    if text(strategy, "type") == "RollingUpdate" && strategy.contains_key("rollingUpdate") {
        set(within(strategy, "rollingUpdate"), "partition", json!(0));
    }
    for claim in spec.get_mut("volumeClaimTemplates").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(claim) = claim.as_object_mut() {
            set_all(claim, &[("apiVersion", json!("v1")), ("kind", json!("PersistentVolumeClaim"))]);
        }
    }
}

pub(super) fn daemon_set(fields: &mut JsonObject) {
    let spec = within(fields, "spec");
    set(spec, "revisionHistoryLimit", json!(10));
    let strategy = within(spec, "updateStrategy");
    set(strategy, "type", json!("RollingUpdate"));
    if text(strategy, "type") == "RollingUpdate" {
        set_all(within(strategy, "rollingUpdate"), &[("maxUnavailable", json!(1)), ("maxSurge", json!(0))]);
    }
}

pub(super) fn job(fields: &mut JsonObject) {
    let spec = within(fields, "spec");
    if !spec.contains_key("completions") && !spec.contains_key("parallelism") {
        set(spec, "completions", json!(1));
    }
    let backoff = if spec.contains_key("backoffLimitPerIndex") { i32::MAX } else { 6 };
    let replacement = if spec.contains_key("podFailurePolicy") { "Failed" } else { "TerminatingOrFailed" };
    set_all(
        spec,
        &[
            ("parallelism", json!(1)),
            ("backoffLimit", json!(backoff)),
            ("completionMode", json!("NonIndexed")),
            ("suspend", json!(false)),
            ("podReplacementPolicy", json!(replacement)),
            ("manualSelector", json!(false)),
        ],
    );
    let labels = spec.get("template").and_then(|t| t.pointer("/metadata/labels")).cloned();
    let metadata = within(fields, "metadata");
    if let Some(labels) = labels.filter(|_| metadata.get("labels").is_none_or(is_zero)) {
        metadata.insert("labels".to_owned(), labels);
    }
}

pub(super) fn cron_job(fields: &mut JsonObject) {
    set_all(
        within(fields, "spec"),
        &[
            ("concurrencyPolicy", json!("Allow")),
            ("suspend", json!(false)),
            ("successfulJobsHistoryLimit", json!(3)),
            ("failedJobsHistoryLimit", json!(1)),
        ],
    );
}

pub(super) fn autoscaler(fields: &mut JsonObject) {
    let spec = within(fields, "spec");
    let cpu = json!([{"type": "Resource", "resource":
        {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}}]);
    set_all(spec, &[("minReplicas", json!(1)), ("metrics", cpu)]);
    if spec.contains_key("behavior") {
        let behavior = within(spec, "behavior");
        let pods = json!({"type": "Pods", "value": 4, "periodSeconds": 15});
        let percent = json!({"type": "Percent", "value": 100, "periodSeconds": 15});
        let up = [
            ("stabilizationWindowSeconds", json!(0)),
            ("selectPolicy", json!("Max")),
            ("policies", json!([pods, percent])),
        ];
        set_all(within(behavior, "scaleUp"), &up);
        set_all(within(behavior, "scaleDown"), &[("selectPolicy", json!("Max")), ("policies", json!([percent]))]);
    }
}
