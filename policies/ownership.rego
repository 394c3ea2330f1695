# Every object says whose it is, and who pays.
package dayfly.ownership

required_labels := ["app.kubernetes.io/managed-by", "dayfly.dev/tier", "dayfly.dev/team", "dayfly.dev/cost-center"]

deny contains violation if {
	some index, object in input.objects
	some label in required_labels
	not tagged(object, label)
	violation := {
		"rule": "ownership",
		"object": input.keys[index],
		"msg": sprintf("has no %s", [label]),
		"help": "Dayfly sets it from app.yaml: correct team or costCenter there.",
	}
}

deny contains violation if {
	some index, object in input.objects
	not object.metadata.annotations["dayfly.dev/owner"]
	violation := {
		"rule": "ownership",
		"object": input.keys[index],
		"msg": "has no owner",
		"help": "Name a person in spec.owner of app.yaml.",
	}
}

deny contains violation if {
	not regex.match(`^CC-[0-9]{4}$`, input.app.costCenter)
	violation := {
		"rule": "cost-center",
		"field": "spec.costCenter",
		"msg": sprintf("spec.costCenter: %s is no cost center", [input.app.costCenter]),
		"help": "Cost centers are written like CC-1042.",
	}
}

# A value that is no legal label is an annotation.
tagged(object, key) if object.metadata.labels[key] != ""

tagged(object, key) if object.metadata.annotations[key] != ""
