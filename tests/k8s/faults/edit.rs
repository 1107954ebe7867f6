//! How faults are put into objects.

use serde_json::Value;

/// The objects of a rendering.
pub(super) type Objects = Vec<Value>;

/// Returns an object by kind and name; a name may lack the hash of generated ones.
pub(super) fn object<'a>(all: &'a mut Objects, title: &str) -> &'a mut Value {
    let (kind, name) = title.split_once(' ').unwrap();
    let exact = |value: &Value| value["kind"] == kind && value["metadata"]["name"] == name;
    let hashed = |value: &Value| {
        let found = value["metadata"]["name"].as_str().unwrap_or_default();
        value["kind"] == kind && found.starts_with(&format!("{name}-"))
    };
    let place = all.iter().position(exact);
    let place = place.or_else(|| all.iter().position(hashed));
    let place = place.unwrap_or_else(|| panic!("expected an object {title}, found none"));
    &mut all[place]
}

/// Returns the parent of a place, and the name of the place in it.
fn parent<'a, 'b>(value: &'a mut Value, pointer: &'b str) -> (&'a mut Value, &'b str) {
    let (parent, last) = pointer.rsplit_once('/').unwrap();
    let found = value.pointer_mut(parent);
    (
        found.unwrap_or_else(|| panic!("expected {parent}, found nothing")),
        last,
    )
}

/// Sets a field; the JSON pointer's parent has to be there.
pub(super) fn set(all: &mut Objects, title: &str, pointer: &str, to: Value) {
    let (parent, last) = parent(object(all, title), pointer);
    let last = last.replace("~1", "/");
    match parent {
        Value::Array(items) => items[last.parse::<usize>().unwrap()] = to,
        parent => parent[last] = to,
    }
}

/// Removes a field, which has to be there.
pub(super) fn remove(all: &mut Objects, title: &str, pointer: &str) {
    let (parent, last) = parent(object(all, title), pointer);
    let removed = match parent {
        Value::Array(items) => Some(items.remove(last.parse::<usize>().unwrap())),
        parent => parent
            .as_object_mut()
            .unwrap()
            .remove(&last.replace("~1", "/")),
    };
    assert!(
        removed.is_some(),
        "expected {pointer} in {title}, found nothing"
    );
}

/// Adds to a list, which is made when it is not there.
pub(super) fn push(all: &mut Objects, title: &str, pointer: &str, what: Value) {
    let object = object(all, title);
    if object.pointer(pointer).is_none() {
        let (parent, last) = parent(object, pointer);
        parent[last] = Value::Array(Vec::new());
    }
    let list = object.pointer_mut(pointer).unwrap();
    list.as_array_mut().unwrap().push(what);
}

/// Sets the value of a variable of the first container, or adds it.
pub(super) fn variable(all: &mut Objects, title: &str, name: &str, value: &str) {
    let list = object(all, title)
        .pointer_mut("/spec/template/spec/containers/0/env")
        .and_then(Value::as_array_mut)
        .unwrap();
    list.retain(|variable| variable["name"] != name);
    list.push(serde_json::json!({ "name": name, "value": value }));
}

/// Takes an object away.
pub(super) fn take(all: &mut Objects, title: &str) {
    let found = object(all, title).clone();
    all.retain(|value| *value != found);
}

/// Adds a copy of an object under another name.
pub(super) fn copy(all: &mut Objects, title: &str, name: &str) {
    let mut copy = object(all, title).clone();
    copy["metadata"]["name"] = name.into();
    all.push(copy);
}
