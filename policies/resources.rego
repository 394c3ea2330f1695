# Every container says what it needs and what it may take at most, and an app stays within its budget.
package dayfly.resources

deny contains violation if {
	some container in input.containers
	some part in ["requests", "limits"]
	some resource in ["cpu", "memory"]
	not container[part][resource] > 0
	violation := {
		"rule": "resources",
		"object": container.object,
		"msg": sprintf("%s: has no %s in %s", [container.name, resource, part]),
		"help": "Say in the template what the container needs: resources.requests and resources.limits.",
	}
}

deny contains violation if {
	is_number(input.environment.budget.perApp)
	input.cost.high > input.environment.budget.perApp
	violation := {
		"rule": "budget",
		"field": "spec.tier",
		"msg": sprintf("costs up to %v %s a month, and %s allows %v", [
			input.cost.high,
			input.cost.currency,
			input.environment.tier,
			input.environment.budget.perApp,
		]),
		"help": "Ask for less storage or fewer replicas, or ask the environment's owners for a larger budget.",
	}
}
