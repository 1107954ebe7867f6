//! The page of one dead letter.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Map, Value};

use super::form::{Fields, body};
use super::letters::{HOME, words};
use super::shell::{self, May, Place, Shell, Visit, done};
use super::task::Fact;
use super::text;
use crate::access::{Identity, Role};
use crate::http::api::letters::{self, LetterDetail, ReplayOrder};
use crate::http::extract::{Body, Path};
use crate::http::{Desk, Problem};

#[derive(Template)]
#[template(path = "letter.html")]
struct Page {
    shell: Shell,
    id: String,
    name: String,
    reason: String,
    state: &'static str,
    changed_by: Option<String>,
    error: String,
    traceback: Option<String>,
    replayable: bool,
    replay: Replay,
    queue: String,
    size: String,
    headers: String,
    properties: String,
    facts: Vec<Fact>,
    operate: May,
    administer: May,
}

/// The form that sends it again.
#[derive(Default)]
struct Replay {
    args: String,
    kwargs: String,
    queue: String,
    new_id: bool,
    keep_times: bool,
    wrong: &'static str,
    error: String,
}

pub(super) async fn page(
    State(desk): State<Desk>,
    visit: Visit,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let letter = letters::look_up(&desk, &id).await?;
    let replay = Replay {
        args: letter.letter.args.clone().unwrap_or_default(),
        kwargs: letter.letter.kwargs.clone().unwrap_or_default(),
        ..Replay::default()
    };
    Ok(show(&desk, &visit, letter, replay, StatusCode::OK))
}

pub(super) async fn discard(
    State(desk): State<Desk>,
    who: Identity,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    letters::discard(&desk, &who, &id).await?;
    Ok(done(HOME, "The letter was discarded."))
}

pub(super) async fn replay(
    State(desk): State<Desk>,
    visit: Visit,
    Path(id): Path<String>,
    fields: Fields,
) -> Result<Response, Problem> {
    let letter = letters::look_up(&desk, &id).await?;
    let kept = [
        letter.letter.args.as_deref(),
        letter.letter.kwargs.as_deref(),
    ];
    let sent = match order(&fields, kept) {
        Ok(order) => letters::replay_letter(&desk, &visit.who, &id, order).await,
        Err(problem) => Err(problem),
    };
    match sent {
        Ok(sent) => {
            let (to, text) = match sent.new_task_id.or(sent.task_id) {
                Some(task) => (
                    format!("/tasks/{}", text::url(&task)),
                    "The task was sent again; this is its page.",
                ),
                None => (HOME.to_owned(), "The message was sent again."),
            };
            Ok(done(&to, text))
        }
        // What was typed stays, with what is wrong about it.
        Err(problem) if problem.status() == 400 => {
            let replay = Replay {
                args: fields.text("args"),
                kwargs: fields.text("kwargs"),
                queue: fields.text("queue"),
                new_id: fields.is_ticked("new_id"),
                keep_times: fields.is_ticked("keep_times"),
                wrong: ["kwargs", "args", "queue"]
                    .into_iter()
                    .find(|field| problem.detail().starts_with(field))
                    .unwrap_or_default(),
                error: problem.detail().to_owned(),
            };
            Ok(show(&desk, &visit, letter, replay, StatusCode::BAD_REQUEST))
        }
        Err(problem) => Err(problem),
    }
}

/// Makes the order. Arguments that were not touched are left out, so that the message is
/// sent as it came.
pub(super) fn order(
    fields: &Fields,
    [args, kwargs]: [Option<&str>; 2],
) -> Result<ReplayOrder, Problem> {
    let mut order = Map::new();
    if fields.get("args") != args.map(str::trim) && fields.get("args").is_some() {
        order.insert("args".to_owned(), fields.array("args")?.into());
    }
    if fields.get("kwargs") != kwargs.map(str::trim) && fields.get("kwargs").is_some() {
        order.insert("kwargs".to_owned(), fields.object("kwargs")?.into());
    }
    if let Some(queue) = fields.get("queue") {
        order.insert("queue".to_owned(), queue.into());
    }
    for name in ["new_id", "keep_times"] {
        order.insert(name.to_owned(), fields.is_ticked(name).into());
    }
    let Body(order) = body(Value::Object(order))?;
    Ok(order)
}

fn show(
    desk: &Desk,
    visit: &Visit,
    detail: LetterDetail,
    replay: Replay,
    status: StatusCode,
) -> Response {
    let letter = detail.letter;
    let pretty = |value: &Value| serde_json::to_string_pretty(value).unwrap_or_default();
    let mut facts = vec![Fact::text("Cause", &words(letter.reason))];
    let task_link = |id: &str| format!("/tasks/{}", text::url(id));
    if let Some(task) = &letter.task_id {
        facts.push(Fact::link("Task", task, task_link(task)));
    }
    if let Some(task) = &letter.new_task_id {
        facts.push(Fact::link("Became", task, task_link(task)));
    }
    facts.push(Fact::link(
        "Queue",
        &letter.queue,
        format!("/queues#{}", text::url(&letter.queue)),
    ));
    match &letter.node {
        Some(node) => facts.push(Fact::link(
            "Put away by",
            node,
            format!("/nodes/{}", text::url(node)),
        )),
        None => facts.push(Fact::text("Put away by", "the broker")),
    }
    facts.push(Fact::text(
        "Tries",
        &text::count(letter.attempts.map(u64::from)),
    ));
    if let Some(kind) = &letter.error_type {
        facts.push(Fact::text("Kind of error", kind));
    }
    facts.push(Fact::markup("Died", text::exact(Some(&letter.died_at))));
    if letter.changed_at.is_some() {
        let name = if letter.state == "replayed" {
            "Replayed"
        } else {
            "Discarded"
        };
        facts.push(Fact::markup(name, text::when(letter.changed_at.as_deref())));
    }
    if let Some(by) = &letter.changed_by {
        facts.push(Fact::text("By", by));
    }
    if let Some(root) = letter
        .root_id
        .as_ref()
        .filter(|root| Some(*root) != letter.task_id.as_ref())
    {
        facts.push(Fact::link("Workflow began", root, task_link(root)));
    }
    facts.push(Fact::link(
        "As JSON",
        "API",
        format!("/api/v1/letters/{}", text::url(&letter.id)),
    ));
    let name = letter
        .name
        .clone()
        .unwrap_or_else(|| "A message that is no task".to_owned());
    let shown = Page {
        reason: words(letter.reason),
        state: letter.state,
        changed_by: letter.changed_by,
        error: letter.error,
        traceback: letter.traceback,
        replayable: detail.replayable && letter.state != "replayed",
        replay,
        queue: letter.queue,
        size: format!("{} bytes", text::grouped(letter.body_size)),
        headers: pretty(&detail.headers),
        properties: pretty(&detail.properties),
        facts,
        operate: visit.may(Role::Operator),
        administer: visit.may(Role::Admin),
        shell: Shell::new(desk, visit, Place::Letters, format!("Dead letter: {name}"))
            .live("letter"),
        id: letter.id,
        name,
    };
    shell::page_with(status, &shown.shell, &shown)
}
