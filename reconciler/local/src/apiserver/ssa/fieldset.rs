//! Sets of fields as a trie of path elements, and their `FieldsV1` form.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

use crate::apiserver::object::JsonObject;

/// One step from an object or list into it.
#[derive(Clone, Debug)]
pub enum PathElement {
    /// A field of a struct or a key of a map.
    Field(String),
    /// An item of a list by its key fields, sorted by name.
    Key(Vec<(String, Value)>),
    /// An item of a set by its value.
    Value(Value),
    /// An item of a list by its index.
    Index(i64),
}

/// The path of a field; empty for the object itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct FieldPath(pub Vec<PathElement>);

/// A set of fields. A field can be a member without the field that contains it, and the other way round.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldSet(BTreeMap<PathElement, FieldSetNode>);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct FieldSetNode {
    member: bool,
    children: FieldSet,
}

/// Why a `FieldsV1` value cannot be read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("fieldsV1 has the key {0:?}, which is not of the form f:name, k:{{...}}, v:value or i:index")]
pub struct FieldsError(String);

impl PathElement {
    /// A field of a struct or a key of a map.
    pub fn field(name: &str) -> Self {
        Self::Field(name.to_owned())
    }

    fn rank(&self) -> u8 {
        match self {
            Self::Field(_) => 0,
            Self::Key(_) => 1,
            Self::Value(_) => 2,
            Self::Index(_) => 3,
        }
    }

    fn encode(&self) -> String {
        match self {
            Self::Field(name) => format!("f:{name}"),
            Self::Key(keys) => format!("k:{}", Value::Object(keys.iter().cloned().collect())),
            Self::Value(value) => format!("v:{value}"),
            Self::Index(index) => format!("i:{index}"),
        }
    }

    /// Reads one key; none if it is of a kind that only a later version of Kubernetes may know.
    fn decode(text: &str) -> Result<Option<Self>, FieldsError> {
        let error = || FieldsError(text.to_owned());
        let (kind, rest) = text.split_once(':').filter(|(kind, _)| kind.len() == 1).ok_or_else(error)?;
        Ok(Some(match kind {
            "f" => Self::field(rest),
            "v" => Self::Value(serde_json::from_str(rest).map_err(|_| error())?),
            "i" => Self::Index(rest.parse().map_err(|_| error())?),
            "k" => {
                let keys: JsonObject = serde_json::from_str(rest).map_err(|_| error())?;
                let mut keys: Vec<_> = keys.into_iter().collect();
                keys.sort_by(|a, b| a.0.cmp(&b.0));
                Self::Key(keys)
            }
            _ => return Ok(None),
        }))
    }
}

impl PartialEq for PathElement {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for PathElement {}

impl PartialOrd for PathElement {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for PathElement {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Field(a), Self::Field(b)) => a.cmp(b),
            (Self::Index(a), Self::Index(b)) => a.cmp(b),
            (Self::Value(a), Self::Value(b)) => compare_values(a, b),
            (Self::Key(a), Self::Key(b)) => compare_keys(a.iter(), b.iter()),
            _ => self.rank().cmp(&other.rank()),
        }
    }
}

impl fmt::Display for PathElement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(name) => write!(f, ".{name}"),
            Self::Value(value) => write!(f, "[={value}]"),
            Self::Index(index) => write!(f, "[{index}]"),
            Self::Key(keys) => {
                let keys: Vec<_> = keys.iter().map(|(name, value)| format!("{name}={value}")).collect();
                write!(f, "[{}]", keys.join(","))
            }
        }
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|element| element.fmt(f))
    }
}

impl FieldSet {
    /// A set of fields whose paths are written like `metadata.labels`.
    pub fn of_fields(paths: &[&str]) -> Self {
        let mut set = Self::default();
        for path in paths {
            set.insert(&path.split('.').map(PathElement::field).collect::<Vec<_>>());
        }
        set
    }

    /// Adds a field without those that contain it. The whole object is never a member.
    pub fn insert(&mut self, path: &[PathElement]) {
        if let Some((first, rest)) = path.split_first() {
            let node = self.0.entry(first.clone()).or_default();
            if rest.is_empty() {
                node.member = true;
            } else {
                node.children.insert(rest);
            }
        }
    }

    /// Whether a field is a member.
    pub fn has(&self, path: &[PathElement]) -> bool {
        match path {
            [] => false,
            [last] => self.has_member(last),
            [first, rest @ ..] => self.0.get(first).is_some_and(|node| node.children.has(rest)),
        }
    }

    /// Whether a field at the top is a member.
    pub fn has_member(&self, element: &PathElement) -> bool {
        self.0.get(element).is_some_and(|node| node.member)
    }

    /// The members below an element, if there are any.
    pub fn below(&self, element: &PathElement) -> Option<&Self> {
        self.0.get(element).map(|node| &node.children).filter(|set| !set.is_empty())
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The fields that are in either set.
    pub fn union(&self, other: &Self) -> Self {
        let mut out = self.clone();
        for (element, theirs) in &other.0 {
            let node = out.0.entry(element.clone()).or_default();
            node.member |= theirs.member;
            node.children = node.children.union(&theirs.children);
        }
        out
    }

    /// The fields that are in both sets.
    pub fn intersection(&self, other: &Self) -> Self {
        self.combine(other, |ours, theirs| FieldSetNode {
            member: ours.member && theirs.is_some_and(|t| t.member),
            children: theirs.map(|t| ours.children.intersection(&t.children)).unwrap_or_default(),
        })
    }

    /// The fields that are not in the other set. Fields within a field of the other set are kept.
    pub fn difference(&self, other: &Self) -> Self {
        self.combine(other, |ours, theirs| match theirs {
            None => ours.clone(),
            Some(theirs) => FieldSetNode {
                member: ours.member && !theirs.member,
                children: ours.children.difference(&theirs.children),
            },
        })
    }

    /// The fields that are neither in the other set nor within a field of the other set.
    pub fn difference_with_below(&self, other: &Self) -> Self {
        self.combine(other, |ours, theirs| match theirs {
            None => ours.clone(),
            Some(theirs) if theirs.member => FieldSetNode::default(),
            Some(theirs) => {
                FieldSetNode { member: ours.member, children: ours.children.difference_with_below(&theirs.children) }
            }
        })
    }

    fn combine(&self, other: &Self, with: impl Fn(&FieldSetNode, Option<&FieldSetNode>) -> FieldSetNode) -> Self {
        let nodes = self.0.iter().map(|(element, ours)| (element.clone(), with(ours, other.0.get(element))));
        Self(nodes.filter(|(_, node)| node.member || !node.children.is_empty()).collect())
    }

    /// Rebuilds the set. `visit` gets each element, whether it is a member, and the set below it; it returns whether the
    /// element shall be a member, and what shall be below it.
    pub fn map(&self, visit: &impl Fn(&PathElement, bool, &Self) -> (bool, Self)) -> Self {
        let nodes = self.0.iter().map(|(element, node)| {
            let (member, children) = visit(element, node.member, &node.children);
            (element.clone(), FieldSetNode { member, children })
        });
        Self(nodes.filter(|(_, node)| node.member || !node.children.is_empty()).collect())
    }

    /// The paths of all members, each before those of the fields within it.
    pub fn paths(&self) -> Vec<FieldPath> {
        let mut out = Vec::new();
        self.collect(&mut Vec::new(), &mut out);
        out
    }

    fn collect(&self, prefix: &mut Vec<PathElement>, out: &mut Vec<FieldPath>) {
        for (element, _) in self.0.iter().filter(|(_, node)| node.member) {
            out.push(FieldPath(prefix.iter().chain([element]).cloned().collect()));
        }
        for (element, node) in &self.0 {
            prefix.push(element.clone());
            node.children.collect(prefix, out);
            prefix.pop();
        }
    }

    /// The `FieldsV1` form.
    pub fn encode(&self) -> Value {
        Value::Object(self.encode_into(JsonObject::new()))
    }

    fn encode_into(&self, mut out: JsonObject) -> JsonObject {
        for (element, node) in &self.0 {
            let mut inner = JsonObject::new();
            if node.member && !node.children.is_empty() {
                inner.insert(".".to_owned(), Value::Object(JsonObject::new()));
            }
            out.insert(element.encode(), Value::Object(node.children.encode_into(inner)));
        }
        out
    }

    /// Reads the `FieldsV1` form. Keys of unknown kinds are ignored, as in Kubernetes.
    pub fn decode(fields: &Value) -> Result<Self, FieldsError> {
        let mut set = Self::default();
        for (key, below) in fields.as_object().into_iter().flatten() {
            if key == "." {
                continue;
            }
            let Some(element) = PathElement::decode(key)? else { continue };
            let children = Self::decode(below)?;
            let member = children.is_empty() || below.as_object().is_some_and(|o| o.contains_key("."));
            set.0.insert(element, FieldSetNode { member, children });
        }
        Ok(set)
    }
}

fn compare_keys<'a>(
    a: impl Iterator<Item = &'a (String, Value)>,
    b: impl Iterator<Item = &'a (String, Value)>,
) -> Ordering {
    let (mut a, mut b) = (a, b);
    loop {
        match (a.next(), b.next()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => return Ordering::Less,
            (Some(_), None) => return Ordering::Greater,
            (Some(x), Some(y)) => {
                let order = x.0.cmp(&y.0).then_with(|| compare_values(&x.1, &y.1));
                if order != Ordering::Equal {
                    return order;
                }
            }
        }
    }
}

/// The order of JSON values in Kubernetes: numbers, strings, booleans, lists, objects, null. Numbers are compared by
/// value (`1` equals `1.0`), and the order of an object's keys does not matter.
pub fn compare_values(a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::Number(x), Value::Number(y)) => match (x.as_i64(), y.as_i64()) {
            (Some(x), Some(y)) => x.cmp(&y),
            _ => x.as_f64().partial_cmp(&y.as_f64()).unwrap_or(Ordering::Equal),
        },
        (Value::String(x), Value::String(y)) => x.cmp(y),
        (Value::Bool(x), Value::Bool(y)) => x.cmp(y),
        (Value::Array(x), Value::Array(y)) => {
            let differing = x.iter().zip(y).map(|(x, y)| compare_values(x, y)).find(|o| *o != Ordering::Equal);
            differing.unwrap_or_else(|| x.len().cmp(&y.len()))
        }
        (Value::Object(x), Value::Object(y)) => {
            let sorted = |map: &JsonObject| {
                let mut entries: Vec<_> = map.iter().map(|(k, v)| (k.clone(), v.clone())).collect();
                entries.sort_by(|a, b| a.0.cmp(&b.0));
                entries
            };
            compare_keys(sorted(x).iter(), sorted(y).iter())
        }
        _ => value_rank(a).cmp(&value_rank(b)),
    }
}

fn value_rank(value: &Value) -> u8 {
    match value {
        Value::Number(_) => 0,
        Value::String(_) => 1,
        Value::Bool(_) => 2,
        Value::Array(_) => 3,
        Value::Object(_) => 4,
        Value::Null => 5,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn fields_are_read_and_written_as_in_kubernetes() {
        let fields = json!({
            "f:metadata": {"f:labels": {".": {}, "f:app": {}}},
            "f:spec": {
                "f:ports": {"k:{\"port\":80,\"protocol\":\"TCP\"}": {".": {}, "f:port": {}}},
                "f:finalizers": {"v:\"a/b\"": {}}
            }
        });
        let set = FieldSet::decode(&fields).unwrap();
        let written: Vec<_> = set.paths().iter().map(ToString::to_string).collect();
        assert_eq!(
            written,
            [
                ".metadata.labels",
                ".metadata.labels.app",
                ".spec.finalizers[=\"a/b\"]",
                ".spec.ports[port=80,protocol=\"TCP\"]",
                ".spec.ports[port=80,protocol=\"TCP\"].port",
            ]
        );
        assert_eq!(set.encode(), fields);
        assert_eq!(FieldSet::decode(&json!({"f:a": {"z:new": {}}})).unwrap(), FieldSet::of_fields(&["a"]));
        assert!(FieldSet::decode(&json!({"spec": {}})).is_err());
    }

    #[test]
    fn only_a_difference_with_below_removes_the_fields_within() {
        let set = FieldSet::of_fields(&["a", "a.b", "a.b.c"]);
        let parent = FieldSet::of_fields(&["a.b"]);
        assert_eq!(set.difference(&parent), FieldSet::of_fields(&["a", "a.b.c"]));
        assert_eq!(set.difference_with_below(&parent), FieldSet::of_fields(&["a"]));
    }

    fn element() -> impl Strategy<Value = PathElement> {
        let scalar = prop_oneof![(0..3i64).prop_map(Value::from), "[ab]".prop_map(Value::from)];
        prop_oneof![
            4 => "[abc]".prop_map(PathElement::Field),
            1 => scalar.clone().prop_map(PathElement::Value),
            1 => (0..3i64).prop_map(PathElement::Index),
            1 => scalar.prop_map(|v| PathElement::Key(vec![("name".to_owned(), v)])),
        ]
    }

    fn sets() -> impl Strategy<Value = FieldSet> {
        prop::collection::vec(prop::collection::vec(element(), 1..4), 0..8).prop_map(|paths| {
            let mut set = FieldSet::default();
            paths.iter().for_each(|path| set.insert(path));
            set
        })
    }

    proptest! {
        #[test]
        fn a_set_that_is_encoded_and_decoded_is_the_same(a in sets()) {
            prop_assert_eq!(FieldSet::decode(&a.encode()).unwrap(), a);
        }

        #[test]
        fn union_intersection_and_difference_obey_the_laws_of_sets(a in sets(), b in sets(), c in sets()) {
            prop_assert_eq!(a.union(&b), b.union(&a));
            prop_assert_eq!(a.intersection(&b), b.intersection(&a));
            prop_assert_eq!(a.union(&b).union(&c), a.union(&b.union(&c)));
            prop_assert_eq!(a.difference(&b).union(&a.intersection(&b)), a.clone());
            prop_assert_eq!(a.difference(&b).intersection(&b), FieldSet::default());
            prop_assert_eq!(a.union(&b).difference(&b), a.difference(&b));
            prop_assert_eq!(a.union(&a), a.clone());
            prop_assert!(a.difference_with_below(&b).difference(&a).is_empty());
        }
    }
}
