//! What the API shows, apart from how the model keeps it.

use std::time::Instant;

use celeriac_protocol::{Exception, ResultDocument, State, Timestamp, Value};
use serde::Serialize;
use utoipa::ToSchema;

use crate::board::{Depth, Facts};
use crate::cluster::{Node, Task};

/// A node.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Node)]
pub(super) struct NodeView {
    pub(super) name: String,
    pub(super) state: &'static str,
    pub(super) software: Option<String>,
    pub(super) version: Option<String>,
    pub(super) system: Option<String>,
    pub(super) pid: Option<i64>,
    pub(super) clock: u64,
    pub(super) active: Option<u64>,
    pub(super) processed: Option<u64>,
    pub(super) loadavg: Option<[f64; 3]>,
    pub(super) heartbeat_interval: f64,
    pub(super) heartbeat_at: Option<String>,
    pub(super) silent_seconds: f64,
    pub(super) known_seconds: f64,
    pub(super) clock_skew_seconds: Option<f64>,
    pub(super) restarts: u64,
    pub(super) events_missed: u64,
    pub(super) concurrency: Option<u64>,
    pub(super) prefetch: Option<u64>,
    pub(super) queues: Option<Vec<String>>,
    /// Only when one node is asked for: there may be a thousand names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tasks: Option<Vec<String>>,
}

/// A task.
#[derive(Debug, Default, Serialize, ToSchema)]
#[schema(as = Task)]
pub(super) struct TaskView {
    pub(super) id: String,
    pub(super) name: Option<String>,
    pub(super) state: String,
    pub(super) args: Option<String>,
    pub(super) kwargs: Option<String>,
    pub(super) queue: Option<String>,
    pub(super) worker: Option<String>,
    pub(super) client: Option<String>,
    pub(super) retries: u64,
    pub(super) eta: Option<String>,
    pub(super) expires: Option<String>,
    pub(super) root_id: Option<String>,
    pub(super) parent_id: Option<String>,
    pub(super) sent_at: Option<String>,
    pub(super) received_at: Option<String>,
    pub(super) started_at: Option<String>,
    pub(super) finished_at: Option<String>,
    pub(super) changed_at: Option<String>,
    pub(super) runtime_seconds: Option<f64>,
    /// The result as a text for display, as the worker cut it.
    pub(super) result_text: Option<String>,
    pub(super) exception: Option<String>,
    pub(super) traceback: Option<String>,
    /// The result itself, when the result backend has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = serde_json::Value)]
    pub(super) result: Option<Value>,
}

/// A queue.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Queue)]
pub(super) struct QueueView {
    pub(super) name: String,
    /// `null` until the broker was asked.
    pub(super) exists: Option<bool>,
    pub(super) ready: Option<u64>,
    pub(super) consumers: Option<u64>,
    /// How old the figures are.
    pub(super) age_seconds: Option<f64>,
}

impl NodeView {
    pub(super) fn new(node: Node, facts: Option<Facts>, now: Instant) -> Self {
        let since = |at: Instant| now.saturating_duration_since(at).as_secs_f64();
        let (ident, version, system) = node.software.map_or((None, None, None), |software| {
            (
                Some(software.ident),
                Some(software.version),
                Some(software.system),
            )
        });
        let (silent_seconds, known_seconds) = (since(node.last_seen), since(node.joined));
        let (concurrency, prefetch) = facts
            .as_ref()
            .map_or((None, None), |facts| (facts.concurrency, facts.prefetch));
        let (queues, tasks) = facts.map(|facts| (facts.queues, facts.tasks)).unzip();
        Self {
            name: node.name,
            state: node.state.as_str(),
            software: ident,
            version,
            system,
            pid: node.pid,
            clock: node.clock,
            active: node.active,
            processed: node.processed,
            loadavg: node.loadavg,
            heartbeat_interval: node.freq,
            heartbeat_at: node.heartbeat_at.map(moment),
            silent_seconds,
            known_seconds,
            clock_skew_seconds: node.skew,
            restarts: node.restarts,
            events_missed: node.gaps.missed,
            concurrency,
            prefetch,
            queues,
            tasks,
        }
    }

    pub(super) fn without_tasks(mut self) -> Self {
        self.tasks = None;
        self
    }
}

impl TaskView {
    pub(super) fn of(task: &Task) -> Self {
        let text = |text: &std::sync::Arc<str>| text.to_string();
        let mut view = Self {
            id: text(&task.id),
            state: task.state().to_string(),
            sent_at: task.sent_at().map(moment),
            received_at: task.received_at().map(moment),
            started_at: task.started_at().map(moment),
            finished_at: task.finished_at().map(moment),
            changed_at: task.changed_at().map(moment),
            ..Self::default()
        };
        view.worker = task.worker().map(text);
        if let Some(call) = task.call() {
            view.name = call.name.as_ref().map(text);
            view.args.clone_from(&call.args);
            view.kwargs.clone_from(&call.kwargs);
            view.retries = call.retries;
            view.eta.clone_from(&call.eta);
            view.expires.clone_from(&call.expires);
            view.root_id.clone_from(&call.root);
            view.parent_id.clone_from(&call.parent);
        }
        if let Some(route) = task.route() {
            view.queue = route.queue.as_ref().map(text);
            view.client = Some(text(&route.client));
        }
        if let Some(standing) = task.standing() {
            view.runtime_seconds = standing.runtime;
            view.result_text.clone_from(&standing.result);
            view.exception.clone_from(&standing.exception);
            view.traceback.clone_from(&standing.traceback);
        }
        view
    }

    /// Adds what the result backend says. It is the word that clients go by: a ready
    /// state there counts even when its event never came.
    pub(super) fn with_result(mut self, document: ResultDocument) -> Self {
        self.id = document.task_id;
        if document.status.is_ready() || self.state == State::Pending.as_str() {
            self.state = document.status.to_string();
        }
        self.finished_at = self
            .finished_at
            .or(document.date_done.map(|at| at.to_string()));
        self.parent_id = self.parent_id.or(document.parent_id);
        self.traceback = document.traceback.or(self.traceback);
        if let Some(extended) = document.extended {
            self.name = self.name.or(extended.name);
            self.worker = self.worker.or(extended.worker);
            self.queue = self.queue.or(extended.queue);
        }
        if document.status == State::Failure {
            let exception = Exception::from_value(&document.result).ok();
            self.exception = self
                .exception
                .or(exception.map(|exception| exception.to_string()));
        }
        self.result = Some(document.result);
        self
    }
}

impl QueueView {
    pub(super) fn new((name, depth): (String, Depth), now: Instant) -> Self {
        Self {
            name,
            exists: depth.at.map(|_| depth.status.is_some()),
            ready: depth.status.map(|(ready, _)| ready),
            consumers: depth.status.map(|(_, consumers)| consumers),
            age_seconds: depth
                .at
                .map(|at| now.saturating_duration_since(at).as_secs_f64()),
        }
    }
}

/// Writes seconds since the epoch as ISO 8601, in UTC.
pub(super) fn moment(seconds: f64) -> String {
    // The model holds times to the years that the format can write.
    Timestamp::from_micros((seconds * 1e6) as i64).to_string()
}
