use std::time::Instant;

use serde_json::{Value, json};

use super::*;
use crate::cost;
use crate::fixtures::{environment, instance, shipped, template};
use crate::object::Object;
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
    let manifests = Arc::new(Manifests::new(objects).unwrap());
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
        ("deny := x if { x := input.nothing }", "is undefined"),
        ("deny := false", "is no set"),
        ("deny := [1]", "is no set"),
        ("deny contains \"text\"", "has an element without rule and msg"),
        ("deny contains {\"rule\": \"a\"}", "has an element without rule and msg"),
    ] {
        let found = judge(&one(text).unwrap(), vec![]);
        assert_eq!(found, [format!("policy/no-verdict : the policy dayfly.a.deny {why}")], "{text}");
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
        let start = Instant::now();
        let found = one(&format!("deny := {}", bracket.repeat(60))).unwrap_err();
        assert!(found[0].starts_with("policy/nesting policies/a.rego:2:19"), "{found:?}");
        let start_deep = one(&format!("deny := {}1{}", bracket.repeat(10), "]".repeat(10)));
        drop(start_deep);
        assert!(start.elapsed().as_secs() < 5, "{bracket}");
    }
}
