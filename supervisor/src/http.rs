//! HTTP: health, metrics, the API and the page.
//!
//! It runs on a work-stealing runtime of its own and reads the [`Board`], so that it
//! answers while an arbiter is busy. It decides nothing.

mod access;
mod api;
mod gate;
mod health;
mod listener;
mod openapi;
mod page;
mod problem;
mod server;
mod view;

use std::sync::Arc;

use actix::Addr;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware;
use axum::routing::{MethodRouter, get, post};
use celeriac::App;

use self::problem::Problem;
pub(crate) use self::server::{Bound, HttpServer};
use crate::actor::Root;
use crate::board::Board;
use crate::config::Config;

/// What every handler can reach.
#[derive(Clone)]
pub(crate) struct Desk(Arc<Inner>);

pub(crate) struct Inner {
    app: App,
    config: Config,
    board: Arc<Board>,
    root: Addr<Root>,
}

impl std::ops::Deref for Desk {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl Desk {
    pub(crate) fn new(app: App, config: Config, board: Arc<Board>, root: Addr<Root>) -> Self {
        Self(Arc::new(Inner {
            app,
            config,
            board,
            root,
        }))
    }
}

/// The largest body of a request, in bytes.
const BODY: usize = 1024 * 1024;

/// Every route with its methods, in axum's form. The OpenAPI document is checked
/// against this table.
fn routes() -> Vec<(&'static str, &'static [&'static str], MethodRouter<Desk>)> {
    vec![
        ("/", &["get"], get(page::page)),
        ("/page.css", &["get"], get(page::css)),
        ("/page.js", &["get"], get(page::js)),
        ("/livez", &["get"], get(health::livez)),
        ("/readyz", &["get"], get(health::readyz)),
        ("/startupz", &["get"], get(health::startupz)),
        ("/metrics", &["get"], get(health::metrics)),
        ("/api/v1/openapi.json", &["get"], get(openapi::document)),
        ("/api/v1/nodes", &["get"], get(api::nodes::list)),
        ("/api/v1/nodes/{name}", &["get"], get(api::nodes::one)),
        ("/api/v1/queues", &["get"], get(api::queues::list)),
        (
            "/api/v1/tasks",
            &["get", "post"],
            get(api::tasks::list).post(api::send::send),
        ),
        ("/api/v1/tasks/{id}", &["get"], get(api::tasks::one)),
        (
            "/api/v1/tasks/{id}/revoke",
            &["post"],
            post(api::send::revoke),
        ),
    ]
}

/// Builds the router.
fn router(desk: Desk) -> Router {
    let mut router = Router::new();
    for (path, _, methods) in routes() {
        router = router.route(path, methods.fallback(method_not_allowed));
    }
    router
        .fallback(unknown_route)
        .layer(DefaultBodyLimit::max(BODY))
        .layer(middleware::from_fn_with_state(desk.clone(), gate::gate))
        .with_state(desk)
}

async fn unknown_route(uri: axum::http::Uri) -> Problem {
    let message = format!(
        "expected a known route, found '{}'; /api/v1/openapi.json lists them",
        uri.path().chars().take(200).collect::<String>()
    );
    Problem::new(404, "unknown_route", message)
}

async fn method_not_allowed(method: axum::http::Method, uri: axum::http::Uri) -> Problem {
    let path = uri.path();
    let message = format!("{method} is not possible on {path}; /api/v1/openapi.json says what is");
    Problem::new(405, "method_not_allowed", message)
}
