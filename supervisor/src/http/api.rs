//! The API, version 1.

pub(super) mod nodes;
pub(super) mod page;
pub(super) mod queues;
pub(super) mod send;
pub(super) mod tasks;

use utoipa_axum::router::OpenApiRouter;

use super::Desk;

/// The routes of every noun.
pub(super) fn routes() -> OpenApiRouter<Desk> {
    OpenApiRouter::new()
        .merge(nodes::routes())
        .merge(queues::routes())
        .merge(send::routes())
        .merge(tasks::routes())
}
