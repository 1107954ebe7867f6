//! `/api/workers`.

use axum::extract::State;
use serde_json::{Value, json};

use super::input::Arguments;
use super::inspect::alive;
use super::{Answer, Failure, json as answer};
use crate::http::Desk;

pub(super) async fn list(State(desk): State<Desk>, arguments: Arguments) -> Answer {
    let refresh = arguments.flag("refresh")?;
    let status = arguments.flag("status")?;
    let worker = arguments.text("workername").filter(|name| !name.is_empty());
    if let Some(worker) = worker.filter(|worker| !desk.board.nodes.contains_key(*worker)) {
        return Err(Failure::unknown_worker(worker));
    }
    if refresh || (!status && desk.inspector.lacks(&desk)) {
        let asked = desk.inspector.ask(&desk, worker.filter(|_| refresh)).await;
        asked.map_err(|error| Failure::new(503, format!("Failed to update workers: {error}")))?;
    }
    if status {
        let nodes = desk.board.nodes_by_name().into_iter();
        let nodes = nodes.map(|node| (node.name, Value::Bool(alive(node.state))));
        return Ok(answer(&Value::Object(nodes.collect())));
    }
    let mut known = desk.inspector.known(&desk);
    Ok(answer(&match worker {
        None => known,
        Some(worker) => {
            let info = known.get_mut(worker).map(Value::take);
            json!({ worker: info.unwrap_or_else(|| json!({})) })
        }
    }))
}
