//! Conversations with an API server: requests written in YAML, and the responses without what differs from run to run.

use std::collections::HashMap;
use std::fmt::{self, Write as _};

use http::Request;
use kube::client::Body;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// One request, as the tables write it.
///
/// The first key is the verb and names the object: `apply: deployments/web` or `patch: deployments/web/status`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConversationRequest {
    create: Option<String>,
    get: Option<String>,
    list: Option<String>,
    update: Option<String>,
    delete: Option<String>,
    apply: Option<String>,
    merge: Option<String>,
    strategic: Option<String>,
    json: Option<String>,
    /// The field manager.
    r#as: Option<String>,
    /// More query parameters, such as `force` and `dryRun`.
    #[serde(default)]
    query: Map<String, Value>,
    /// The body. `apiVersion`, `kind` and `metadata.name` are filled in unless it is a patch.
    body: Option<Value>,
    /// Sends the resource version that was last seen in an response.
    #[serde(default)]
    pub current: bool,
}

/// The kinds that tables may name: plural, kind, path of the API.
const KINDS: [(&str, &str, &str); 24] = [
    ("clusterroles", "ClusterRole", "apis/rbac.authorization.k8s.io/v1"),
    ("configmaps", "ConfigMap", "api/v1"),
    ("cronjobs", "CronJob", "apis/batch/v1"),
    ("daemonsets", "DaemonSet", "apis/apps/v1"),
    ("deployments", "Deployment", "apis/apps/v1"),
    ("endpointslices", "EndpointSlice", "apis/discovery.k8s.io/v1"),
    ("horizontalpodautoscalers", "HorizontalPodAutoscaler", "apis/autoscaling/v2"),
    ("ingresses", "Ingress", "apis/networking.k8s.io/v1"),
    ("jobs", "Job", "apis/batch/v1"),
    ("leases", "Lease", "apis/coordination.k8s.io/v1"),
    ("limitranges", "LimitRange", "api/v1"),
    ("namespaces", "Namespace", "api/v1"),
    ("networkpolicies", "NetworkPolicy", "apis/networking.k8s.io/v1"),
    ("persistentvolumeclaims", "PersistentVolumeClaim", "api/v1"),
    ("poddisruptionbudgets", "PodDisruptionBudget", "apis/policy/v1"),
    ("pods", "Pod", "api/v1"),
    ("priorityclasses", "PriorityClass", "apis/scheduling.k8s.io/v1"),
    ("resourcequotas", "ResourceQuota", "api/v1"),
    ("rolebindings", "RoleBinding", "apis/rbac.authorization.k8s.io/v1"),
    ("roles", "Role", "apis/rbac.authorization.k8s.io/v1"),
    ("secrets", "Secret", "api/v1"),
    ("serviceaccounts", "ServiceAccount", "api/v1"),
    ("services", "Service", "api/v1"),
    ("statefulsets", "StatefulSet", "apis/apps/v1"),
];

const CLUSTER_SCOPED: [&str; 3] = ["clusterroles", "namespaces", "priorityclasses"];

/// A response: the HTTP status and the body.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct ConversationResponse {
    /// The HTTP status code.
    pub code: u16,
    /// The body; a string unless it was JSON.
    pub body: Value,
}

/// One conversation with one server, in a namespace of its own.
pub struct Conversation {
    client: kube::Client,
    namespace: String,
    resource_version: String,
    normalizer: Normalizer,
}

impl Conversation {
    /// Makes the namespace, which must not exist yet.
    pub async fn begin(client: kube::Client, namespace: &str) -> Self {
        let namespace = namespace.to_owned();
        let normalizer =
            Normalizer { texts: vec![(namespace.clone(), "<namespace>".to_owned())], ..Normalizer::default() };
        let mut conversation = Self { client, namespace, resource_version: String::new(), normalizer };
        let request =
            ConversationRequest { create: Some("namespaces/{namespace}".to_owned()), ..ConversationRequest::empty() };
        let response = conversation.exchange(&request).await;
        assert_eq!(response.code, 201, "{response}");
        conversation
    }

    /// Makes the request, and returns the response without what differs from run to run.
    pub async fn exchange(&mut self, request: &ConversationRequest) -> ConversationResponse {
        let mut response = self.send(request).await;
        if response.body["kind"].as_str().is_some_and(|kind| kind.ends_with("List")) {
            // Others write at the same time.
            response.body["metadata"]["resourceVersion"] = json!("<list>");
        }
        if let Some(uid) = response.body.pointer_mut("/metadata/uid") {
            // Before labels that repeat it.
            self.normalizer.rename("uid", uid);
        }
        self.normalizer.clean(&mut response.body);
        response
    }

    /// Makes the request.
    async fn send(&mut self, request: &ConversationRequest) -> ConversationResponse {
        let request = self.http_request(request);
        let response = self.client.send(request).await.unwrap();
        let code = response.status().as_u16();
        let bytes = response.into_body().collect_bytes().await.unwrap();
        let body: Value =
            serde_json::from_slice(&bytes).unwrap_or_else(|_| json!(String::from_utf8_lossy(&bytes).trim()));
        if let Some(version) = body["metadata"]["resourceVersion"].as_str() {
            self.resource_version = version.to_owned();
        }
        ConversationResponse { code, body }
    }

    fn http_request(&self, request: &ConversationRequest) -> Request<Body> {
        let (method, content_type, target) = request.verb();
        let patch = method == "PATCH" && content_type != "application/apply-patch+yaml";
        let mut parts = target.splitn(3, '/');
        let plural = parts.next().unwrap_or_default();
        let name = parts.next().map(|name| name.replace("{namespace}", &self.namespace));
        let (name, subresource) = (name.as_deref(), parts.next());
        let (_, kind, api) = KINDS.iter().find(|(known, ..)| *known == plural).expect(plural);
        let mut path = match CLUSTER_SCOPED.contains(&plural) {
            true => format!("/{api}/{plural}"),
            false => format!("/{api}/namespaces/{}/{plural}", self.namespace),
        };
        for part in [name.filter(|_| method != "POST" || subresource.is_some()), subresource].into_iter().flatten() {
            write!(path, "/{part}").unwrap();
        }
        let mut query: Vec<String> = request.r#as.iter().map(|manager| format!("fieldManager={manager}")).collect();
        let plain = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        query.extend(request.query.iter().map(|(key, value)| format!("{key}={}", plain(value))));
        let mut body = request.body.clone().unwrap_or_else(|| json!({}));
        if let Some(object) = body.as_object_mut().filter(|_| !patch && !matches!(method, "GET" | "DELETE")) {
            object.entry("apiVersion").or_insert_with(|| json!(api.split_once('/').map(|(_, version)| version)));
            object.entry("kind").or_insert_with(|| json!(kind));
            let metadata = object.entry("metadata").or_insert_with(|| json!({}));
            if let (Some(metadata), Some(name)) = (metadata.as_object_mut(), name) {
                metadata.entry("name").or_insert_with(|| json!(name));
            }
        }
        if request.current {
            body["metadata"]["resourceVersion"] = json!(self.resource_version);
        }
        let sent = if method == "GET" || (method == "DELETE" && request.body.is_none()) {
            String::new()
        } else {
            body.to_string()
        };
        Request::builder()
            .method(method)
            .uri(format!("{path}?{}", query.join("&")))
            .header("Content-Type", content_type)
            .header("Accept", "application/json")
            .header("User-Agent", "conversation/1.0")
            .body(Body::from(sent.into_bytes()))
            .unwrap()
    }
}

impl ConversationRequest {
    fn empty() -> Self {
        serde_json::from_value(json!({})).unwrap()
    }

    /// The HTTP method, the content type and the target.
    fn verb(&self) -> (&'static str, &'static str, &str) {
        let json = "application/json";
        [
            (&self.create, "POST", json),
            (&self.get, "GET", json),
            (&self.list, "GET", json),
            (&self.update, "PUT", json),
            (&self.delete, "DELETE", json),
            (&self.apply, "PATCH", "application/apply-patch+yaml"),
            (&self.merge, "PATCH", "application/merge-patch+json"),
            (&self.strategic, "PATCH", "application/strategic-merge-patch+json"),
            (&self.json, "PATCH", "application/json-patch+json"),
        ]
        .into_iter()
        .find_map(|(target, method, content)| Some((method, content, target.as_deref()?)))
        .expect("a request names its verb")
    }
}

impl fmt::Display for ConversationRequest {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (method, content, target) = self.verb();
        write!(to, "{method} {target} {content} {}", self.body.as_ref().unwrap_or(&Value::Null))
    }
}

impl fmt::Display for ConversationResponse {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(to, "{}\n{:#}", self.code, self.body)
    }
}

/// Replaces values that differ from server to server by the order in which they were first seen: `<uid 1>`.
#[derive(Default)]
struct Normalizer {
    /// What stands for a value, by the sort of value and the value.
    seen: HashMap<(&'static str, String), String>,
    /// What is also replaced inside of texts.
    texts: Vec<(String, String)>,
}

impl Normalizer {
    const TIMES: [&str; 8] = [
        "creationTimestamp",
        "deletionTimestamp",
        "time",
        "lastTransitionTime",
        "lastUpdateTime",
        "lastProbeTime",
        "startTime",
        "completionTime",
    ];

    fn clean(&mut self, value: &mut Value) {
        match value {
            Value::Array(items) => items.iter_mut().for_each(|item| self.clean(item)),
            Value::Object(fields) => {
                fields.sort_keys();
                for (key, field) in fields.iter_mut() {
                    self.clean_field(key, field);
                    self.clean(field);
                }
                if let Some(prefix) = fields.get("generateName") {
                    fields["name"] = json!(format!("{}<generated>", prefix.as_str().unwrap_or_default()));
                }
            }
            Value::String(text) => {
                for (seen, name) in &self.texts {
                    *text = text.replace(seen, name);
                }
            }
            _ => {}
        }
    }

    fn clean_field(&mut self, key: &str, field: &mut Value) {
        match (key, &mut *field) {
            ("uid", _) => self.rename("uid", field),
            ("resourceVersion", _) => self.rename("resourceVersion", field),
            ("clusterIP", _) => self.rename("clusterIP", field),
            ("nodePort", _) => self.rename("nodePort", field),
            ("clusterIPs", Value::Array(all)) => all.iter_mut().for_each(|ip| self.rename("clusterIP", ip)),
            // Servers sort by time in whole seconds, so that the order depends on when a second begins.
            ("managedFields", _) => sort(field, &["operation", "manager", "apiVersion", "subresource"]),
            ("causes", _) => sort(field, &["field", "message"]),
            ("message", Value::String(text)) => shorten(text),
            (key, Value::String(_)) if Self::TIMES.contains(&key) => *field = json!("<time>"),
            _ => {}
        }
    }

    fn rename(&mut self, sort: &'static str, value: &mut Value) {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let absent = ["", "None", "0"].contains(&text.as_str()) || text.starts_with('<');
        if absent || !(value.is_string() || value.is_number()) {
            return;
        }
        let number = self.seen.keys().filter(|(other, _)| *other == sort).count() + 1;
        let name = self.seen.entry((sort, text.clone())).or_insert_with(|| format!("<{sort} {number}>"));
        *value = json!(name);
        if sort == "uid" {
            self.texts.push((text, name.clone()));
        }
    }
}

/// Sorts objects by some of their fields.
fn sort(list: &mut Value, by: &[&str]) {
    if let Some(list) = list.as_array_mut() {
        list.sort_by_cached_key(|item| by.iter().map(|field| item[field].to_string()).collect::<Vec<_>>());
    }
}

/// Leaves out the objects that some messages quote.
fn shorten(message: &mut String) {
    if let (Some(from), Some(to)) = (message.find("\"{"), message.rfind("}\"")) {
        message.replace_range(from + 2..to.max(from + 2), "...");
    }
}
