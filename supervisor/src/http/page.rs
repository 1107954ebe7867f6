//! The one page: nodes, queues and recent tasks, rendered here.
//!
//! It reads well without scripts (a meta refresh renews it); with them it renews itself
//! in place and keeps focus and scroll.

use std::fmt::{self, Display, Write};

use axum::extract::State;
use axum::http::header;
use axum::response::{Html, IntoResponse, Response};
use celeriac_protocol::State as TaskState;

use super::Desk;
use super::api;
use super::view::{NodeView, QueueView, TaskView};
use crate::cluster::Filter;

/// How many tasks the page lists.
const TASKS: usize = 50;
/// How many nodes and queues it lists; the API has all of them.
const ROWS: usize = 200;

/// Text between tags or in quotes, with everything that HTML gives a meaning escaped.
struct Text<T>(T);

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
    node_table(out, &nodes)?;
    queue_table(out, &queues)?;
    task_table(out, &tasks)?;
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
    let running: u64 = nodes.iter().filter_map(|node| node.active).sum();
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

fn node_table(out: &mut String, nodes: &[NodeView]) -> fmt::Result {
    let heads = [
        "Name",
        "State",
        "Software",
        "Active",
        "Processed",
        "Load",
        "Queues",
        "Last sign",
    ];
    let empty = "No node has been heard of yet. A node shows within its heartbeat interval.";
    table(
        out,
        "nodes",
        "Nodes",
        &heads,
        nodes.len().min(ROWS),
        nodes.len(),
        empty,
    )?;
    for node in nodes.iter().take(ROWS) {
        let software = [node.software.as_deref(), node.version.as_deref()];
        let software = software.into_iter().flatten().collect::<Vec<_>>().join(" ");
        let active = match (node.active, node.concurrency) {
            (Some(active), Some(most)) => format!("{active} / {most}"),
            (Some(active), None) => active.to_string(),
            (None, _) => "–".to_owned(),
        };
        let queues = node.queues.as_deref().unwrap_or_default().join(", ");
        writeln!(
            out,
            "<tr><th scope=\"row\"><a href=\"/api/v1/nodes/{href}\">{name}</a></th>\
             <td><span class=\"pill {state}\">{state}</span></td><td>{software}</td>\
             <td class=\"n\">{active}</td><td class=\"n\">{processed}</td>\
             <td class=\"n\">{load}</td><td>{queues}</td><td class=\"n\">{silent}</td></tr>",
            href = Url(&node.name),
            name = Text(&node.name),
            state = node.state,
            software = Text(software),
            processed = node.processed.map_or("–".to_owned(), grouped),
            load = node
                .loadavg
                .map_or("–".to_owned(), |load| format!("{:.2}", load[0])),
            queues = Text(queues),
            silent = ago(node.silent_seconds),
        )?;
    }
    end(out, nodes.is_empty())
}

fn queue_table(out: &mut String, queues: &[QueueView]) -> fmt::Result {
    let heads = ["Name", "Ready", "Consumers", "Read"];
    let shown = queues.len().min(ROWS);
    table(
        out,
        "queues",
        "Queues",
        &heads,
        shown,
        queues.len(),
        "No queue is known yet.",
    )?;
    for queue in queues.iter().take(ROWS) {
        let figure = |figure: Option<u64>| figure.map_or("–".to_owned(), grouped);
        let read = match (queue.exists, queue.age_seconds) {
            (Some(false), _) => "does not exist".to_owned(),
            (_, Some(age)) => ago(age),
            _ => "not yet".to_owned(),
        };
        writeln!(
            out,
            "<tr><th scope=\"row\">{}</th><td class=\"n\">{}</td><td class=\"n\">{}</td>\
             <td class=\"n\">{read}</td></tr>",
            Text(&queue.name),
            figure(queue.ready),
            figure(queue.consumers),
        )?;
    }
    end(out, queues.is_empty())
}

fn task_table(out: &mut String, tasks: &[TaskView]) -> fmt::Result {
    let heads = [
        "Task",
        "State",
        "Arguments",
        "Outcome",
        "Worker",
        "Runtime",
        "Changed",
    ];
    let empty =
        "No task has been seen yet. Workers of Celery send task events when started with -E.";
    table(
        out,
        "tasks",
        "Recent tasks",
        &heads,
        tasks.len(),
        tasks.len(),
        empty,
    )?;
    for task in tasks {
        let arguments = [task.args.as_deref(), task.kwargs.as_deref()];
        let given = arguments
            .into_iter()
            .flatten()
            .filter(|text| !matches!(*text, "()" | "[]" | "{}"));
        let arguments = given.collect::<Vec<_>>().join(" ");
        let outcome = task
            .exception
            .as_deref()
            .or(task.result_text.as_deref())
            .unwrap_or_default();
        let changed = task.changed_at.as_deref().unwrap_or_default();
        writeln!(
            out,
            "<tr><th scope=\"row\"><a href=\"/api/v1/tasks/{href}\">{name}</a>\
             <span class=\"id\">{id}</span></th>\
             <td><span class=\"pill {class}\">{state}</span></td>\
             <td><span class=\"cut\" title=\"{arguments}\">{arguments}</span></td>\
             <td><span class=\"cut\" title=\"{outcome}\">{outcome}</span></td><td>{worker}</td>\
             <td class=\"n\">{runtime}</td>\
             <td class=\"n\"><time datetime=\"{changed}\">{clock}</time></td></tr>",
            href = Url(&task.id),
            name = Text(task.name.as_deref().unwrap_or("(unknown)")),
            id = Text(&task.id),
            class = class(&task.state),
            state = Text(&task.state),
            arguments = Text(short(&arguments)),
            outcome = Text(short(outcome)),
            worker = Text(task.worker.as_deref().unwrap_or("–")),
            runtime = task
                .runtime_seconds
                .map_or("–".to_owned(), |s| format!("{s:.3} s")),
            changed = Text(changed),
            clock = Text(changed.get(11..19).unwrap_or("–")),
        )?;
    }
    end(out, tasks.is_empty())
}

fn table(
    out: &mut String,
    id: &str,
    title: &str,
    heads: &[&str],
    shown: usize,
    all: usize,
    empty: &str,
) -> fmt::Result {
    let of = if shown < all {
        format!("{shown} of {all}")
    } else {
        all.to_string()
    };
    write!(
        out,
        "<section aria-labelledby=\"{id}\"><h2 id=\"{id}\" tabindex=\"-1\">{title} \
         <span class=\"count\">{of}</span></h2>\n"
    )?;
    if all == 0 {
        return write!(out, "<p class=\"empty\">{empty}</p>");
    }
    // A table that scrolls must be reachable by keyboard.
    write!(
        out,
        "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-labelledby=\"{id}\">\
         <table><thead><tr>"
    )?;
    for head in heads {
        let numeric = matches!(
            *head,
            "Active"
                | "Processed"
                | "Load"
                | "Last sign"
                | "Ready"
                | "Consumers"
                | "Read"
                | "Runtime"
                | "Changed"
        );
        let class = if numeric { " class=\"n\"" } else { "" };
        write!(out, "<th scope=\"col\"{class}>{head}</th>")?;
    }
    out.write_str("</tr></thead>\n<tbody>\n")
}

fn end(out: &mut String, empty: bool) -> fmt::Result {
    out.write_str(if empty {
        "</section>\n"
    } else {
        "</tbody></table></div></section>\n"
    })
}

fn class(state: &str) -> &'static str {
    match TaskState::from(state) {
        TaskState::Success => "success",
        TaskState::Failure => "failure",
        TaskState::Started | TaskState::Custom(_) => "started",
        TaskState::Retry | TaskState::Rejected => "retry",
        TaskState::Revoked => "revoked",
        TaskState::Pending | TaskState::Received => "pending",
    }
}

fn short(text: &str) -> String {
    crate::cluster::cut(text, 300)
}

fn ago(seconds: f64) -> String {
    match seconds {
        s if s < 1.5 => "now".to_owned(),
        s if s < 120.0 => format!("{s:.0} s ago"),
        s if s < 7_200.0 => format!("{:.0} min ago", s / 60.0),
        s => format!("{:.0} h ago", s / 3_600.0),
    }
}

/// Writes thousands apart, with a narrow space that does not break.
fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() * 2);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

/// A name as one segment of a path.
struct Url<'a>(&'a str);

impl Display for Url<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0.bytes() {
            match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'@' => {
                    f.write_char(char::from(byte))?;
                }
                other => write!(f, "%{other:02X}")?,
            }
        }
        Ok(())
    }
}

impl<T: AsRef<str>> Display for Text<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.as_ref().chars() {
            match character {
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '&' => f.write_str("&amp;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                other => f.write_char(other)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_outside_cannot_become_markup() {
        let text = Text("<img src=x onerror='alert(1)'>&\"").to_string();
        assert_eq!(
            text,
            "&lt;img src=x onerror=&#39;alert(1)&#39;&gt;&amp;&quot;"
        );
        assert_eq!(Url("a/../b?\"<").to_string(), "a%2F..%2Fb%3F%22%3C");
    }

    #[test]
    fn figures_are_readable() {
        for (count, text) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1\u{202f}000"),
            (1_234_567, "1\u{202f}234\u{202f}567"),
        ] {
            assert_eq!(grouped(count), text);
        }
        let cases = [
            (0.2, "now"),
            (7.0, "7 s ago"),
            (300.0, "5 min ago"),
            (9_000.0, "2 h ago"),
        ];
        for (seconds, text) in cases {
            assert_eq!(ago(seconds), text);
        }
    }
}
