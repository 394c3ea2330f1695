//! From a rendered document to an object of the app: checked, put in its namespace, labelled, scaled to zero if the app is
//! suspended.

use dayfly_model::diagnostic::Diagnostic;
use dayfly_model::kinds::{Kind, Kinds};
use dayfly_model::object::Object;
use dayfly_model::platform::{Environment, Instance, dns_label};
use dayfly_model::rule::Rule;
use serde_json::{Map, Value, json};

use super::rendered::{FolderOwner, SourceFile};

/// What holds for all objects of an app, or of a tier's `shared/`: where they live and what they are labelled with.
pub struct ObjectConventions {
    /// The kinds that there are.
    pub kinds: Kinds,
    namespace: Option<String>,
    suspend: bool,
    labels: Vec<(&'static str, String)>,
    annotations: Vec<(&'static str, String)>,
}

impl ObjectConventions {
    /// Those of an app in its tier.
    pub fn of_app(instance: &Instance) -> Self {
        let app = &instance.app;
        let classification = serde_json::to_value(app.data_classification).unwrap_or_default();
        let all = [
            ("app.kubernetes.io/name", app.name.to_string()),
            ("app.kubernetes.io/instance", instance.key.to_string()),
            ("app.kubernetes.io/version", instance.template.version.to_string()),
            ("app.kubernetes.io/part-of", "dayfly".into()),
            ("app.kubernetes.io/managed-by", "dayfly".into()),
            ("dayfly.dev/tier", instance.key.tier.to_string()),
            ("dayfly.dev/team", app.team.clone()),
            ("dayfly.dev/cost-center", app.cost_center.clone()),
            ("dayfly.dev/template", instance.template.reference.label()),
            ("dayfly.dev/data-classification", classification.as_str().unwrap_or_default().to_owned()),
        ];
        let (labels, mut annotations): (Vec<_>, Vec<_>) = all.into_iter().partition(|(_, value)| is_label_value(value));
        annotations.push(("dayfly.dev/owner", app.owner.clone()));
        annotations.extend(app.purpose.clone().map(|purpose| ("dayfly.dev/purpose", purpose)));
        let kinds = instance.environment.kinds.clone();
        Self { kinds, namespace: Some(instance.namespace.clone()), suspend: app.suspend, labels, annotations }
    }

    /// Those of a tier's shared objects.
    pub fn of_shared(environment: &Environment) -> Self {
        let labels = vec![
            ("app.kubernetes.io/part-of", "dayfly".to_owned()),
            ("app.kubernetes.io/managed-by", "dayfly".to_owned()),
            ("dayfly.dev/tier", environment.tier.to_string()),
        ];
        Self { kinds: environment.kinds.clone(), namespace: None, suspend: false, labels, annotations: vec![] }
    }

    /// Checks and completes one document.
    pub fn object(&self, mut value: Value, owner: FolderOwner, file: &SourceFile) -> Result<Object, Diagnostic> {
        let kind = known_kind(&value, &self.kinds, owner, file)?;
        self.place(&mut value, kind, file)?;
        named(&value, kind, file)?;
        says_nothing_of_itself(&value, kind, owner, file)?;
        mark(&mut value["metadata"], &self.labels, &self.annotations);
        if let Some(template) = pod_template(&mut value, kind.kind) {
            // A Job's pods cannot change later: only what never changes stands on them.
            let lasting = |key: &str| {
                key != "app.kubernetes.io/version" && (kind.kind != "Job" || !key.starts_with("dayfly.dev/"))
            };
            let labels: Vec<_> = self.labels.iter().filter(|(key, _)| lasting(key)).cloned().collect();
            if !template["metadata"].is_object() {
                template["metadata"] = json!({});
            }
            mark(&mut template["metadata"], &labels, &[]);
        }
        if self.suspend {
            suspend(&mut value, kind.kind);
        }
        Object::new(value).map_err(|fault| {
            let found = Diagnostic::new(Rule::RENDER_OBJECT, &*file.path, fault).at(file.line("metadata:"));
            found.help("Every object needs apiVersion, kind and metadata.name.")
        })
    }

    /// Puts the object in the app's namespace, and refuses any other.
    fn place(&self, value: &mut Value, kind: &Kind, file: &SourceFile) -> Result<(), Diagnostic> {
        let refused = |message: String, help: &str| {
            Err(Diagnostic::new(Rule::RENDER_NAMESPACE, &*file.path, message).at(file.line("namespace:")).help(help))
        };
        let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) else {
            let found = Diagnostic::new(Rule::RENDER_OBJECT, &*file.path, format!("{} has no metadata", kind.kind));
            return Err(found.at(file.line(&format!("kind: {}", kind.kind))).help("Every object needs metadata.name."));
        };
        let written = metadata.get("namespace").filter(|namespace| !namespace.is_null());
        let name = metadata.get("name").and_then(Value::as_str).unwrap_or_default();
        match (&self.namespace, kind.namespaced, written) {
            (Some(own), true, Some(other)) if other.as_str() != Some(own) => {
                let message = format!("{} {name} is in the namespace {other}, and the app lives in {own}", kind.kind);
                refused(message, "Leave metadata.namespace out.")
            }
            (Some(own), true, _) => {
                metadata.insert("namespace".into(), own.clone().into());
                Ok(())
            }
            (Some(own), false, _) if name != own => {
                let message = format!("the Namespace is {name:?}, and the app lives in {own}");
                refused(message, "Name it {{ namespace }}.")
            }
            (None, true, None) => {
                refused(format!("{} {name} has no namespace", kind.kind), "An object of shared/ names its namespace.")
            }
            (_, false, Some(_)) => {
                refused(format!("{} {name} cannot be in a namespace", kind.kind), "Leave metadata.namespace out.")
            }
            _ => Ok(()),
        }
    }
}

/// Refuses a name that no API server takes: an RFC 1123 subdomain is needed, but for roles. An absent name is refused later.
fn named(value: &Value, kind: &Kind, file: &SourceFile) -> Result<(), Diagnostic> {
    let name = value["metadata"]["name"].as_str().unwrap_or_default();
    let legal = name.len() <= 253 && name.split('.').all(dns_label);
    if legal || name.is_empty() || kind.group == "rbac.authorization.k8s.io" {
        return Ok(());
    }
    let message = format!("{name:?} is no name for a {}", kind.kind);
    let found = Diagnostic::new(Rule::RENDER_NAME, &*file.path, message).at(file.line("name:"));
    Err(found.help("Names are lower case letters, digits, '-' and '.'; the first and last are a letter or a digit."))
}

/// What metadata may hold.
const METADATA: [&str; 4] = ["annotations", "labels", "name", "namespace"];
/// By these an object asks to be left alone. They count where somebody with rights on the cluster, or an environment, sets
/// them: a template would make its apps immortal.
const OPT_OUTS: [&str; 3] = ["dayfly.dev/prune", "dayfly.dev/reconcile", "helm.sh/resource-policy"];

/// Refuses what only the cluster may say of an object, such as its owners and finalizers, and what a template may not.
fn says_nothing_of_itself(value: &Value, kind: &Kind, owner: FolderOwner, file: &SourceFile) -> Result<(), Diagnostic> {
    let refused = |field: &str, fact: String, help: &str| {
        Err(Diagnostic::new(Rule::RENDER_METADATA, &*file.path, fact).at(file.line(&format!("{field}:"))).help(help))
    };
    let fields = value["metadata"].as_object().into_iter().flatten();
    if let Some((field, _)) = fields.clone().find(|(field, _)| !METADATA.contains(&field.as_str())) {
        let fact = format!("{} has metadata.{field}", kind.kind);
        return refused(field, fact, "Leave it out: only the cluster sets it.");
    }
    if value.get("status").is_some() {
        return refused("status", format!("{} has a status", kind.kind), "Leave it out: only the cluster sets it.");
    }
    let keys = ["labels", "annotations"].into_iter().filter_map(|field| value["metadata"][field].as_object());
    let mut opt_outs = keys.flatten().filter(|(key, _)| OPT_OUTS.contains(&key.as_str()));
    match opt_outs.next().filter(|_| matches!(owner, FolderOwner::Template)) {
        Some((key, _)) => {
            let fact = format!("{} asks by {key} to be left alone", kind.kind);
            refused(key, fact, "Leave it out: it counts where somebody sets it in the cluster, or an environment does.")
        }
        None => Ok(()),
    }
}

/// The pod template of a workload.
pub fn pod_template<'a>(value: &'a mut Value, kind: &str) -> Option<&'a mut Value> {
    let pointer = match kind {
        "Deployment" | "StatefulSet" | "DaemonSet" | "Job" => "/spec/template",
        "CronJob" => "/spec/jobTemplate/spec/template",
        _ => return None,
    };
    value.pointer_mut(pointer).filter(|template| template.is_object())
}

fn known_kind(
    value: &Value,
    kinds: &Kinds,
    owner: FolderOwner,
    file: &SourceFile,
) -> Result<&'static Kind, Diagnostic> {
    let text = |field: &str| value.get(field).and_then(Value::as_str);
    let (Some(api_version), Some(kind)) = (text("apiVersion"), text("kind")) else {
        let found = Diagnostic::new(Rule::RENDER_OBJECT, &*file.path, "a document is no Kubernetes object");
        return Err(found.help("Every object needs apiVersion, kind and metadata.name."));
    };
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let refused = |message: String, help: &str| {
        Err(Diagnostic::new(Rule::RENDER_KIND, &*file.path, message).at(file.line(&format!("kind: {kind}"))).help(help))
    };
    let Some(known) = kinds.find(group, kind) else {
        let help = match kind {
            "Secret" => "Values of secrets never stand in git: name the secret in the template's spec.secrets.",
            "Pod" | "ReplicaSet" | "ReplicationController" => "Use a Deployment.",
            "List" => "Write the objects one after the other, with --- between them.",
            _ => "catalog/README.md lists the kinds that a template may use.",
        };
        return refused(format!("{kind} ({api_version}) is a kind that Dayfly does not apply"), help);
    };
    if version != known.version {
        let expected = if group.is_empty() { known.version.to_owned() } else { format!("{group}/{}", known.version) };
        return refused(format!("{kind} is written in {api_version}"), &format!("Write it in {expected}."));
    }
    match owner {
        FolderOwner::Template if !known.in_templates => {
            refused(format!("{kind} is no kind for a template"), "It belongs to the environment: ask its owners.")
        }
        FolderOwner::Environment if !known.namespaced && kind != "Namespace" => {
            refused(format!("{kind} belongs to no single app"), "Move it to the environment's shared/ folder.")
        }
        _ => Ok(known),
    }
}

/// Sets labels and annotations, and keeps those under other keys.
fn mark(metadata: &mut Value, labels: &[(&'static str, String)], annotations: &[(&'static str, String)]) {
    for (field, entries) in [("labels", labels), ("annotations", annotations)] {
        if entries.is_empty() {
            continue;
        }
        if !metadata[field].is_object() {
            metadata[field] = Value::Object(Map::new());
        }
        let Some(map) = metadata[field].as_object_mut() else { continue };
        map.extend(entries.iter().map(|(key, value)| ((*key).to_owned(), value.clone().into())));
    }
}

/// Lets nothing run. Autoscalers are kept: they do not touch a workload of zero replicas.
fn suspend(value: &mut Value, kind: &str) {
    let (field, rest): (_, Value) = match kind {
        "Deployment" | "StatefulSet" => ("replicas", 0.into()),
        "CronJob" | "Job" => ("suspend", true.into()),
        _ => return,
    };
    if let Some(spec) = value.get_mut("spec").and_then(Value::as_object_mut) {
        spec.insert(field.into(), rest);
    }
}

/// Whether Kubernetes takes it as the value of a label: at most 63 of `[A-Za-z0-9_.-]`, ends alphanumeric.
fn is_label_value(text: &str) -> bool {
    let ends = |c: Option<char>| c.is_none_or(|c| c.is_ascii_alphanumeric());
    text.len() <= 63
        && ends(text.chars().next())
        && ends(text.chars().next_back())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c))
}
