//! `/api/queues/length`.

use axum::extract::State;
use serde_json::{Value, json};

use super::{Answer, json as answer};
use crate::http::Desk;

pub(super) async fn length(State(desk): State<Desk>) -> Answer {
    let queues = desk.board.queues_by_name().into_iter();
    let queues = queues.filter_map(|(name, depth)| {
        let (ready, consumers) = depth.status?;
        Some(json!({
            "name": name,
            "messages": ready,
            "messages_ready": ready,
            "consumers": consumers,
        }))
    });
    Ok(answer(
        &json!({ "active_queues": queues.collect::<Vec<Value>>() }),
    ))
}
