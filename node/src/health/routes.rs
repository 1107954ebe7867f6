//! The three pages.

use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use celeriac::broker::Link;
use serde_json::json;

use super::watchdog::Watchdog;
use crate::metrics::Metrics;
use crate::shared::{Phase, Shared};

/// What the pages tell of.
#[derive(Clone)]
pub(super) struct Desk {
    pub(super) shared: Arc<Shared>,
    pub(super) watchdog: Arc<Mutex<Watchdog>>,
    pub(super) metrics: Arc<Metrics>,
}

pub(super) fn router(desk: Desk) -> Router {
    Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(desk)
}

/// Says whether every loop turns. Knows nothing of the broker: to restart a process does
/// not mend a network.
async fn livez(State(desk): State<Desk>) -> Response {
    let stalled = desk
        .watchdog
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .stalled();
    answer(
        stalled
            .iter()
            .map(|name| format!("the loop {name} stands still"))
            .collect(),
    )
}

/// Says whether the node takes tasks from all its queues.
async fn readyz(State(desk): State<Desk>) -> Response {
    let shared = &desk.shared;
    let link = shared.app.broker().link().borrow().clone();
    let idle = shared
        .queues
        .iter()
        .filter(|queue| !queue.consuming.load(std::sync::atomic::Ordering::Acquire));
    let idle: Vec<String> = idle.map(|queue| queue.key().clone()).collect();
    answer(reasons(
        shared.phase(),
        &link,
        idle,
        shared.queues.is_empty(),
    ))
}

/// Says why a node does not take tasks; nothing when it does.
pub(super) fn reasons(phase: Phase, link: &Link, mut idle: Vec<String>, none: bool) -> Vec<String> {
    let mut reasons = Vec::new();
    match phase {
        Phase::Starting => reasons.push("the node is starting".to_owned()),
        Phase::Running => {}
        _ => reasons.push("the node takes no more tasks: it is stopping".to_owned()),
    }
    match link {
        Link::Up { .. } => {}
        Link::Connecting { failures, error } => {
            let error = error.as_deref().unwrap_or("no answer yet");
            reasons.push(format!(
                "the broker is out of reach ({failures} tries failed): {error}"
            ));
        }
        Link::Blocked { reason } => {
            reasons.push(format!("the broker refuses messages for now: {reason}"));
        }
        Link::Closed => reasons.push("the broker was closed".to_owned()),
    }
    idle.sort_unstable();
    reasons.extend(
        idle.iter()
            .map(|queue| format!("no consumer on the queue {queue}")),
    );
    if none {
        reasons.push("there is no queue to take tasks from".to_owned());
    }
    reasons
}

/// Writes the metrics in Prometheus' text format.
async fn metrics(State(desk): State<Desk>) -> Response {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    match desk.metrics.text() {
        Ok(text) => ([(header::CONTENT_TYPE, kind)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

fn answer(reasons: Vec<String>) -> Response {
    let ok = reasons.is_empty();
    let status = if ok {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, Json(json!({ "ok": ok, "reasons": reasons }))).into_response()
}
