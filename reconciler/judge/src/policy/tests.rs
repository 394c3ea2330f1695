use std::time::Instant;

use dayfly_model::fixtures::{environment, instance, shipped, template};
use dayfly_model::object::Object;
use serde_json::{Value, json};

use super::*;
use crate::cost;
use crate::render::render;

fn now() -> Timestamp {
    "2026-11-23T12:00:00Z".parse().unwrap()
}

fn set(files: &[(&str, &str)]) -> Result<PolicySet, Vec<String>> {
    let files = files.iter().map(|(name, text)| (format!("policies/{name}"), Arc::from(*text))).collect();
    PolicySet::compile(&files).map_err(|found| found.iter().map(|found| format!("{} {found}", found.rule)).collect())
}

fn one(text: &str) -> Result<PolicySet, Vec<String>> {
    set(&[("a.rego", &format!("package dayfly.a\n{text}"))])
}

/// What is found in an app of these objects, by the policies.
fn judge(policies: &PolicySet, objects: Vec<Value>) -> Vec<String> {
    let objects = objects.into_iter().map(|object| Object::new(object).unwrap()).collect();
    let manifests = Arc::new(Manifests::new(objects, &Kinds::builtin()).unwrap());
    let instance = instance(template(json!({}), &[]), environment(&[]), json!({}));
    let cost = cost::monthly(&manifests, &instance.environment.prices);
    match policies.decide(&instance, manifests, &cost, [], now()) {
        Decision::Admitted { .. } => vec![],
        Decision::Denied { violations, .. } => {
            violations.iter().map(|found| format!("{} {found}", found.rule)).collect()
        }
    }
}

#[test]
fn the_tests_of_the_policies_that_ship_pass() {
    let platform = shipped();
    let policies = PolicySet::compile(platform.policies.get().unwrap()).unwrap();
    let results = policies.test().unwrap();
    let failed: Vec<_> = results.iter().filter(|result| result.failure.is_some()).collect();
    assert!(failed.is_empty(), "{failed:#?}");
    assert!(results.len() > 30 && results.iter().all(|result| result.position.line > 0), "{results:#?}");
}

#[test]
fn every_app_that_ships_is_admitted() {
    let platform = shipped();
    let policies = PolicySet::compile(platform.policies.get().unwrap()).unwrap();
    for app in platform.apps.keys() {
        let instance = platform.instance(app).unwrap();
        let manifests = Arc::new(render(&instance).unwrap());
        let cost = cost::monthly(&manifests, &instance.environment.prices);
        match policies.decide(&instance, manifests.clone(), &cost, platform.readable_waivers(), now()) {
            Decision::Admitted { admitted, warnings } => {
                assert_eq!((admitted.manifests().digest, warnings.len()), (manifests.digest, 0));
            }
            Decision::Denied { violations, .. } => panic!("{app}: {violations:#?}"),
        }
    }
}

#[test]
fn what_gives_no_verdict_denies() {
    for (text, why) in [
        ("deny := x if { x := input.app.parameters.nothing }", "is undefined"),
        ("deny := false", "is no set"),
        ("deny := [1]", "is no set"),
        ("deny contains \"text\"", "has an element without rule and msg"),
        ("deny contains {\"rule\": \"a\"}", "has an element without rule and msg"),
        ("deny contains {\"rule\": \"\", \"msg\": \"m\"}", "has an element whose rule is not one line of text"),
        ("deny contains {\"rule\": \"a\\nb\", \"msg\": \"m\"}", "has an element whose rule is not one line of text"),
    ] {
        let found = judge(&one(text).unwrap(), vec![]);
        assert_eq!(found, [format!("policy/no-verdict : the policy dayfly.a.deny {why}")], "{text}");
    }
}

#[test]
fn a_builtin_that_fails_denies_wherever_it_stands() {
    let deny = |condition: &str| format!("deny contains {{\"rule\": \"a\", \"msg\": \"b\"}} if {condition}");
    for text in [
        deny("regex.match(\"a\", 7)"),
        deny("to_number(\"abc\") > 1"),
        deny("not regex.match(\"a\", 7)"),
        deny("f(7)\nf(x) if regex.match(\"a\", x)\nf(x) if x == 8"),
        deny("count([x | some x in [1, 2]; startswith(x, \"a\")]) > 0"),
    ] {
        let found = judge(&one(&text).unwrap(), vec![]);
        assert!(found.len() == 1 && found[0].contains("dayfly.a.deny failed: "), "{text}: {found:?}");
    }
}

#[test]
fn a_policy_that_does_not_end_denies() {
    let ten = "[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]";
    let loops: String = (0..12).map(|n| format!("some x{n} in {ten}\n")).collect();
    let text = format!("deny contains {{\"rule\": \"a\", \"msg\": \"b\"}} if {{\n{loops}x0 > 100\n}}");
    let start = Instant::now();
    let found = judge(&one(&text).unwrap(), vec![]);
    assert_eq!(found, ["policy/no-verdict : the policy dayfly.a.deny took too long"]);
    assert!(start.elapsed().as_secs() < 20);
}

#[test]
fn a_builtin_that_fetches_or_guesses_is_refused() {
    for call in
        ["http.send({\"url\": \"x\"})", "time.now_ns()", "rand.intn(\"a\", 2)", "opa.runtime()", "numbers.range(1, 9)"]
    {
        let found = one(&format!("deny contains {{\"rule\": \"a\", \"msg\": \"b\"}} if {call} == 1")).unwrap_err();
        assert!(found[0].starts_with("policy/"), "{found:?}");
    }
}

#[test]
fn one_error_refuses_the_whole_set_and_names_its_place() {
    let good = "package dayfly.a\ndeny contains {\"rule\": \"a\", \"msg\": \"b\"} if false\n";
    assert!(set(&[("a.rego", good)]).is_ok());
    let found = set(&[("a.rego", good), ("b.rego", "package dayfly.b\n\ndeny contains {{ if true\n")]).unwrap_err();
    assert!(found[0].starts_with("policy/syntax policies/b.rego:3:"), "{found:?}");
    let found = set(&[("a.rego", good), ("b.rego", &good.replace("dayfly.a", "other"))]).unwrap_err();
    assert!(found[0].starts_with("policy/package policies/b.rego"), "{found:?}");
    let found = set(&[("a.rego", "package dayfly.a\nallow if true\n")]).unwrap_err();
    assert!(!found.is_empty());
    assert!(set(&[]).unwrap_err()[0].starts_with("policy/absent"));
}

#[test]
fn deep_nesting_is_refused_before_it_is_parsed() {
    for bracket in ["[", "{", "("] {
        let found = one(&format!("deny := {}", bracket.repeat(60))).unwrap_err();
        assert!(found[0].starts_with("policy/nesting policies/a.rego:2:19"), "{found:?}");
    }
    let often = format!("deny := {}{}\n", "[".repeat(10), "]".repeat(10)).repeat(500);
    let start = Instant::now();
    let found = one(&often).unwrap_err();
    assert!(found[0].contains("too many brackets"), "{found:?}");
    assert!(start.elapsed().as_secs() < 5);
}

fn ships() -> PolicySet {
    PolicySet::compile(shipped().policies.get().unwrap()).unwrap()
}

fn good() -> Value {
    json!({
        "name": "c",
        "image": "registry.example.com/dayfly/a:1.2.0",
        "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"cpu": 1, "memory": "32Mi"}},
        "securityContext": {
            "runAsNonRoot": true, "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true,
            "capabilities": {"drop": ["ALL"]}, "seccompProfile": {"type": "RuntimeDefault"},
        },
    })
}

/// A workload of this kind with this container in this list, and everything else as it should be.
fn workload(kind: &str, list: &str, container: &Value) -> Value {
    let mut pod = json!({"containers": [good()], "automountServiceAccountToken": false});
    pod[list] = json!([container]);
    let spec = match kind {
        "Pod" => pod,
        "CronJob" => json!({"jobTemplate": {"spec": {"template": {"spec": pod}}}}),
        _ => json!({"template": {"spec": pod}}),
    };
    let labels = json!({
        "app.kubernetes.io/managed-by": "dayfly", "dayfly.dev/tier": "t", "dayfly.dev/team": "t", "dayfly.dev/cost-center": "c",
    });
    let metadata = json!({"name": "a", "labels": labels, "annotations": {"dayfly.dev/owner": "o"}});
    json!({"apiVersion": "v1", "kind": kind, "metadata": metadata, "spec": spec})
}

fn closed() -> Value {
    let mut closed = workload("NetworkPolicy", "x", &Value::Null);
    closed["spec"] = json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"]});
    closed
}

fn rules(policies: &PolicySet, object: Value) -> Vec<String> {
    let found = judge(policies, vec![closed(), object]);
    found.iter().map(|found| found.split(' ').next().unwrap().to_owned()).collect()
}

#[test]
fn every_container_of_every_workload_is_judged() {
    let policies = ships();
    let mut bad = good();
    bad["securityContext"]["privileged"] = true.into();
    let kinds =
        ["Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "ReplicationController", "Job", "CronJob", "Pod"];
    for kind in kinds {
        for list in dayfly_model::workload::LISTS {
            assert_eq!(rules(&policies, workload(kind, list, &good())), [""; 0], "{kind} {list}");
            assert_eq!(rules(&policies, workload(kind, list, &bad)), ["policy/privileged"], "{kind} {list}");
        }
        let hidden = rules(&policies, workload(kind, "containers", &json!("hidden")));
        assert!(hidden.contains(&"policy/malformed".to_owned()), "{kind}: {hidden:?}");
    }
}

#[test]
fn an_absent_field_or_one_of_another_type_is_no_permission() {
    let policies = ships();
    for (pointer, value, rule) in [
        ("/securityContext/privileged", json!("false"), "policy/privileged"),
        ("/securityContext/runAsNonRoot", json!("true"), "policy/run-as-root"),
        ("/securityContext/runAsNonRoot", json!(null), "policy/run-as-root"),
        ("/securityContext/runAsUser", json!("1000"), "policy/run-as-root"),
        ("/securityContext/runAsUser", json!(0), "policy/run-as-root"),
        ("/securityContext/allowPrivilegeEscalation", json!("false"), "policy/privilege-escalation"),
        ("/securityContext/allowPrivilegeEscalation", json!(null), "policy/privilege-escalation"),
        ("/securityContext/capabilities", json!({"drop": "ALL"}), "policy/capabilities"),
        ("/securityContext/capabilities", json!(null), "policy/capabilities"),
        ("/securityContext/capabilities", json!({"drop": ["ALL"], "add": "SYS_ADMIN"}), "policy/capabilities"),
        ("/securityContext/seccompProfile", json!(null), "policy/seccomp"),
        ("/securityContext/seccompProfile", json!({"type": "Unconfined"}), "policy/seccomp"),
        ("/ports", json!([{"hostPort": "80"}]), "policy/host-port"),
        ("/resources/limits/cpu", json!(null), "policy/resources"),
        ("/resources/requests/memory", json!("a lot"), "policy/resources"),
        ("/image", json!("registry.example.com/a"), "policy/image-tag"),
        ("/image", json!("registry.example.com/a:latest"), "policy/image-tag"),
        ("/image", json!("registry.example.com.evil.com/a:1.0.0"), "policy/image-registry"),
        ("/image", json!("registry.example.com@evil.com/a:1.0.0"), "policy/image-registry"),
        ("/image", json!("evil/registry.example.com/a:1.0.0"), "policy/image-registry"),
    ] {
        let mut container = good();
        let (parent, field) = pointer.rsplit_once('/').unwrap();
        container.pointer_mut(parent).unwrap()[field] = value.clone();
        let found = rules(&policies, workload("Deployment", "containers", &container));
        assert!(found.contains(&rule.to_owned()), "{pointer} {value}: {found:?}");
    }
    let mut absent = good();
    absent.as_object_mut().unwrap().retain(|field, _| field == "name");
    let found = rules(&policies, workload("Deployment", "containers", &absent));
    for rule in
        ["image-registry", "image-tag", "run-as-root", "privilege-escalation", "capabilities", "seccomp", "resources"]
    {
        assert!(found.contains(&format!("policy/{rule}")), "{found:?}");
    }
}

#[test]
fn a_pod_that_reaches_its_node_is_denied() {
    let policies = ships();
    for (field, value, rule) in [
        ("hostNetwork", json!("true"), "policy/host-namespace"),
        ("hostPID", json!(true), "policy/host-namespace"),
        ("hostIPC", json!(1), "policy/host-namespace"),
        ("volumes", json!([{"name": "a", "hostPath": {"path": "/"}}]), "policy/volume-type"),
        ("volumes", json!([{"name": "a", "emptyDir": {}, "hostPath": {"path": "/"}}]), "policy/volume-type"),
        ("volumes", json!({"hostPath": {}}), "policy/volume-type"),
        ("automountServiceAccountToken", json!("false"), "policy/service-account-token"),
        ("automountServiceAccountToken", json!(null), "policy/service-account-token"),
    ] {
        let mut object = workload("Deployment", "containers", &good());
        object["spec"]["template"]["spec"][field] = value.clone();
        assert_eq!(rules(&policies, object), [rule], "{field} {value}");
    }
}

/// What a waiver and the tier make of one `warn` and one `deny`.
fn with(change: impl Fn(&mut Waiver), enforcement: Enforcement, roles: &[&str]) -> Decision {
    let rule = |set: &str, name: &str| {
        format!("{set} contains {{\"rule\": \"{name}\", \"msg\": \"m\", \"help\": \"H.\"}} if true\n")
    };
    let policies = one(&(rule("deny", "d") + &rule("warn", "w"))).unwrap();
    let mut environment = environment(&[]);
    environment.enforcement = enforcement;
    let approval = |role: &&str| dayfly_model::platform::environment::RequiredApproval {
        role: (*role).into(),
        team: "t".into(),
        count: 1,
        when_monthly_cost_above: None,
    };
    environment.approvals = roles.iter().map(approval).collect();
    let instance = instance(template(json!({}), &[]), environment, json!({}));
    let mut waiver = Waiver {
        name: "later".into(),
        rule: "policy/d".parse().ok(),
        apps: vec![instance.key.app.clone()],
        tier: None,
        reason: "until the template is mended".into(),
        owner: "maya@example.com".into(),
        approver: "security".into(),
        expires: "2026-12-01T00:00:00Z".parse().unwrap(),
        spans: Default::default(),
    };
    change(&mut waiver);
    let manifests = Arc::new(Manifests::new(vec![], &Kinds::builtin()).unwrap());
    policies.decide(&instance, manifests, &MonthlyCost::default(), [&Arc::new(waiver)], now())
}

#[test]
fn a_waiver_lifts_one_rule_until_it_ends_and_says_so() {
    let Decision::Admitted { warnings, .. } = with(|_| {}, Enforcement::Warn, &["security"]) else { panic!() };
    let messages: Vec<_> = warnings.iter().map(|found| found.message.as_str()).collect();
    assert_eq!(messages, ["m (waived until 2026-12-01T00:00:00Z: until the template is mended)", "m"]);
    let Decision::Denied { violations, .. } = with(|_| {}, Enforcement::Deny, &[]) else { panic!() };
    assert_eq!(violations.iter().map(|found| found.rule.id()).collect::<Vec<_>>(), ["policy/w"]);
}

#[test]
fn a_waiver_that_ended_or_is_another_s_has_no_effect_and_says_so() {
    let help = |decision| match decision {
        Decision::Denied { violations, .. } => violations[0].help.clone().unwrap(),
        Decision::Admitted { .. } => panic!(),
    };
    let ended = |waiver: &mut Waiver| waiver.expires = now();
    assert_eq!(help(with(ended, Enforcement::Warn, &[])), "H. The waiver later ended at 2026-11-23T12:00:00Z.");
    let stranger = help(with(|_| {}, Enforcement::Warn, &["finance"]));
    assert_eq!(stranger, "H. The waiver later has no effect: its approver security is no role of this tier.");
    let other_app = |waiver: &mut Waiver| waiver.apps = vec!["other".parse().unwrap()];
    assert_eq!(help(with(other_app, Enforcement::Warn, &[])), "H.");
}

#[test]
fn a_rule_that_needs_itself_is_refused_before_it_runs() {
    let deny = "deny contains v if {\n\tf(1) > 0\n\tv := {\"rule\": \"x\", \"msg\": \"y\"}\n}\n";
    for (circle, rules) in [
        ("dayfly.a.f -> dayfly.a.f", "f(x) := f(x + 1)\n"),
        ("dayfly.a.f -> dayfly.a.g -> dayfly.a.f", "f(x) := g(x)\ng(x) := y if {\n\tsome z in [x]\n\ty := f(z)\n}\n"),
    ] {
        let errors = one(&format!("{rules}{deny}")).err().unwrap();
        assert!(errors[0].contains("needs itself") && errors[0].ends_with(circle), "{errors:?}");
    }
    let chain = |length: usize| {
        let links: String = (1..length).map(|n| format!("f{n}(x) := f{}(x)\n", n + 1)).collect();
        format!("{links}f{length}(x) := x\n{}", deny.replace("f(1)", "f1(1)"))
    };
    assert!(one(&chain(40)).is_ok());
    assert!(one(&chain(60)).is_err());
}

#[test]
fn a_rule_that_may_have_two_values_is_refused() {
    let deny = "deny contains v if {\n\tlevel > 0\n\tv := {\"rule\": \"x\", \"msg\": \"y\"}\n}\n";
    let two = "level := 1 if input.app.name\n\nlevel := 2 if input.app.team\n\n";
    assert!(one(&format!("{two}{deny}")).err().unwrap()[0].contains("two of them may hold at once"));
    let joined =
        "default level := 0\n\nlevel := 1 if {\n\tnot input.app.name\n} else := 2 if {\n\tinput.app.team\n}\n\n";
    assert!(one(&format!("{joined}{deny}")).is_ok());
}

#[test]
fn what_input_never_has_cannot_be_read() {
    let deny = |condition: &str| format!("deny contains {{\"rule\": \"a\", \"msg\": \"b\"}} if {{\n\t{condition}\n}}");
    for (condition, expected) in [
        ("some c in input.containers\n\tc.privilegd", "4:4: c has no privilegd"),
        ("input.container[_].privileged", "3:8: input has no container"),
        ("input.containers[_].image.tagg == \"latest\"", "3:28: input.containers[_].image has no tagg"),
        ("every pod in input.pods { pod.hostnetwork }", "3:32: pod has no hostnetwork"),
        ("images := [c.image | some c in input.containers; c.img]\n\tcount(images) > 0", "3:53: c has no img"),
        ("app := input[\"app\"]\n\tnot app.costcenter", "4:10: app has no costcenter"),
        ("c = input.containers[i]\n\ti >= 0\n\tc.image.digest.algorithm", "5:17: c.image.digest has no algorithm"),
        ("every c in input.containers { c.name }\n\tsome c in input.pods\n\tc.image", "5:4: c has no image"),
    ] {
        let found = one(&deny(condition)).unwrap_err();
        let expected = format!("policy/input policies/a.rego:{expected}, so what depends on it never holds");
        assert_eq!(found, [expected], "{condition}");
    }
    let found = one("deny contains {\"rule\": \"a\", \"msg\": c.nme} if some c in input.containers").unwrap_err();
    assert_eq!(found, ["policy/input policies/a.rego:2:38: c has no nme, so what depends on it never holds"]);
    for condition in [
        "some object in input.objects\n\tobject.spec.whatever",
        "input.app.parameters.title == \"x\"",
        "some c in input.containers\n\tsome d in input.pods\n\tc.object == d.object",
        "count([c | some c in input.containers]) > 0\n\tcount([c | some c in input.pods; c.hostPID]) > 0",
        "some field in [\"hostPID\"]\n\tinput.pods[_][field]",
        "f(input.app)\n}\nf(app) if {\n\tapp.anything",
        "data.dayfly.a.deny with input as {\"else\": 1}\n\tinput.app.name",
    ] {
        let outcome = one(&deny(condition));
        let is_refused = outcome.as_ref().is_err_and(|found| found.iter().any(|it| it.contains("policy/input")));
        assert!(!is_refused, "{condition}: {outcome:?}");
    }
}

#[test]
fn what_input_has_is_what_policies_may_read() {
    /// Whether a value has just these fields, all the way down.
    fn fits(shape: &Value, value: &Value) -> bool {
        match (shape, value) {
            (Value::Null, _) => true,
            (Value::Object(fields), Value::Object(values)) => {
                fields.keys().eq(values.keys()) && fields.iter().all(|(name, shape)| fits(shape, &values[name]))
            }
            (Value::Array(items), Value::Array(values)) => values.iter().all(|value| fits(&items[0], value)),
            (Value::String(_), value) => !value.is_object() && !value.is_array(),
            _ => false,
        }
    }
    let platform = shipped();
    for app in platform.apps.keys() {
        let instance = platform.instance(app).unwrap();
        let manifests = render(&instance).unwrap();
        let cost = cost::monthly(&manifests, &instance.environment.prices);
        let input: Value = serde_json::from_str(&input::of(&instance, &manifests, &cost).to_string()).unwrap();
        let mut shape = reads::INPUT.clone();
        // Rego sorts its fields.
        shape.sort_all_objects();
        assert!(fits(&shape, &input), "{app}: {input:#}");
    }
}

#[test]
fn what_was_put_away_reads_back_as_it_was() {
    let odd = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "odd"}, "data": {
        "z": [0.1 + 0.2, 1.0, -0.0, 1e300, u64::MAX, i64::MIN], "a": "\u{2028}\"\\\n\u{1f980}", "": null, "nested": {"b": {}, "a": []},
    }});
    let manifests = Manifests::new(vec![Object::new(odd.clone()).unwrap()], &Kinds::builtin()).unwrap();
    let admitted = Admitted::for_tests(Arc::new(manifests));
    let opened = admitted.seal().open().unwrap();
    assert_eq!(opened.manifests().objects, admitted.manifests().objects);
    let text = |admitted: &Admitted| admitted.manifests().objects[0].value().to_string();
    assert_eq!(text(&opened), text(&admitted), "the order of fields, too");
    assert_eq!(format!("{:?}", admitted.seal()), format!("Sealed({})", admitted.manifests().digest.short()));
}
