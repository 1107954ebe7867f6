//! Live events, as a stream of server-sent events.

mod filter;
mod stream;

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream::unfold;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use self::filter::{Filter, Kinds};
use self::stream::Listener;
use crate::access::Identity;
use crate::http::extract::Query;
use crate::http::live::STREAMS;
use crate::http::{Desk, Problem};

/// Which events to stream.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct EventQuery {
    /// Some of task, node, queue, schedule, letter, audit, overview, with commas
    /// between; all unless told. audit is for those who may read the audit log.
    #[param(value_type = Option<String>)]
    types: Option<Kinds>,
    /// Only of what has this name: a task's, a node's, a queue's or a schedule's.
    name: Option<String>,
    /// Only of the task with this id.
    task: Option<String>,
}

/// How often a stream says that it is alive.
const HEARTBEAT: Duration = Duration::from_secs(15);

pub(in crate::http) fn routes() -> OpenApiRouter<Desk> {
    OpenApiRouter::new().routes(routes!(events))
}

/// Each event has a `data` of one JSON object with the time `at` and what it is about.
/// `missed` says how many a slow client did not get, or that it was away for too long;
/// `Last-Event-ID` goes on after the event that a client got last.
#[utoipa::path(
    get,
    path = "/api/v1/events",
    operation_id = "stream_events",
    tag = "events",
    summary = "Streams what changes, as server-sent events",
    params(
        EventQuery,
        ("Last-Event-ID" = Option<String>, Header, description = "The id of the last event"),
    ),
    responses(
        (status = 200, body = String, content_type = "text/event-stream", description = "The events"),
        (status = 503, description = "Too many streams are open"),
    ),
)]
async fn events(
    State(desk): State<Desk>,
    who: Identity,
    Query(query): Query<EventQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let filter = Filter::new(who.role, query.types, query.name, query.task)?;
    let last = headers.get("last-event-id").map(|id| {
        let id = id.to_str().unwrap_or_default();
        stream::number(id, desk.live.epoch())
            .ok_or_else(|| Problem::field("last-event-id", "the id of an event", "something else"))
    });
    let last = last.transpose()?;
    let Some(place) = desk.live.stream() else {
        let detail = format!("{STREAMS} streams of events are open, which is the most; close one");
        return Err(Problem::unavailable(detail));
    };
    let listener = Listener::new(desk, filter, last, place);
    let events = unfold(listener, |mut listener| async {
        let event = listener.next().await?;
        Some((Ok::<Event, Infallible>(event), listener))
    });
    let alive = KeepAlive::new().interval(HEARTBEAT).text("heartbeat");
    Ok(Sse::new(events).keep_alive(alive).into_response())
}
