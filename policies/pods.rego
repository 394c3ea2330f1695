# No container runs as root, gets more rights, or reaches the node. input.containers has every container of every
# workload: of all kinds, and init and ephemeral ones too.
package dayfly.pods

help := "Correct the template: its README names the owners."

deny contains violation if {
	some container in input.containers
	container.privileged
	violation := found(container, "privileged", "is privileged")
}

deny contains violation if {
	some container in input.containers
	not container.runAsNonRoot
	violation := found(container, "run-as-root", "may run as root: runAsNonRoot is not true")
}

deny contains violation if {
	some container in input.containers
	container.runAsUser == 0
	violation := found(container, "run-as-root", "runs as user 0")
}

deny contains violation if {
	some container in input.containers
	container.allowPrivilegeEscalation
	violation := found(container, "privilege-escalation", "may gain rights: allowPrivilegeEscalation is not false")
}

deny contains violation if {
	some container in input.containers
	not "ALL" in container.dropped
	violation := found(container, "capabilities", "does not drop ALL capabilities")
}

deny contains violation if {
	some container in input.containers
	some capability in container.added
	capability != "NET_BIND_SERVICE"
	violation := found(container, "capabilities", sprintf("adds the capability %s", [capability]))
}

deny contains violation if {
	some container in input.containers
	not container.seccomp in {"RuntimeDefault", "Localhost"}
	violation := found(container, "seccomp", "has no seccomp profile")
}

deny contains violation if {
	some container in input.containers
	some port in container.hostPorts
	violation := found(container, "host-port", sprintf("takes the port %v of its node", [port]))
}

warn contains violation if {
	some container in input.containers
	not container.readOnlyRootFilesystem
	violation := found(container, "writable-root", "may write to its own image: readOnlyRootFilesystem is not true")
}

deny contains violation if {
	some pod in input.pods
	some field in ["hostNetwork", "hostPID", "hostIPC"]
	pod[field]
	violation := {
		"rule": "host-namespace",
		"object": pod.object,
		"msg": sprintf("shares its node's %s", [trim_prefix(field, "host")]),
		"help": help,
	}
}

allowed_volumes := {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}

deny contains violation if {
	some pod in input.pods
	some volume in pod.volumes
	not volume.type in allowed_volumes
	violation := {
		"rule": "volume-type",
		"object": pod.object,
		"msg": sprintf("mounts a volume of type %s", [volume.type]),
		"help": help,
	}
}

deny contains violation if {
	some pod in input.pods
	pod.sysctls > 0
	violation := {"rule": "sysctls", "object": pod.object, "msg": "sets kernel parameters", "help": help}
}

deny contains violation if {
	some pod in input.pods
	pod.serviceAccountToken
	violation := {
		"rule": "service-account-token",
		"object": pod.object,
		"msg": "gets a token for the cluster: automountServiceAccountToken is not false",
		"help": help,
	}
}

found(container, rule, message) := {
	"rule": rule,
	"object": container.object,
	"msg": sprintf("%s: %s", [container.name, message]),
	"help": help,
}
