//! Asking the neighbours what was revoked before this node was there.

use std::sync::Arc;
use std::time::Instant;

use celeriac::control::Command;
use celeriac::protocol::Value;
use celeriac::protocol::naming::defaults::{MINGLE_WAIT, REVOKED_MAX};

use crate::shared::Shared;

/// Asks the neighbours for the ids they know as revoked, and adds them.
///
/// Goes on while the node takes tasks already: a task that was revoked before this node
/// was there is rare, and a second's wait at every start is not.
pub(super) async fn mingle(shared: Arc<Shared>) {
    let own: Vec<_> = shared.revoked.ids().into_iter().map(Value::from).collect();
    let hello = Command::new("hello")
        .argument("from_node", shared.name())
        .argument("revoked", own);
    let control = shared.app.control().within(MINGLE_WAIT);
    match control.ask(hello).await {
        Ok(replies) => {
            for (node, payload) in replies {
                let Some(payload) = payload.as_map() else {
                    continue;
                };
                let ids = payload.get("revoked").map(ids).unwrap_or_default();
                tracing::debug!(node, ids = ids.len(), "synchronised");
                shared.revoked.add(ids, Instant::now());
                if let Some(clock) = payload.get("clock").and_then(Value::as_i64) {
                    shared.app.clock().adjust(u64::try_from(clock).unwrap_or(0));
                }
            }
        }
        Err(error) => tracing::warn!(%error, "cannot ask the other nodes what was revoked"),
    }
}

/// Reads revoked ids: a list, or a map whose keys they are, as some versions send.
pub(super) fn ids(revoked: &Value) -> Vec<String> {
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
}
