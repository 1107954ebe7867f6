//! Options of signatures that workflows move around.

use celeriac_protocol::{Signature, Table, Value};

/// Takes an option; null counts as absent.
pub(super) fn take(options: &mut Table, key: &str) -> Option<Value> {
    options.remove(key).filter(|value| !value.is_null())
}

/// Takes an option that is a list of signatures, or one alone.
pub(super) fn take_signatures(options: &mut Table, key: &str) -> Option<Vec<Signature>> {
    let items = match take(options, key)? {
        Value::Array(items) => items,
        one => vec![one],
    };
    // Signatures check these options when they are read.
    Some(
        items
            .into_iter()
            .filter_map(|item| Signature::from_value(item).ok())
            .collect(),
    )
}

/// Adds the elements of `list` to the list at `key`, each once.
pub(super) fn append(options: &mut Table, key: &str, list: Value) {
    let mut all = match take(options, key) {
        Some(Value::Array(items)) => items,
        Some(one) => vec![one],
        None => Vec::new(),
    };
    let added = match list {
        Value::Array(items) => items,
        one => vec![one],
    };
    for item in added {
        if !all.contains(&item) {
            all.push(item);
        }
    }
    options.insert(key, all);
}

/// Returns the options that do not delay.
pub(super) fn undelayed(options: &Table) -> Table {
    let entries = options
        .iter()
        .map(|(key, value)| (key.to_owned(), value.clone()));
    entries
        .filter(|(key, _)| !matches!(key.as_str(), "countdown" | "eta"))
        .collect()
}

/// Sets options of a task that were given to a whole around it. Stamps come on top of
/// those that the task has, which stay.
pub(super) fn merge(options: &mut Table, whole: &Table) {
    if whole.is_empty() {
        return;
    }
    const STAMPED: &str = "stamped_headers";
    let names = |options: &Table| match options.get(STAMPED) {
        Some(Value::Array(names)) => names.clone(),
        _ => Vec::new(),
    };
    let mut stamps = names(options);
    let own = stamps.clone();
    let is_own = |key: &str| own.iter().any(|name| name.as_str() == Some(key));
    for (key, value) in whole.iter().filter(|(key, _)| !is_own(key)) {
        options.insert(key, value.clone());
    }
    for name in names(whole) {
        if !stamps.contains(&name) {
            stamps.push(name);
        }
    }
    if !stamps.is_empty() {
        options.insert(STAMPED, stamps);
    }
}
