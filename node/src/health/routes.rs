//! The pages: three probes and the metrics.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get};
use axum::{Json, Router};
use celeriac::broker::Link;
use celeriac::health;
use serde_json::json;

use crate::metrics::Metrics;
use crate::shared::{Phase, Shared};

/// What the pages tell of.
#[derive(Clone)]
pub(super) struct Desk {
    pub(super) shared: Arc<Shared>,
    pub(super) metrics: Arc<Metrics>,
}

/// Makes a page.
type Page = fn() -> MethodRouter<Desk>;

/// The pages: the router and what is told of it are made of this.
const ROUTES: [(&str, Page); 4] = [
    ("/livez", || get(livez)),
    ("/readyz", || get(readyz)),
    ("/startupz", || get(startupz)),
    ("/metrics", || get(metrics)),
];

pub(super) fn router(desk: Desk) -> Router {
    let add = |router: Router<Desk>, (path, page): &(&str, Page)| router.route(path, page());
    ROUTES.iter().fold(Router::new(), add).with_state(desk)
}

/// Returns the paths that a node serves on its HTTP address.
pub fn paths() -> impl Iterator<Item = &'static str> {
    ROUTES.iter().map(|(path, _)| *path)
}

/// Says whether every loop turns. Knows nothing of the broker: to restart a process does
/// not mend a network.
async fn livez(State(desk): State<Desk>) -> Response {
    let stalled = desk.shared.pulses.stalled();
    answer(stalled.iter().map(ToString::to_string).collect())
}

/// Says whether the node takes tasks from all the queues that it is told to.
async fn readyz(State(desk): State<Desk>) -> Response {
    let shared = &desk.shared;
    let link = shared.app.broker().link().borrow().clone();
    answer(reasons(shared.phase(), &link, idle(shared)))
}

/// Says whether the node has taken tasks from all its queues once; stays so ever after.
async fn startupz(State(desk): State<Desk>) -> Response {
    let shared = &desk.shared;
    if shared.has_started() {
        return answer(Vec::new());
    }
    let link = shared.app.broker().link().borrow().clone();
    let mut reasons = reasons(shared.phase(), &link, idle(shared));
    if reasons.is_empty() {
        reasons.push("the node is starting".to_owned());
    }
    answer(reasons)
}

/// The queues without a consumer.
fn idle(shared: &Shared) -> Vec<String> {
    let idle = shared
        .queues
        .iter()
        .filter(|queue| !queue.consuming.load(Ordering::Acquire));
    idle.map(|queue| queue.key().clone()).collect()
}

/// Says why a node does not take tasks; nothing when it does.
pub(super) fn reasons(phase: Phase, link: &Link, mut idle: Vec<String>) -> Vec<String> {
    let mut reasons = Vec::new();
    match phase {
        Phase::Starting => reasons.push("the node is starting".to_owned()),
        Phase::Running => {}
        _ => reasons.push("the node takes no more tasks: it is stopping".to_owned()),
    }
    reasons.extend(health::trouble(link));
    idle.sort_unstable();
    reasons.extend(
        idle.iter()
            .map(|queue| format!("no consumer on the queue {queue}")),
    );
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
