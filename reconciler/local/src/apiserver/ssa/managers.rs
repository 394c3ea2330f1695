//! The managers of an object's fields, as `metadata.managedFields` lists them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::fieldset::{FieldPath, FieldSet};
use super::typed::Comparison;
use crate::apiserver::object::JsonObject;

/// An object has at most this many updaters; the oldest are merged into one.
const MAX_UPDATERS: usize = 10;
const ANCIENT: &str = "ancient-changes";

/// How a manager writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ManagerOperation {
    /// By server-side apply.
    Apply,
    /// By all other writes.
    Update,
}

/// What identifies a manager.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FieldManager {
    pub name: String,
    pub operation: ManagerOperation,
    /// Empty for an applier, which is the same manager in all versions.
    pub api_version: String,
    /// Empty for the object itself.
    pub subresource: String,
}

/// The fields of a manager.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnedFields {
    /// The version of the kind that has these fields.
    pub api_version: String,
    pub fields: FieldSet,
    /// When the manager last changed the object, as RFC 3339 in whole seconds.
    pub time: Option<String>,
}

/// All managers of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldManagers(BTreeMap<FieldManager, OwnedFields>);

/// A field that another manager owns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldConflict {
    pub manager: FieldManager,
    pub path: FieldPath,
}

impl FieldManager {
    /// What the message of a conflict calls it.
    pub fn describe(&self) -> String {
        let mut text = format!("{:?}", self.name);
        if !self.subresource.is_empty() {
            text = format!("{text} with subresource {:?}", self.subresource);
        }
        if self.operation == ManagerOperation::Update {
            text = format!("{text} using {}", self.api_version);
        }
        text
    }
}

impl FieldManagers {
    /// Reads `metadata.managedFields`; none if an entry cannot be read.
    pub fn decode(entries: &Value) -> Option<Self> {
        let entries = entries.as_array().map(Vec::as_slice).unwrap_or_default();
        entries.iter().map(decode_entry).collect::<Option<_>>().map(Self)
    }

    /// Writes `metadata.managedFields`: appliers first, then by time and name.
    pub fn encode(&self) -> Value {
        let mut entries: Vec<_> = self.0.iter().collect();
        entries.sort_by_key(|(manager, owned)| {
            (manager.operation, owned.time.clone(), manager.name.clone(), owned.api_version.clone())
        });
        entries.into_iter().map(|(manager, owned)| encode_entry(manager, owned)).collect()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn get(&self, manager: &FieldManager) -> Option<&OwnedFields> {
        self.0.get(manager)
    }

    /// Makes a manager own exactly these fields.
    pub fn set(&mut self, manager: FieldManager, owned: OwnedFields) {
        if owned.fields.is_empty() {
            self.0.remove(&manager);
        } else {
            self.0.insert(manager, owned);
        }
    }

    /// The fields of all managers.
    pub fn all_fields(&self) -> FieldSet {
        self.0.values().fold(FieldSet::default(), |all, owned| all.union(&owned.fields))
    }

    /// The added and modified fields that other managers own.
    pub fn conflicts(&self, with: &FieldManager, change: &Comparison) -> Vec<FieldConflict> {
        let touched = change.modified.union(&change.added);
        let others = self.0.iter().filter(|(manager, _)| *manager != with);
        let conflicts = others.flat_map(|(manager, owned)| {
            let paths = owned.fields.intersection(&touched).paths();
            paths.into_iter().map(|path| FieldConflict { manager: manager.clone(), path })
        });
        conflicts.collect()
    }

    /// Makes all managers, or all but one, no longer own the fields that were added, modified or removed.
    pub fn release(&mut self, but: Option<&FieldManager>, change: &Comparison) {
        let touched = change.modified.union(&change.added).union(&change.removed);
        for (_, owned) in self.0.iter_mut().filter(|(manager, _)| Some(*manager) != but) {
            owned.fields = owned.fields.difference(&touched);
        }
        self.0.retain(|_, owned| !owned.fields.is_empty());
    }

    /// Makes an updater own these fields in addition to its own, as of now.
    pub fn add(&mut self, manager: FieldManager, api_version: &str, fields: &FieldSet, now: Timestamp) {
        if fields.is_empty() {
            return;
        }
        let previous = self.0.get(&manager).map(|owned| owned.fields.clone()).unwrap_or_default();
        let fields = previous.union(fields);
        self.0.insert(manager, OwnedFields { api_version: api_version.to_owned(), fields, time: Some(seconds(now)) });
    }

    /// Merges the oldest updaters of each version into one, until there are no more than [`MAX_UPDATERS`].
    pub fn cap(&mut self) {
        let mut updaters: Vec<FieldManager> =
            self.0.keys().filter(|m| m.operation == ManagerOperation::Update).cloned().collect();
        updaters.sort_by_key(|manager| (self.0[manager].time.clone(), manager.clone()));
        let mut excess = updaters.len().saturating_sub(MAX_UPDATERS);
        let mut first_of: BTreeMap<String, FieldManager> = BTreeMap::new();
        for manager in updaters {
            if excess == 0 {
                break;
            }
            let version = manager.api_version.clone();
            let Some(first) = first_of.get(&version) else {
                first_of.insert(version, manager);
                continue;
            };
            let bucket = FieldManager {
                name: ANCIENT.to_owned(),
                operation: ManagerOperation::Update,
                api_version: version,
                subresource: String::new(),
            };
            let older = self.0.remove(&bucket).or_else(|| self.0.remove(first));
            if let (Some(older), Some(mut newer)) = (older, self.0.remove(&manager)) {
                newer.fields = newer.fields.union(&older.fields);
                self.0.insert(bucket, newer);
            }
            excess -= 1;
        }
    }
}

/// A time in the form of `managedFields`.
pub fn seconds(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn decode_entry(entry: &Value) -> Option<(FieldManager, OwnedFields)> {
    let text = |name: &str| entry.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let api_version = text("apiVersion");
    let operation = match text("operation").as_str() {
        "Apply" => ManagerOperation::Apply,
        "Update" => ManagerOperation::Update,
        _ => return None,
    };
    if api_version.is_empty() || text("fieldsType") != "FieldsV1" {
        return None;
    }
    let manager = FieldManager {
        name: text("manager"),
        operation,
        api_version: if operation == ManagerOperation::Update { api_version.clone() } else { String::new() },
        subresource: text("subresource"),
    };
    let fields = FieldSet::decode(entry.get("fieldsV1").unwrap_or(&Value::Null)).ok()?;
    let time = entry.get("time").and_then(Value::as_str).map(str::to_owned);
    Some((manager, OwnedFields { api_version, fields, time }))
}

fn encode_entry(manager: &FieldManager, owned: &OwnedFields) -> Value {
    let operation = match manager.operation {
        ManagerOperation::Apply => "Apply",
        ManagerOperation::Update => "Update",
    };
    let mut entry = JsonObject::new();
    entry.insert("manager".to_owned(), json!(manager.name));
    entry.insert("operation".to_owned(), json!(operation));
    entry.insert("apiVersion".to_owned(), json!(owned.api_version));
    if let Some(time) = &owned.time {
        entry.insert("time".to_owned(), json!(time));
    }
    entry.insert("fieldsType".to_owned(), json!("FieldsV1"));
    entry.insert("fieldsV1".to_owned(), owned.fields.encode());
    if !manager.subresource.is_empty() {
        entry.insert("subresource".to_owned(), json!(manager.subresource));
    }
    Value::Object(entry)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_of_more_than_ten_updaters_are_merged_into_one() {
        let mut managers = FieldManagers::default();
        for n in 0..12u32 {
            let manager = FieldManager {
                name: format!("m{n:02}"),
                operation: ManagerOperation::Update,
                api_version: "v1".to_owned(),
                subresource: String::new(),
            };
            let now = Timestamp::from_second(i64::from(n)).unwrap();
            managers.add(manager, "v1", &FieldSet::of_fields(&[&format!("data.k{n}")]), now);
        }
        managers.cap();
        let names: Vec<_> = managers.0.keys().map(|m| m.name.as_str()).collect();
        assert_eq!(names.len(), 10);
        assert_eq!(names[0], ANCIENT);
        assert_eq!(managers.all_fields().paths().len(), 12);
        assert_eq!(FieldManagers::decode(&managers.encode()).unwrap(), managers);
    }
}
