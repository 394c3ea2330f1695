package dayfly.resources_test

import data.dayfly.resources

rules(container, cost, budget) := {v.rule | some v in resources.deny with input as {
	"containers": [object.union({"object": "o", "name": "c"}, container)],
	"cost": {"low": 0, "high": cost, "currency": "USD"},
	"environment": {"tier": "sandbox", "budget": {"perApp": budget}},
}}

full := {"requests": {"cpu": 0.1, "memory": 1024}, "limits": {"cpu": 1, "memory": 2048}}

test_requests_and_limits_are_fine if rules(full, 10, 20) == set()

test_no_limit_is_refused if rules({"requests": full.requests, "limits": {"cpu": null, "memory": null}}, 10, 20) == {"resources"}

test_nothing_is_refused if {
	none := {"cpu": null, "memory": null}
	rules({"requests": none, "limits": none}, 10, 20) == {"resources"}
}

test_more_than_the_budget_is_refused if rules(full, 21, 20) == {"budget"}

test_no_budget_is_no_limit if rules(full, 1000000, null) == set()
