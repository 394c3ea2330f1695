//! Random conversations: three managers write the same deployment, service and config map.

use dayfly_tests::conversation::ConversationRequest;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::{Map, Value, json};

/// A few writes by three managers to one object, after one manager has made it.
pub fn conversation() -> impl Strategy<Value = Vec<ConversationRequest>> {
    prop_oneof![
        requests("configmaps/it", json!({"data": {"a": "1", "b": "1"}}), config_map().boxed()),
        requests("services/it", json!({"spec": {"ports": [{"name": "first", "port": 1}]}}), service().boxed()),
        requests("deployments/it", whole_deployment(), deployment().boxed()),
    ]
}

fn requests(
    target: &'static str,
    first: Value,
    body: BoxedStrategy<Value>,
) -> impl Strategy<Value = Vec<ConversationRequest>> {
    let verb = prop_oneof![
        5 => Just(("apply", json!({}))),
        2 => Just(("apply", json!({"force": true}))),
        1 => Just(("merge", json!({}))),
        1 => Just(("strategic", json!({}))),
    ];
    let manager = select(vec!["alice", "bob", "carol"]);
    let request = (verb, manager, body, 0..3).prop_map(move |((verb, query), manager, mut body, pick)| {
        match (verb, pick) {
            ("strategic", 0) => direct(&mut body),
            ("strategic" | "merge", 1) => forget(&mut body),
            _ => {}
        }
        json!({verb: target, "as": manager, "query": query, "body": body})
    });
    vec(request, 1..8).prop_map(move |mut requests| {
        requests.insert(0, json!({"apply": target, "as": "alice", "body": first}));
        serde_json::from_value(Value::Array(requests)).unwrap()
    })
}

/// Turns some of a strategic patch into directives.
fn direct(patch: &mut Value) {
    match patch {
        Value::Object(fields) => {
            let lists = fields.iter().filter(|(_, value)| value.get(0).is_some_and(Value::is_object));
            let orders = lists.map(|(name, list)| (format!("$setElementOrder/{name}"), list.clone()));
            let orders: Vec<_> = orders.collect();
            fields.values_mut().for_each(direct);
            fields.extend(orders);
        }
        Value::Array(items) => {
            if let Some(Value::Object(first)) = items.first_mut() {
                first.insert("$patch".into(), json!("delete"));
            }
        }
        _ => {}
    }
}

/// Turns the last field at each depth into null, but for what an object can't be without.
fn forget(patch: &mut Value) {
    if let Value::Object(fields) = patch {
        fields.values_mut().for_each(forget);
        let kept = ["metadata", "spec", "template", "selector"];
        if let Some((_, last)) = fields.iter_mut().rfind(|(name, _)| !kept.contains(&name.as_str())) {
            *last = Value::Null;
        }
    }
}

fn config_map() -> impl Strategy<Value = Value> {
    (metadata(), map(&["a", "b", "c"])).prop_map(|(metadata, data)| object([("metadata", metadata), ("data", data)]))
}

fn service() -> impl Strategy<Value = Value> {
    let port = |name: &'static str, port: u16, protocol: Option<&'static str>| {
        option::of(select(vec![json!(8080), json!("http")])).prop_map(move |target| {
            let mut object = json!({"name": name, "port": port});
            object.as_object_mut().unwrap().extend(protocol.map(|p| ("protocol".to_owned(), json!(p))));
            object.as_object_mut().unwrap().extend(target.map(|t| ("targetPort".to_owned(), t)));
            object
        })
    };
    let ports =
        (port("one", 80, None), port("one", 80, Some("TCP")), port("two", 80, Some("UDP")), port("three", 443, None));
    let ports =
        (ports, any::<bool>(), subsequence(vec![0, 1, 2], 0..=3)).prop_map(|((a, b, c, d), explicit, which)| {
            let all = [if explicit { b } else { a }, c, d];
            json!(which.into_iter().map(|index| all[index].clone()).collect::<Vec<_>>())
        });
    (metadata(), option::of(ports), map(&["app", "tier"]), option::of(select(vec!["ClientIP", "None"]))).prop_map(
        |(metadata, ports, selector, affinity)| {
            let affinity = affinity.map(|affinity| json!(affinity));
            let spec = object([("ports", ports), ("selector", selector), ("sessionAffinity", affinity)]);
            object([("metadata", metadata), ("spec", Some(spec))])
        },
    )
}

fn whole_deployment() -> Value {
    json!({"spec": {
        "selector": {"matchLabels": {"app": "it"}},
        "template": {
            "metadata": {"labels": {"app": "it"}},
            "spec": {"containers": [{"name": "one", "image": "one"}, {"name": "two", "image": "two"}]},
        },
    }})
}

fn deployment() -> impl Strategy<Value = Value> {
    let containers = subsequence(vec!["one", "two", "three"], 0..=3)
        .prop_shuffle()
        .prop_flat_map(|names| names.into_iter().map(container).collect::<Vec<_>>())
        .prop_map(|containers| json!(containers));
    let volumes = subsequence(vec!["v", "w"], 0..=2)
        .prop_map(|names| json!(names.iter().map(|name| json!({"name": name, "emptyDir": {}})).collect::<Vec<_>>()));
    let pod = (option::of(containers), option::of(volumes))
        .prop_map(|(containers, volumes)| object([("containers", containers), ("volumes", volumes)]));
    (metadata(), option::of(0..3), pod).prop_map(|(metadata, replicas, pod)| {
        let template = json!({"metadata": {"labels": {"app": "it"}}, "spec": pod});
        let selector = json!({"matchLabels": {"app": "it"}});
        let replicas = replicas.map(|replicas| json!(replicas));
        let spec = object([("replicas", replicas), ("selector", Some(selector)), ("template", Some(template))]);
        object([("metadata", metadata), ("spec", Some(spec))])
    })
}

fn container(name: &'static str) -> impl Strategy<Value = Value> {
    let env = subsequence(vec!["A", "B", "C"], 0..=3).prop_shuffle().prop_flat_map(|names| {
        let variable = |name| value().prop_map(move |value| json!({"name": name, "value": value}));
        names.into_iter().map(variable).collect::<Vec<_>>()
    });
    let ports = subsequence(
        vec![
            json!({"containerPort": 80}),
            json!({"containerPort": 80, "protocol": "UDP"}),
            json!({"containerPort": 53, "name": "dns"}),
        ],
        0..=3,
    );
    let arguments = subsequence(vec!["x", "y", "z"], 0..=3);
    let limits = map(&["cpu", "memory"]);
    (option::of(env), option::of(ports), option::of(arguments), limits).prop_map(
        move |(env, ports, arguments, limits)| {
            let resources = limits.map(|limits| json!({"limits": limits}));
            let [env, ports] = [env, ports].map(|list| list.map(Value::Array));
            let name = ("name", Some(json!(name)));
            let image = ("image", Some(json!("image")));
            let arguments = arguments.map(|arguments| json!(arguments));
            object([name, image, ("env", env), ("ports", ports), ("args", arguments), ("resources", resources)])
        },
    )
}

fn metadata() -> impl Strategy<Value = Option<Value>> {
    let finalizers = subsequence(vec!["example.com/a", "example.com/b", "example.com/c"], 0..=3).prop_shuffle();
    let finalizers = option::of(finalizers.prop_map(|finalizers| json!(finalizers)));
    option::of((map(&["a", "b"]), map(&["note"]), finalizers).prop_map(|(labels, annotations, finalizers)| {
        object([("labels", labels), ("annotations", annotations), ("finalizers", finalizers)])
    }))
}

/// A map with some of the keys.
fn map(keys: &[&'static str]) -> impl Strategy<Value = Option<Value>> {
    option::of(subsequence(keys.to_vec(), 0..=keys.len()).prop_flat_map(|keys| {
        let entries = keys.into_iter().map(|key| value().prop_map(move |value| (key.to_owned(), json!(value))));
        entries.collect::<Vec<_>>().prop_map(|entries| Value::Object(Map::from_iter(entries)))
    }))
}

fn value() -> impl Strategy<Value = &'static str> {
    select(vec!["1", "2"])
}

/// An object of the fields that are there.
fn object<const N: usize>(fields: [(&str, Option<Value>); N]) -> Value {
    fields.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect::<Map<_, _>>().into()
}
