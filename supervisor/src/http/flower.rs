//! The paths of Flower's HTTP API, so that scripts written for Flower go on working.
//!
//! Shapes, statuses, content types and words are Flower's; what differs is in
//! `docs/flower.md`. Roles and the audit log are those of every other route.

mod call;
mod control;
mod input;
mod inspect;
mod queues;
mod result;
mod search;
mod task;
mod tasks;
mod workers;

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use serde_json::Value;

pub(super) use self::inspect::Inspector;
use super::{Desk, Problem};

/// Every path, with its handler.
fn table() -> [(&'static str, &'static str, MethodRouter<Desk>); 21] {
    [
        ("GET", "/healthcheck", get(healthcheck)),
        ("GET", "/api/workers", get(workers::list)),
        ("GET", "/api/tasks", get(tasks::list)),
        ("GET", "/api/task/types", get(tasks::types)),
        ("GET", "/api/task/info/{id}", get(tasks::info)),
        ("GET", "/api/task/result/{id}", get(result::read)),
        ("GET", "/api/queues/length", get(queues::length)),
        (
            "POST",
            "/api/worker/shutdown/{name}",
            post(control::shutdown),
        ),
        (
            "POST",
            "/api/worker/pool/restart/{name}",
            post(control::pool_restart),
        ),
        (
            "POST",
            "/api/worker/pool/grow/{name}",
            post(control::pool_grow),
        ),
        (
            "POST",
            "/api/worker/pool/shrink/{name}",
            post(control::pool_shrink),
        ),
        (
            "POST",
            "/api/worker/pool/autoscale/{name}",
            post(control::autoscale),
        ),
        (
            "POST",
            "/api/worker/queue/add-consumer/{name}",
            post(control::add_consumer),
        ),
        (
            "POST",
            "/api/worker/queue/cancel-consumer/{name}",
            post(control::cancel_consumer),
        ),
        (
            "POST",
            "/api/task/timeout/{name}",
            post(control::time_limit),
        ),
        (
            "POST",
            "/api/task/rate-limit/{name}",
            post(control::rate_limit),
        ),
        ("POST", "/api/task/revoke/{id}", post(control::revoke)),
        ("POST", "/api/task/abort/{id}", post(result::abort)),
        ("POST", "/api/task/apply/{name}", post(call::apply)),
        (
            "POST",
            "/api/task/async-apply/{name}",
            post(call::async_apply),
        ),
        (
            "POST",
            "/api/task/send-task/{name}",
            post(call::async_apply),
        ),
    ]
}

pub(super) fn routes() -> Router<Desk> {
    let routes = table().into_iter();
    routes.fold(Router::new(), |router, (_, path, handler)| {
        router.route(path, handler)
    })
}

/// Says whether a request on this route may wait for a result.
pub(super) fn may_wait(route: &str) -> bool {
    matches!(route, "/api/task/apply/{name}" | "/api/task/result/{id}")
}

async fn healthcheck() -> Response {
    ([(header::CONTENT_TYPE, HTML)], "OK").into_response()
}

const JSON: &str = "application/json; charset=UTF-8";
const TEXT: &str = "text/plain; charset=UTF-8";
const HTML: &str = "text/html; charset=UTF-8";

/// What Flower answers.
type Answer = Result<Response, Failure>;

/// An error in Flower's form: words, no document.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Failure {
    status: u16,
    kind: &'static str,
    message: String,
}

impl Failure {
    fn new(status: u16, message: impl Into<String>) -> Self {
        Self {
            status,
            kind: TEXT,
            message: message.into(),
        }
    }

    /// A worker refused: Flower says so as if it were a page.
    fn refused(message: impl Into<String>) -> Self {
        Self {
            kind: HTML,
            ..Self::new(403, message)
        }
    }

    fn unknown_worker(name: &str) -> Self {
        Self::new(404, format!("Unknown worker '{name}'"))
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (status, [(header::CONTENT_TYPE, self.kind)], self.message).into_response()
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self::new(problem.status(), problem.detail())
    }
}

/// Without the broker Flower answers 503; so does this.
impl From<celeriac::Error> for Failure {
    fn from(error: celeriac::Error) -> Self {
        Problem::from(error).into()
    }
}

fn json(value: &Value) -> Response {
    ([(header::CONTENT_TYPE, JSON)], value.to_string()).into_response()
}

fn message(text: impl Into<String>) -> Response {
    json(&serde_json::json!({ "message": text.into() }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::rules;

    #[test]
    fn every_path_that_changes_something_has_a_rule() {
        for (method, path, _) in table() {
            let known = rules::known(method, path);
            assert_eq!(
                known.is_some(),
                method == "POST" || path == "/healthcheck",
                "{path}"
            );
        }
    }
}
