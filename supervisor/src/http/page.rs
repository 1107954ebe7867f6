//! The one page: nodes, queues and recent tasks, rendered here.
//!
//! It reads well without scripts (a meta refresh renews it); with them it renews itself
//! in place and keeps focus and scroll.

mod tables;
mod text;

use std::fmt::{self, Write};

use axum::Router;
use axum::extract::State;
use axum::http::header;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use celeriac_protocol::State as TaskState;

use self::text::{Text, grouped};
use super::Desk;
use super::api;
use super::view::{NodeView, QueueView, TaskView};
use crate::cluster::Filter;

pub(super) fn routes() -> Router<Desk> {
    Router::new()
        .route("/", get(page))
        .route("/page.css", get(css))
        .route("/page.js", get(js))
}

/// How many tasks the page lists.
const TASKS: usize = 50;

pub(super) async fn css() -> Response {
    let kind = (header::CONTENT_TYPE, "text/css; charset=utf-8");
    ([kind], include_str!("page/page.css")).into_response()
}

pub(super) async fn js() -> Response {
    let kind = (header::CONTENT_TYPE, "text/javascript; charset=utf-8");
    ([kind], include_str!("page/page.js")).into_response()
}

pub(super) async fn page(State(desk): State<Desk>) -> Html<String> {
    let mut html = String::with_capacity(32 * 1024);
    // Writing to a string cannot fail.
    let _ = render(&mut html, &desk);
    Html(html)
}

fn render(out: &mut String, desk: &Desk) -> fmt::Result {
    let nodes: Vec<_> = api::nodes::all(desk, None).collect();
    let queues = api::queues::all(desk);
    let tasks = desk
        .board
        .history
        .list(&Filter::default(), None, TASKS)
        .tasks;
    let tasks: Vec<_> = tasks.iter().map(TaskView::of).collect();
    let link_up = desk.app.broker().link().borrow().is_up();
    let ready = link_up && desk.board.is_consuming();
    let (class, word) = match (ready, link_up) {
        (true, _) => ("good", "ready"),
        (false, true) => ("warn", "not consuming events"),
        (false, false) => ("bad", "broker out of reach"),
    };
    write!(
        out,
        r##"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{app} · celeriac</title>
<link rel="stylesheet" href="/page.css">
<noscript><meta http-equiv="refresh" content="10"></noscript>
<script src="/page.js" defer></script>
</head>
<body>
<a class="skip" href="#nodes">Skip to nodes</a>
<header>
<h1>celeriac <span class="app">{app}</span></h1>
<p class="status"><span id="status" role="status" class="pill {class}">{word}</span></p>
</header>
<main id="live">
"##,
        app = Text(desk.app.name()),
    )?;
    tiles(out, desk, &nodes, &queues)?;
    tables::nodes(out, &nodes)?;
    tables::queues(out, &queues)?;
    tables::tasks(out, &tasks)?;
    write!(
        out,
        r#"</main>
<footer>
<p>Broker <code>{}</code> · results <code>{}</code></p>
<nav aria-label="Data"><a href="/api/v1/nodes">nodes</a> <a href="/api/v1/queues">queues</a>
<a href="/api/v1/tasks">tasks</a> <a href="/metrics">metrics</a>
<a href="/api/v1/openapi.json">API</a></nav>
</footer>
</body>
</html>
"#,
        Text(desk.app.broker().url()),
        Text(desk.app.backend().url()),
    )
}

fn tiles(out: &mut String, desk: &Desk, nodes: &[NodeView], queues: &[QueueView]) -> fmt::Result {
    let counts = desk.board.history.counts();
    let tasks = |wanted: &[TaskState]| -> u64 {
        let states = counts.values().flat_map(|states| states.iter());
        states
            .filter(|(name, _)| wanted.iter().any(|s| s.as_str() == *name))
            .map(|(_, n)| n)
            .sum()
    };
    let online = nodes
        .iter()
        .filter(|node| matches!(node.state, "online" | "draining"))
        .count();
    let trouble = nodes
        .iter()
        .filter(|node| matches!(node.state, "suspect" | "lost"))
        .count();
    // What a lost node said last no longer holds.
    let present = nodes
        .iter()
        .filter(|node| !matches!(node.state, "lost" | "offline"));
    let running: u64 = present.filter_map(|node| node.active).sum();
    let waiting: u64 = queues.iter().filter_map(|queue| queue.ready).sum();
    out.push_str("<dl class=\"tiles\" aria-label=\"Summary\">");
    tile(out, "Nodes online", online as u64, "")?;
    tile(
        out,
        "Suspect or lost",
        trouble as u64,
        if trouble > 0 { "bad" } else { "" },
    )?;
    tile(out, "Running", running, "")?;
    tile(out, "Waiting in queues", waiting, "")?;
    tile(out, "Succeeded", tasks(&[TaskState::Success]), "")?;
    let failed = tasks(&[TaskState::Failure]);
    tile(out, "Failed", failed, if failed > 0 { "bad" } else { "" })?;
    out.push_str("</dl>\n");
    Ok(())
}

fn tile(out: &mut String, name: &str, count: u64, class: &str) -> fmt::Result {
    write!(
        out,
        "<div><dt>{name}</dt><dd class=\"{class}\">{}</dd></div>",
        grouped(count)
    )
}
