//! Rows that several pages have.

use super::text::{self, Markup};
use crate::http::view::{NodeView, TaskView};

/// A task in a list.
#[derive(Debug)]
pub(super) struct TaskRow {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) state: String,
    pub(super) failed: bool,
    pub(super) retries: u64,
    pub(super) arguments: String,
    pub(super) outcome: String,
    pub(super) node: String,
    pub(super) queue: String,
    pub(super) runtime: String,
    pub(super) when: Markup,
}

/// A node in a list.
#[derive(Debug)]
pub(super) struct NodeRow {
    pub(super) name: String,
    pub(super) state: &'static str,
    pub(super) software: String,
    pub(super) running: String,
    pub(super) meter: Markup,
    pub(super) processed: String,
    pub(super) load: String,
    pub(super) queues: Vec<String>,
    pub(super) seen: Markup,
}

/// The name of tasks whose name nobody told.
pub(super) const UNNAMED: &str = "(unknown)";

impl TaskRow {
    pub(super) fn of(task: &TaskView) -> Self {
        let outcome = match (&task.exception, &task.result_text) {
            (Some(exception), _) => text::line(exception),
            (None, Some(result)) => text::line(result),
            (None, None) => String::new(),
        };
        Self {
            id: task.id.clone(),
            name: task.name.clone().unwrap_or_else(|| UNNAMED.to_owned()),
            failed: matches!(task.state.as_str(), "FAILURE" | "REJECTED"),
            state: task.state.clone(),
            retries: task.retries,
            arguments: text::call(task.args.as_deref(), task.kwargs.as_deref()),
            outcome,
            node: task.worker.clone().unwrap_or_default(),
            queue: task.queue.clone().unwrap_or_default(),
            runtime: text::maybe_span(task.runtime_seconds),
            when: text::when(task.changed_at.as_deref()),
        }
    }
}

impl NodeRow {
    pub(super) fn of(node: &NodeView) -> Self {
        let software = [node.software.as_deref(), node.version.as_deref()];
        // What a lost node said last no longer holds.
        let active = node.active.filter(|_| !is_gone(node.state));
        Self {
            name: node.name.clone(),
            state: node.state,
            software: software.into_iter().flatten().collect::<Vec<_>>().join(" "),
            running: match (active, node.concurrency) {
                (Some(active), Some(most)) => format!("{active} / {most}"),
                (Some(active), None) => active.to_string(),
                (None, _) => text::dash(),
            },
            meter: match (active, node.concurrency) {
                (Some(active), Some(most)) => text::meter(active as f64, most as f64),
                _ => Markup::default(),
            },
            processed: text::count(node.processed),
            load: node
                .loadavg
                .map_or_else(text::dash, |load| format!("{:.2}", load[0])),
            queues: node.queues.clone().unwrap_or_default(),
            seen: text::when(ago(node.silent_seconds).as_deref()),
        }
    }
}

/// Tells whether nothing more is expected of a node.
pub(super) fn is_gone(state: &str) -> bool {
    matches!(state, "lost" | "offline")
}

/// The moment that was so many seconds ago.
pub(super) fn ago(seconds: f64) -> Option<String> {
    let past = jiff::SignedDuration::try_from_secs_f64(seconds).ok()?;
    text::now().checked_sub(past).ok().map(|at| at.to_string())
}
