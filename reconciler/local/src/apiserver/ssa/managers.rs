//! The owners of an object's fields, as `metadata.managedFields` lists them.

use super::fieldset::{FieldSet, Path};
use super::typed::Comparison;
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// More updaters than this are folded into one.
const MAX_UPDATERS: usize = 10;
const ANCIENT: &str = "ancient-changes";

/// How a manager came to own fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum OperationKind {
    /// By server-side apply.
    Apply,
    /// By any other write.
    Update,
}

/// What tells two managers apart.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Manager {
    /// The name it gave itself.
    pub name: String,
    /// How it writes.
    pub operation: OperationKind,
    /// The version it wrote; empty for an applier, which is one manager over all versions.
    pub api_version: String,
    /// The subresource it wrote; empty for the object itself.
    pub subresource: String,
}

/// What a manager owns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owned {
    /// The version in which the fields are named.
    pub api_version: String,
    /// The fields.
    pub fields: FieldSet,
    /// When the manager last changed the object, as RFC 3339 in whole seconds.
    pub time: Option<String>,
}

/// All managers of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Managers(BTreeMap<Manager, Owned>);

/// A field that another manager owns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// Its owner.
    pub manager: Manager,
    /// The field.
    pub path: Path,
}

impl Manager {
    /// In the words of a conflict.
    pub fn describe(&self) -> String {
        let mut text = format!("{:?}", self.name);
        if !self.subresource.is_empty() {
            text = format!("{text} with subresource {:?}", self.subresource);
        }
        if self.operation == OperationKind::Update {
            text = format!("{text} using {}", self.api_version);
        }
        text
    }
}

impl Managers {
    /// Reads `metadata.managedFields`; none if an entry is unreadable.
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

    /// Whether nobody owns anything.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What one owns.
    pub fn get(&self, manager: &Manager) -> Option<&Owned> {
        self.0.get(manager)
    }

    /// Makes one own exactly these fields.
    pub fn set(&mut self, manager: Manager, owned: Owned) {
        if owned.fields.is_empty() {
            self.0.remove(&manager);
        } else {
            self.0.insert(manager, owned);
        }
    }

    /// Every field that somebody owns.
    pub fn all_fields(&self) -> FieldSet {
        self.0.values().fold(FieldSet::default(), |all, owned| all.union(&owned.fields))
    }

    /// What others than one manager own of the fields that came or changed.
    pub fn conflicts(&self, with: &Manager, change: &Comparison) -> Vec<Conflict> {
        let touched = change.modified.union(&change.added);
        let others = self.0.iter().filter(|(manager, _)| *manager != with);
        let conflicts = others.flat_map(|(manager, owned)| {
            let paths = owned.fields.intersection(&touched).paths();
            paths.into_iter().map(|path| Conflict { manager: manager.clone(), path })
        });
        conflicts.collect()
    }

    /// Takes from all, or from all but one, what came, changed or went. Who owns nothing any more is gone.
    pub fn give_up(&mut self, but: Option<&Manager>, change: &Comparison) {
        let touched = change.modified.union(&change.added).union(&change.removed);
        for (_, owned) in self.0.iter_mut().filter(|(manager, _)| Some(*manager) != but) {
            owned.fields = owned.fields.difference(&touched);
        }
        self.0.retain(|_, owned| !owned.fields.is_empty());
    }

    /// Makes an updater own these fields too, as of now.
    pub fn add(&mut self, manager: Manager, api_version: &str, fields: &FieldSet, now: Timestamp) {
        if fields.is_empty() {
            return;
        }
        let previous = self.0.get(&manager).map(|owned| owned.fields.clone()).unwrap_or_default();
        let fields = previous.union(fields);
        self.0.insert(manager, Owned { api_version: api_version.to_owned(), fields, time: Some(seconds(now)) });
    }

    /// Folds the oldest updaters into one, version by version, until there are no more than ten.
    pub fn cap(&mut self) {
        let mut updaters: Vec<Manager> =
            self.0.keys().filter(|m| m.operation == OperationKind::Update).cloned().collect();
        updaters.sort_by_key(|manager| (self.0[manager].time.clone(), manager.clone()));
        let mut excess = updaters.len().saturating_sub(MAX_UPDATERS);
        let mut first_of: BTreeMap<String, Manager> = BTreeMap::new();
        for manager in updaters {
            if excess == 0 {
                break;
            }
            let version = manager.api_version.clone();
            let Some(first) = first_of.get(&version) else {
                first_of.insert(version, manager);
                continue;
            };
            let bucket = Manager {
                name: ANCIENT.to_owned(),
                operation: OperationKind::Update,
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

/// A time as `managedFields` has it.
pub fn seconds(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn decode_entry(entry: &Value) -> Option<(Manager, Owned)> {
    let text = |name: &str| entry.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let api_version = text("apiVersion");
    let operation = match text("operation").as_str() {
        "Apply" => OperationKind::Apply,
        "Update" => OperationKind::Update,
        _ => return None,
    };
    if api_version.is_empty() || text("fieldsType") != "FieldsV1" {
        return None;
    }
    let manager = Manager {
        name: text("manager"),
        operation,
        api_version: if operation == OperationKind::Update { api_version.clone() } else { String::new() },
        subresource: text("subresource"),
    };
    let fields = FieldSet::decode(entry.get("fieldsV1").unwrap_or(&Value::Null)).ok()?;
    let time = entry.get("time").and_then(Value::as_str).map(str::to_owned);
    Some((manager, Owned { api_version, fields, time }))
}

fn encode_entry(manager: &Manager, owned: &Owned) -> Value {
    let operation = match manager.operation {
        OperationKind::Apply => "Apply",
        OperationKind::Update => "Update",
    };
    let mut entry = Map::new();
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
    fn more_than_ten_updaters_are_folded_into_one() {
        let mut managers = Managers::default();
        for n in 0..12u32 {
            let manager = Manager {
                name: format!("m{n:02}"),
                operation: OperationKind::Update,
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
        assert_eq!(Managers::decode(&managers.encode()).unwrap(), managers);
    }
}
