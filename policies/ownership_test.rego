package dayfly.ownership_test

import data.dayfly.ownership

labels := {
	"app.kubernetes.io/managed-by": "dayfly", "dayfly.dev/tier": "sandbox",
	"dayfly.dev/team": "people-ops", "dayfly.dev/cost-center": "CC-1042",
}

rules(metadata, cost_center) := {v.rule | some v in ownership.deny with input as {
	"app": {"costCenter": cost_center}, "keys": ["o"], "objects": [{"metadata": metadata}],
}}

owned := {"dayfly.dev/owner": "maya@example.com"}

test_a_tagged_object_is_fine if rules({"labels": labels, "annotations": owned}, "CC-1042") == set()

test_no_cost_center_is_refused if {
	rules({"labels": object.remove(labels, ["dayfly.dev/cost-center"]), "annotations": owned}, "CC-1042") == {"ownership"}
}

test_no_label_at_all_is_refused if rules({"annotations": owned}, "CC-1042") == {"ownership"}

test_no_owner_is_refused if rules({"labels": labels}, "CC-1042") == {"ownership"}

test_a_cost_center_of_another_form_is_refused if {
	rules({"labels": labels, "annotations": owned}, "marketing") == {"cost-center"}
}
