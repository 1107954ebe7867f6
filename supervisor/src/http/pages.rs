//! The control room: HTML pages, rendered here from the functions behind the API.
//!
//! A page is always rendered whole and reads without scripts; links are links, and every
//! control is a form. Scripts fetch the same addresses and take over what differs.

mod asset;
mod audit;
mod events;
mod fault;
mod filter;
mod form;
mod help;
mod letter;
mod letters;
mod lights;
mod moment;
mod node;
mod nodes;
mod overview;
mod queues;
mod row;
mod schedule;
mod schedules;
mod shell;
mod task;
mod tasks;
mod text;
mod timeline;

use axum::Router;
use axum::routing::{get, post};

pub(super) use self::fault::dress;
pub(super) use self::lights::LetterCount;
use super::Desk;

pub(super) fn routes() -> Router<Desk> {
    Router::new()
        .route("/", get(overview::page))
        .route("/nodes", get(nodes::page))
        .route("/nodes/{name}", get(node::page))
        .route("/nodes/{name}/drain", post(node::drain))
        .route("/nodes/{name}/shutdown", post(node::shutdown))
        .route("/nodes/{name}/control", post(node::control))
        .route("/tasks", get(tasks::page))
        .route("/tasks/revoke", post(tasks::revoke))
        .route("/tasks/replay", post(tasks::replay))
        .route("/tasks/{id}", get(task::page))
        .route("/tasks/{id}/revoke", post(task::revoke))
        .route("/tasks/{id}/replay", post(task::replay))
        .route("/queues", get(queues::page))
        .route("/queues/{name}/pause", post(queues::pause))
        .route("/queues/{name}/resume", post(queues::resume))
        .route("/queues/{name}/purge", post(queues::purge))
        .route("/dead-letters", get(letters::page))
        .route("/dead-letters/replay", post(letters::replay))
        .route("/dead-letters/discard", post(letters::discard))
        .route("/dead-letters/{id}", get(letter::page))
        .route("/dead-letters/{id}/replay", post(letter::replay))
        .route("/dead-letters/{id}/discard", post(letter::discard))
        .route("/schedules", get(schedules::page).post(schedule::create))
        .route("/schedules/new", get(schedule::fresh))
        .route("/schedules/preview", post(schedule::preview))
        .route(
            "/schedules/{name}",
            get(schedule::page).post(schedule::save),
        )
        .route("/schedules/{name}/run", post(schedule::run))
        .route("/schedules/{name}/enable", post(schedule::enable))
        .route("/schedules/{name}/disable", post(schedule::disable))
        .route("/schedules/{name}/delete", post(schedule::delete))
        .route("/events", get(events::page))
        .route("/audit", get(audit::page))
        .route("/help", get(help::page))
        .route(asset::ROUTE, get(asset::asset))
}
