//! What there is to know about the pages.

use askama::Template;
use axum::extract::State;
use axum::response::Response;

use super::shell::{self, Place, Shell, Visit};
use super::text;
use crate::http::Desk;

#[derive(Template)]
#[template(path = "help.html")]
struct Help {
    shell: Shell,
    states: [(&'static str, &'static str); 8],
    version: &'static str,
    broker: String,
    backend: String,
}

pub(super) async fn page(State(desk): State<Desk>, visit: Visit) -> Response {
    let shown = Help {
        states: [
            (
                "PENDING",
                "sent, and no node has taken it; or nobody knows it",
            ),
            ("RECEIVED", "a node has it and will run it"),
            ("STARTED", "its code runs"),
            ("RETRY", "it failed and will be tried again"),
            ("SUCCESS", "it ended well"),
            ("FAILURE", "it failed for good"),
            ("REVOKED", "it was called off, or came too late"),
            ("REJECTED", "a node could not or would not run it"),
        ],
        version: env!("CARGO_PKG_VERSION"),
        broker: desk.app.broker().url().to_owned(),
        backend: desk.app.backend().url().to_owned(),
        shell: Shell::new(&desk, &visit, Place::Help, "Help"),
    };
    shell::page(&shown.shell, &shown)
}
