//! Queues.

pub(in crate::http) mod pause;
pub(in crate::http) mod purge;

use std::time::Instant;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::page::{Cursor, Limit, cut_page};
use crate::http::extract::{Path, Query};
use crate::http::view::QueueView;
use crate::http::{Desk, Problem};

/// Which queues to list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct QueueQuery {
    /// How many: 1 to 1,000, 100 unless told.
    #[param(value_type = Option<u16>, minimum = 1, maximum = 1000)]
    limit: Option<Limit>,
    /// `next_cursor` of the page before.
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor<String>>,
}

/// Queues, by name.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct QueueList {
    queues: Vec<QueueView>,
    /// Where the next page starts; `null` on the last one.
    next_cursor: Option<String>,
}

pub(in crate::http) fn routes() -> OpenApiRouter<Desk> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(one))
        .merge(pause::routes())
        .merge(purge::routes())
}

#[utoipa::path(
    get,
    path = "/api/v1/queues",
    operation_id = "list_queues",
    tag = "queues",
    summary = "Lists the known queues",
    params(QueueQuery),
    responses((status = 200, body = QueueList, description = "The queues, by name")),
)]
async fn list(State(desk): State<Desk>, Query(query): Query<QueueQuery>) -> Json<QueueList> {
    let after = query.cursor.map(|Cursor(name)| name);
    let rest = all(&desk)
        .into_iter()
        .filter(|queue| after.as_ref().is_none_or(|after| queue.name > *after));
    let (queues, next_cursor) = cut_page(rest, query.limit, |queue| queue.name.clone());
    Json(QueueList {
        queues,
        next_cursor,
    })
}

#[utoipa::path(
    get,
    path = "/api/v1/queues/{name}",
    operation_id = "get_queue",
    tag = "queues",
    summary = "Shows one queue",
    params(("name" = String, Path, description = "The queue's name")),
    responses(
        (status = 200, body = QueueView, description = "The queue"),
        (status = 404, description = "No queue of this name is known"),
    ),
)]
async fn one(
    State(desk): State<Desk>,
    Path(name): Path<String>,
) -> Result<Json<QueueView>, Problem> {
    find(&desk, &name).map(Json)
}

/// Returns the queues by name.
pub(in crate::http) fn all(desk: &Desk) -> Vec<QueueView> {
    let (now, mut consumers) = (Instant::now(), desk.scale.consumers());
    let queues = desk.board.queues_by_name().into_iter();
    queues
        .map(|(name, depth)| {
            let consumers = consumers.remove(&name).unwrap_or_default();
            let pause = desk.board.pauses.get(&name);
            QueueView::new(name, depth, consumers, pause, now)
        })
        .collect()
}

/// Returns one queue.
pub(in crate::http) fn find(desk: &Desk, name: &str) -> Result<QueueView, Problem> {
    let Some(depth) = desk.board.queues.get(name).map(|depth| *depth) else {
        let name = crate::cluster::cut(name, 255);
        let detail = format!("no queue '{name}' is known; see /api/v1/queues");
        return Err(Problem::not_found(detail));
    };
    let consumers = desk.scale.consumers().remove(name).unwrap_or_default();
    let pause = desk.board.pauses.get(name);
    let now = Instant::now();
    Ok(QueueView::new(
        name.to_owned(),
        depth,
        consumers,
        pause,
        now,
    ))
}
