//! The page of one task.

use std::collections::HashMap;

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use celeriac::control::Command;
use serde_json::json;

use super::form::Fields;
use super::row::UNNAMED;
use super::shell::{self, May, Place, Shell, Visit, done};
use super::text::{self, Markup};
use super::timeline::Timeline;
use crate::access::{Identity, Role};
use crate::http::extract::Path;
use crate::http::view::TaskView;
use crate::http::{Desk, Problem, api};

mod graph;
mod literal;
pub(super) mod replay;

use self::graph::{Graph, Member};
use self::replay::Replay;

#[derive(Template)]
#[template(path = "task.html")]
struct Page {
    shell: Shell,
    task: Shown,
    timeline: Timeline,
    graph: Option<Graph>,
    facts: Vec<Fact>,
    replay: Replay,
    operate: May,
}

struct Shown {
    id: String,
    name: String,
    state: String,
    failed: bool,
    ready: bool,
    received: Option<String>,
    args: Option<String>,
    kwargs: Option<String>,
    exception: Option<String>,
    traceback: Option<String>,
    result: Option<String>,
}

/// A line of a list of facts.
pub(super) struct Fact {
    pub(super) name: &'static str,
    pub(super) value: Markup,
    pub(super) href: String,
}

pub(super) async fn page(
    State(desk): State<Desk>,
    visit: Visit,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let task = api::tasks::look_up(&desk, &id).await?;
    let replay = Replay::of(&desk, &task).await;
    Ok(show(&desk, &visit, task, replay, StatusCode::OK).await)
}

pub(super) async fn replay(
    State(desk): State<Desk>,
    visit: Visit,
    Path(id): Path<String>,
    fields: Fields,
) -> Result<Response, Problem> {
    let task = api::tasks::look_up(&desk, &id).await?;
    match replay::by_form(&desk, &visit.who, &task, &fields).await {
        Ok(id) => Ok(done(
            &address(&id),
            "The task was sent again; this is its page.",
        )),
        // What was typed stays, with what is wrong about it.
        Err(problem) if problem.status() == 400 => {
            let replay = Replay::of(&desk, &task).await.refused(&fields, &problem);
            Ok(show(&desk, &visit, task, replay, StatusCode::BAD_REQUEST).await)
        }
        Err(problem) => Err(problem),
    }
}

pub(super) async fn revoke(
    State(desk): State<Desk>,
    who: Identity,
    Path(id): Path<String>,
    fields: Fields,
) -> Result<Response, Problem> {
    call_off(&desk, &who, std::slice::from_ref(&id), &fields).await?;
    let text = match fields.is_ticked("terminate") {
        true => "Every node was told to stop the task, and not to start it again.",
        false => "Every node was told not to start the task.",
    };
    Ok(done(&address(&id), text))
}

/// Tells every node to call tasks off, as a form says.
pub(super) async fn call_off(
    desk: &Desk,
    who: &Identity,
    ids: &[String],
    fields: &Fields,
) -> Result<(), Problem> {
    let terminate = fields.is_ticked("terminate");
    let signal = fields.get("signal").unwrap_or("SIGTERM");
    api::check::signal("signal", signal)?;
    let command = Command::revoke(ids.iter().map(String::as_str))
        .argument("terminate", terminate)
        .argument("signal", signal);
    desk.app.control().cast(command).await?;
    let (target, details) = match ids {
        [id] => (id.clone(), json!({ "terminate": terminate })),
        ids => (
            format!("{} tasks", ids.len()),
            json!({ "terminate": terminate, "ids": ids }),
        ),
    };
    desk.audit(who, "task.revoke", &target, details).await;
    Ok(())
}

fn address(id: &str) -> String {
    format!("/tasks/{}", text::url(id))
}

async fn show(
    desk: &Desk,
    visit: &Visit,
    task: TaskView,
    replay: Replay,
    status: StatusCode,
) -> Response {
    let graph = workflow(desk, &task).await;
    let shown = Page {
        timeline: Timeline::of(&task, text::now()),
        graph,
        facts: facts(&task),
        replay,
        operate: visit.may(Role::Operator),
        shell: Shell::new(
            desk,
            visit,
            Place::Tasks,
            task.name.as_deref().unwrap_or("Task"),
        )
        .live("task"),
        task: Shown::of(task),
    };
    shell::page_with(status, &shown.shell, &shown)
}

/// Draws the workflow of a task that has others before or after it.
async fn workflow(desk: &Desk, task: &TaskView) -> Option<Graph> {
    // Without the store the page has no drawing, and says why in its frame.
    let graph = api::tasks::graph::of(desk, &task.id).await.ok()?;
    let mut members: Vec<_> = graph
        .tasks
        .iter()
        .map(|task| Member {
            id: task.id.clone(),
            name: task.name.clone(),
            state: task.state.clone(),
            after: Vec::new(),
        })
        .collect();
    let places: HashMap<_, _> = graph
        .tasks
        .iter()
        .enumerate()
        .map(|(at, task)| (&task.id, at))
        .collect();
    for edge in &graph.edges {
        if let Some(&at) = places.get(&edge.to) {
            members[at].after.push(edge.from.clone());
        }
    }
    Graph::of(&members, &task.id)
}

impl Shown {
    fn of(task: TaskView) -> Self {
        let result = match (&task.result, &task.result_text) {
            (Some(value), _) if task.state == "SUCCESS" => serde_json::to_string_pretty(value).ok(),
            (_, text) => text.clone(),
        };
        Self {
            id: task.id,
            name: task.name.unwrap_or_else(|| UNNAMED.to_owned()),
            failed: matches!(task.state.as_str(), "FAILURE" | "REJECTED"),
            ready: matches!(
                task.state.as_str(),
                "SUCCESS" | "FAILURE" | "REVOKED" | "REJECTED" | "IGNORED"
            ),
            state: task.state,
            received: task.received_at,
            args: task.args,
            kwargs: task.kwargs,
            exception: task
                .exception
                .or_else(|| task.traceback.as_ref().map(|_| "no message".to_owned())),
            traceback: task.traceback,
            result,
        }
    }
}

impl Fact {
    pub(super) fn text(name: &'static str, value: &str) -> Self {
        Self {
            name,
            value: Markup(text::Escaped(value).to_string()),
            href: String::new(),
        }
    }

    pub(super) fn link(name: &'static str, value: &str, href: String) -> Self {
        Self {
            href,
            ..Self::text(name, value)
        }
    }

    pub(super) fn markup(name: &'static str, value: Markup) -> Self {
        Self {
            name,
            value,
            href: String::new(),
        }
    }
}

fn facts(task: &TaskView) -> Vec<Fact> {
    let mut facts = Vec::new();
    let task_link = |id: &str| format!("/tasks/{}", text::url(id));
    if let Some(node) = &task.worker {
        facts.push(Fact::link(
            "Node",
            node,
            format!("/nodes/{}", text::url(node)),
        ));
    }
    if let Some(queue) = &task.queue {
        facts.push(Fact::link(
            "Queue",
            queue,
            format!("/queues#{}", text::url(queue)),
        ));
    }
    if task.lost_with_node {
        let told = "its node has it no more; the broker delivers it again, unless it was \
                    acknowledged early";
        facts.push(Fact::text("Lost", told));
    }
    facts.push(Fact::text("Retries", &task.retries.to_string()));
    if let Some(seconds) = task.runtime_seconds {
        facts.push(Fact::text("Run time", &text::span(seconds)));
    }
    for (name, moment) in [("Not before", &task.eta), ("Expires", &task.expires)] {
        if moment.is_some() {
            facts.push(Fact::markup(name, text::exact(moment.as_deref())));
        }
    }
    if let Some(parent) = &task.parent_id {
        facts.push(Fact::link("Called by", parent, task_link(parent)));
    }
    if let Some(root) = task.root_id.as_ref().filter(|root| **root != task.id) {
        facts.push(Fact::link("Workflow began", root, task_link(root)));
    }
    if let Some(client) = &task.client {
        facts.push(Fact::text("Sent by", client));
    }
    facts.push(Fact::markup(
        "Last change",
        text::when(task.changed_at.as_deref()),
    ));
    facts.push(Fact::link(
        "As JSON",
        "API",
        format!("/api/v1/tasks/{}", text::url(&task.id)),
    ));
    facts
}
