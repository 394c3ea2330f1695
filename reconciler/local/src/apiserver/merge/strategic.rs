//! Strategic merge patch: a merge patch that merges lists, too, by a field that identifies their items.
//!
//! Directives: `$patch: replace | delete | merge` in an object or as an item of a list; `$retainKeys: [...]`, which
//! removes all other fields; `$deleteFromPrimitiveList/<list>: [...]`; `$setElementOrder/<list>: [...]`.

use serde_json::Value;

use super::PatchError;
use crate::apiserver::object::JsonObject;
use crate::apiserver::schema::{ApiSchema, SchemaType, StructField, TypeId};

const PATCH: &str = "$patch";
const RETAIN: &str = "$retainKeys";
const DELETE_FROM: &str = "$deleteFromPrimitiveList/";
const ORDER: &str = "$setElementOrder/";

/// Carries out a strategic merge patch on an object of a type.
pub fn strategic(schema: &ApiSchema, id: TypeId, live: &Value, patch: &Value) -> Result<Value, PatchError> {
    let patch = patch.as_object().ok_or_else(|| PatchError::Malformed("a merge patch is an object".to_owned()))?;
    let live = live.as_object().cloned().unwrap_or_default();
    merge_object(schema, id, live, patch).map(Value::Object)
}

fn refused(text: String) -> PatchError {
    PatchError::NotApplicable(text)
}

fn merge_object(
    schema: &ApiSchema,
    id: TypeId,
    mut live: JsonObject,
    patch: &JsonObject,
) -> Result<JsonObject, PatchError> {
    match patch.get(PATCH).map(|directive| directive.as_str().unwrap_or_default()) {
        None | Some("merge") => {}
        Some("replace") => {
            let mut replaced = without_directives(&Value::Object(patch.clone()));
            return Ok(replaced.as_object_mut().map(std::mem::take).unwrap_or_default());
        }
        Some("delete") => return Ok(JsonObject::new()),
        Some(other) => return Err(refused(format!("unknown patch type: {other}"))),
    }
    if let Some(keys) = patch.get(RETAIN) {
        retain_keys(&mut live, patch, keys)?;
    }
    for (name, items) in patch {
        if let Some(list) = name.strip_prefix(DELETE_FROM)
            && let Some(live) = live.get_mut(list).and_then(Value::as_array_mut)
        {
            live.retain(|item| !items.as_array().is_some_and(|gone| gone.contains(item)));
        }
    }
    let ordered = |list: &str| patch.get(&format!("{ORDER}{list}")).and_then(Value::as_array);
    for (name, value) in patch.iter().filter(|(name, _)| !name.starts_with('$')) {
        if value.is_null() {
            live.shift_remove(name);
            continue;
        }
        let merged = merge_field(schema, id, name, live.get(name), value, ordered(name))?;
        live.insert(name.clone(), merged);
    }
    for (name, order) in patch {
        if let Some(list) = name.strip_prefix(ORDER).filter(|list| !patch.contains_key(*list))
            && let (Some(field), Some(Value::Array(items)), Some(order)) =
                (schema.field(id, list), live.get(list), order.as_array())
        {
            let sorted = in_order(items.clone(), order, items, field.patch_merge_key.as_deref());
            live.insert(list.to_owned(), Value::Array(sorted));
        }
    }
    Ok(live)
}

fn retain_keys(live: &mut JsonObject, patch: &JsonObject, keys: &Value) -> Result<(), PatchError> {
    let keys = keys.as_array().ok_or_else(|| refused("$retainKeys is not a list".to_owned()))?;
    let retained = |name: &String| keys.iter().any(|key| key == name.as_str());
    if let Some((name, _)) =
        patch.iter().find(|(name, value)| !name.starts_with('$') && !value.is_null() && !retained(name))
    {
        return Err(refused(format!("{name}: the patch sets it, and $retainKeys does not list it")));
    }
    live.retain(|name, _| retained(name));
    Ok(())
}

fn merge_field(
    schema: &ApiSchema,
    id: TypeId,
    name: &str,
    live: Option<&Value>,
    patch: &Value,
    order: Option<&Vec<Value>>,
) -> Result<Value, PatchError> {
    let inner = schema.child(id, name).unwrap_or_else(|| schema.any());
    let field = schema.field(id, name);
    match (live, patch) {
        (Some(Value::Object(live)), Value::Object(patch)) => {
            merge_object(schema, inner, live.clone(), patch).map(Value::Object)
        }
        (Some(Value::Array(live)), Value::Array(patch)) if field.is_some_and(|f| f.patch_merge) => {
            merge_list(schema, inner, field, live, patch, order).map(Value::Array)
        }
        _ => Ok(without_directives(patch)),
    }
}

fn merge_list(
    schema: &ApiSchema,
    id: TypeId,
    field: Option<&StructField>,
    live: &[Value],
    patch: &[Value],
    order: Option<&Vec<Value>>,
) -> Result<Vec<Value>, PatchError> {
    let items = match schema.get(id) {
        SchemaType::List(list) => list.items,
        _ => schema.any(),
    };
    let Some(key) = field.and_then(|f| f.patch_merge_key.as_deref()) else {
        let mut merged = live.to_vec();
        merged.extend(patch.iter().cloned());
        let mut unique: Vec<Value> = Vec::with_capacity(merged.len());
        merged.into_iter().for_each(|item| {
            if !unique.contains(&item) {
                unique.push(item)
            }
        });
        return Ok(in_order(unique, order.map_or(patch, Vec::as_slice), live, None));
    };
    let directive = |item: &Value| item.get(PATCH).and_then(Value::as_str).map(str::to_owned);
    if patch.iter().any(|item| directive(item).as_deref() == Some("replace")) {
        let kept = patch.iter().filter(|item| directive(item).is_none());
        return Ok(kept.map(without_directives).collect());
    }
    let mut merged = live.to_vec();
    let mut kept = Vec::new();
    for item in patch {
        let value =
            item.get(key).ok_or_else(|| refused(format!("map: {item} does not contain declared merge key: {key}")))?;
        let place = merged.iter().position(|live| live.get(key) == Some(value));
        match (directive(item).as_deref(), place) {
            (Some("delete"), _) => {
                merged.retain(|live| live.get(key) != Some(value));
                continue;
            }
            (_, Some(place)) => {
                let patch = item.as_object().ok_or_else(|| refused(format!("{item} is not an object")))?;
                let live = merged[place].as_object().cloned().unwrap_or_default();
                merged[place] = Value::Object(merge_object(schema, items, live, patch)?);
            }
            (_, None) => merged.push(without_directives(item)),
        }
        kept.push(item.clone());
    }
    let Some(order) = order else { return Ok(in_order(merged, &kept, live, Some(key))) };
    // An item in the place of a deleted one counts as if it had been there before.
    let before = merged.iter().take(live.len()).cloned().collect::<Vec<_>>();
    Ok(in_order(merged, order, &before, Some(key)))
}

/// Sorts items in the order that is asked for. Items that it does not name keep their place among those before.
fn in_order(items: Vec<Value>, order: &[Value], before: &[Value], key: Option<&str>) -> Vec<Value> {
    let same = |a: &Value, b: &Value| key.map_or_else(|| a == b, |key| a.get(key) == b.get(key));
    let place_in = |list: &[Value], item: &Value| list.iter().position(|other| same(other, item));
    let (mut named, mut others): (Vec<_>, Vec<_>) = items.into_iter().partition(|i| place_in(order, i).is_some());
    named.sort_by_key(|item| place_in(order, item));
    others.sort_by_key(|item| place_in(before, item));
    let mut out = Vec::with_capacity(named.len() + others.len());
    let (mut named, mut others) = (named.into_iter().peekable(), others.into_iter().peekable());
    while let (Some(first), Some(other)) = (named.peek(), others.peek()) {
        let earlier = match (place_in(before, other), place_in(before, first)) {
            (Some(other), Some(first)) => other < first,
            _ => false,
        };
        out.extend(if earlier { others.next() } else { named.next() });
    }
    out.extend(named);
    out.extend(others);
    out
}

/// A value of a patch without the directives and nulls, for where there is nothing to merge it with.
fn without_directives(patch: &Value) -> Value {
    match patch {
        Value::Object(map) => {
            let kept = map.iter().filter(|(name, value)| {
                let directive =
                    *name == PATCH || *name == RETAIN || name.starts_with(DELETE_FROM) || name.starts_with(ORDER);
                !directive && !value.is_null()
            });
            kept.map(|(name, value)| (name.clone(), without_directives(value))).collect()
        }
        Value::Array(items) => {
            let kept = items.iter().filter(|item| item.get(PATCH).is_none_or(|directive| directive == "merge"));
            kept.map(without_directives).collect()
        }
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(spec: &Value, patch: &Value) -> Result<Value, PatchError> {
        let schema = ApiSchema::builtin();
        let id = schema.type_of("", "v1", "Pod").unwrap();
        Ok(strategic(schema, id, &json!({ "spec": spec }), &json!({ "spec": patch }))?["spec"].clone())
    }

    #[test]
    fn containers_are_merged_by_name_and_new_ones_are_added() {
        let live =
            json!({"containers": [{"name": "a", "image": "1", "env": [{"name": "A", "value": "1"}]}, {"name": "b"}]});
        let patch =
            json!({"containers": [{"name": "a", "image": "2", "env": [{"name": "B", "value": "2"}]}, {"name": "c"}]});
        let merged = pod(&live, &patch).unwrap();
        let env = &merged["containers"][0]["env"];
        assert_eq!(merged["containers"].as_array().unwrap().len(), 3);
        assert_eq!(merged["containers"][0]["image"], "2");
        assert_eq!(env, &json!([{"name": "B", "value": "2"}, {"name": "A", "value": "1"}]));
    }

    #[test]
    fn a_list_that_was_absent_is_set_as_it_is() {
        let ports = json!([{"containerPort": 80}, {"containerPort": 80, "protocol": "UDP"}]);
        let patch = json!({"containers": [{"name": "a", "ports": ports}]});
        assert_eq!(pod(&json!({"containers": [{"name": "a"}]}), &patch), Ok(patch));
    }

    #[test]
    fn directives_delete_items_and_replace_lists() {
        let live = json!({"containers": [{"name": "a"}, {"name": "b"}]});
        let delete = json!({"containers": [{"name": "a", "$patch": "delete"}]});
        assert_eq!(pod(&live, &delete), Ok(json!({"containers": [{"name": "b"}]})));
        let replace = json!({"containers": [{"$patch": "replace"}, {"name": "c"}]});
        assert_eq!(pod(&live, &replace), Ok(json!({"containers": [{"name": "c"}]})));
        assert!(pod(&live, &json!({"containers": [{"image": "x"}]})).is_err());
    }

    #[test]
    fn a_delete_directive_removes_all_items_with_its_key() {
        let live = json!({"containers": [{"name": "a", "ports": [
            {"containerPort": 80, "protocol": "TCP"}, {"containerPort": 80, "protocol": "UDP"}, {"containerPort": 81}]}]});
        let patch = json!({"containers": [{"name": "a", "ports": [{"containerPort": 80, "$patch": "delete"}]}]});
        let ports = pod(&live, &patch).unwrap()["containers"][0]["ports"].clone();
        assert_eq!(ports, json!([{"containerPort": 81}]));
    }

    #[test]
    fn a_directive_orders_items_and_others_keep_their_place() {
        let live = json!({"containers": [{"name": "a"}, {"name": "injected"}, {"name": "b"}]});
        let patch = json!({"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}],
                           "containers": [{"name": "a", "image": "1"}]});
        let merged = pod(&live, &patch).unwrap();
        let names: Vec<_> = merged["containers"].as_array().unwrap().iter().map(|c| c["name"].clone()).collect();
        assert_eq!(names, ["injected", "b", "a"]);
    }

    #[test]
    fn an_item_that_replaces_another_comes_after_those_that_were_there() {
        let live = json!({"containers": [{"name": "a"}, {"name": "injected"}]});
        let patch = json!({"$setElementOrder/containers": [{"name": "b"}],
                           "containers": [{"name": "a", "$patch": "delete"}, {"name": "b"}]});
        assert_eq!(pod(&live, &patch), Ok(json!({"containers": [{"name": "injected"}, {"name": "b"}]})));
    }

    #[test]
    fn retained_keys_let_a_volume_change_its_source() {
        let live = json!({"volumes": [{"name": "v", "emptyDir": {}}]});
        let patch =
            json!({"volumes": [{"name": "v", "$retainKeys": ["name", "configMap"], "configMap": {"name": "c"}}]});
        assert_eq!(pod(&live, &patch), Ok(json!({"volumes": [{"name": "v", "configMap": {"name": "c"}}]})));
        let bad = json!({"volumes": [{"name": "v", "$retainKeys": ["name"], "configMap": {"name": "c"}}]});
        assert!(pod(&live, &bad).is_err());
    }

    #[test]
    fn primitives_are_added_once_and_deleted_and_ordered_by_directives() {
        let schema = ApiSchema::builtin();
        let id = schema.type_of("", "v1", "ConfigMap").unwrap();
        let patched = |patch: Value| {
            let live = json!({"metadata": {"finalizers": ["a", "b"]}});
            strategic(schema, id, &live, &json!({ "metadata": patch })).unwrap()["metadata"]["finalizers"].clone()
        };
        assert_eq!(patched(json!({"$deleteFromPrimitiveList/finalizers": ["a"]})), json!(["b"]));
        assert_eq!(patched(json!({"finalizers": ["b", "c"]})), json!(["a", "b", "c"]));
        assert_eq!(patched(json!({"$setElementOrder/finalizers": ["b", "a"]})), json!(["b", "a"]));
        assert_eq!(patched(json!({"finalizers": null})), Value::Null);
    }

    #[test]
    fn maps_are_merged_unless_a_directive_replaces_them_and_atomic_lists_are_replaced() {
        let live = json!({"nodeSelector": {"a": "1"}, "containers": [{"name": "a", "args": ["x"]}]});
        let merged =
            pod(&live, &json!({"nodeSelector": {"b": "2"}, "containers": [{"name": "a", "args": ["y"]}]})).unwrap();
        assert_eq!(merged["nodeSelector"], json!({"a": "1", "b": "2"}));
        assert_eq!(merged["containers"][0]["args"], json!(["y"]));
        let replaced = pod(&live, &json!({"nodeSelector": {"$patch": "replace", "c": "3"}})).unwrap();
        assert_eq!(replaced["nodeSelector"], json!({"c": "3"}));
        assert_eq!(pod(&live, &json!({"nodeSelector": {"$patch": "delete"}})).unwrap()["nodeSelector"], json!({}));
    }
}
