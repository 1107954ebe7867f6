//! Queues.

use std::time::Instant;

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use crate::http::Desk;
use crate::http::view::QueueView;

pub(in crate::http) async fn list(State(desk): State<Desk>) -> Json<Value> {
    let queues: Vec<_> = all(&desk);
    Json(json!({ "queues": queues }))
}

/// Returns the queues by name.
pub(in crate::http) fn all(desk: &Desk) -> Vec<QueueView> {
    let now = Instant::now();
    desk.board
        .queues_by_name()
        .into_iter()
        .map(|queue| QueueView::new(queue, now))
        .collect()
}
