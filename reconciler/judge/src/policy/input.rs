//! What policies read as `input`.
//!
//! | name | what it is |
//! |---|---|
//! | `app` | `name`, `team`, `owner`, `costCenter`, `purpose`, `dataClassification`, `template`, `version`, `runtime`, `connectors`, `egress` (`{cidr, hostname, port}`), `suspend`, `parameters` |
//! | `template` | `connectors`, `secrets`: what it offers |
//! | `environment` | `tier`, `order`, `namespace`, `budget.perApp` (null: none), `hostnames` |
//! | `objects` | the objects as rendered, each with its name in `input.keys` at the same index |
//! | `pods` | per workload: `object`, `hostNetwork`, `hostPID`, `hostIPC`, `serviceAccountToken`, `volumes` (`{name, type}`), `sysctls` |
//! | `containers` | every container of every list of every workload, see below |
//! | `cost` | `low`, `high`, `currency`, a month |
//!
//! A container has `object`, `list`, `name`, `image` (`{text, registry, repository, tag, digest}`, each a text,
//! the last two maybe empty), `privileged`, `runAsNonRoot`, `runAsUser` (or null), `allowPrivilegeEscalation`, `readOnlyRootFilesystem`,
//! `added` and `dropped` capabilities, `seccomp` (maybe empty), `hostPorts`, `requests` and `limits` (`{cpu, memory}` in cores
//! and bytes, or null).
//!
//! All of these are always there and of one type. What the object leaves open has the value that Kubernetes gives it,
//! with the pod's where the container's is absent; what has another type than Kubernetes wants counts as the worse case:
//! `privileged: "false"` is true, `runAsNonRoot: "true"` is false.

use std::cell::RefCell;
use std::collections::BTreeMap;

use dayfly_model::object::Object;
use dayfly_model::platform::Instance;
use dayfly_model::platform::app::Egress;
use dayfly_model::quantity;
use dayfly_model::rule::Rule;
use dayfly_model::workload::Pods;
use regorus::Value as Rego;
use serde_json::{Value, json};

use super::Finding;
use crate::cost::MonthlyCost;
use crate::render::Manifests;

/// The input of one instance.
pub fn of(instance: &Instance, manifests: &Manifests, cost: &MonthlyCost) -> Rego {
    let (app, environment) = (&instance.app, &instance.environment);
    let pods: Vec<_> = manifests.objects.iter().filter_map(Pods::of).collect();
    let input = json!({
        "app": {
            "name": app.name,
            "team": app.team,
            "owner": app.owner,
            "costCenter": app.cost_center,
            "purpose": app.purpose,
            "dataClassification": app.data_classification,
            "template": instance.template.reference,
            "version": instance.template.version.to_string(),
            "runtime": instance.runtime,
            "connectors": app.connectors,
            "egress": app.egress.iter().map(egress).collect::<Vec<_>>(),
            "suspend": app.suspend,
            "parameters": instance.parameters,
        },
        "template": {"connectors": instance.template.connectors, "secrets": instance.template.secrets},
        "environment": {
            "tier": environment.tier,
            "order": environment.order,
            "namespace": instance.namespace,
            "budget": {"perApp": environment.budget.per_app},
            "hostnames": environment.egress_hostnames,
        },
        "keys": manifests.objects.iter().map(|object| object.key().to_string()).collect::<Vec<_>>(),
        "pods": pods.iter().map(|pods| pod(*pods)).collect::<Vec<_>>(),
        "containers": pods.iter().flat_map(|pods| containers(*pods)).collect::<Vec<_>>(),
        "cost": cost,
    });
    let mut input = Rego::from(input);
    if let Ok(fields) = input.as_object_mut() {
        fields.insert("objects".into(), objects(manifests).into());
    }
    input
}

/// Workloads that hide their pods from whoever reads them.
pub(super) fn malformed(manifests: &Manifests) -> Vec<Finding> {
    let pods = manifests.objects.iter().filter_map(Pods::of);
    pods.filter_map(|pods| {
        let message = pods.malformed()?;
        let object = Some(pods.object.key().to_string());
        let help = Some("Correct the template: Kubernetes refuses this too.".into());
        Some(Finding { object, help, ..Finding::new(Rule::POLICY_MALFORMED, message) })
    })
    .collect()
}

thread_local! {
    /// The objects that this thread converted last: those of one app.
    static LAST: RefCell<Vec<(Object, Rego)>> = const { RefCell::new(Vec::new()) };
}

/// The objects. What a tier adds to an app is mostly what it added to the one before, and all objects of an app have the
/// same labels: what is equal is converted once.
fn objects(manifests: &Manifests) -> Vec<Rego> {
    LAST.with_borrow_mut(|last| {
        let mut converted: Vec<(Object, Rego)> = Vec::with_capacity(manifests.objects.len());
        for object in &manifests.objects {
            let key = object.key();
            let twin = last.iter().find(|(other, _)| (&other.key().kind, &other.key().name) == (&key.kind, &key.name));
            let sibling = converted.last();
            let value = fields(object.value(), |field, value| match (field, value) {
                ("metadata", Value::Object(_)) => fields(value, |inner, value| {
                    equal(sibling, value, |value| &value[field][inner], |rego| &rego[field][inner])
                }),
                _ => equal(twin, value, |value| &value[field], |rego| &rego[field]),
            });
            converted.push((object.clone(), value));
        }
        let values = converted.iter().map(|(_, value)| value.clone()).collect();
        *last = converted;
        values
    })
}

/// A value, from where it was converted before if it is a map or a list and equal.
fn equal(
    before: Option<&(Object, Rego)>,
    value: &Value,
    part: impl Fn(&Value) -> &Value,
    converted: impl Fn(&Rego) -> &Rego,
) -> Rego {
    match before {
        Some((object, known)) if (value.is_object() || value.is_array()) && part(object.value()) == value => {
            converted(known).clone()
        }
        _ => rego(value),
    }
}

/// A value without the way through text or a copy.
fn rego(value: &Value) -> Rego {
    match value {
        Value::Null => Rego::Null,
        Value::Bool(value) => Rego::Bool(*value),
        Value::String(text) => Rego::String(text.as_str().into()),
        Value::Number(_) => Rego::from(value.clone()),
        Value::Array(items) => items.iter().map(rego).collect::<Vec<_>>().into(),
        Value::Object(_) => fields(value, |_, value| rego(value)),
    }
}

/// A map whose values are converted so.
fn fields(value: &Value, convert: impl Fn(&str, &Value) -> Rego) -> Rego {
    let fields = value.as_object().into_iter().flatten();
    let fields = fields.map(|(key, value)| (Rego::from(key.as_str()), convert(key, value)));
    Rego::from(fields.collect::<BTreeMap<_, _>>())
}

fn egress(egress: &Egress) -> Value {
    match egress {
        Egress::Cidr { cidr, port } => json!({"cidr": cidr, "hostname": null, "port": port}),
        Egress::Hostname { hostname, port } => json!({"cidr": null, "hostname": hostname, "port": port}),
    }
}

fn pod(pods: Pods<'_>) -> Value {
    let spec = pods.spec;
    let volumes = spec["volumes"].as_array().map(|volumes| volumes.iter().flat_map(volume).collect::<Vec<_>>());
    json!({
        "object": pods.object.key().to_string(),
        "hostNetwork": unless_false(&spec["hostNetwork"], false),
        "hostPID": unless_false(&spec["hostPID"], false),
        "hostIPC": unless_false(&spec["hostIPC"], false),
        "serviceAccountToken": unless_false(&spec["automountServiceAccountToken"], true),
        "volumes": volumes.unwrap_or_else(|| match &spec["volumes"] {
            Value::Null => vec![],
            _ => vec![json!({"name": "", "type": "unreadable"})],
        }),
        "sysctls": spec["securityContext"]["sysctls"].as_array().map_or(0, Vec::len),
    })
}

/// A volume once for each type that it names.
fn volume(volume: &Value) -> Vec<Value> {
    let fields = volume.as_object().into_iter().flatten().map(|(field, _)| field.as_str());
    fields.filter(|field| *field != "name").map(|kind| json!({"name": volume["name"], "type": kind})).collect()
}

fn containers(pods: Pods<'_>) -> impl Iterator<Item = Value> {
    let object = pods.object.key().to_string();
    pods.containers().map(move |(list, container)| {
        let (own, shared) = (&container["securityContext"], &pods.spec["securityContext"]);
        let either = |field: &str| if own[field].is_null() { &shared[field] } else { &own[field] };
        let seccomp = either("seccompProfile");
        json!({
            "object": object,
            "list": list,
            "name": container["name"].as_str().unwrap_or_default(),
            "image": image(container["image"].as_str().unwrap_or_default()),
            "privileged": unless_false(&own["privileged"], false),
            "runAsNonRoot": either("runAsNonRoot") == &Value::Bool(true),
            "runAsUser": match either("runAsUser") {
                Value::Null => Value::Null,
                user => user.as_u64().unwrap_or(0).into(),
            },
            "allowPrivilegeEscalation": unless_false(&own["allowPrivilegeEscalation"], true),
            "readOnlyRootFilesystem": own["readOnlyRootFilesystem"] == true,
            "added": texts(&own["capabilities"]["add"]).unwrap_or_else(|| vec!["unreadable"]),
            "dropped": texts(&own["capabilities"]["drop"]).unwrap_or_default(),
            "seccomp": seccomp["type"].as_str().unwrap_or_default(),
            "hostPorts": host_ports(&container["ports"]),
            "requests": amounts(&container["resources"]["requests"]),
            "limits": amounts(&container["resources"]["limits"]),
        })
    })
}

/// Whether it is anything but false; where it is absent, what Kubernetes takes.
fn unless_false(value: &Value, absent: bool) -> bool {
    match value {
        Value::Null => absent,
        value => value != &Value::Bool(false),
    }
}

/// A list of texts; none where it is something else.
fn texts(value: &Value) -> Option<Vec<&str>> {
    match value {
        Value::Null => Some(vec![]),
        value => value.as_array()?.iter().map(Value::as_str).collect(),
    }
}

fn host_ports(ports: &Value) -> Vec<&Value> {
    let ports = ports.as_array().into_iter().flatten().map(|port| &port["hostPort"]);
    ports.filter(|port| !port.is_null() && **port != 0).collect()
}

fn amounts(value: &Value) -> Value {
    json!({"cpu": quantity::of(&value["cpu"]), "memory": quantity::of(&value["memory"])})
}

/// An image's parts, as container runtimes read them: the first part is a registry if it has a dot or a colon, or is
/// `localhost`.
fn image(text: &str) -> Value {
    let (rest, digest) = text.split_once('@').unwrap_or((text, ""));
    let (registry, rest) = match rest.split_once('/') {
        Some((first, rest)) if first.contains(['.', ':']) || first == "localhost" => (first, rest),
        _ => ("docker.io", rest),
    };
    let (repository, tag) = rest.split_once(':').unwrap_or((rest, ""));
    json!({"text": text, "registry": registry, "repository": repository, "tag": tag, "digest": digest})
}
