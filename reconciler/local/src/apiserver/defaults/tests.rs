//! What is filled into objects of each kind.

use super::*;

fn filled(kind: (&str, &str, &str), mut object: Value) -> Value {
    let schema = ApiSchema::builtin();
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
fn the_texts_of_a_secret_are_stored_as_bytes() {
    let object = filled(("", "v1", "Secret"), json!({"data": {"a": "eA=="}, "stringData": {"b": "y"}}));
    assert_eq!(object, json!({"metadata": {}, "type": "Opaque", "data": {"a": "eA==", "b": "eQ=="}}));
}

#[test]
fn a_service_and_its_ports_get_their_defaults() {
    let object = filled(("", "v1", "Service"), json!({"spec": {"ports": [{"port": 80}]}}));
    assert_eq!(
        object["spec"],
        json!({"type": "ClusterIP", "sessionAffinity": "None", "internalTrafficPolicy": "Cluster",
               "ports": [{"port": 80, "protocol": "TCP", "targetPort": 80}]})
    );
}

#[test]
fn policies_role_bindings_namespaces_and_claims_get_their_defaults() {
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
