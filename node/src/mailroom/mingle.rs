//! Asking the neighbours what was revoked before this node was there.
//!
//! Celery's workers tell each other ids. Nodes tell stamps too, under a name that Celery
//! ignores.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use celeriac::control::Command;
use celeriac::protocol::naming::defaults::{MINGLE_WAIT, REVOKED_MAX};
use celeriac::protocol::{Table, Value, control};

use crate::revoked::{self, MAX_STAMPS, Stamp};
use crate::shared::Shared;

/// The argument, and the field of the answer, with the stamps: by name, lists of values.
pub(super) const STAMPS: &str = "revoked_stamps";

/// Asks the neighbours for what they know as revoked, and adds it.
///
/// Goes on while the node takes tasks already: a task that was revoked before this node
/// was there is rare, and a second's wait at every start is not.
pub(super) async fn mingle(shared: Arc<Shared>) {
    let (ids, stamps) = known(&shared);
    let hello = Command::new("hello")
        .argument("from_node", shared.name())
        .argument("revoked", ids)
        .argument(STAMPS, stamps)
        .argument(control::PID, i64::from(std::process::id()))
        .argument(control::QUARANTINED, deadly(&shared));
    let control = shared.app.control().within(MINGLE_WAIT);
    match control.ask(hello).await {
        Ok(replies) => {
            for (node, payload) in replies {
                let Some(payload) = payload.as_map() else {
                    continue;
                };
                tracing::debug!(node, "synchronised");
                learn(&shared, payload.get("revoked"), payload.get(STAMPS));
                learn_deadly(&shared, payload.get(control::QUARANTINED));
                if let Some(clock) = payload.get("clock").and_then(Value::as_i64) {
                    shared.app.clock().adjust(u64::try_from(clock).unwrap_or(0));
                }
            }
        }
        Err(error) => tracing::warn!(%error, "cannot ask the other nodes what was revoked"),
    }
    shared.set_acquainted();
}

/// Returns the ids and the stamps that this node knows, as they are told.
pub(super) fn known(shared: &Shared) -> (Value, Value) {
    let now = Instant::now();
    let ids: Vec<_> = shared
        .revoked
        .ids(now)
        .into_iter()
        .map(Value::from)
        .collect();
    let mut by_name: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for (name, value) in shared.revoked.stamps(now) {
        by_name.entry(name).or_default().push(value.into());
    }
    let stamps = by_name.into_iter();
    let stamps: Table = stamps.map(|(name, values)| (name, values.into())).collect();
    (ids.into(), Value::Map(stamps))
}

/// Adds what a neighbour told.
pub(super) fn learn(shared: &Shared, told: Option<&Value>, stamped: Option<&Value>) {
    let ids = told.map(ids).unwrap_or_default();
    let stamps = stamped.map(stamps).unwrap_or_default();
    shared.revoked.learn(ids, stamps, Instant::now());
}

/// Returns what is not to be tried once more, as it is told: the reasons by the ids.
pub(super) fn deadly(shared: &Shared) -> Value {
    let all = shared.quarantine.all().into_iter();
    Value::Map(all.map(|(id, why)| (id, Value::from(why))).collect())
}

/// Adds what a neighbour or a supervisor told.
pub(super) fn learn_deadly(shared: &Shared, told: Option<&Value>) {
    let entries = told.and_then(Value::as_map).into_iter();
    for (id, reason) in entries.flat_map(Table::iter) {
        if let Some(reason) = reason.as_str()
            && shared.quarantine.add(id, reason)
        {
            tracing::warn!(id, reason, "task will not be tried again");
        }
    }
}

/// Reads revoked stamps; what is none is left out.
fn stamps(told: &Value) -> Vec<Stamp> {
    let names = told.as_map().into_iter().flat_map(Table::iter);
    let stamps = names.flat_map(|(name, values)| {
        let values = values.as_array().unwrap_or_default().iter();
        values.map(move |value| (name.to_owned(), revoked::text(value)))
    });
    stamps.take(MAX_STAMPS).collect()
}

/// Reads revoked ids: a list, or a map whose keys they are, as some versions send.
fn ids(revoked: &Value) -> Vec<String> {
    let ids: Box<dyn Iterator<Item = &str>> = match revoked {
        Value::Array(ids) => Box::new(ids.iter().filter_map(Value::as_str)),
        Value::Map(ids) => Box::new(ids.iter().map(|(id, _)| id)),
        _ => Box::new(std::iter::empty()),
    };
    ids.take(REVOKED_MAX).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use celeriac::protocol::Table;

    use super::*;

    #[test]
    fn both_forms_of_ids_are_read() {
        let list = Value::Array(vec!["a".into(), Value::Int(1), "b".into()]);
        assert_eq!(ids(&list), ["a", "b"]);
        let mut map = Table::new();
        map.push("a", vec![Value::Float(1.0), Value::Int(2), "a".into()]);
        assert_eq!(ids(&Value::Map(map)), ["a"]);
        assert!(ids(&Value::Null).is_empty());
    }

    #[test]
    fn stamps_are_lists_by_name() {
        let mut told = Table::new();
        told.push("customer", vec!["7".into(), Value::Int(8)]);
        told.push("order", "no list");
        let stamp = |value: &str| ("customer".to_owned(), value.to_owned());
        assert_eq!(stamps(&Value::Map(told)), [stamp("7"), stamp("8")]);
        assert!(stamps(&Value::Null).is_empty());
    }
}
