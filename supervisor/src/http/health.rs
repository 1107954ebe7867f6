//! Probes and metrics.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use celeriac::broker::Link;
use serde_json::json;

use super::Desk;
use crate::progress::looks;

/// Says whether every loop makes progress. Knows nothing of the broker: to restart a
/// process does not mend a network.
pub(super) async fn livez(State(desk): State<Desk>) -> Response {
    let stalled = desk.board.progress.stalled(looks(desk.config.stall_after));
    let reasons = stalled
        .iter()
        .map(|name| format!("the loop '{name}' stands still"));
    answer(reasons.collect())
}

/// Says whether the supervisor sees the cluster: broker in reach, events consumed.
pub(super) async fn readyz(State(desk): State<Desk>) -> Response {
    let mut reasons = Vec::new();
    if !desk.board.is_started() {
        reasons.push("the supervisor is starting".to_owned());
    }
    match &*desk.app.broker().link().borrow() {
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
    if !desk.board.is_consuming() {
        reasons.push("events are not being consumed".to_owned());
    }
    answer(reasons)
}

/// Says whether every part has been started.
pub(super) async fn startupz(State(desk): State<Desk>) -> Response {
    let starting = (!desk.board.is_started()).then(|| "the supervisor is starting".to_owned());
    answer(starting.into_iter().collect())
}

/// Writes the metrics in Prometheus' text format.
pub(super) async fn metrics(State(desk): State<Desk>) -> Response {
    let up = desk.app.broker().link().borrow().is_up();
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], desk.board.metrics_text(up)).into_response()
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
