//! What is refused, with the messages of a real server.

use serde_json::json;

use super::*;
use crate::apiserver::defaults;

fn refused(kind: (&str, &str, &str), mut object: Value) -> Vec<String> {
    let schema = ApiSchema::builtin();
    let id = schema.type_of(kind.0, kind.1, kind.2).unwrap();
    defaults::apply(schema, id, &mut object);
    let mut found: Vec<_> =
        values(schema, id, &object).into_iter().map(|v| format!("{}: {}", v.field, v.message)).collect();
    found.sort();
    found
}

fn deployment(spec: Value) -> Vec<String> {
    refused(("apps", "v1", "Deployment"), json!({ "spec": spec }))
}

fn web(pod: Value) -> Value {
    json!({"selector": {"matchLabels": {"app": "web"}}, "template": {"metadata": {"labels": {"app": "web"}}, "spec": pod}})
}

#[test]
fn an_empty_deployment_lacks_a_selector_and_containers() {
    assert_eq!(
        deployment(json!({})),
        [
            "spec.selector: Required value",
            "spec.template.metadata.labels: Invalid value: null: `selector` does not match template `labels`",
            "spec.template.spec.containers: Required value",
        ]
    );
}

#[test]
fn the_selector_of_a_deployment_must_select_its_template() {
    let mut spec = web(json!({"containers": [{"name": "main", "image": "i"}]}));
    assert_eq!(deployment(spec.clone()), [""; 0]);
    spec["template"]["metadata"]["labels"] = json!({"app": "other"});
    assert_eq!(
        deployment(spec),
        [
            "spec.template.metadata.labels: Invalid value: {\"app\":\"other\"}: `selector` does not match template `labels`"
        ]
    );
}

#[test]
fn containers_and_their_ports_are_checked() {
    let mut spec = web(json!({"containers": [{"name": "main"},
        {"name": "main", "image": "i", "ports": [{"containerPort": 0}, {"containerPort": 70000}]}]}));
    spec["replicas"] = json!(-1);
    assert_eq!(
        deployment(spec),
        [
            "spec.replicas: Invalid value: -1: must be greater than or equal to 0",
            "spec.template.spec.containers[0].image: Required value",
            "spec.template.spec.containers[1].name: Duplicate value: \"main\"",
            "spec.template.spec.containers[1].ports[0].containerPort: Required value",
            "spec.template.spec.containers[1].ports[1].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive",
        ]
    );
}

#[test]
fn supported_values_are_listed_and_requests_must_stay_within_limits() {
    let mut spec = web(json!({"restartPolicy": "Never", "containers": [{"name": "main", "image": "i",
        "imagePullPolicy": "Sometimes", "resources": {"requests": {"cpu": 2}, "limits": {"cpu": 1}}}]}));
    spec["strategy"] = json!({"type": "Slowly"});
    assert_eq!(
        deployment(spec),
        [
            "spec.strategy: Unsupported value: {\"Type\":\"Slowly\",\"RollingUpdate\":null}: supported values: \"Recreate\", \"RollingUpdate\"",
            "spec.template.spec.containers[0].imagePullPolicy: Unsupported value: \"Sometimes\": supported values: \"Always\", \"IfNotPresent\", \"Never\"",
            "spec.template.spec.containers[0].resources.requests: Invalid value: \"2\": must be less than or equal to cpu limit of 1",
            "spec.template.spec.restartPolicy: Unsupported value: \"Never\": supported values: \"Always\"",
        ]
    );
}

#[test]
fn mounts_need_volumes_and_unique_paths() {
    let spec = web(json!({"volumes": [{"name": "v"}, {"name": "v"}], "containers": [{"name": "a", "image": "i",
        "volumeMounts": [{"name": "v", "mountPath": "/a"}, {"name": "w", "mountPath": "/a"}]}]}));
    assert_eq!(
        deployment(spec),
        [
            "spec.template.spec.containers[0].volumeMounts[1].mountPath: Invalid value: \"/a\": must be unique",
            "spec.template.spec.containers[0].volumeMounts[1].name: Not found: \"w\"",
            "spec.template.spec.volumes[1].name: Duplicate value: \"v\"",
        ]
    );
}

#[test]
fn services_and_their_ports_are_checked() {
    let service = |spec: Value| refused(("", "v1", "Service"), json!({ "spec": spec }));
    assert_eq!(service(json!({})), ["spec.ports: Required value"]);
    assert_eq!(service(json!({"clusterIP": "None"})), [""; 0]);
    assert_eq!(
        service(json!({"ports": [{"port": 80}, {"port": 81}]})),
        ["spec.ports[0].name: Required value", "spec.ports[1].name: Required value"]
    );
    assert_eq!(
        service(json!({"type": "Magic", "ports": [{"port": 0, "protocol": "ICMP"}]})),
        [
            "spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive",
            "spec.ports[0].protocol: Unsupported value: \"ICMP\": supported values: \"SCTP\", \"TCP\", \"UDP\"",
            "spec.ports[0].targetPort: Invalid value: 0: must be between 1 and 65535, inclusive",
            "spec.type: Unsupported value: \"Magic\": supported values: \"ClusterIP\", \"ExternalName\", \"LoadBalancer\", \"NodePort\"",
        ]
    );
}

#[test]
fn metadata_and_the_keys_of_config_maps_are_checked() {
    let found = refused(
        ("", "v1", "ConfigMap"),
        json!({"metadata": {"labels": {"a b": "c", "d": "e f"}, "annotations": {"x y": "z"}, "finalizers": ["plain"]},
               "data": {"a/b": "c"}}),
    );
    let fields: Vec<_> = found.iter().filter_map(|line| line.split_once(": Invalid value: ")).map(|(f, _)| f).collect();
    assert_eq!(
        fields,
        ["data[a/b]", "metadata.annotations", "metadata.finalizers[0]", "metadata.labels", "metadata.labels"]
    );
}

#[test]
fn claims_jobs_policies_roles_and_ingresses_are_checked() {
    let claim = json!({"spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "-1"}}}});
    assert_eq!(
        refused(("", "v1", "PersistentVolumeClaim"), claim),
        ["spec.resources[storage]: Invalid value: \"-1\": must be greater than zero"]
    );
    let job = json!({"spec": {"template": {"spec": {"containers": [{"name": "a", "image": "i"}]}}}});
    assert_eq!(
        refused(("batch", "v1", "Job"), job),
        ["spec.template.spec.restartPolicy: Required value: valid values: \"OnFailure\", \"Never\""]
    );
    let policy = json!({"spec": {"podSelector": {}, "egress": [{"to": [{"ipBlock":
        {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16", "11.0.0.0/16"]}}, {"ipBlock": {"cidr": "x"}}]}]}});
    assert_eq!(
        refused(("networking.k8s.io", "v1", "NetworkPolicy"), policy),
        [
            "spec.egress[0].to[0].ipBlock.except[1]: Invalid value: \"11.0.0.0/16\": must be a strict subset of `cidr`",
            "spec.egress[0].to[1].ipBlock.cidr: Invalid value: \"x\": must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)",
        ]
    );
    let role = json!({"rules": [{"apiGroups": [""], "resources": ["pods"]}]});
    assert_eq!(
        refused(("rbac.authorization.k8s.io", "v1", "Role"), role),
        ["rules[0].verbs: Required value: verbs must contain at least one value"]
    );
    let binding =
        json!({"roleRef": {"kind": "Roll", "name": "a"}, "subjects": [{"kind": "ServiceAccount", "name": "b"}]});
    assert_eq!(
        refused(("rbac.authorization.k8s.io", "v1", "ClusterRoleBinding"), binding),
        [
            "roleRef.kind: Unsupported value: \"Roll\": supported values: \"Role\", \"ClusterRole\"",
            "subjects[0].namespace: Required value",
        ]
    );
    let ingress = json!({"spec": {"rules": [{"host": "a.example.com", "http": {"paths": [{"path": "x", "pathType": "Prefix",
        "backend": {"service": {"name": "a"}}}]}}]}});
    assert_eq!(
        refused(("networking.k8s.io", "v1", "Ingress"), ingress),
        [
            "spec.rules[0].http.paths[0].backend.service: Required value: port name or number is required",
            "spec.rules[0].http.paths[0].path: Invalid value: \"x\": must be an absolute path",
        ]
    );
}
