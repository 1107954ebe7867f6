//! The control room: HTML pages, rendered here from the functions behind the API.
//!
//! A page is always rendered whole and reads without scripts; links are links, and every
//! control is a form. Scripts fetch the same addresses and take over what differs.

mod asset;
mod fault;
mod form;
mod lights;
mod node;
mod nodes;
mod overview;
mod queues;
mod row;
mod shell;
mod task;
mod tasks;
mod text;
mod timeline;

use axum::Router;
use axum::routing::{get, post};

pub(super) use self::fault::dress;
use super::Desk;

pub(super) fn routes() -> Router<Desk> {
    Router::new()
        .route("/", get(overview::page))
        .route("/nodes", get(nodes::page))
        .route("/nodes/{name}", get(node::page))
        .route("/tasks", get(tasks::page))
        .route("/tasks/{id}", get(task::page))
        .route("/tasks/{id}/revoke", post(task::revoke))
        .route("/tasks/{id}/replay", post(task::replay))
        .route("/queues", get(queues::page))
        .route(asset::ROUTE, get(asset::asset))
}
