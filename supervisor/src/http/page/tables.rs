//! The tables of the page.

use std::fmt::{self, Write};

use celeriac_protocol::State as TaskState;

use super::text::{Text, Url, ago, grouped, short};
use crate::http::view::{NodeView, QueueView, TaskView};

/// How many nodes and queues it lists; the API has all of them.
const ROWS: usize = 200;

/// Writes the nodes.
pub(super) fn nodes(out: &mut String, nodes: &[NodeView]) -> fmt::Result {
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
        // What a lost node said last no longer holds.
        let gone = matches!(node.state, "lost" | "offline");
        let active = match (node.active.filter(|_| !gone), node.concurrency) {
            (Some(active), Some(most)) => format!("{active} / {most}"),
            (Some(active), None) => active.to_string(),
            (None, _) => "–".to_owned(),
        };
        let queues = node
            .queues
            .as_ref()
            .map_or("–".to_owned(), |names| names.join(", "));
        writeln!(
            out,
            "<tr><th scope=\"row\"><a href=\"/api/v1/nodes/{href}\">{name}</a></th>\
             <td><span class=\"pill {state}\">{state}</span></td><td class=\"name\">{software}</td>\
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

/// Writes the queues.
pub(super) fn queues(out: &mut String, queues: &[QueueView]) -> fmt::Result {
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

/// Writes the tasks, which were chosen already.
pub(super) fn tasks(out: &mut String, tasks: &[TaskView]) -> fmt::Result {
    let heads = [
        "Task",
        "State",
        "Arguments",
        "Outcome",
        "Worker",
        "Runtime",
        "Changed, UTC",
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
             <td><span class=\"cut\" title=\"{outcome}\">{outcome}</span></td><td class=\"name\">{worker}</td>\
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
    writeln!(
        out,
        "<section aria-labelledby=\"{id}\"><h2 id=\"{id}\" tabindex=\"-1\">{title} \
         <span class=\"count\">{of}</span></h2>"
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
                | "Changed, UTC"
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
