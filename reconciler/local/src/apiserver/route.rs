//! From a method and a path to what is asked for: the server's own pages, discovery, or objects of a kind.

use std::sync::Arc;

use super::schema::{Resource, Schema, Subresource};

/// A resource that is served, with the name the store files its objects under.
#[derive(Debug)]
pub struct Kind {
    pub resource: &'static Resource,
    /// `deployments.apps`, or `pods`.
    pub key: Arc<str>,
}

impl Kind {
    /// `apps/v1`, or `v1`.
    pub fn api_version(&self) -> String {
        group_version(&self.resource.group, &self.resource.version)
    }

    pub fn subresource(&self, name: &str) -> Option<&'static Subresource> {
        self.resource.subresources.iter().find(|s| s.name == name && is_served_part(s))
    }

    /// Some kinds are asked about and never stored, such as access reviews.
    pub fn is_virtual(&self) -> bool {
        self.resource.verbs.iter().all(|v| v == "create")
    }
}

pub fn group_version(group: &str, version: &str) -> String {
    if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") }
}

/// All resources that are served.
#[derive(Debug)]
pub struct Kinds(Vec<Arc<Kind>>);

/// In the table, but not served: they need conversion between versions, parts that are not here, or are deprecated.
const NOT_SERVED: [(&str, &str, &str); 3] =
    [("", "v1", "bindings"), ("", "v1", "componentstatuses"), ("autoscaling", "v1", "horizontalpodautoscalers")];

/// The subresources that are served; the others would need running containers or nodes.
fn is_served_part(part: &Subresource) -> bool {
    ["status", "scale", "finalize"].contains(&part.name.as_str())
}

impl Kinds {
    pub fn of(schema: &'static Schema) -> Self {
        let served = |r: &&Resource| !NOT_SERVED.contains(&(r.group.as_str(), r.version.as_str(), r.plural.as_str()));
        let kind = |resource: &'static Resource| {
            let key = if resource.group.is_empty() {
                resource.plural.clone()
            } else {
                format!("{}.{}", resource.plural, resource.group)
            };
            Arc::new(Kind { resource, key: key.into() })
        };
        Self(schema.resources().iter().filter(served).map(kind).collect())
    }

    pub fn all(&self) -> &[Arc<Kind>] {
        &self.0
    }

    pub fn find(&self, group: &str, version: &str, plural: &str) -> Option<&Arc<Kind>> {
        self.0.iter().find(|k| {
            let r = k.resource;
            r.plural == plural && r.group == group && r.version == version
        })
    }

    /// By the store's name, such as `deployments.apps`.
    pub fn by_key(&self, key: &str) -> Option<&Arc<Kind>> {
        self.0.iter().find(|k| &*k.key == key)
    }

    pub fn serves_group_version(&self, group: &str, version: &str) -> bool {
        self.0.iter().any(|k| k.resource.group == group && k.resource.version == version)
    }
}

/// What a path addresses.
#[derive(Debug)]
pub enum Target {
    /// Objects, one object, or a part of one.
    Objects(Place),
    /// A page of the server itself, by its segments.
    Page(Vec<String>),
}

/// Objects of a kind: all, those of a namespace, one, or a part of one.
#[derive(Clone, Debug)]
pub struct Place {
    pub kind: Arc<Kind>,
    /// Empty for cluster-scoped kinds and for all namespaces.
    pub namespace: String,
    /// Empty for collections.
    pub name: String,
    pub subresource: Option<String>,
}

/// Reads a path; `None` is a path that no server would know.
pub fn target(kinds: &Kinds, path: &str) -> Option<Target> {
    let segments: Vec<String> =
        path.split('/').filter(|s| !s.is_empty()).map(percent_decoded).collect::<Option<_>>()?;
    let parts: Vec<&str> = segments.iter().map(String::as_str).collect();
    let (group, version, rest) = match parts.as_slice() {
        ["api", version, rest @ ..] if !rest.is_empty() => ("", *version, rest),
        ["apis", group, version, rest @ ..] if !rest.is_empty() => (*group, *version, rest),
        _ => return Some(Target::Page(segments)),
    };
    objects(kinds, group, version, rest).map(Target::Objects)
}

fn objects(kinds: &Kinds, group: &str, version: &str, rest: &[&str]) -> Option<Place> {
    let (namespace, plural, rest) = match rest {
        // /namespaces/<name>/status and /finalize are parts of the Namespace itself.
        ["namespaces", _, "status" | "finalize"] => ("", "namespaces", rest.get(1..)?),
        ["namespaces", namespace, plural, rest @ ..] => (*namespace, *plural, rest),
        [plural, rest @ ..] => ("", *plural, rest),
        [] => return None,
    };
    let kind = kinds.find(group, version, plural)?;
    let (name, subresource) = match rest {
        [] => ("", None),
        [name] => (*name, None),
        [name, part] => (*name, Some((*part).to_owned())),
        [name, part, ..] => (*name, Some((*part).to_owned())),
    };
    let fits = match (kind.resource.namespaced, namespace.is_empty()) {
        (false, in_none) => in_none,
        (true, false) => true,
        (true, true) => name.is_empty(),
    };
    let place = Place { kind: kind.clone(), namespace: namespace.to_owned(), name: name.to_owned(), subresource };
    fits.then_some(place)
}

fn percent_decoded(text: &str) -> Option<String> {
    if !text.contains('%') {
        return Some(text.to_owned());
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        if first == b'%' {
            let digits = std::str::from_utf8(tail.get(..2)?).ok()?;
            out.push(u8::from_str_radix(digits, 16).ok()?);
            rest = tail.get(2..)?;
        } else {
            out.push(first);
            rest = tail;
        }
    }
    String::from_utf8(out).ok()
}
