//! The API, version 1.

pub(super) mod audit;
pub(super) mod check;
pub(super) mod events;
pub(super) mod letters;
pub(super) mod nodes;
pub(super) mod overview;
pub(super) mod page;
pub(super) mod pools;
pub(super) mod queues;
mod scale;
pub(super) mod schedules;
pub(super) mod send;
mod span;
pub(super) mod tasks;

use utoipa_axum::router::OpenApiRouter;

use super::Desk;

/// The routes of every noun.
pub(super) fn routes() -> OpenApiRouter<Desk> {
    OpenApiRouter::new()
        .merge(audit::routes())
        .merge(events::routes())
        .merge(letters::routes())
        .merge(nodes::routes())
        .merge(overview::routes())
        .merge(pools::routes())
        .merge(queues::routes())
        .merge(scale::routes())
        .merge(schedules::routes())
        .merge(send::routes())
        .merge(tasks::routes())
}
