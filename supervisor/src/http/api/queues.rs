//! Queues.

use std::time::Instant;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::http::Desk;
use crate::http::view::QueueView;

/// Queues, by name.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct QueueList {
    queues: Vec<QueueView>,
}

pub(in crate::http) fn routes() -> OpenApiRouter<Desk> {
    OpenApiRouter::new().routes(routes!(list))
}

#[utoipa::path(
    get,
    path = "/api/v1/queues",
    operation_id = "list_queues",
    tag = "queues",
    summary = "Lists the known queues",
    responses((status = 200, body = QueueList, description = "The queues, by name")),
)]
async fn list(State(desk): State<Desk>) -> Json<QueueList> {
    Json(QueueList { queues: all(&desk) })
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
