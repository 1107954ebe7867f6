//! The page of one node.

use askama::Template;
use axum::extract::State;
use axum::response::Response;

use super::overview::Figure;
use super::row::{self, TaskRow, is_gone};
use super::shell::{self, May, Place, Shell, Visit};
use super::task::Fact;
use super::text::{self, Markup};
use crate::access::Role;
use crate::http::api::nodes::running::RunningTask;
use crate::http::api::page::Limit;
use crate::http::api::tasks::{self, TaskQuery};
use crate::http::extract::Path;
use crate::http::view::NodeView;
use crate::http::{Desk, Problem, api};

mod controls;

pub(super) use self::controls::{control, drain, shutdown};

#[derive(Template)]
#[template(path = "node.html")]
struct Page {
    shell: Shell,
    name: String,
    state: &'static str,
    gone: bool,
    figures: Vec<Figure>,
    facts: Vec<Fact>,
    /// Whether it said what it runs.
    answered: bool,
    running: Vec<Running>,
    recent: Vec<TaskRow>,
    registered: Vec<String>,
    queues: Vec<String>,
    known_queues: Vec<String>,
    slots: u64,
    operate: May,
    administer: May,
}

/// A task that runs there.
struct Running {
    id: String,
    name: String,
    arguments: String,
    when: Markup,
}

/// How many running and recent tasks it lists.
const ROWS: usize = 25;

pub(super) async fn page(
    State(desk): State<Desk>,
    visit: Visit,
    Path(name): Path<String>,
) -> Result<Response, Problem> {
    let detail = api::nodes::detail(&desk, &name).await?;
    let (mut node, running) = (detail.node, detail.running);
    let mut shell = Shell::new(&desk, &visit, Place::Nodes, &name).live("node task");
    let query = TaskQuery {
        worker: Some(name.clone()),
        limit: Some(Limit(ROWS)),
        ..TaskQuery::default()
    };
    let recent = match tasks::search(&desk, &query).await {
        Ok(page) => page.tasks.iter().map(TaskRow::of).collect(),
        Err(problem) => {
            shell = shell.trouble(&problem);
            Vec::new()
        }
    };
    let queues = desk.board.queues_by_name().into_iter();
    let shown = Page {
        state: node.state,
        gone: is_gone(node.state),
        figures: figures(&node),
        facts: facts_of(&node),
        answered: running.is_some(),
        running: running
            .unwrap_or_default()
            .iter()
            .take(ROWS)
            .map(Running::of)
            .collect(),
        recent,
        registered: node.tasks.take().unwrap_or_default(),
        queues: node.queues.take().unwrap_or_default(),
        known_queues: queues.map(|(name, _)| name).collect(),
        slots: node.concurrency.unwrap_or(1).max(1),
        operate: visit.may(Role::Operator),
        administer: visit.may(Role::Admin),
        name,
        shell,
    };
    Ok(shell::page(&shown.shell, &shown))
}

impl Running {
    fn of(task: &RunningTask) -> Self {
        Self {
            id: task.id.clone(),
            name: task.name.clone(),
            arguments: text::call(task.args.as_deref(), task.kwargs.as_deref()),
            when: text::when(task.started_at.as_deref()),
        }
    }
}

fn figures(node: &NodeView) -> Vec<Figure> {
    let figure = |name, value: String, unit: String, tone| Figure {
        name,
        value,
        unit,
        tone,
        href: String::new(),
    };
    let active = node.active.filter(|_| !is_gone(node.state));
    let of = node
        .concurrency
        .map(|slots| format!("of {slots}"))
        .unwrap_or_default();
    let missed = if node.events_missed > 0 { "warn" } else { "" };
    vec![
        figure("Running", text::count(active), of, ""),
        figure("Processed", text::count(node.processed), String::new(), ""),
        figure(
            "Load average",
            node.loadavg
                .map_or_else(text::dash, |load| format!("{:.2}", load[0])),
            node.loadavg
                .map(|load| format!("{:.2} {:.2}", load[1], load[2]))
                .unwrap_or_default(),
            "",
        ),
        figure(
            "Beats every",
            text::span(node.heartbeat_interval),
            String::new(),
            "",
        ),
        figure(
            "Events missed",
            text::grouped(node.events_missed),
            String::new(),
            missed,
        ),
    ]
}

fn facts_of(node: &NodeView) -> Vec<Fact> {
    let mut facts = Vec::new();
    let software = [node.software.as_deref(), node.version.as_deref()];
    let software: Vec<_> = software.into_iter().flatten().collect();
    if !software.is_empty() {
        facts.push(Fact::text("Software", &software.join(" ")));
    }
    if let Some(system) = &node.system {
        facts.push(Fact::text("System", system));
    }
    if let Some(pid) = node.pid {
        facts.push(Fact::text("Process", &pid.to_string()));
    }
    if let Some(prefetch) = node.prefetch {
        facts.push(Fact::text("Takes ahead", &prefetch.to_string()));
    }
    facts.push(Fact::markup(
        "Last sign of life",
        text::when(row::ago(node.silent_seconds).as_deref()),
    ));
    facts.push(Fact::markup(
        "Known since",
        text::when(row::ago(node.known_seconds).as_deref()),
    ));
    facts.push(Fact::text("Restarts", &node.restarts.to_string()));
    if let Some(skew) = node.clock_skew_seconds {
        let (amount, way) = (
            text::span(skew.abs()),
            if skew < 0.0 { "behind" } else { "ahead" },
        );
        let tone = if skew.abs() > 5.0 { "warn" } else { "" };
        facts.push(Fact::markup(
            "Its clock",
            Markup(format!("<span class=\"{tone}\">{amount} {way}</span>")),
        ));
    }
    facts.push(Fact::link(
        "As JSON",
        "API",
        format!("/api/v1/nodes/{}", text::url(&node.name)),
    ));
    facts
}
