# An app reaches what it declares, and declares what somebody approved.
package dayfly.connections

# Connectors, and the data that may go through each.
approved_connectors := {
	"slack": {"public", "internal", "confidential"},
	"calendar": {"public", "internal"},
}

deny contains violation if {
	some index, connector in input.app.connectors
	not approved_connectors[connector]
	violation := {
		"rule": "connector",
		"field": sprintf("spec.connectors[%v]", [index]),
		"msg": sprintf("spec.connectors: %s is not approved", [connector]),
		"help": sprintf("Approved: %s. Ask security for another one.", [concat(", ", object.keys(approved_connectors))]),
	}
}

deny contains violation if {
	some index, connector in input.app.connectors
	classes := approved_connectors[connector]
	not input.app.dataClassification in classes
	violation := {
		"rule": "connector-data",
		"field": sprintf("spec.connectors[%v]", [index]),
		"msg": sprintf("spec.connectors: %s is not approved for %s data", [connector, input.app.dataClassification]),
		"help": "Use another connector, or ask security.",
	}
}

# Nobody opens everything.
deny contains violation if {
	some index, destination in input.app.egress
	wide(destination.cidr)
	violation := {
		"rule": "egress-range",
		"field": sprintf("spec.egress[%v]", [index]),
		"msg": sprintf("spec.egress: %s is more than the app can need", [destination.cidr]),
		"help": "Name the range of the service: /16 at most, /32 in IPv6.",
	}
}

wide(cidr) if {
	not contains(cidr, ":")
	to_number(split(cidr, "/")[1]) < 16
}

wide(cidr) if {
	contains(cidr, ":")
	to_number(split(cidr, "/")[1]) < 32
}

# What the network lets out is what app.yaml declares, and the inside.
deny contains violation if {
	some index, object in input.objects
	object.kind == "NetworkPolicy"
	some rule in object.spec.egress
	some peer in rule.to
	peer.ipBlock
	not declared(peer.ipBlock.cidr, rule)
	violation := {
		"rule": "egress-undeclared",
		"object": input.keys[index],
		"msg": sprintf("opens %s, which the app does not declare", [peer.ipBlock.cidr]),
		"help": "Declare it in spec.egress of app.yaml.",
	}
}

deny contains violation if {
	some index, object in input.objects
	object.kind == "NetworkPolicy"
	some rule in object.spec.egress
	not rule.to
	violation := {
		"rule": "egress-undeclared",
		"object": input.keys[index],
		"msg": "opens every destination",
		"help": "A rule of egress names where it leads.",
	}
}

declared(cidr, rule) if {
	count(rule.ports) > 0
	every port in rule.ports {
		not port.endPort
		some destination in input.app.egress
		destination.cidr == cidr
		destination.port == port.port
	}
}

# The namespace is closed before anything is opened.
deny contains violation if {
	not closed
	violation := {
		"rule": "default-deny",
		"msg": "no NetworkPolicy closes the app's namespace",
		"help": "The environment's resources/ has to hold one for all pods, with Ingress and Egress and no rule.",
	}
}

closed if {
	some object in input.objects
	object.kind == "NetworkPolicy"
	object.spec.podSelector == {}
	{"Ingress", "Egress"} == {type | some type in object.spec.policyTypes}
	not object.spec.ingress
	not object.spec.egress
}
