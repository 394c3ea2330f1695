//! Objects by their schema: which fields they have, how two of them differ, how to merge them, how to remove fields.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::fieldset::{FieldSet, PathElement, compare_values};
use crate::apiserver::object::JsonObject;
use crate::apiserver::schema::{ApiSchema, ListKind, ListType, SchemaType, TypeId};

/// How an older and a newer object differ.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Comparison {
    /// Fields that only the older has.
    pub removed: FieldSet,
    /// Fields that both have, with different values.
    pub modified: FieldSet,
    /// Fields that only the newer has.
    pub added: FieldSet,
}

impl Comparison {
    /// The comparison without some fields and those within them.
    pub fn without(&self, ignored: &FieldSet) -> Self {
        Self {
            removed: self.removed.difference_with_below(ignored),
            modified: self.modified.difference_with_below(ignored),
            added: self.added.difference_with_below(ignored),
        }
    }
}

/// In which parts a value can be owned.
enum Granularity<'a> {
    Whole,
    ByField,
    ByItem(&'a ListType),
}

/// In which parts a value of a type can be owned, or both of a pair, of which one may be absent.
fn granularity<'a>(schema: &'a ApiSchema, id: TypeId, values: [Option<&Value>; 2]) -> Granularity<'a> {
    let all = |test: fn(&Value) -> bool| values.iter().flatten().all(|value| value.is_null() || test(value));
    let any = |test: fn(&Value) -> bool| values.iter().flatten().any(|value| test(value));
    match schema.get(id) {
        SchemaType::Struct(struct_type) if !struct_type.atomic && all(Value::is_object) => Granularity::ByField,
        SchemaType::Map { atomic: false, .. } if all(Value::is_object) => Granularity::ByField,
        SchemaType::Any if all(Value::is_object) && any(Value::is_object) => Granularity::ByField,
        SchemaType::List(list) if list.kind != ListKind::Atomic && all(Value::is_array) => Granularity::ByItem(list),
        _ => Granularity::Whole,
    }
}

fn is_empty(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null) => true,
        Some(Value::Object(map)) => map.is_empty(),
        Some(Value::Array(items)) => items.is_empty(),
        Some(_) => false,
    }
}

pub(super) fn items_of(value: Option<&Value>) -> &[Value] {
    value.and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The names of the fields of either, those of the first before the others.
fn names_of<'a>(first: Option<&'a Value>, second: Option<&'a Value>) -> Vec<&'a String> {
    let (first, second) = (first.and_then(Value::as_object), second.and_then(Value::as_object));
    let only_second = second.into_iter().flatten().filter(|(name, _)| !first.is_some_and(|m| m.contains_key(*name)));
    first.into_iter().flatten().chain(only_second).map(|(name, _)| name).collect()
}

fn get<'a>(value: Option<&'a Value>, name: &str) -> Option<&'a Value> {
    value?.get(name)
}

/// What identifies an item in its list. Key fields that are absent and have no default are left out.
pub fn item_element(list: &ListType, item: &Value) -> PathElement {
    match &list.kind {
        ListKind::Map { keys } => {
            let named = keys.iter().filter_map(|(name, default)| {
                let value = item.get(name).or(default.as_ref())?;
                Some((name.clone(), value.clone()))
            });
            let mut named: Vec<_> = named.collect();
            named.sort_by(|a, b| a.0.cmp(&b.0));
            PathElement::Key(named)
        }
        ListKind::Set | ListKind::Atomic => PathElement::Value(item.clone()),
    }
}

fn elements_of(list: &ListType, items: &[Value]) -> Vec<PathElement> {
    items.iter().map(|item| item_element(list, item)).collect()
}

/// The type of a field. A field that the schema does not have may be anything.
fn child(schema: &ApiSchema, id: TypeId, name: &str) -> TypeId {
    schema.child(id, name).unwrap_or_else(|| schema.any())
}

/// The fields of an object: its leaves, the items of its lists, and the entries of its maps.
pub fn field_set(schema: &ApiSchema, id: TypeId, value: &Value) -> FieldSet {
    let mut set = FieldSet::default();
    collect(schema, id, value, &mut Vec::new(), &mut set);
    set
}

fn collect(schema: &ApiSchema, id: TypeId, value: &Value, path: &mut Vec<PathElement>, set: &mut FieldSet) {
    match granularity(schema, id, [Some(value), None]) {
        Granularity::Whole => set.insert(path),
        Granularity::ByField => {
            for (name, value) in value.as_object().into_iter().flatten() {
                path.push(PathElement::field(name));
                collect(schema, child(schema, id, name), value, path, set);
                let empty = value.is_null() || value.as_object().is_some_and(Map::is_empty);
                if empty || schema.field(id, name).is_none() {
                    set.insert(path);
                }
                path.pop();
            }
        }
        Granularity::ByItem(list) => {
            let items = items_of(Some(value));
            let elements = elements_of(list, items);
            for (item, element) in items.iter().zip(&elements) {
                path.push(element.clone());
                set.insert(path);
                if elements.iter().filter(|e| *e == element).count() == 1 {
                    collect(schema, list.items, item, path, set);
                }
                path.pop();
            }
        }
    }
}

/// The set together with the struct fields that contain its members.
pub fn with_named_fields(schema: &ApiSchema, id: TypeId, set: &FieldSet) -> FieldSet {
    set.map(&|element, member, below| {
        let named = match element {
            PathElement::Field(name) => schema.field(id, name).is_some(),
            _ => false,
        };
        let inner = match (element, schema.get(id)) {
            (PathElement::Field(name), _) => child(schema, id, name),
            (_, SchemaType::List(list)) => list.items,
            _ => schema.any(),
        };
        (member || (named && !below.is_empty()), with_named_fields(schema, inner, below))
    })
}

/// How two objects of a type differ.
pub fn compare(schema: &ApiSchema, id: TypeId, old: &Value, new: &Value) -> Comparison {
    let mut comparison = Comparison::default();
    compare_at(schema, id, [Some(old), Some(new)], &mut Vec::new(), &mut comparison);
    comparison
}

fn compare_at(
    schema: &ApiSchema,
    id: TypeId,
    pair: [Option<&Value>; 2],
    path: &mut Vec<PathElement>,
    out: &mut Comparison,
) {
    let [old, new] = pair;
    let granularity = if is_empty(old) && is_empty(new) { Granularity::Whole } else { granularity(schema, id, pair) };
    match granularity {
        Granularity::Whole => {
            if let (Some(old), Some(new)) = (old, new)
                && compare_values(old, new) != Ordering::Equal
            {
                out.modified.insert(path);
            }
        }
        Granularity::ByField => {
            for name in names_of(old, new) {
                path.push(PathElement::field(name));
                compare_at(schema, child(schema, id, name), [get(old, name), get(new, name)], path, out);
                path.pop();
            }
        }
        Granularity::ByItem(list) => compare_items(schema, list, pair, path, out),
    }
    match pair {
        [None, Some(_)] => out.added.insert(path),
        [Some(_), None] => out.removed.insert(path),
        _ => {}
    }
}

/// Compares two lists item by item. Equal items of one list are compared together.
fn compare_items(
    schema: &ApiSchema,
    list: &ListType,
    pair: [Option<&Value>; 2],
    path: &mut Vec<PathElement>,
    out: &mut Comparison,
) {
    let mut groups: BTreeMap<PathElement, [Vec<&Value>; 2]> = BTreeMap::new();
    for (side, value) in pair.into_iter().enumerate() {
        for item in items_of(value) {
            groups.entry(item_element(list, item)).or_default()[side].push(item);
        }
    }
    for (element, [old, new]) in groups {
        path.push(element);
        match (old.as_slice(), new.as_slice()) {
            ([], [new]) => compare_at(schema, list.items, [None, Some(new)], path, out),
            ([old], []) => compare_at(schema, list.items, [Some(old), None], path, out),
            ([old], [new]) => compare_at(schema, list.items, [Some(old), Some(new)], path, out),
            ([_, _, ..], [_, _, ..]) => {
                let same = |(a, b): (&&Value, &&Value)| compare_values(a, b) == Ordering::Equal;
                if old.len() != new.len() || !old.iter().zip(&new).all(same) {
                    out.modified.insert(path);
                }
            }
            ([_, _, ..], rest) => {
                if let Some(new) = rest.first() {
                    compare_at(schema, list.items, [None, Some(new)], path, out);
                }
                out.removed.insert(path);
            }
            (rest, _) => {
                if let Some(old) = rest.first() {
                    compare_at(schema, list.items, [Some(old), None], path, out);
                }
                out.added.insert(path);
            }
        }
        path.pop();
    }
}

/// Merges the applied object into the live one.
pub fn merge(schema: &ApiSchema, id: TypeId, live: &Value, applied: &Value) -> Value {
    merge_at(schema, id, Some(live), Some(applied)).unwrap_or(Value::Null)
}

fn merge_at(schema: &ApiSchema, id: TypeId, live: Option<&Value>, applied: Option<&Value>) -> Option<Value> {
    if is_empty(live) && is_empty(applied) {
        return applied.or(live).cloned();
    }
    match granularity(schema, id, [live, applied]) {
        Granularity::Whole => applied.or(live).cloned(),
        Granularity::ByField => {
            let merged = names_of(live, applied).into_iter().filter_map(|name| {
                let value = merge_at(schema, child(schema, id, name), get(live, name), get(applied, name))?;
                Some((name.clone(), value))
            });
            let merged: JsonObject = merged.collect();
            (!merged.is_empty()).then_some(Value::Object(merged))
        }
        Granularity::ByItem(list) => {
            let merged = merge_items(schema, list, items_of(live), items_of(applied));
            (!merged.is_empty()).then_some(Value::Array(merged))
        }
    }
}

/// Merges two lists: the applied items keep their order, and each of the others stays before the applied item that it
/// preceded.
fn merge_items(schema: &ApiSchema, list: &ListType, live: &[Value], applied: &[Value]) -> Vec<Value> {
    let (live_elements, applied_elements) = (elements_of(list, live), elements_of(list, applied));
    let unique = |element: &PathElement| {
        let mut same = live_elements.iter().zip(live).filter(|(e, _)| *e == element);
        same.next().map(|(_, item)| item).filter(|_| same.next().is_none())
    };
    let merged = |place: usize| {
        let element = &applied_elements[place];
        merge_at(schema, list.items, unique(element), Some(&applied[place]))
    };
    let applied_at = |element: &PathElement| applied_elements.iter().position(|e| e == element);
    let shared: Vec<usize> =
        (0..applied.len()).filter(|place| live_elements.contains(&applied_elements[*place])).collect();
    let mut shared = shared.into_iter();
    let mut next_shared = shared.next();
    let mut out = Vec::with_capacity(live.len() + applied.len());
    let (mut l, mut a) = (0, 0);
    while l < live.len() || a < applied.len() {
        if l < live.len() {
            match applied_at(&live_elements[l]) {
                None => {
                    out.push(live[l].clone());
                    l += 1;
                    continue;
                }
                Some(place) if a < applied.len() && place != a && next_shared.is_some_and(|next| next != place) => {
                    l += 1; // the applied order has it elsewhere, and it is merged there
                    continue;
                }
                Some(place) if place <= a => l += 1,
                Some(_) => {}
            }
        }
        if a < applied.len() {
            out.extend(merged(a));
            if next_shared == Some(a) {
                next_shared = shared.next();
            }
            a += 1;
        }
    }
    out
}

/// The object without the members of a set and all that is within them.
pub fn remove(schema: &ApiSchema, id: TypeId, value: &Value, gone: &FieldSet) -> Value {
    match granularity(schema, id, [Some(value), None]) {
        _ if gone.is_empty() => value.clone(),
        Granularity::Whole if value.is_object() || value.is_array() => Value::Null,
        Granularity::Whole => value.clone(),
        Granularity::ByField => {
            let kept = value.as_object().into_iter().flatten().filter_map(|(name, value)| {
                let element = PathElement::field(name);
                let inner = child(schema, id, name);
                (!gone.has_member(&element)).then(|| (name.clone(), remove_below(schema, inner, value, gone, &element)))
            });
            Value::Object(kept.collect())
        }
        Granularity::ByItem(list) => {
            let kept = items_of(Some(value)).iter().filter_map(|item| {
                let element = item_element(list, item);
                (!gone.has_member(&element)).then(|| remove_below(schema, list.items, item, gone, &element))
            });
            let kept: Vec<Value> = kept.collect();
            if kept.is_empty() { Value::Null } else { Value::Array(kept) }
        }
    }
}

fn remove_below(schema: &ApiSchema, id: TypeId, value: &Value, gone: &FieldSet, element: &PathElement) -> Value {
    gone.below(element).map_or_else(|| value.clone(), |below| remove(schema, id, value, below))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn deployment() -> (&'static ApiSchema, TypeId) {
        let schema = ApiSchema::builtin();
        (schema, schema.type_of("apps", "v1", "Deployment").unwrap())
    }

    fn paths(set: &FieldSet) -> Vec<String> {
        set.paths().iter().map(ToString::to_string).collect()
    }

    fn with_env(env: &[&str]) -> Value {
        let env: Vec<_> = env.iter().map(|name| json!({"name": name, "value": name})).collect();
        json!({"spec": {"template": {"spec": {"containers": [{"name": "a", "env": env}]}}}})
    }

    fn env_names(value: &Value) -> String {
        let env = value.pointer("/spec/template/spec/containers/0/env").unwrap();
        env.as_array().unwrap().iter().filter_map(|e| e["name"].as_str()).collect()
    }

    #[test]
    fn the_fields_of_an_object_are_its_leaves_items_and_map_entries_but_not_its_structs() {
        let (schema, id) = deployment();
        let object = json!({
            "metadata": {"labels": {"a": "b"}},
            "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": {"spec": {
                "containers": [{"name": "a", "ports": [{"containerPort": 80}], "resources": {}}]}}}
        });
        assert_eq!(
            paths(&field_set(schema, id, &object)),
            [
                ".metadata.labels.a",
                ".spec.selector",
                ".spec.template.spec.containers[name=\"a\"]",
                ".spec.template.spec.containers[name=\"a\"].name",
                ".spec.template.spec.containers[name=\"a\"].resources",
                ".spec.template.spec.containers[name=\"a\"].ports[containerPort=80,protocol=\"TCP\"]",
                ".spec.template.spec.containers[name=\"a\"].ports[containerPort=80,protocol=\"TCP\"].containerPort",
            ]
        );
    }

    #[test]
    fn a_comparison_names_the_added_removed_and_modified_fields() {
        let (schema, id) = deployment();
        let old = json!({"spec": {"replicas": 1, "paused": true}, "metadata": {"labels": {"a": "1"}}});
        let new = json!({"spec": {"replicas": 2, "strategy": {}}, "metadata": {"labels": {"a": "1", "b": "2"}}});
        let found = compare(schema, id, &old, &new);
        assert_eq!(paths(&found.modified), [".spec.replicas"]);
        assert_eq!(paths(&found.removed), [".spec.paused"]);
        assert_eq!(paths(&found.added), [".metadata.labels.b", ".spec.strategy"]);
    }

    #[test]
    fn a_merged_list_keeps_the_applied_order_and_the_place_of_other_items() {
        let (schema, id) = deployment();
        for (live, applied, merged) in
            [("abc", "cb", "acb"), ("ab", "bxa", "bxa"), ("axb", "ab", "axb"), ("", "ba", "ba"), ("xay", "ba", "xbay")]
        {
            let split = |text: &'static str| -> Value {
                with_env(&text.split("").filter(|s| !s.is_empty()).collect::<Vec<_>>())
            };
            let out = merge(schema, id, &split(live), &split(applied));
            assert_eq!(env_names(&out), merged, "{live} + {applied}");
        }
    }

    #[test]
    fn removing_an_item_keeps_the_other_items() {
        let (schema, id) = deployment();
        let gone = field_set(schema, id, &with_env(&["a"])).difference(&field_set(
            schema,
            id,
            &json!({"spec": {"template": {"spec": {"containers": [{"name": "a"}]}}}}),
        ));
        assert_eq!(env_names(&remove(schema, id, &with_env(&["a", "b"]), &gone)), "b");
    }
}
