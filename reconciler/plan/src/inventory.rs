//! What an instance has in its cluster, by Dayfly's own record: a ConfigMap that never claims less than what is there.

use std::collections::{BTreeMap, BTreeSet};

use dayfly_model::digest::{Digest, Revision};
use dayfly_model::object::{Object, ObjectKey};
use dayfly_model::scope::{SYSTEM_NAMESPACE, Scope};
use serde_json::{Map, Value, json};

use crate::immutable;
use crate::observed::{FIELD_MANAGER, Live};

/// Selects the inventories in [`SYSTEM_NAMESPACE`]. They lack the label of managed objects, and so are never observed.
pub const SELECTOR: &str = "app.kubernetes.io/part-of=dayfly,app.kubernetes.io/component=inventory";
const VERSION: &str = "1";

/// One object of an inventory.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct InventoryEntry {
    /// The UID of the object, once it was seen.
    pub uid: Option<String>,
    /// Whether a creation may be under way whose UID nobody recorded.
    pub pending: bool,
    /// The digest of what was last sent.
    pub applied: Option<Digest>,
    /// The digest of the live values of our fields, as read back after that.
    pub owned: Option<Digest>,
    /// The digest of those fields of what was sent that can never change; none for kinds without such fields.
    pub fixed: Option<Digest>,
}

impl InventoryEntry {
    /// The entry of an object whose creation was under way when nobody looked.
    pub fn unfinished() -> Self {
        Self { pending: true, ..Self::default() }
    }

    /// Whether a live object is this entry's: by UID, or, while a creation is under way, by field manager and apply id.
    pub fn claims(&self, live: &Live, scope: &Scope) -> bool {
        self.uid.as_deref() == Some(&*live.uid)
            || (self.pending
                && live.owned.is_some()
                && live.apply_set.as_deref().is_some_and(|set| set == scope.apply_set()))
    }
}

/// What of the last complete pass the inventory remembers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LastPass {
    /// The first commit that renders what is live.
    pub revision: Option<Revision>,
    /// The digest of everything that was rendered.
    pub rendered: Option<Digest>,
    /// When the instance expires, RFC 3339; for people.
    pub expires: Option<String>,
    /// The baseline that was approved when `revision` was recorded: only a later one excuses that a history has lost that
    /// commit.
    pub baseline: Option<Revision>,
}

/// The inventory of a scope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inventory {
    scope: Scope,
    resource_version: Option<String>,
    entries: BTreeMap<ObjectKey, InventoryEntry>,
    last: LastPass,
}

/// An inventory that cannot be read. It is not an empty one: nothing of its instance may be applied or deleted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("ConfigMap/{SYSTEM_NAMESPACE}/{name}: the inventory cannot be read: {why}")]
pub struct InventoryError {
    /// The ConfigMap's name.
    pub name: String,
    /// The fact.
    pub why: String,
}

impl InventoryError {
    /// The next step.
    pub fn help(&self) -> String {
        format!(
            "the ConfigMap was changed by hand or by another version of Dayfly; restore it from a backup. Until then \
             nothing of {} is changed or deleted",
            self.name
        )
    }
}

impl Inventory {
    /// The inventory of a scope that has nothing yet.
    pub fn new(scope: Scope) -> Self {
        Self { scope, resource_version: None, entries: BTreeMap::new(), last: LastPass::default() }
    }

    /// Whose it is.
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// The version of the ConfigMap that it was read from or written to; none while there is no ConfigMap.
    pub fn resource_version(&self) -> Option<&str> {
        self.resource_version.as_deref()
    }

    /// Records the version that a write returned; none after the ConfigMap was deleted.
    pub fn stored_as(&mut self, resource_version: Option<String>) {
        self.resource_version = resource_version;
    }

    /// The entries, in the order of their keys.
    pub fn entries(&self) -> impl Iterator<Item = (&ObjectKey, &InventoryEntry)> {
        self.entries.iter()
    }

    /// The entry of an object.
    pub fn get(&self, key: &ObjectKey) -> Option<&InventoryEntry> {
        self.entries.get(key)
    }

    /// How many entries.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// What is remembered of the last complete pass.
    pub fn last(&self) -> &LastPass {
        &self.last
    }

    /// Adds a pending entry for every object that is about to be applied, so that what a crash leaves behind is known. True if
    /// something changed: then it has to be written before the first object is.
    pub fn begin<'a>(&mut self, applies: impl IntoIterator<Item = &'a ObjectKey>) -> bool {
        let mut changed = false;
        for key in applies {
            let entry = self.entries.entry(key.clone()).or_default();
            changed |= !std::mem::replace(&mut entry.pending, true);
        }
        changed
    }

    /// Records what an apply returned. True if that changed anything.
    pub fn applied(&mut self, object: &Object, live: &Live) -> bool {
        let entry = InventoryEntry {
            uid: Some(live.uid.to_string()),
            pending: false,
            applied: Some(object.digest()),
            owned: live.owned,
            fixed: immutable::digest(object),
        };
        self.entries.insert(object.key().clone(), entry.clone()) != Some(entry)
    }

    /// Drops the entry of an object that was seen gone, or seen not to be ours.
    pub fn gone(&mut self, key: &ObjectKey) -> bool {
        self.entries.remove(key).is_some()
    }

    /// Records a complete pass. True if that changed anything: a later commit that renders the same does not.
    pub fn passed(&mut self, last: LastPass) -> bool {
        let of = |last: &LastPass| (last.rendered, last.expires.clone(), last.baseline);
        let same = of(&self.last) == of(&last);
        if !same {
            self.last = last;
        }
        !same
    }

    /// The ConfigMap that stores it.
    pub fn to_config_map(&self) -> Value {
        let entries: String = self.entries.iter().map(|(key, entry)| line(key, entry)).collect();
        let mut data = Map::new();
        data.insert("version".into(), VERSION.into());
        let last = [
            ("revision", self.last.revision.map(|r| r.to_string())),
            ("rendered", self.last.rendered.map(|d| d.to_string())),
            ("expires", self.last.expires.clone()),
            ("baseline", self.last.baseline.map(|r| r.to_string())),
        ];
        data.extend(last.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?.into()))));
        data.insert("entries".into(), entries.into());
        let sum = Digest::of_json(&Value::Object(data.clone()));
        data.insert("sum".into(), sum.to_string().into());
        let mut metadata = json!({"name": self.scope.to_string(), "namespace": SYSTEM_NAMESPACE, "labels": {
            "app.kubernetes.io/part-of": FIELD_MANAGER,
            "app.kubernetes.io/component": "inventory",
            "applyset.kubernetes.io/id": self.scope.apply_set(),
        }, "annotations": {
            "applyset.kubernetes.io/tooling": format!("{FIELD_MANAGER}/v1"),
            "applyset.kubernetes.io/contains-group-kinds": self.group_kinds(),
            "applyset.kubernetes.io/additional-namespaces": self.namespaces(),
        }});
        if let Some(version) = &self.resource_version {
            metadata["resourceVersion"] = version.as_str().into();
        }
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data})
    }

    fn group_kinds(&self) -> String {
        let kinds: BTreeSet<_> = self
            .entries
            .keys()
            .map(|key| if key.group.is_empty() { key.kind.clone() } else { format!("{}.{}", key.kind, key.group) })
            .collect();
        kinds.into_iter().collect::<Vec<_>>().join(",")
    }

    fn namespaces(&self) -> String {
        let spaces: BTreeSet<_> = self.entries.keys().filter_map(|key| key.namespace.as_deref()).collect();
        spaces.into_iter().collect::<Vec<_>>().join(",")
    }

    /// Reads the ConfigMap. Whatever is not exactly what Dayfly writes is an error.
    pub fn from_config_map(object: &Value) -> Result<Self, InventoryError> {
        let name = object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default().to_owned();
        read(&name, object).map_err(|why| InventoryError { name, why })
    }
}

fn read(name: &str, object: &Value) -> Result<Inventory, String> {
    let scope: Scope = name.parse().map_err(|error| format!("the name {error}"))?;
    let mut data = object["data"].as_object().cloned().ok_or("it has no data")?;
    let version = data.get("version").and_then(Value::as_str).unwrap_or("none");
    if version != VERSION {
        return Err(format!("it has version {version}, this Dayfly reads version {VERSION}"));
    }
    let sum: Option<Digest> = data.shift_remove("sum").and_then(|sum| sum.as_str()?.parse().ok());
    if sum != Some(Digest::of_json(&Value::Object(data.clone()))) {
        return Err("its sum does not match its content".into());
    }
    let text = |name: &str| data.get(name).and_then(Value::as_str);
    let mut entries = BTreeMap::new();
    for (index, line) in text("entries").ok_or("it has no entries")?.lines().enumerate() {
        let (key, entry) = parse(line).ok_or_else(|| format!("entry {} is malformed", index + 1))?;
        if entries.insert(key, entry).is_some() {
            return Err(format!("entry {} repeats an object", index + 1));
        }
    }
    let last = LastPass {
        revision: text("revision").map(str::parse).transpose()?,
        rendered: text("rendered").map(str::parse).transpose()?,
        expires: text("expires").map(str::to_owned),
        baseline: text("baseline").map(str::parse).transpose()?,
    };
    let resource_version = object.pointer("/metadata/resourceVersion").and_then(Value::as_str).map(str::to_owned);
    Ok(Inventory { scope, resource_version, entries, last })
}

/// One entry as a line: group, kind, namespace, name, state, UID and three digests, with `-` for none.
fn line(key: &ObjectKey, entry: &InventoryEntry) -> String {
    let or_dash = |text: &str| if text.is_empty() { "-".to_owned() } else { text.to_owned() };
    let digest = |digest: Option<Digest>| digest.map_or("-".into(), |digest| digest.to_string());
    let state = if entry.pending { "pending" } else { "known" };
    format!(
        "{} {} {} {} {state} {} {} {} {}\n",
        or_dash(&key.group),
        key.kind,
        or_dash(key.namespace.as_deref().unwrap_or_default()),
        key.name,
        or_dash(entry.uid.as_deref().unwrap_or_default()),
        digest(entry.applied),
        digest(entry.owned),
        digest(entry.fixed),
    )
}

fn parse(line: &str) -> Option<(ObjectKey, InventoryEntry)> {
    let fields: Vec<&str> = line.split(' ').collect();
    let [group, kind, namespace, name, state, uid, applied, owned, fixed] = fields[..] else { return None };
    let some = |text: &str| (text != "-").then(|| text.to_owned());
    let digest = |text: &str| if text == "-" { Some(None) } else { text.parse().ok().map(Some) };
    let key = ObjectKey {
        group: some(group).unwrap_or_default(),
        kind: some(kind)?,
        namespace: some(namespace),
        name: some(name)?,
    };
    let pending = match state {
        "pending" => true,
        "known" => false,
        _ => return None,
    };
    let uid = some(uid);
    if !pending && uid.is_none() {
        return None;
    }
    Some((
        key,
        InventoryEntry { uid, pending, applied: digest(applied)?, owned: digest(owned)?, fixed: digest(fixed)? },
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope() -> Scope {
        "survey.sandbox".parse().unwrap()
    }

    fn inventory() -> Inventory {
        let mut inventory = Inventory::new(scope());
        for name in ["a", "b"] {
            let value = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "n"}});
            let object = Object::new(value.clone()).unwrap();
            let mut live = value;
            live["metadata"]["uid"] = name.into();
            inventory.applied(&object, &Live::from_object(&live).unwrap());
        }
        let key = ObjectKey { group: "apps".into(), kind: "Deployment".into(), namespace: None, name: "c".into() };
        inventory.entries.insert(key, InventoryEntry { pending: true, ..InventoryEntry::default() });
        inventory.passed(LastPass {
            revision: Some([7; 20].into()),
            rendered: None,
            expires: Some("soon".into()),
            baseline: None,
        });
        inventory
    }

    #[test]
    fn an_inventory_survives_its_config_map() {
        let stored = inventory().to_config_map();
        assert_eq!(Inventory::from_config_map(&stored).unwrap(), inventory());
        assert_eq!(
            stored.pointer("/metadata/annotations/applyset.kubernetes.io~1contains-group-kinds").unwrap(),
            "ConfigMap,Deployment.apps"
        );
    }

    #[test]
    fn an_inventory_changed_by_hand_is_an_error_that_names_it_and_never_empty() {
        let mut cases = vec![];
        for edit in ["", "\n", "- ConfigMap n a known u - - -\n", "nonsense"] {
            let mut stored = inventory().to_config_map();
            stored["data"]["entries"] = edit.into();
            cases.push(stored);
        }
        let mut no_data = inventory().to_config_map();
        no_data.as_object_mut().unwrap().remove("data");
        let mut newer = inventory().to_config_map();
        newer["data"]["version"] = "2".into();
        cases.extend([no_data, newer]);
        for stored in cases {
            let error = Inventory::from_config_map(&stored).unwrap_err();
            assert!(error.to_string().starts_with("ConfigMap/dayfly-system/survey.sandbox: "), "{error}");
        }
    }

    #[test]
    fn a_scope_is_an_instance_or_the_shared_part_of_a_tier() {
        assert!(matches!(scope(), Scope::Instance(_)));
        assert!(matches!("sandbox".parse::<Scope>().unwrap(), Scope::Shared(_)));
        assert_ne!(scope().apply_set(), "sandbox".parse::<Scope>().unwrap().apply_set());
        assert!(scope().apply_set().len() <= 63);
    }
}
