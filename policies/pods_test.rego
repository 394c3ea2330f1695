package dayfly.pods_test

import data.dayfly.pods

good := {
	"object": "apps/Deployment/a/a", "list": "containers", "name": "web",
	"privileged": false, "runAsNonRoot": true, "runAsUser": null, "allowPrivilegeEscalation": false,
	"readOnlyRootFilesystem": true, "added": [], "dropped": ["ALL"], "seccomp": "RuntimeDefault", "hostPorts": [],
}

quiet := {
	"object": "apps/Deployment/a/a", "hostNetwork": false, "hostPID": false, "hostIPC": false,
	"serviceAccountToken": false, "volumes": [{"name": "a", "type": "emptyDir"}], "sysctls": 0,
}

container_rules(change) := {v.rule | some v in pods.deny with input as {"containers": [object.union(good, change)], "pods": []}}

pod_rules(change) := {v.rule | some v in pods.deny with input as {"containers": [], "pods": [object.union(quiet, change)]}}

test_a_restricted_container_is_fine if container_rules({}) == set()

test_a_restricted_pod_is_fine if pod_rules({}) == set()

test_privileged_is_refused if container_rules({"privileged": true}) == {"privileged"}

test_root_is_refused if container_rules({"runAsNonRoot": false}) == {"run-as-root"}

test_user_0_is_refused if container_rules({"runAsUser": 0}) == {"run-as-root"}

test_gaining_rights_is_refused if container_rules({"allowPrivilegeEscalation": true}) == {"privilege-escalation"}

test_keeping_capabilities_is_refused if container_rules({"dropped": ["NET_RAW"]}) == {"capabilities"}

test_adding_a_capability_is_refused if container_rules({"added": ["SYS_ADMIN"]}) == {"capabilities"}

test_no_seccomp_is_refused if container_rules({"seccomp": ""}) == {"seccomp"}

test_a_port_of_the_node_is_refused if container_rules({"hostPorts": [80]}) == {"host-port"}

test_the_node_s_network_is_refused if pod_rules({"hostNetwork": true}) == {"host-namespace"}

test_a_path_of_the_node_is_refused if pod_rules({"volumes": [{"name": "a", "type": "hostPath"}]}) == {"volume-type"}

test_a_token_is_refused if pod_rules({"serviceAccountToken": true}) == {"service-account-token"}

test_every_list_is_judged if {
	containers := [object.union(good, {"list": list, "privileged": true, "name": list}) |
		some list in ["containers", "initContainers", "ephemeralContainers"]
	]
	count(pods.deny) == 3 with input as {"containers": containers, "pods": []}
}
