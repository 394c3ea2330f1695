//! Walks over objects by their schema: what fields there are, what differs, how to merge, how to take away.

use super::fieldset::{FieldSet, PathElement, compare_values};
use crate::apiserver::schema::{List, ListKind, Schema, Shape, TypeId};
use serde_json::{Map, Value};
use std::cmp::Ordering;
use std::collections::BTreeMap;

/// What differs between an older and a newer object.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Comparison {
    /// Fields that only the older has.
    pub removed: FieldSet,
    /// Fields that both have, with other values.
    pub modified: FieldSet,
    /// Fields that only the newer has.
    pub added: FieldSet,
}

impl Comparison {
    /// The comparison without some fields and all below them.
    pub fn without(&self, ignored: &FieldSet) -> Self {
        Self {
            removed: self.removed.difference_with_below(ignored),
            modified: self.modified.difference_with_below(ignored),
            added: self.added.difference_with_below(ignored),
        }
    }
}

/// How a value is owned.
enum View<'a> {
    /// As a whole.
    Leaf,
    /// Field by field.
    Fields,
    /// Item by item.
    Items(&'a List),
}

/// How a value of a type is owned, or a pair of values, of which one may be absent.
fn view<'a>(schema: &'a Schema, id: TypeId, values: [Option<&Value>; 2]) -> View<'a> {
    let all = |test: fn(&Value) -> bool| values.iter().flatten().all(|value| value.is_null() || test(value));
    let any = |test: fn(&Value) -> bool| values.iter().flatten().any(|value| test(value));
    match schema.get(id) {
        Shape::Struct(shape) if !shape.atomic && all(Value::is_object) => View::Fields,
        Shape::Map { atomic: false, .. } if all(Value::is_object) => View::Fields,
        Shape::Any if all(Value::is_object) && any(Value::is_object) => View::Fields,
        Shape::List(list) if list.kind != ListKind::Atomic && all(Value::is_array) => View::Items(list),
        _ => View::Leaf,
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

/// What tells an item of a list from its fellows. A null or a key field that is absent and has no default stand for
/// themselves.
pub fn item_element(list: &List, item: &Value) -> PathElement {
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

fn elements_of(list: &List, items: &[Value]) -> Vec<PathElement> {
    items.iter().map(|item| item_element(list, item)).collect()
}

/// The type of a field; what the schema does not know is taken as anything.
fn child(schema: &Schema, id: TypeId, name: &str) -> TypeId {
    schema.child(id, name).unwrap_or_else(|| schema.any())
}

/// The fields an object has: its leaves, the items of its lists, and the entries of its maps.
pub fn field_set(schema: &Schema, id: TypeId, value: &Value) -> FieldSet {
    let mut set = FieldSet::default();
    collect(schema, id, value, &mut Vec::new(), &mut set);
    set
}

fn collect(schema: &Schema, id: TypeId, value: &Value, path: &mut Vec<PathElement>, set: &mut FieldSet) {
    match view(schema, id, [Some(value), None]) {
        View::Leaf => set.insert(path),
        View::Fields => {
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
        View::Items(list) => {
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

/// The set with the struct fields that lie around its members.
pub fn with_named_fields(schema: &Schema, id: TypeId, set: &FieldSet) -> FieldSet {
    set.map(&|element, member, below| {
        let named = match element {
            PathElement::Field(name) => schema.field(id, name).is_some(),
            _ => false,
        };
        let inner = match (element, schema.get(id)) {
            (PathElement::Field(name), _) => child(schema, id, name),
            (_, Shape::List(list)) => list.items,
            _ => schema.any(),
        };
        (member || (named && !below.is_empty()), with_named_fields(schema, inner, below))
    })
}

/// What differs between two objects of a type.
pub fn compare(schema: &Schema, id: TypeId, old: &Value, new: &Value) -> Comparison {
    let mut comparison = Comparison::default();
    compare_at(schema, id, [Some(old), Some(new)], &mut Vec::new(), &mut comparison);
    comparison
}

fn compare_at(
    schema: &Schema,
    id: TypeId,
    pair: [Option<&Value>; 2],
    path: &mut Vec<PathElement>,
    out: &mut Comparison,
) {
    let [old, new] = pair;
    let view = if is_empty(old) && is_empty(new) { View::Leaf } else { view(schema, id, pair) };
    match view {
        View::Leaf => {
            if let (Some(old), Some(new)) = (old, new)
                && compare_values(old, new) != Ordering::Equal
            {
                out.modified.insert(path);
            }
        }
        View::Fields => {
            for name in names_of(old, new) {
                path.push(PathElement::field(name));
                compare_at(schema, child(schema, id, name), [get(old, name), get(new, name)], path, out);
                path.pop();
            }
        }
        View::Items(list) => compare_items(schema, list, pair, path, out),
    }
    match pair {
        [None, Some(_)] => out.added.insert(path),
        [Some(_), None] => out.removed.insert(path),
        _ => {}
    }
}

/// Items that occur more than once are compared as one thing.
fn compare_items(
    schema: &Schema,
    list: &List,
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

/// The live object with the applied one laid over it.
pub fn merge(schema: &Schema, id: TypeId, live: &Value, applied: &Value) -> Value {
    merge_at(schema, id, Some(live), Some(applied)).unwrap_or(Value::Null)
}

fn merge_at(schema: &Schema, id: TypeId, live: Option<&Value>, applied: Option<&Value>) -> Option<Value> {
    if is_empty(live) && is_empty(applied) {
        return applied.or(live).cloned();
    }
    match view(schema, id, [live, applied]) {
        View::Leaf => applied.or(live).cloned(),
        View::Fields => {
            let merged = names_of(live, applied).into_iter().filter_map(|name| {
                let value = merge_at(schema, child(schema, id, name), get(live, name), get(applied, name))?;
                Some((name.clone(), value))
            });
            let merged: Map<String, Value> = merged.collect();
            (!merged.is_empty()).then_some(Value::Object(merged))
        }
        View::Items(list) => {
            let merged = merge_items(schema, list, items_of(live), items_of(applied));
            (!merged.is_empty()).then_some(Value::Array(merged))
        }
    }
}

/// Merges two lists: the applied items keep their order, and the others stay before the applied item they came before.
fn merge_items(schema: &Schema, list: &List, live: &[Value], applied: &[Value]) -> Vec<Value> {
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
                    l += 1; // another applier's order moved it: it comes when its turn in the applied order comes
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

/// The object without the members of a set and all below them.
pub fn remove(schema: &Schema, id: TypeId, value: &Value, gone: &FieldSet) -> Value {
    match view(schema, id, [Some(value), None]) {
        _ if gone.is_empty() => value.clone(),
        View::Leaf if value.is_object() || value.is_array() => Value::Null,
        View::Leaf => value.clone(),
        View::Fields => {
            let kept = value.as_object().into_iter().flatten().filter_map(|(name, value)| {
                let element = PathElement::field(name);
                let inner = child(schema, id, name);
                (!gone.has_member(&element)).then(|| (name.clone(), remove_below(schema, inner, value, gone, &element)))
            });
            Value::Object(kept.collect())
        }
        View::Items(list) => {
            let kept = items_of(Some(value)).iter().filter_map(|item| {
                let element = item_element(list, item);
                (!gone.has_member(&element)).then(|| remove_below(schema, list.items, item, gone, &element))
            });
            let kept: Vec<Value> = kept.collect();
            if kept.is_empty() { Value::Null } else { Value::Array(kept) }
        }
    }
}

fn remove_below(schema: &Schema, id: TypeId, value: &Value, gone: &FieldSet, element: &PathElement) -> Value {
    gone.below(element).map_or_else(|| value.clone(), |below| remove(schema, id, value, below))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn deployment() -> (&'static Schema, TypeId) {
        let schema = Schema::builtin();
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
    fn structs_are_not_owned_and_maps_items_and_atomic_values_are() {
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
    fn a_comparison_names_what_came_what_went_and_what_changed() {
        let (schema, id) = deployment();
        let old = json!({"spec": {"replicas": 1, "paused": true}, "metadata": {"labels": {"a": "1"}}});
        let new = json!({"spec": {"replicas": 2, "strategy": {}}, "metadata": {"labels": {"a": "1", "b": "2"}}});
        let found = compare(schema, id, &old, &new);
        assert_eq!(paths(&found.modified), [".spec.replicas"]);
        assert_eq!(paths(&found.removed), [".spec.paused"]);
        assert_eq!(paths(&found.added), [".metadata.labels.b", ".spec.strategy"]);
    }

    #[test]
    fn a_merged_list_keeps_the_applied_order_and_the_others_place() {
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
    fn removing_an_item_leaves_its_fellows() {
        let (schema, id) = deployment();
        let gone = field_set(schema, id, &with_env(&["a"])).difference(&field_set(
            schema,
            id,
            &json!({"spec": {"template": {"spec": {"containers": [{"name": "a"}]}}}}),
        ));
        assert_eq!(env_names(&remove(schema, id, &with_env(&["a", "b"]), &gone)), "b");
    }
}
