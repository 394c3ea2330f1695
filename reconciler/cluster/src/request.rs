//! What is asked of an API server: the paths, queries and bodies of the calls that Dayfly makes.

use dayfly_calls::Verb;
use dayfly_model::kinds::Kind;
use dayfly_plan::observed::FIELD_MANAGER;
use http::Method;
use serde_json::Value;

use super::error::ClusterErrorKind;

/// A request to the API of a kind.
#[derive(Clone)]
pub(super) struct Request {
    verb: Verb,
    kind: &'static Kind,
    namespace: Option<String>,
    name: Option<String>,
    query: Vec<(&'static str, String)>,
    body: Option<Value>,
    accept: &'static str,
}

impl Request {
    fn new(verb: Verb, kind: &'static Kind, namespace: Option<&str>, name: Option<&str>) -> Self {
        Self {
            verb,
            kind,
            namespace: namespace.filter(|_| kind.namespaced).map(str::to_owned),
            name: name.map(str::to_owned),
            query: vec![],
            body: None,
            accept: "application/json",
        }
    }

    pub(super) fn get(kind: &'static Kind, namespace: Option<&str>, name: &str) -> Self {
        Self::new(Verb::Get, kind, namespace, Some(name))
    }

    pub(super) fn list(kind: &'static Kind, namespace: Option<&str>) -> Self {
        Self::new(Verb::List, kind, namespace, None)
    }

    pub(super) fn watch(kind: &'static Kind) -> Self {
        Self::new(Verb::Watch, kind, None, None).with("watch", "true")
    }

    pub(super) fn apply(kind: &'static Kind, namespace: Option<&str>, name: &str, object: &Value) -> Self {
        let request = Self::new(Verb::Apply, kind, namespace, Some(name)).body(object.clone());
        request.with("fieldManager", FIELD_MANAGER).with("fieldValidation", "Strict")
    }

    pub(super) fn create(kind: &'static Kind, namespace: Option<&str>, object: Value) -> Self {
        Self::new(Verb::Create, kind, namespace, None).body(object).with("fieldManager", FIELD_MANAGER)
    }

    pub(super) fn update(kind: &'static Kind, namespace: Option<&str>, name: &str, object: Value) -> Self {
        Self::new(Verb::Update, kind, namespace, Some(name)).body(object).with("fieldManager", FIELD_MANAGER)
    }

    pub(super) fn delete(kind: &'static Kind, namespace: Option<&str>, name: &str, options: Value) -> Self {
        Self::new(Verb::Delete, kind, namespace, Some(name)).body(options)
    }

    pub(super) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.query.push((name, value.into()));
        self
    }

    /// Asks for metadata alone: values of secrets never travel.
    pub(super) fn metadata_only(mut self) -> Self {
        self.accept = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json";
        self
    }

    fn body(mut self, body: Value) -> Self {
        self.body = Some(body);
        self
    }

    pub(super) fn verb(&self) -> Verb {
        self.verb
    }

    pub(super) fn rbac_verb(&self) -> &'static str {
        self.verb.rbac()
    }

    /// Whether the call is about a namespace itself.
    pub(super) fn is_namespace(&self) -> bool {
        self.kind.kind == "Namespace"
    }

    /// The resource as RBAC calls it, `deployments.apps`.
    pub(super) fn resource(&self) -> String {
        if self.kind.group.is_empty() {
            self.kind.plural.to_owned()
        } else {
            format!("{}.{}", self.kind.plural, self.kind.group)
        }
    }

    pub(super) fn subject(&self) -> String {
        let kind = if self.kind.group.is_empty() {
            self.kind.kind.to_owned()
        } else {
            format!("{}/{}", self.kind.group, self.kind.kind)
        };
        let parts = [Some(kind), self.namespace.clone(), self.name.clone()];
        parts.into_iter().flatten().collect::<Vec<_>>().join("/")
    }

    /// The version that the object is written in decides the path; else the one of the table.
    pub(super) fn path(&self) -> String {
        let group = self.kind.group;
        let version = match self.body.as_ref().and_then(|body| body["apiVersion"].as_str()) {
            Some(written) if self.verb != Verb::Delete => written.rsplit('/').next().unwrap_or(self.kind.version),
            _ => self.kind.version,
        };
        let mut path = if group.is_empty() { format!("/api/{version}") } else { format!("/apis/{group}/{version}") };
        if let Some(namespace) = &self.namespace {
            path.push_str(&format!("/namespaces/{namespace}"));
        }
        path.push_str(&format!("/{}", self.kind.plural));
        if let Some(name) = &self.name {
            path.push_str(&format!("/{name}"));
        }
        path
    }

    fn uri(&self) -> String {
        let mut uri = self.path();
        for (index, (name, value)) in self.query.iter().enumerate() {
            uri.push(if index == 0 { '?' } else { '&' });
            uri.push_str(&format!("{name}={}", escaped(value)));
        }
        uri
    }

    pub(super) fn writes(&self) -> bool {
        let dry = self.query.iter().any(|(name, _)| *name == "dryRun");
        !dry && matches!(self.verb, Verb::Create | Verb::Update | Verb::Apply | Verb::Delete)
    }

    pub(super) fn to_http(&self) -> Result<http::Request<Vec<u8>>, ClusterErrorKind> {
        let (method, content) = match self.verb {
            // A commit goes to git, never here.
            Verb::Get | Verb::List | Verb::Watch | Verb::Commit => (Method::GET, "application/json"),
            Verb::Create => (Method::POST, "application/json"),
            Verb::Update => (Method::PUT, "application/json"),
            Verb::Apply => (Method::PATCH, "application/apply-patch+yaml"),
            Verb::Delete => (Method::DELETE, "application/json"),
        };
        let body = self.body.as_ref().map(Value::to_string).unwrap_or_default();
        http::Request::builder()
            .method(method)
            .uri(self.uri())
            .header(http::header::ACCEPT, self.accept)
            .header(http::header::CONTENT_TYPE, content)
            .body(body.into_bytes())
            .map_err(|error| ClusterErrorKind::Invalid(error.to_string()))
    }
}

/// Percent-encodes everything but unreserved characters (RFC 3986).
fn escaped(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut out, byte| {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(byte.into()),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use dayfly_model::kinds::Kinds;
    use serde_json::json;

    #[test]
    fn requests_have_the_paths_of_the_kubernetes_api() {
        let deployment = Kinds::builtin().find("apps", "Deployment").unwrap();
        let namespace = Kinds::builtin().find("", "Namespace").unwrap();
        let apply = Request::apply(deployment, Some("survey"), "web", &json!({"apiVersion": "apps/v1"}));
        assert_eq!(
            apply.uri(),
            "/apis/apps/v1/namespaces/survey/deployments/web?fieldManager=dayfly&fieldValidation=Strict"
        );
        assert!(apply.writes() && !apply.with("dryRun", "All").writes());
        assert_eq!(Request::get(namespace, Some("ignored"), "survey").uri(), "/api/v1/namespaces/survey");
        let list = Request::list(deployment, None).with("labelSelector", "a/b=c,d");
        assert_eq!(list.uri(), "/apis/apps/v1/deployments?labelSelector=a%2Fb%3Dc%2Cd");
    }
}
