//! Probes and metrics.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use celeriac::health;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Desk;

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
    let stalled = desk.board.progress.stalled();
    answer(stalled.iter().map(ToString::to_string).collect())
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
    if desk.board.is_stopping() {
        reasons.push("the supervisor is stopping".to_owned());
    }
    reasons.extend(health::trouble(&desk.app.broker().link().borrow()));
    if !desk.board.is_consuming() {
        reasons.push("events are not being consumed".to_owned());
    }
    if let Some(error) = desk.store.trouble() {
        reasons.push(format!("nothing can be kept: {error}"));
    }
    answer(reasons)
}

/// Says whether every part was started and events were heard once; stays so ever after.
#[utoipa::path(
    get,
    path = "/startupz",
    operation_id = "probe_startup",
    tag = "health",
    summary = "Says whether every part was started and events were heard once",
    responses(
        (status = 200, body = Probe, description = "It is so"),
        (status = 503, body = Probe, description = "It is not; the reasons say why"),
    ),
)]
pub(super) async fn startupz(State(desk): State<Desk>) -> Response {
    let mut reasons = Vec::new();
    if !desk.board.is_started() {
        reasons.push("the supervisor is starting".to_owned());
    }
    if !desk.board.has_heard() {
        reasons.push("events were not consumed yet".to_owned());
        reasons.extend(health::trouble(&desk.app.broker().link().borrow()));
    }
    answer(reasons)
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
    let (each, fleet) = (desk.scale.each(), desk.scale.fleet());
    let text = desk.board.metrics_text(up, &each, &fleet);
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], text).into_response()
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
