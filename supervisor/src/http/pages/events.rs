//! The page of live events; scripts fill it from the stream of the API.

use askama::Template;
use axum::extract::State;
use axum::response::Response;

use super::shell::{self, Place, Shell, Visit};
use crate::http::Desk;

#[derive(Template)]
#[template(path = "events.html")]
struct Events {
    shell: Shell,
    kinds: [&'static str; 6],
}

pub(super) async fn page(State(desk): State<Desk>, visit: Visit) -> Response {
    let shown = Events {
        kinds: ["task", "node", "queue", "schedule", "letter", "audit"],
        shell: Shell::new(&desk, &visit, Place::Events, "Live events"),
    };
    shell::page(&shown.shell, &shown)
}
