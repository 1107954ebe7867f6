//! Probes and metrics.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use celeriac::broker::Link;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Desk;
use crate::progress::looks;

/// The answer of a probe.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Probe {
    ok: bool,
    /// Why it is not, where it is not.
    reasons: Vec<String>,
}

pub(super) fn routes() -> OpenApiRouter<Desk> {
    OpenApiRouter::new()
        .routes(routes!(livez))
        .routes(routes!(readyz))
        .routes(routes!(startupz))
        .routes(routes!(metrics))
}

/// Says whether every loop makes progress. Knows nothing of the broker: to restart a
/// process does not mend a network.
#[utoipa::path(
    get,
    path = "/livez",
    operation_id = "probe_liveness",
    tag = "health",
    summary = "Says whether every loop makes progress",
    responses(
        (status = 200, body = Probe, description = "It is so"),
        (status = 503, body = Probe, description = "It is not; the reasons say why"),
    ),
)]
pub(super) async fn livez(State(desk): State<Desk>) -> Response {
    let stalled = desk.board.progress.stalled(looks(desk.config.stall_after));
    let reasons = stalled
        .iter()
        .map(|name| format!("the loop '{name}' stands still"));
    answer(reasons.collect())
}

/// Says whether the supervisor sees the cluster: broker in reach, events consumed.
#[utoipa::path(
    get,
    path = "/readyz",
    operation_id = "probe_readiness",
    tag = "health",
    summary = "Says whether the supervisor sees the cluster",
    responses(
        (status = 200, body = Probe, description = "It is so"),
        (status = 503, body = Probe, description = "It is not; the reasons say why"),
    ),
)]
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
    if let Some(error) = desk.store.trouble() {
        reasons.push(format!("nothing can be kept: {error}"));
    }
    answer(reasons)
}

/// Says whether every part has been started.
#[utoipa::path(
    get,
    path = "/startupz",
    operation_id = "probe_startup",
    tag = "health",
    summary = "Says whether every part has been started",
    responses(
        (status = 200, body = Probe, description = "It is so"),
        (status = 503, body = Probe, description = "It is not; the reasons say why"),
    ),
)]
pub(super) async fn startupz(State(desk): State<Desk>) -> Response {
    let starting = (!desk.board.is_started()).then(|| "the supervisor is starting".to_owned());
    answer(starting.into_iter().collect())
}

/// Writes the metrics in Prometheus' text format.
#[utoipa::path(
    get,
    path = "/metrics",
    operation_id = "read_metrics",
    tag = "health",
    summary = "Writes the metrics in the OpenMetrics text format",
    responses((
        status = 200, body = String, content_type = "application/openmetrics-text",
        description = "All series"
    )),
)]
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
    (status, Json(Probe { ok, reasons })).into_response()
}
