//! JSON Patch (RFC 6902).

use serde_json::Value;

use super::PatchError;

/// Carries out all operations of a patch, or none.
pub fn json_patch(live: &Value, patch: &Value) -> Result<Value, PatchError> {
    let not_a_list = || {
        let found = if patch.is_object() { "object" } else { "value" };
        PatchError::Malformed(format!("json: cannot unmarshal {found} into Go value of type []handlers.jsonPatchOp"))
    };
    let operations = patch.as_array().ok_or_else(not_a_list)?;
    operations.iter().try_fold(live.clone(), carry_out)
}

fn carry_out(mut object: Value, operation: &Value) -> Result<Value, PatchError> {
    let text = |name: &str| {
        let missing = || PatchError::Malformed(format!("the operation {operation} has no {name}"));
        operation.get(name).and_then(Value::as_str).ok_or_else(missing)
    };
    let value = || {
        let missing = || PatchError::Malformed(format!("the operation {operation} has no value"));
        operation.get("value").cloned().ok_or_else(missing)
    };
    let path = text("path")?;
    match text("op")? {
        "add" => add(&mut object, path, value()?)?,
        "remove" => {
            remove(&mut object, path)?;
        }
        "replace" => replace(&mut object, path, value()?)?,
        "move" => {
            let moved = remove(&mut object, text("from")?)?;
            add(&mut object, path, moved)?;
        }
        "copy" => {
            let from = text("from")?;
            let copy = object.pointer(from).cloned().ok_or_else(|| missing(from))?;
            add(&mut object, path, copy)?;
        }
        "test" => {
            let (found, expected) = (object.pointer(path), value()?);
            if found.unwrap_or(&Value::Null) != &expected {
                return Err(PatchError::NotApplicable(format!("testing value {path} failed")));
            }
        }
        other => return Err(PatchError::Malformed(format!("unexpected kind of operation: {other}"))),
    }
    Ok(object)
}

fn missing(path: &str) -> PatchError {
    PatchError::NotApplicable(format!("the path {path} is not there"))
}

/// The object or list that has what a path leads to, and the name or index of that within it.
fn parent<'a>(object: &'a mut Value, path: &str) -> Result<(&'a mut Value, String), PatchError> {
    let (parent, last) = path.rsplit_once('/').ok_or_else(|| missing(path))?;
    let parent = object.pointer_mut(parent).ok_or_else(|| missing(path))?;
    Ok((parent, last.replace("~1", "/").replace("~0", "~")))
}

fn add(object: &mut Value, path: &str, value: Value) -> Result<(), PatchError> {
    if path.is_empty() {
        *object = value;
        return Ok(());
    }
    match parent(object, path)? {
        (Value::Object(map), name) => {
            map.insert(name, value);
            Ok(())
        }
        (Value::Array(items), place) => {
            let place = if place == "-" { Some(items.len()) } else { place.parse().ok() };
            let place = place.filter(|place| *place <= items.len()).ok_or_else(|| missing(path))?;
            items.insert(place, value);
            Ok(())
        }
        _ => Err(missing(path)),
    }
}

/// As on a real server, a field of an object is replaced even if it is absent.
fn replace(object: &mut Value, path: &str, value: Value) -> Result<(), PatchError> {
    if let Some(present) = object.pointer_mut(path) {
        *present = value;
        return Ok(());
    }
    match parent(object, path)? {
        (Value::Object(map), name) => drop(map.insert(name, value)),
        _ => return Err(missing(path)),
    }
    Ok(())
}

fn remove(object: &mut Value, path: &str) -> Result<Value, PatchError> {
    let removed = match parent(object, path)? {
        (Value::Object(map), name) => map.shift_remove(&name),
        (Value::Array(items), place) => {
            place.parse().ok().filter(|place: &usize| *place < items.len()).map(|place| items.remove(place))
        }
        _ => None,
    };
    removed.ok_or_else(|| missing(path))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn operations_are_carried_out_in_order() {
        let live = json!({"a/b": 1, "list": [1, 2]});
        let patch = json!([
            {"op": "test", "path": "/a~1b", "value": 1},
            {"op": "add", "path": "/list/0", "value": 0},
            {"op": "add", "path": "/list/-", "value": 3},
            {"op": "move", "from": "/a~1b", "path": "/c"},
            {"op": "copy", "from": "/list/1", "path": "/d"},
            {"op": "remove", "path": "/list/1"},
            {"op": "replace", "path": "/list/0", "value": "zero"},
            {"op": "replace", "path": "/new", "value": 1}
        ]);
        assert_eq!(json_patch(&live, &patch), Ok(json!({"list": ["zero", 2, 3], "c": 1, "d": 1, "new": 1})));
    }

    #[test]
    fn a_patch_that_does_not_fit_is_refused() {
        for operation in [
            json!({"op": "remove", "path": "/none"}),
            json!({"op": "replace", "path": "/none/b", "value": 1}),
            json!({"op": "replace", "path": "/list/0", "value": 1}),
            json!({"op": "test", "path": "/a", "value": 2}),
            json!({"op": "add", "path": "/list/9", "value": 2}),
            json!({"op": "add", "path": "/none/b", "value": 2}),
        ] {
            let outcome = json_patch(&json!({"a": 1, "list": []}), &json!([operation]));
            assert!(matches!(outcome, Err(PatchError::NotApplicable(_))), "{operation}");
        }
        for patch in [json!({}), json!([{"op": "add", "path": "/a"}]), json!([{"op": "twist", "path": "/a"}])] {
            assert!(matches!(json_patch(&json!({}), &patch), Err(PatchError::Malformed(_))), "{patch}");
        }
    }
}
