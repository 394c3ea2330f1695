//! Server-side apply against the rules that define it.

use proptest::prelude::*;

use super::*;

fn write<'a>(kind: (&'a str, &'a str), manager: &'a str, second: i64) -> ManagedWrite<'a> {
    let schema = ApiSchema::builtin();
    let (group, version) = kind.0.rsplit_once('/').unwrap_or(("", kind.0));
    let resource = schema.resource_of_kind(group, version, kind.1).unwrap();
    ManagedWrite {
        schema,
        type_id: resource.type_id,
        api_version: kind.0,
        kind: kind.1,
        manager,
        subresource: "",
        reset: reset_fields(resource, ""),
        now: Timestamp::from_second(second).unwrap(),
    }
}

const CONFIG_MAP: (&str, &str) = ("v1", "ConfigMap");
const DEPLOYMENT: (&str, &str) = ("apps/v1", "Deployment");

fn config_map(data: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "b"}, "data": data})
}

fn deployment(spec: &Value) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a", "namespace": "b"}, "spec": spec})
}

fn apply(manager: &str, live: Option<&Value>, data: &Value) -> Result<Value, ApplyError> {
    write(CONFIG_MAP, manager, 1).apply(live, &config_map(data), false)
}

fn owned(object: &Value, manager: &str) -> Value {
    let entries = object.pointer("/metadata/managedFields").and_then(Value::as_array);
    let mut entries = entries.into_iter().flatten().filter(|e| e["manager"] == manager);
    entries.next().map_or(Value::Null, |e| e["fieldsV1"].clone())
}

#[test]
fn an_applier_owns_what_it_applies_but_not_the_name_of_the_object() {
    let object = apply("one", None, &json!({"a": "1"})).unwrap();
    assert_eq!(object["data"], json!({"a": "1"}));
    assert_eq!(
        object["metadata"]["managedFields"],
        json!([{"manager": "one", "operation": "Apply", "apiVersion": "v1", "time": "1970-01-01T00:00:01Z",
                "fieldsType": "FieldsV1", "fieldsV1": {"f:data": {"f:a": {}}}}])
    );
}

#[test]
fn a_change_of_another_managers_field_is_a_conflict_with_the_message_of_kubernetes() {
    let before = write(DEPLOYMENT, "kubectl-edit", 1).track(None, deployment(&json!({"replicas": 1})));
    let error =
        write(DEPLOYMENT, "two", 2).apply(Some(&before), &deployment(&json!({"replicas": 2})), false).unwrap_err();
    assert_eq!(
        error.to_string(),
        "Apply failed with 1 conflict: conflict with \"kubectl-edit\" using apps/v1: .spec.replicas"
    );
    let cause = StatusCause {
        reason: "FieldManagerConflict",
        message: "conflict with \"kubectl-edit\" using apps/v1".to_owned(),
        field: ".spec.replicas".to_owned(),
    };
    assert_eq!(error.causes(), [cause]);

    let one = apply("one", None, &json!({"a": "1", "b": "1"})).unwrap();
    assert_eq!(
        apply("two", Some(&one), &json!({"a": "2", "b": "2"})).unwrap_err().to_string(),
        "Apply failed with 2 conflicts: conflicts with \"one\":\n- .data.a\n- .data.b"
    );
}

#[test]
fn managers_that_apply_equal_values_share_a_field_until_the_last_leaves_it_out() {
    let one = apply("one", None, &json!({"a": "1", "b": "1"})).unwrap();
    let both = apply("two", Some(&one), &json!({"a": "1"})).unwrap();
    assert_eq!(owned(&both, "two"), json!({"f:data": {"f:a": {}}}));
    let without_one = apply("one", Some(&both), &json!({"b": "1"})).unwrap();
    assert_eq!(without_one["data"], json!({"a": "1", "b": "1"}));
    let gone = apply("two", Some(&without_one), &json!({})).unwrap();
    assert_eq!(gone["data"], json!({"b": "1"}));
    assert_eq!(owned(&gone, "two"), json!({"f:data": {}}));
}

#[test]
fn force_takes_a_field_from_its_owner() {
    let one = apply("one", None, &json!({"a": "1"})).unwrap();
    let two = write(CONFIG_MAP, "two", 2).apply(Some(&one), &config_map(&json!({"a": "2"})), true).unwrap();
    assert_eq!(two["data"], json!({"a": "2"}));
    assert_eq!(owned(&two, "one"), Value::Null);
    assert_eq!(owned(&two, "two"), json!({"f:data": {"f:a": {}}}));
}

#[test]
fn repeating_an_apply_changes_nothing_not_even_a_time() {
    let one = apply("one", None, &json!({"a": "1"})).unwrap();
    let again = write(CONFIG_MAP, "one", 9).apply(Some(&one), &config_map(&json!({"a": "1"})), false).unwrap();
    assert_eq!(again, one);
}

#[test]
fn an_updater_owns_what_it_creates_and_then_what_it_changes() {
    let containers = json!([{"name": "a", "image": "b", "ports": [{"containerPort": 80, "protocol": "TCP"}]}]);
    let mut created = deployment(&json!({
        "replicas": 1, "selector": {"matchLabels": {"a": "b"}},
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}},
        "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": containers}}
    }));
    let tool = write(DEPLOYMENT, "tool", 1);
    canonicalize(tool.schema, tool.type_id, &mut created);
    let created = tool.track(None, created);
    assert_eq!(
        owned(&created, "tool"),
        json!({"f:spec": {
            "f:replicas": {},
            "f:selector": {},
            "f:strategy": {"f:rollingUpdate": {".": {}, "f:maxSurge": {}}, "f:type": {}},
            "f:template": {"f:metadata": {"f:labels": {".": {}, "f:a": {}}}, "f:spec": {"f:containers": {
                "k:{\"name\":\"a\"}": {".": {}, "f:image": {}, "f:name": {},
                    "f:ports": {".": {}, "k:{\"containerPort\":80,\"protocol\":\"TCP\"}":
                        {".": {}, "f:containerPort": {}, "f:protocol": {}}},
                    "f:resources": {}}}}}
        }})
    );
    let mut scaled = created.clone();
    scaled["spec"]["replicas"] = json!(3);
    let scaled = ManagedWrite { subresource: "scale", reset: &[], ..write(DEPLOYMENT, "kubectl", 2) }
        .track(Some(&created), scaled);
    assert_eq!(owned(&scaled, "kubectl"), json!({"f:spec": {"f:replicas": {}}}));
    assert!(owned(&scaled, "tool")["f:spec"].get("f:replicas").is_none());
    assert_eq!(scaled["metadata"]["managedFields"][1]["subresource"], "scale");
}

#[test]
fn a_write_to_the_object_never_owns_its_status() {
    let before = write(DEPLOYMENT, "tool", 1).track(None, deployment(&json!({"replicas": 1})));
    let mut after = before.clone();
    after["status"] = json!({"readyReplicas": 1});
    assert_eq!(owned(&write(DEPLOYMENT, "tool", 2).track(Some(&before), after), "tool")["f:status"], Value::Null);
}

#[test]
fn fields_from_before_the_first_apply_belong_to_before_first_apply() {
    let live = config_map(&json!({"a": "1"}));
    let error = apply("one", Some(&live), &json!({"a": "2"})).unwrap_err();
    assert_eq!(
        error.to_string(),
        "Apply failed with 1 conflict: conflict with \"before-first-apply\" using v1: .data.a"
    );
    assert_eq!(owned(&write(CONFIG_MAP, "x", 1).track(Some(&live), config_map(&json!({"a": "2"}))), "x"), Value::Null);
}

#[test]
fn kubectl_takes_over_what_it_applied_on_the_client_side() {
    let last = config_map(&json!({"a": "1"})).to_string();
    let mut object = config_map(&json!({"a": "1"}));
    object["metadata"]["annotations"] = json!({ LAST_APPLIED: last });
    let live = write(CONFIG_MAP, "kubectl-client-side-apply", 1).track(None, object);
    assert!(apply("other", Some(&live), &json!({"a": "2"})).is_err());
    let taken = apply("kubectl", Some(&live), &json!({"a": "2"})).unwrap();
    assert_eq!(taken["data"]["a"], "2");
    assert!(last_applied_text(&taken).unwrap().contains("\"a\":\"2\""));
}

#[test]
fn an_applied_object_must_fit_its_schema() {
    let error = write(DEPLOYMENT, "one", 1).apply(None, &deployment(&json!({"replica": 1})), false).unwrap_err();
    assert_eq!(
        error.to_string(),
        "failed to create typed patch object (b/a; apps/v1, Kind=Deployment): .spec.replica: field not declared in schema"
    );
}

#[test]
fn an_object_that_differs_in_times_only_is_not_written() {
    let one = apply("one", None, &json!({"a": "1"})).unwrap();
    let mut later = one.clone();
    later["metadata"]["managedFields"][0]["time"] = json!("1970-01-01T00:00:09Z");
    assert_eq!(ignore_times(&one, later), one);
    let other = apply("one", Some(&one), &json!({"a": "2"})).unwrap();
    assert_eq!(ignore_times(&one, other.clone()), other);
}

/// A deployment of one to three containers, each with environment and arguments.
fn spec() -> impl Strategy<Value = Value> {
    let env = prop::collection::btree_map("[abc]", "[12]", 0..3)
        .prop_map(|env| env.into_iter().map(|(name, value)| json!({"name": name, "value": value})).collect::<Vec<_>>());
    let env = env.prop_shuffle();
    let container = (prop::option::of("[xy]"), env, prop::option::of(prop::collection::vec("[12]", 1..3)));
    let containers = prop::collection::btree_map("[abc]", container, 1..4);
    let containers = containers.prop_map(|map| map.into_iter().collect::<Vec<_>>()).prop_shuffle();
    let labels = prop::collection::btree_map("[abc]", "[12]", 1..3);
    (prop::option::of(0..3i32), containers, labels).prop_map(|(replicas, containers, labels)| {
        let containers = containers.into_iter().map(|(name, (image, env, args))| {
            let mut container = json!({"name": name});
            image.into_iter().for_each(|image| container["image"] = json!(image));
            args.into_iter().for_each(|args| container["args"] = json!(args));
            if !env.is_empty() {
                container["env"] = json!(env);
            }
            container
        });
        let containers = containers.collect::<Vec<_>>();
        let mut spec = json!({"template": {"metadata": {"labels": labels}, "spec": {"containers": containers}}});
        replicas.into_iter().for_each(|replicas| spec["replicas"] = json!(replicas));
        spec
    })
}

fn force(manager: &str, live: Option<&Value>, spec: &Value) -> Value {
    write(DEPLOYMENT, manager, 1).apply(live, &deployment(spec), true).unwrap()
}

/// The object without its managed fields.
fn bare(object: &Value) -> Value {
    take_managers(object.clone()).0
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn an_apply_is_idempotent(before in spec(), first in spec(), second in spec()) {
        let live = force("other", None, &before);
        let once = force("one", Some(&force("one", Some(&live), &first)), &second);
        prop_assert_eq!(&force("one", Some(&once), &second), &once);
    }

    #[test]
    fn what_an_applier_leaves_out_is_removed_unless_another_owns_it(base in spec(), more in spec()) {
        let live = force("other", None, &base);
        let Ok(both) = write(DEPLOYMENT, "one", 1).apply(Some(&live), &deployment(&more), false) else { return Ok(()) };
        let gone = force("one", Some(&both), &json!({}));
        prop_assert_eq!(typed::field_set(ApiSchema::builtin(), write(DEPLOYMENT, "", 1).type_id, &bare(&gone)),
            typed::field_set(ApiSchema::builtin(), write(DEPLOYMENT, "", 1).type_id, &bare(&live)));
        prop_assert_eq!(owned(&gone, "other"), owned(&live, "other"));
    }

    #[test]
    fn a_forced_apply_takes_effect_on_the_object_and_on_its_managers(base in spec(), more in spec()) {
        let live = force("other", None, &base);
        let forced = force("one", Some(&live), &more);
        let id = write(DEPLOYMENT, "", 1).type_id;
        let change = typed::compare(ApiSchema::builtin(), id, &deployment(&more), &bare(&forced));
        prop_assert!(change.modified.is_empty(), "{:?}", change.modified.paths());
        let again = write(DEPLOYMENT, "one", 1).apply(Some(&forced), &deployment(&more), false);
        prop_assert_eq!(again.unwrap(), forced);
    }

    #[test]
    fn applies_that_do_not_conflict_give_the_same_in_any_order(a in spec(), b in spec()) {
        let apply = |manager: &str, live: &Value, spec: &Value| {
            write(DEPLOYMENT, manager, 1).apply(Some(live), &deployment(spec), false)
        };
        let (first, second) = (force("a", None, &a), force("b", None, &b));
        if let (Ok(ab), Ok(ba)) = (apply("b", &first, &b), apply("a", &second, &a)) {
            let id = write(DEPLOYMENT, "", 1).type_id;
            let change = typed::compare(ApiSchema::builtin(), id, &bare(&ab), &bare(&ba));
            prop_assert_eq!(change, typed::Comparison::default());
            prop_assert_eq!((owned(&ab, "a"), owned(&ab, "b")), (owned(&ba, "a"), owned(&ba, "b")));
        }
    }

    #[test]
    fn every_field_an_update_changes_has_the_updater_as_its_only_owner(a in spec(), b in spec()) {
        let writer = write(DEPLOYMENT, "tool", 2);
        let live = force("one", None, &a);
        let mut after = deployment(&b);
        canonicalize(writer.schema, writer.type_id, &mut after);
        let tracked = writer.track(Some(&live), after.clone());
        let change = typed::compare(writer.schema, writer.type_id, &bare(&live), &after);
        let taken = change.modified.union(&change.added);
        let own = FieldSet::decode(&owned(&tracked, "tool")).unwrap();
        prop_assert_eq!(&own, &taken);
        prop_assert!(FieldSet::decode(&owned(&tracked, "one")).unwrap().intersection(&taken).is_empty());
    }
}
