//! HTTP: health, metrics, the API and the pages.
//!
//! It runs on a work-stealing runtime of its own and reads the [`Board`], so that it
//! answers while an arbiter is busy. It decides nothing.

mod access;
mod api;
mod extract;
mod flower;
mod gate;
mod health;
mod listener;
mod live;
mod openapi;
mod pages;
mod problem;
mod server;
mod view;

use std::sync::Arc;

use actix::Addr;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware;
use celeriac::App;
use utoipa_axum::router::OpenApiRouter;

pub(crate) use self::listener::Bounded;
use self::live::Live;
use self::problem::Problem;
pub(crate) use self::server::{Bound, HttpServer};
use crate::actor::Root;
use crate::board::Board;
use crate::cluster;
use crate::config::Config;
use crate::scale::Scale;
use crate::store::Store;

/// What every handler can reach.
#[derive(Clone)]
pub(crate) struct Desk(Arc<Inner>);

pub(crate) struct Inner {
    app: App,
    config: Config,
    store: Store,
    board: Arc<Board>,
    root: Addr<Root>,
    scale: Scale,
    live: Live,
    doorman: access::Doorman,
    audit_log: access::AuditLog,
    inspector: flower::Inspector,
}

impl std::ops::Deref for Desk {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl Desk {
    pub(crate) fn new(app: App, config: Config, board: Arc<Board>, root: Addr<Root>) -> Self {
        let store = board.store.clone();
        let scale = Scale::new(app.clone(), Arc::clone(&board), &config);
        Self(Arc::new(Inner {
            doorman: access::Doorman::new(&config),
            audit_log: access::AuditLog::default(),
            inspector: flower::Inspector::default(),
            app,
            config,
            store,
            board,
            root,
            scale,
            live: Live::default(),
        }))
    }
}

/// The largest body of a request, in bytes.
const BODY: usize = 1024 * 1024;

/// Every route that is in the OpenAPI document, one part per noun.
fn documented() -> OpenApiRouter<Desk> {
    OpenApiRouter::new()
        .merge(health::routes())
        .merge(api::routes())
}

/// Splits the routes from their description.
fn described() -> (Router<Desk>, utoipa::openapi::OpenApi) {
    let (router, document) = documented().split_for_parts();
    (router, openapi::complete(document))
}

/// Returns the paths that a supervisor serves for programs: probes, metrics and the API.
///
/// Parameters are written as in the OpenAPI document: `/api/v1/tasks/{id}`.
pub fn paths() -> Vec<String> {
    let documented = described().1.paths.paths.into_keys();
    documented.chain([openapi::PATH.to_owned()]).collect()
}

/// Builds the router.
fn router(desk: Desk) -> Router {
    let (router, document) = described();
    router
        .merge(openapi::route(&document))
        .merge(pages::routes())
        .merge(flower::routes())
        .method_not_allowed_fallback(method_not_allowed)
        .fallback(unknown_route)
        .layer(DefaultBodyLimit::max(BODY))
        .layer(middleware::from_fn_with_state(desk.clone(), gate::gate))
        // Outside the gate, because its refusals are shown as pages too.
        .layer(middleware::from_fn_with_state(desk.clone(), pages::dress))
        .with_state(desk)
}

async fn unknown_route(uri: axum::http::Uri) -> Problem {
    let detail = format!(
        "expected a known route, found '{}'; {} lists them",
        cluster::cut(uri.path(), 200),
        openapi::PATH,
    );
    Problem::new(404, "unknown_route", detail)
}

async fn method_not_allowed(method: axum::http::Method, uri: axum::http::Uri) -> Problem {
    let path = cluster::cut(uri.path(), 200);
    let detail = format!(
        "{method} is not possible on {path}; {} says what is",
        openapi::PATH
    );
    Problem::new(405, "method_not_allowed", detail)
}
