//! The page of the queues.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use serde_json::json;

use super::form::{Fields, body};
use super::row;
use super::shell::{self, May, Place, Shell, Visit, done, went};
use super::text::{self, Markup, grouped};
use crate::access::{Identity, Role};
use crate::http::api::queues::pause::{self, PauseReport};
use crate::http::api::queues::purge;
use crate::http::extract::{Body, Path};
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
    oldest: Markup,
    /// Who tells of the oldest.
    source: &'static str,
    unacked: String,
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

pub(super) async fn pause(
    State(desk): State<Desk>,
    who: Identity,
    Path(name): Path<String>,
) -> Result<Response, Problem> {
    let report = pause::pause(State(desk), who, Path(name.clone()), none()?).await?;
    let told = told(&report.0, "stopped consuming from it");
    Ok(went(
        "/queues",
        told.0,
        format!("{name} is paused. {}", told.1),
    ))
}

pub(super) async fn resume(
    State(desk): State<Desk>,
    who: Identity,
    Path(name): Path<String>,
) -> Result<Response, Problem> {
    let report = pause::resume(State(desk), who, Path(name.clone()), none()?).await?;
    let told = told(&report.0, "consume from it again");
    Ok(went(
        "/queues",
        told.0,
        format!("{name} goes on. {}", told.1),
    ))
}

pub(super) async fn purge(
    State(desk): State<Desk>,
    who: Identity,
    Path(name): Path<String>,
    fields: Fields,
) -> Result<Response, Problem> {
    let confirm = json!({ "confirm": fields.text("confirm") });
    let purged = purge::purge(State(desk), who, Path(name.clone()), body(confirm)?).await?;
    let count = grouped(purged.0.purged);
    Ok(done(
        "/queues",
        format!("{count} messages of {name} are gone."),
    ))
}

fn none<T: serde::de::DeserializeOwned>() -> Result<Body<T>, Problem> {
    body(json!({}))
}

fn told(report: &PauseReport, did: &str) -> (&'static str, String) {
    let (all, done) = (
        report.nodes.len(),
        report.nodes.iter().filter(|node| node.done).count(),
    );
    match all {
        0 => ("good", "No node consumed from it.".to_owned()),
        all if done == all => ("good", format!("{all} nodes {did}.")),
        all => (
            "warn",
            format!("{done} of {all} nodes {did}; the others did not answer."),
        ),
    }
}

impl Row {
    fn of(queue: &QueueView) -> Self {
        let waiting = queue.ready.is_some_and(|ready| ready > 0);
        let state = match (queue.exists, queue.consumers) {
            _ if queue.paused => "paused",
            (Some(false), _) => "missing",
            (None, _) => "not asked yet",
            (_, Some(0)) if waiting => "no consumer",
            (_, Some(0)) => "idle",
            _ if queue.growth_per_second.is_some() => "growing",
            _ => "on",
        };
        Self {
            name: queue.name.clone(),
            state,
            paused: queue.paused,
            ready: text::count(queue.ready),
            oldest: text::when(queue.oldest_at.as_deref()),
            source: match queue.oldest_source {
                Some("events") => "as events tell; it may be older",
                Some("management") => "as its sender stamped it",
                _ => "",
            },
            unacked: text::count(queue.unacked),
            running: grouped(queue.running),
            consumers: text::count(queue.consumers),
            load: queue.load.map_or_else(text::dash, text::percent),
            meter: queue
                .load
                .map(|load| text::meter(load, 1.0))
                .unwrap_or_default(),
            read: text::when(queue.age_seconds.and_then(row::ago).as_deref()),
        }
    }
}
