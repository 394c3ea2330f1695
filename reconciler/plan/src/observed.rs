//! What is live in a cluster, kept small: for each object what planning needs of it, and none of its content.

use std::collections::HashMap;
use std::fmt;

use dayfly_model::digest::Digest;
use dayfly_model::kinds::{Kind, Kinds};
use dayfly_model::object::ObjectKey;
use serde_json::{Map, Value};

use crate::health::{Health, health_as};

/// The field manager that Dayfly applies as.
pub const FIELD_MANAGER: &str = "dayfly";
/// The label that every object of Dayfly carries, and the one that lists and watches select by.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// The label that names the inventory an object belongs to, as the ApplySet specification has it.
pub const PART_OF_APPLY_SET: &str = "applyset.kubernetes.io/part-of";

/// A live object, without its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Live {
    /// Its kind.
    pub kind: &'static Kind,
    /// Its namespace; none for cluster-scoped kinds.
    pub namespace: Option<Box<str>>,
    /// Its name.
    pub name: Box<str>,
    /// Its UID: another object of the same name has another.
    pub uid: Box<str>,
    /// The version of the object, opaque.
    pub resource_version: Box<str>,
    /// The digest of the live values of the fields that manager [`FIELD_MANAGER`] applied; none if it owns nothing.
    pub owned: Option<Digest>,
    /// The other managers that own parts of it, besides those that write only its status.
    pub managers: Box<[Box<str>]>,
    /// Whether it carries `app.kubernetes.io/managed-by: dayfly`.
    pub labeled: bool,
    /// The ApplySet that it says to belong to.
    pub apply_set: Option<Box<str>>,
    /// What its annotations ask Dayfly not to do.
    pub opt_out: OptOut,
    /// Whether it is being deleted.
    pub deleting: bool,
    /// The finalizers that hold it while it is being deleted.
    pub finalizers: Box<[Box<str>]>,
    /// How it fares.
    pub health: Health,
}

/// What an object's annotations ask Dayfly not to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OptOut {
    /// `dayfly.dev/prune: disabled` or `helm.sh/resource-policy: keep`: it is not deleted.
    pub prune: bool,
    /// `dayfly.dev/reconcile: disabled`: it is neither changed nor deleted.
    pub reconcile: bool,
}

/// Why an object cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LiveError {
    /// A kind that is not in the table.
    #[error("{0} is no kind that Dayfly knows")]
    UnknownKind(String),
    /// No name or no UID, which no API server would answer.
    #[error("{0} has no {1}")]
    Incomplete(String, &'static str),
}

impl OptOut {
    /// Reads the annotations of an object, live or rendered.
    pub fn of(object: &Value) -> Self {
        let says = |name: &str, word: &str| {
            object.pointer("/metadata/annotations").and_then(|all| all.get(name)).is_some_and(|value| value == word)
        };
        let reconcile = says("dayfly.dev/reconcile", "disabled");
        let prune = reconcile || says("dayfly.dev/prune", "disabled") || says("helm.sh/resource-policy", "keep");
        Self { prune, reconcile }
    }
}

impl Live {
    /// Reads an object of a built-in kind as a watch or an apply returned it. Items of lists lack `apiVersion` and `kind`: for those there is
    /// [`Live::of_kind`].
    ///
    /// # Errors
    /// [`LiveError`]: Dayfly does not know its kind, or it has no name or no UID.
    pub fn from_object(object: &Value) -> Result<Self, LiveError> {
        let api_version = object["apiVersion"].as_str().unwrap_or_default();
        let group = api_version.split_once('/').map_or("", |(group, _)| group);
        let name = object["kind"].as_str().unwrap_or_default();
        let kind = Kinds::builtin().find(group, name);
        Self::of_kind(kind.ok_or_else(|| LiveError::UnknownKind(format!("{api_version} {name}")))?, object)
    }

    /// Reads an object that is known to be of this kind.
    ///
    /// # Errors
    /// [`LiveError::Incomplete`]: it has no name or no UID.
    pub fn of_kind(kind: &'static Kind, object: &Value) -> Result<Self, LiveError> {
        let meta = &object["metadata"];
        let text = |field: &'static str| {
            meta[field].as_str().filter(|text| !text.is_empty()).ok_or_else(|| {
                LiveError::Incomplete(format!("{} {}", kind.kind, meta["name"].as_str().unwrap_or("?")), field)
            })
        };
        let label = |name: &str| meta["labels"].get(name).and_then(Value::as_str);
        let deleting = meta["deletionTimestamp"].is_string();
        let texts = |value: &Value| -> Box<[Box<str>]> {
            value.as_array().into_iter().flatten().filter_map(Value::as_str).map(Into::into).collect()
        };
        Ok(Self {
            kind,
            namespace: meta["namespace"].as_str().map(Into::into),
            name: text("name")?.into(),
            uid: text("uid")?.into(),
            resource_version: meta["resourceVersion"].as_str().unwrap_or_default().into(),
            owned: owned(object),
            managers: managers(meta),
            labeled: label(MANAGED_BY) == Some("dayfly"),
            apply_set: label(PART_OF_APPLY_SET).map(Into::into),
            opt_out: OptOut::of(object),
            deleting,
            finalizers: if deleting { texts(&meta["finalizers"]) } else { Box::default() },
            health: health_as(kind.kind, object),
        })
    }

    /// What identifies it.
    pub fn key(&self) -> ObjectKey {
        ObjectKey {
            group: self.kind.group.to_owned(),
            kind: self.kind.kind.to_owned(),
            namespace: self.namespace.as_deref().map(str::to_owned),
            name: self.name.to_string(),
        }
    }

    /// Who else has a hand in it, in words.
    pub fn owners(&self) -> String {
        if self.managers.is_empty() { "an unknown manager".into() } else { self.managers.join(", ") }
    }
}

fn managers(meta: &Value) -> Box<[Box<str>]> {
    let mut names: Vec<Box<str>> = entries(meta)
        .filter(|entry| entry["subresource"].as_str().is_none_or(str::is_empty) && !is_ours(entry))
        .filter_map(|entry| entry["manager"].as_str().map(Into::into))
        .collect();
    names.sort_unstable();
    names.dedup();
    names.into()
}

fn entries(meta: &Value) -> impl Iterator<Item = &Value> {
    meta["managedFields"].as_array().into_iter().flatten()
}

fn is_ours(entry: &Value) -> bool {
    entry["manager"] == FIELD_MANAGER
        && entry["operation"] == "Apply"
        && entry["subresource"].as_str().is_none_or(str::is_empty)
}

/// The digest of the live values of the fields that we applied. When somebody else changes one of them, the value or the
/// owner changes, and so does the digest.
fn owned(object: &Value) -> Option<Digest> {
    let entry = entries(&object["metadata"]).find(|entry| is_ours(entry))?;
    Some(Digest::of_json(&project(entry.get("fieldsV1")?, object)))
}

/// The part of a value that a field set (`fieldsV1`, structured-merge-diff's JSON form) names. Keys keep their prefix:
/// `f:` field, `k:` list item by keys, `v:` set item, `i:` index, `.` the item itself.
fn project(fields: &Value, value: &Value) -> Value {
    let Some(fields) = fields.as_object().filter(|fields| !fields.is_empty()) else { return value.clone() };
    let mut part = Map::new();
    for (step, below) in fields {
        let found = match step.split_once(':') {
            Some(("f", name)) => value.get(name),
            Some(("k", keys)) => serde_json::from_str(keys).ok().and_then(|keys: Value| item(value, &keys)),
            Some(("v", text)) => {
                let wanted: Option<Value> = serde_json::from_str(text).ok();
                value.as_array().and_then(|items| items.iter().find(|item| Some(*item) == wanted.as_ref()))
            }
            Some(("i", index)) => index.parse().ok().and_then(|index: usize| value.get(index)),
            _ => continue,
        };
        if let Some(found) = found {
            part.insert(step.clone(), project(below, found));
        }
    }
    Value::Object(part)
}

/// The item of an associative list that has these keys; a key that the item leaves out has its default, and matches.
fn item<'a>(list: &'a Value, keys: &Value) -> Option<&'a Value> {
    let keys = keys.as_object()?;
    list.as_array()?.iter().find(|item| keys.iter().all(|(name, value)| item.get(name).is_none_or(|has| has == value)))
}

/// What a cluster has, as far as it could be read: every object that carries Dayfly's label.
#[derive(Clone, Default)]
pub struct Observed {
    kinds: Kinds,
    /// By group and kind. A kind that is absent here was not read.
    by_kind: HashMap<(&'static str, &'static str), ObservedKind>,
}

/// The objects of one kind.
#[derive(Clone, Default)]
struct ObservedKind {
    /// Whether the kind was listed as a whole. Else only single objects of it are known.
    complete: bool,
    objects: HashMap<NamespacedName, Live>,
}

/// An object's namespace, which cluster-scoped ones lack, and its name.
type NamespacedName = (Option<Box<str>>, Box<str>);

/// What is known of one object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen<'a> {
    /// It is there.
    Live(&'a Live),
    /// The whole kind was read, and it is not there (or does not carry our label).
    Absent,
    /// The kind could not be read: nothing is known, least of all that it is absent.
    Unknown,
}

impl Observed {
    /// A cluster that may have objects of these kinds, and of which none was read. By default they are the built-in kinds.
    pub fn of_kinds(kinds: Kinds) -> Self {
        Self { kinds, by_kind: HashMap::new() }
    }

    /// A cluster of which every built-in kind was read, and that has nothing.
    pub fn nothing() -> Self {
        let mut observed = Self::default();
        Kinds::builtin().iter().for_each(|kind| observed.replace(kind, []));
        observed
    }

    /// The kinds of which it may have objects.
    pub fn kinds(&self) -> &Kinds {
        &self.kinds
    }

    /// Sets a kind to what a complete list returned.
    pub fn replace(&mut self, kind: &'static Kind, objects: impl IntoIterator<Item = Live>) {
        let objects = objects.into_iter().map(|live| (namespaced_name(&live), live)).collect();
        self.by_kind.insert((kind.group, kind.kind), ObservedKind { complete: true, objects });
    }

    /// Marks a kind as unknown: its list or watch failed.
    pub fn lose(&mut self, kind: &'static Kind) {
        self.by_kind.remove(&(kind.group, kind.kind));
    }

    /// Adds or replaces one object. Returns the one that it replaces.
    pub fn insert(&mut self, live: Live) -> Option<Live> {
        self.by_kind.entry((live.kind.group, live.kind.kind)).or_default().objects.insert(namespaced_name(&live), live)
    }

    /// Removes one object, if it is still the one with this UID. Returns it.
    pub fn remove(&mut self, key: &ObjectKey, uid: &str) -> Option<Live> {
        let kind = self.kinds.find(&key.group, &key.kind)?;
        let objects = &mut self.by_kind.get_mut(&(kind.group, kind.kind))?.objects;
        let name = (key.namespace.as_deref().map(Into::into), key.name.as_str().into());
        if objects.get(&name).is_some_and(|live| *live.uid == *uid) { objects.remove(&name) } else { None }
    }

    /// What is known of one object.
    pub fn get(&self, key: &ObjectKey) -> Seen<'_> {
        let Some(kind) = self.kinds.find(&key.group, &key.kind) else { return Seen::Unknown };
        let Some(observed) = self.by_kind.get(&(kind.group, kind.kind)) else { return Seen::Unknown };
        let name = (key.namespace.as_deref().map(Into::into), key.name.as_str().into());
        match observed.objects.get(&name) {
            Some(live) => Seen::Live(live),
            None if observed.complete => Seen::Absent,
            None => Seen::Unknown,
        }
    }

    /// The kinds that could not be read.
    pub fn unknown_kinds(&self) -> impl Iterator<Item = &'static Kind> {
        self.kinds.iter().filter(|kind| !self.by_kind.get(&(kind.group, kind.kind)).is_some_and(|known| known.complete))
    }

    /// Every object, in no order.
    pub fn objects(&self) -> impl Iterator<Item = &Live> {
        self.by_kind.values().flat_map(|kind| kind.objects.values())
    }

    /// How many objects.
    pub fn len(&self) -> usize {
        self.by_kind.values().map(|kind| kind.objects.len()).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl fmt::Debug for Observed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Observed({} objects, {} kinds unknown)", self.len(), self.unknown_kinds().count())
    }
}

fn namespaced_name(live: &Live) -> NamespacedName {
    (live.namespace.clone(), live.name.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn config_map() -> Value {
        json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {
                "name": "a", "namespace": "n", "uid": "u1", "resourceVersion": "7",
                "labels": {"app.kubernetes.io/managed-by": "dayfly", "other": "x"},
                "managedFields": [
                    {"manager": "dayfly", "operation": "Apply", "fieldsType": "FieldsV1", "fieldsV1":
                        {"f:metadata": {"f:labels": {"f:app.kubernetes.io/managed-by": {}}}, "f:data": {"f:k": {}}}},
                    {"manager": "kubectl-edit", "operation": "Update", "fieldsV1": {"f:data": {"f:other": {}}}},
                ],
            },
            "data": {"k": "1", "other": "2"},
        })
    }

    #[test]
    fn drift_is_a_change_of_what_we_own_and_of_nothing_else() {
        let before = Live::from_object(&config_map()).unwrap();
        let mut object = config_map();
        object["data"]["other"] = "3".into();
        object["metadata"]["resourceVersion"] = "8".into();
        assert_eq!(Live::from_object(&object).unwrap().owned, before.owned);
        object["data"]["k"] = "3".into();
        assert_ne!(Live::from_object(&object).unwrap().owned, before.owned);
    }

    #[test]
    fn a_field_that_changes_its_owner_is_drift() {
        let before = Live::from_object(&config_map()).unwrap();
        let mut object = config_map();
        object["metadata"]["managedFields"][0]["fieldsV1"] =
            json!({"f:metadata": {"f:labels": {"f:app.kubernetes.io/managed-by": {}}}});
        assert_ne!(Live::from_object(&object).unwrap().owned, before.owned);
    }

    #[test]
    fn only_an_apply_as_dayfly_is_ours() {
        let mut object = config_map();
        object["metadata"]["managedFields"][0]["operation"] = "Update".into();
        let live = Live::from_object(&object).unwrap();
        assert_eq!(live.owned, None);
        assert_eq!(live.owners(), "dayfly, kubectl-edit");
    }

    #[test]
    fn list_items_are_found_by_their_keys() {
        let fields = json!({"f:ports": {"k:{\"port\":80,\"protocol\":\"TCP\"}": {".": {}, "f:name": {}}},
            "f:finalizers": {"v:\"a/b\"": {}}, "f:command": {"i:1": {}}});
        let value = json!({"ports": [{"port": 81, "name": "no"}, {"port": 80, "protocol": "TCP", "name": "yes", "x": 1}],
            "finalizers": ["a/b"], "command": ["no", "yes"]});
        let part = project(&fields, &value);
        assert_eq!(part["f:ports"]["k:{\"port\":80,\"protocol\":\"TCP\"}"], json!({"f:name": "yes"}));
        assert_eq!(part["f:finalizers"], json!({"v:\"a/b\"": "a/b"}));
        assert_eq!(part["f:command"], json!({"i:1": "yes"}));
    }

    #[test]
    fn a_kind_that_was_not_read_is_unknown_and_never_absent() {
        let key = Live::from_object(&config_map()).unwrap().key();
        let mut observed = Observed::nothing();
        assert_eq!(observed.get(&key), Seen::Absent);
        observed.lose(Kinds::builtin().find("", "ConfigMap").unwrap());
        assert_eq!(observed.get(&key), Seen::Unknown);
        assert_eq!(observed.unknown_kinds().map(|kind| kind.kind).collect::<Vec<_>>(), ["ConfigMap"]);
        observed.insert(Live::from_object(&config_map()).unwrap());
        assert!(matches!(observed.get(&key), Seen::Live(_)));
    }

    #[test]
    fn a_late_deletion_does_not_remove_the_successor() {
        let live = Live::from_object(&config_map()).unwrap();
        let key = live.key();
        let mut observed = Observed::nothing();
        observed.insert(live);
        assert!(observed.remove(&key, "another").is_none());
        assert!(observed.remove(&key, "u1").is_some());
    }
}
