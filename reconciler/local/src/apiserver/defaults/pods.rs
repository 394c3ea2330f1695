//! The defaults of pods, their containers and their volumes.

use serde_json::{Value, json};

use super::{set, set_all, text, within};
use crate::apiserver::object::JsonObject;

pub(super) fn pod_spec(fields: &mut JsonObject) {
    set_all(
        fields,
        &[
            ("dnsPolicy", json!("ClusterFirst")),
            ("restartPolicy", json!("Always")),
            ("securityContext", json!({})),
            ("terminationGracePeriodSeconds", json!(30)),
            ("schedulerName", json!("default-scheduler")),
        ],
    );
    // The field has an old name, which is filled in, too.
    let account = text(fields, "serviceAccountName").to_owned();
    let account = if account.is_empty() { text(fields, "serviceAccount").to_owned() } else { account };
    if !account.is_empty() {
        fields.insert("serviceAccountName".to_owned(), json!(account));
        fields.insert("serviceAccount".to_owned(), json!(account));
    }
}

/// On the host's network the ports of a Pod, but not those of a template, are also the host's.
pub(super) fn pod(fields: &mut JsonObject) {
    let spec = within(fields, "spec");
    set(spec, "enableServiceLinks", json!(true));
    if spec.get("hostNetwork") != Some(&json!(true)) {
        return;
    }
    let lists = ["containers", "initContainers"];
    let containers = spec.iter_mut().filter(|(name, _)| lists.contains(&name.as_str()));
    let containers = containers.flat_map(|(_, list)| list.as_array_mut().into_iter().flatten());
    for port in containers.flat_map(|c| c["ports"].as_array_mut().into_iter().flatten()) {
        if let Some(port) = port.as_object_mut() {
            let number = port.get("containerPort").cloned().unwrap_or_default();
            set(port, "hostPort", number);
        }
    }
}

/// A Pod, but not a template, requests as much as its limits.
pub(super) fn pod_resources(fields: &mut JsonObject) {
    let spec = within(fields, "spec");
    for list in ["containers", "initContainers"] {
        for container in spec.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
            let Some(limits) = container.pointer("/resources/limits").and_then(Value::as_object).cloned() else {
                continue;
            };
            if let Some(container) = container.as_object_mut() {
                let requests = within(within(container, "resources"), "requests");
                limits.into_iter().for_each(|(name, limit)| set(requests, &name, limit));
            }
        }
    }
}

pub(super) fn container(fields: &mut JsonObject) {
    let policy = if is_latest(text(fields, "image")) { "Always" } else { "IfNotPresent" };
    set_all(
        fields,
        &[
            ("imagePullPolicy", json!(policy)),
            ("terminationMessagePath", json!("/dev/termination-log")),
            ("terminationMessagePolicy", json!("File")),
        ],
    );
}

/// Whether an image is named without a tag and digest, or with the tag `latest`.
fn is_latest(image: &str) -> bool {
    let (name, digest) = image.split_once('@').map_or((image, false), |(name, _)| (name, true));
    let last = name.rsplit('/').next().unwrap_or_default();
    match last.split_once(':') {
        Some((_, tag)) => tag == "latest",
        None => !digest && !image.is_empty(),
    }
}

pub(super) fn probe(fields: &mut JsonObject) {
    set_all(
        fields,
        &[
            ("timeoutSeconds", json!(1)),
            ("periodSeconds", json!(10)),
            ("successThreshold", json!(1)),
            ("failureThreshold", json!(3)),
        ],
    );
}

pub(super) fn volume(fields: &mut JsonObject) {
    if fields.keys().all(|name| name == "name") {
        set(fields, "emptyDir", json!({}));
    }
    if let Some(image) = fields.get_mut("image").and_then(Value::as_object_mut) {
        let policy = if is_latest(text(image, "reference")) { "Always" } else { "IfNotPresent" };
        set(image, "pullPolicy", json!(policy));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_without_a_tag_or_with_latest_are_always_pulled() {
        for (image, latest) in [
            ("web", true),
            ("example.com:5000/web", true),
            ("web:latest", true),
            ("web:1", false),
            ("example.com:5000/web:1", false),
            ("web@sha256:00", false),
        ] {
            assert_eq!(is_latest(image), latest, "{image}");
        }
    }
}
