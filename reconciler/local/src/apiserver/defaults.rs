//! What the server fills in: the schema's defaults, and those that depend on the kind or on other fields.

use super::canonical::{canonicalize, is_zero};
use super::schema::{Schema, Shape, TypeId};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

type Fields = Map<String, Value>;

/// Brings an object that fits its schema into the form in which the server keeps it: canonical, with all defaults.
/// A second pass changes nothing.
pub fn apply(schema: &Schema, id: TypeId, object: &mut Value) {
    canonicalize(schema, id, object);
    fill_below(schema, id, object);
}

fn fill_below(schema: &Schema, id: TypeId, value: &mut Value) {
    match (schema.get(id), &mut *value) {
        (Shape::Struct(shape), Value::Object(fields)) => {
            if let Some(fill) = filler(&shape.name) {
                fill(fields);
            }
            for (name, value) in fields.iter_mut() {
                if let Some(field) = shape.fields.get(name) {
                    fill_below(schema, field.type_id, value);
                }
            }
            if shape.name == "core.v1.Pod" {
                pod_resources(fields);
            }
        }
        (Shape::Map { values, .. }, Value::Object(fields)) => {
            fields.values_mut().for_each(|value| fill_below(schema, *values, value));
        }
        (Shape::List(list), Value::Array(items)) => {
            items.iter_mut().for_each(|item| fill_below(schema, list.items, item));
        }
        _ => {}
    }
}

/// The rule for a type, applied before those of the types within it.
fn filler(name: &str) -> Option<fn(&mut Fields)> {
    Some(match name {
        "apps.v1.Deployment" => deployment,
        "apps.v1.ReplicaSet" => |fields| set(within(fields, "spec"), "replicas", json!(1)),
        "apps.v1.StatefulSet" => stateful_set,
        "apps.v1.DaemonSet" => daemon_set,
        "batch.v1.Job" => job,
        "batch.v1.CronJob" => cron_job,
        "core.v1.PodSpec" => pod_spec,
        "core.v1.Pod" => pod,
        "core.v1.Container" | "core.v1.EphemeralContainer" => container,
        "core.v1.Probe" => probe,
        "core.v1.HTTPGetAction" => |fields| set_all(fields, &[("path", json!("/")), ("scheme", json!("HTTP"))]),
        "core.v1.GRPCAction" => |fields| set(fields, "service", json!("")),
        "core.v1.Volume" => volume,
        "core.v1.SecretVolumeSource"
        | "core.v1.ConfigMapVolumeSource"
        | "core.v1.DownwardAPIVolumeSource"
        | "core.v1.ProjectedVolumeSource" => |fields| set(fields, "defaultMode", json!(0o644)),
        "core.v1.HostPathVolumeSource" => |fields| set(fields, "type", json!("")),
        "core.v1.ServiceAccountTokenProjection" => |fields| set(fields, "expirationSeconds", json!(3600)),
        "core.v1.ObjectFieldSelector" => |fields| set(fields, "apiVersion", json!("v1")),
        "core.v1.Service" => service,
        "core.v1.Secret" => secret,
        "core.v1.Namespace" => namespace,
        "core.v1.PersistentVolumeClaim" => |fields| set(within(fields, "status"), "phase", json!("Pending")),
        "core.v1.PersistentVolumeClaimSpec" => |fields| set(fields, "volumeMode", json!("Filesystem")),
        "core.v1.PersistentVolume" => persistent_volume,
        "core.v1.LimitRangeItem" => limit_range_item,
        "networking.v1.NetworkPolicy" => network_policy,
        "networking.v1.NetworkPolicyPort" | "discovery.v1.EndpointPort" => {
            |fields| set(fields, "protocol", json!("TCP"))
        }
        "rbac.v1.RoleBinding" | "rbac.v1.ClusterRoleBinding" => {
            |fields| set(within(fields, "roleRef"), "apiGroup", json!("rbac.authorization.k8s.io"))
        }
        "rbac.v1.Subject" => subject,
        "autoscaling.v2.HorizontalPodAutoscaler" => autoscaler,
        "autoscaling.v1.HorizontalPodAutoscaler" => |fields| set(within(fields, "spec"), "minReplicas", json!(1)),
        "storage.v1.StorageClass" => |fields| {
            set_all(fields, &[("reclaimPolicy", json!("Delete")), ("volumeBindingMode", json!("Immediate"))]);
        },
        "scheduling.v1.PriorityClass" => |fields| set(fields, "preemptionPolicy", json!("PreemptLowerPriority")),
        _ => return None,
    })
}

/// Sets a field that is absent, null or the empty text.
fn set(fields: &mut Fields, name: &str, value: Value) {
    if fields.get(name).is_none_or(|value| value.is_null() || value == "") {
        fields.insert(name.to_owned(), value);
    }
}

fn set_all(fields: &mut Fields, defaults: &[(&str, Value)]) {
    defaults.iter().for_each(|(name, value)| set(fields, name, value.clone()));
}

/// The object in a field, which is made if it is absent.
fn within<'a>(fields: &'a mut Fields, name: &str) -> &'a mut Fields {
    let value = fields.entry(name).or_insert(Value::Null);
    if !value.is_object() {
        *value = Value::Object(Fields::new());
    }
    match value {
        Value::Object(fields) => fields,
        _ => unreachable!("it was made an object"),
    }
}

fn text<'a>(fields: &'a Fields, name: &str) -> &'a str {
    fields.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn deployment(fields: &mut Fields) {
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

fn stateful_set(fields: &mut Fields) {
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

fn daemon_set(fields: &mut Fields) {
    let spec = within(fields, "spec");
    set(spec, "revisionHistoryLimit", json!(10));
    let strategy = within(spec, "updateStrategy");
    set(strategy, "type", json!("RollingUpdate"));
    if text(strategy, "type") == "RollingUpdate" {
        set_all(within(strategy, "rollingUpdate"), &[("maxUnavailable", json!(1)), ("maxSurge", json!(0))]);
    }
}

fn job(fields: &mut Fields) {
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

fn cron_job(fields: &mut Fields) {
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

fn pod_spec(fields: &mut Fields) {
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
    // The old name of the field is written beside the new one.
    let account = text(fields, "serviceAccountName").to_owned();
    let account = if account.is_empty() { text(fields, "serviceAccount").to_owned() } else { account };
    if !account.is_empty() {
        fields.insert("serviceAccountName".to_owned(), json!(account));
        fields.insert("serviceAccount".to_owned(), json!(account));
    }
}

/// Ports on the host's network are the host's: of a Pod, unlike of a template.
fn pod(fields: &mut Fields) {
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

/// A Pod, unlike a template, requests what it is limited to.
fn pod_resources(fields: &mut Fields) {
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

fn container(fields: &mut Fields) {
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

fn probe(fields: &mut Fields) {
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

fn volume(fields: &mut Fields) {
    if fields.keys().all(|name| name == "name") {
        set(fields, "emptyDir", json!({}));
    }
    if let Some(image) = fields.get_mut("image").and_then(Value::as_object_mut) {
        let policy = if is_latest(text(image, "reference")) { "Always" } else { "IfNotPresent" };
        set(image, "pullPolicy", json!(policy));
    }
}

fn service(fields: &mut Fields) {
    let spec = within(fields, "spec");
    set_all(spec, &[("type", json!("ClusterIP")), ("sessionAffinity", json!("None"))]);
    match text(spec, "sessionAffinity") {
        "None" => {
            spec.shift_remove("sessionAffinityConfig");
        }
        "ClientIP" => {
            let client = within(within(spec, "sessionAffinityConfig"), "clientIP");
            set(client, "timeoutSeconds", json!(10800));
        }
        _ => {}
    }
    for port in spec.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten() {
        let Some(port) = port.as_object_mut() else { continue };
        let unset = port.get("targetPort").is_none_or(is_zero);
        if unset {
            let number = port.get("port").cloned().unwrap_or(json!(0));
            port.insert("targetPort".to_owned(), number);
        }
    }
    let kind = text(spec, "type").to_owned();
    let external = matches!(kind.as_str(), "NodePort" | "LoadBalancer");
    if external || (kind == "ClusterIP" && spec.get("externalIPs").is_some_and(|ips| !is_zero(ips))) {
        set(spec, "externalTrafficPolicy", json!("Cluster"));
    }
    if external || kind == "ClusterIP" {
        set(spec, "internalTrafficPolicy", json!("Cluster"));
    }
    if kind == "LoadBalancer" {
        set(spec, "allocateLoadBalancerNodePorts", json!(true));
    }
}

/// A Secret is written with text and kept as bytes.
fn secret(fields: &mut Fields) {
    set(fields, "type", json!("Opaque"));
    if let Some(Value::Object(texts)) = fields.shift_remove("stringData") {
        let data = within(fields, "data");
        for (key, text) in texts {
            data.insert(key, json!(STANDARD.encode(text.as_str().unwrap_or_default())));
        }
    }
}

fn namespace(fields: &mut Fields) {
    let metadata = within(fields, "metadata");
    let name = text(metadata, "name").to_owned();
    if !name.is_empty() {
        within(metadata, "labels").insert("kubernetes.io/metadata.name".to_owned(), json!(name));
    }
    set(within(fields, "status"), "phase", json!("Active"));
}

fn persistent_volume(fields: &mut Fields) {
    set(within(fields, "status"), "phase", json!("Pending"));
    let defaults = [("persistentVolumeReclaimPolicy", json!("Retain")), ("volumeMode", json!("Filesystem"))];
    set_all(within(fields, "spec"), &defaults);
}

fn limit_range_item(fields: &mut Fields) {
    if text(fields, "type") != "Container" {
        return;
    }
    for (to, from) in [("default", "max"), ("defaultRequest", "default"), ("defaultRequest", "min")] {
        if let Some(from) = fields.get(from).and_then(Value::as_object).cloned() {
            let to = within(fields, to);
            from.into_iter().for_each(|(name, amount)| set(to, &name, amount));
        }
    }
}

fn network_policy(fields: &mut Fields) {
    let spec = within(fields, "spec");
    let egress = spec.get("egress").is_some_and(|rules| !is_zero(rules));
    let types = if egress { json!(["Ingress", "Egress"]) } else { json!(["Ingress"]) };
    set(spec, "policyTypes", types);
}

fn subject(fields: &mut Fields) {
    if matches!(text(fields, "kind"), "User" | "Group") {
        set(fields, "apiGroup", json!("rbac.authorization.k8s.io"));
    }
}

fn autoscaler(fields: &mut Fields) {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(kind: (&str, &str, &str), mut object: Value) -> Value {
        let schema = Schema::builtin();
        let id = schema.type_of(kind.0, kind.1, kind.2).unwrap();
        apply(schema, id, &mut object);
        let before = object.clone();
        apply(schema, id, &mut object);
        assert_eq!(object, before, "a second pass changes nothing");
        object
    }

    #[test]
    fn a_deployment_gets_what_a_real_server_fills_in() {
        let object = filled(
            ("apps", "v1", "Deployment"),
            json!({"metadata": {"name": "a"}, "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": {
                "metadata": {"labels": {"a": "b"}},
                "spec": {"containers": [{"name": "c", "image": "i:1", "livenessProbe": {"httpGet": {"port": 1}}}]}}}}),
        );
        let pod = json!({
            "containers": [{"name": "c", "image": "i:1", "imagePullPolicy": "IfNotPresent", "resources": {},
                "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
                "livenessProbe": {"httpGet": {"port": 1, "path": "/", "scheme": "HTTP"}, "timeoutSeconds": 1,
                    "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3}}],
            "dnsPolicy": "ClusterFirst", "restartPolicy": "Always", "securityContext": {},
            "terminationGracePeriodSeconds": 30, "schedulerName": "default-scheduler"
        });
        assert_eq!(object["spec"]["template"]["spec"], pod);
        assert_eq!(object["spec"]["strategy"]["rollingUpdate"], json!({"maxUnavailable": "25%", "maxSurge": "25%"}));
        assert_eq!(object["spec"]["progressDeadlineSeconds"], 600);
        assert_eq!(object["status"], json!({}));
    }

    #[test]
    fn only_a_pod_on_the_host_network_gets_host_ports() {
        let spec = json!({"hostNetwork": true, "containers": [{"name": "a", "ports": [{"containerPort": 80}]}]});
        let pod = filled(("", "v1", "Pod"), json!({"spec": spec}));
        assert_eq!(pod["spec"]["containers"][0]["ports"][0]["hostPort"], 80);
        let deployment = filled(("apps", "v1", "Deployment"), json!({"spec": {"template": {"spec": spec}}}));
        let ports = &deployment["spec"]["template"]["spec"]["containers"][0]["ports"];
        assert_eq!(ports, &json!([{"containerPort": 80, "protocol": "TCP"}]));
    }

    #[test]
    fn images_without_a_tag_are_always_pulled() {
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

    #[test]
    fn a_secret_takes_text_and_keeps_bytes() {
        let object = filled(("", "v1", "Secret"), json!({"data": {"a": "eA=="}, "stringData": {"b": "y"}}));
        assert_eq!(object, json!({"metadata": {}, "type": "Opaque", "data": {"a": "eA==", "b": "eQ=="}}));
    }

    #[test]
    fn a_service_and_its_ports_are_completed() {
        let object = filled(("", "v1", "Service"), json!({"spec": {"ports": [{"port": 80}]}}));
        assert_eq!(
            object["spec"],
            json!({"type": "ClusterIP", "sessionAffinity": "None", "internalTrafficPolicy": "Cluster",
                   "ports": [{"port": 80, "protocol": "TCP", "targetPort": 80}]})
        );
    }

    #[test]
    fn policies_claims_roles_and_namespaces_are_completed() {
        let policy = filled(
            ("networking.k8s.io", "v1", "NetworkPolicy"),
            json!({"spec": {"podSelector": {}, "egress": [{"ports": [{"port": 53}]}]}}),
        );
        assert_eq!(policy["spec"]["policyTypes"], json!(["Ingress", "Egress"]));
        assert_eq!(policy["spec"]["egress"][0]["ports"][0]["protocol"], "TCP");
        let binding = filled(
            ("rbac.authorization.k8s.io", "v1", "RoleBinding"),
            json!({"roleRef": {"kind": "Role", "name": "a"}, "subjects": [{"kind": "User", "name": "b"}]}),
        );
        assert_eq!(binding["roleRef"]["apiGroup"], "rbac.authorization.k8s.io");
        assert_eq!(binding["subjects"][0]["apiGroup"], "rbac.authorization.k8s.io");
        let namespace = filled(("", "v1", "Namespace"), json!({"metadata": {"name": "a"}}));
        assert_eq!(namespace["metadata"]["labels"], json!({"kubernetes.io/metadata.name": "a"}));
        let claim = filled(("", "v1", "PersistentVolumeClaim"), json!({"spec": {}}));
        assert_eq!(claim["spec"]["volumeMode"], "Filesystem");
    }
}
