//! The page of the queues.

use askama::Template;
use axum::extract::State;
use axum::response::Response;

use super::row;
use super::shell::{self, May, Place, Shell, Visit};
use super::text::{self, Markup};
use crate::access::Role;
use crate::http::view::QueueView;
use crate::http::{Desk, Problem, api};

#[derive(Template)]
#[template(path = "queues.html")]
struct Queues {
    shell: Shell,
    queues: Vec<Row>,
    operate: May,
    administer: May,
}

struct Row {
    name: String,
    state: &'static str,
    paused: bool,
    ready: String,
    oldest: String,
    running: String,
    consumers: String,
    load: String,
    meter: Markup,
    read: Markup,
}

pub(super) async fn page(State(desk): State<Desk>, visit: Visit) -> Result<Response, Problem> {
    let queues = api::queues::all(&desk);
    let shown = Queues {
        queues: queues.iter().map(Row::of).collect(),
        operate: visit.may(Role::Operator),
        administer: visit.may(Role::Admin),
        shell: Shell::new(&desk, &visit, Place::Queues, "Queues").live("queue"),
    };
    Ok(shell::page(&shown.shell, &shown))
}

impl Row {
    fn of(queue: &QueueView) -> Self {
        let waiting = queue.ready.is_some_and(|ready| ready > 0);
        let state = match (queue.exists, queue.consumers) {
            (Some(false), _) => "missing",
            (None, _) => "not asked yet",
            (_, Some(0)) if waiting => "no consumer",
            (_, Some(0)) => "idle",
            _ => "on",
        };
        Self {
            name: queue.name.clone(),
            state,
            paused: false,
            ready: text::count(queue.ready),
            oldest: text::dash(),
            running: text::dash(),
            consumers: text::count(queue.consumers),
            load: text::dash(),
            meter: Markup::default(),
            read: text::when(queue.age_seconds.and_then(row::ago).as_deref()),
        }
    }
}
