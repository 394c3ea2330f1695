package dayfly.connections_test

import data.dayfly.connections

closed := {"kind": "NetworkPolicy", "spec": {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}}

rules(app, objects) := {v.rule | some v in connections.deny with input as {
	"app": object.union({"connectors": [], "egress": [], "dataClassification": "internal"}, app),
	"objects": objects,
	"keys": [sprintf("o%d", [i]) | some i, _ in objects],
}}

opens(cidr, port) := {"kind": "NetworkPolicy", "spec": {"podSelector": {}, "policyTypes": ["Egress"], "egress": [{
	"to": [{"ipBlock": {"cidr": cidr}}],
	"ports": [{"protocol": "TCP", "port": port}],
}]}}

to(cidr, port) := {"cidr": cidr, "hostname": null, "port": port}

test_a_closed_app_is_fine if rules({}, [closed]) == set()

test_an_open_namespace_is_refused if rules({}, []) == {"default-deny"}

test_an_approved_connector_is_fine if rules({"connectors": ["slack"]}, [closed]) == set()

test_another_connector_is_refused if rules({"connectors": ["fax"]}, [closed]) == {"connector"}

test_a_connector_for_other_data_is_refused if {
	rules({"connectors": ["calendar"], "dataClassification": "restricted"}, [closed]) == {"connector-data"}
}

test_declared_egress_is_fine if {
	rules({"egress": [to("203.0.113.0/24", 443)]}, [closed, opens("203.0.113.0/24", 443)]) == set()
}

test_undeclared_egress_is_refused if rules({}, [closed, opens("203.0.113.0/24", 443)]) == {"egress-undeclared"}

test_another_port_is_refused if {
	rules({"egress": [to("203.0.113.0/24", 443)]}, [closed, opens("203.0.113.0/24", 80)]) == {"egress-undeclared"}
}

test_everything_is_refused if rules({"egress": [to("0.0.0.0/0", 443)]}, [closed]) == {"egress-range"}

test_everything_in_ipv6_is_refused if rules({"egress": [to("::/0", 443)]}, [closed]) == {"egress-range"}
