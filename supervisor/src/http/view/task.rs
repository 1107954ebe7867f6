//! A task, as the API shows it.

use celeriac_protocol::{Exception, ResultDocument, State, Timestamp, Value};
use serde::Serialize;
use utoipa::ToSchema;

use super::{StepView, moment};
use crate::cluster::Task;
use crate::store::{Step, TaskRecord};

/// A task.
#[derive(Debug, Default, Serialize, ToSchema)]
#[schema(as = Task)]
pub(in crate::http) struct TaskView {
    pub(in crate::http) id: String,
    pub(in crate::http) name: Option<String>,
    pub(in crate::http) state: String,
    pub(in crate::http) args: Option<String>,
    pub(in crate::http) kwargs: Option<String>,
    pub(in crate::http) queue: Option<String>,
    pub(in crate::http) worker: Option<String>,
    /// Whether its node has it no more and nobody knows how it ended. The broker delivers it
    /// again unless it was acknowledged early. Only memory knows: false for older tasks.
    pub(in crate::http) lost_with_node: bool,
    pub(in crate::http) client: Option<String>,
    pub(in crate::http) retries: u64,
    pub(in crate::http) eta: Option<String>,
    pub(in crate::http) expires: Option<String>,
    pub(in crate::http) root_id: Option<String>,
    pub(in crate::http) parent_id: Option<String>,
    pub(in crate::http) sent_at: Option<String>,
    pub(in crate::http) received_at: Option<String>,
    pub(in crate::http) started_at: Option<String>,
    pub(in crate::http) finished_at: Option<String>,
    pub(in crate::http) changed_at: Option<String>,
    pub(in crate::http) runtime_seconds: Option<f64>,
    /// The result as a text for display, as the worker cut it.
    pub(in crate::http) result_text: Option<String>,
    pub(in crate::http) exception: Option<String>,
    pub(in crate::http) traceback: Option<String>,
    /// The result itself, when the result backend has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = serde_json::Value)]
    pub(in crate::http) result: Option<Value>,
    /// What happened to it, oldest first; only when one task is asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(in crate::http) timeline: Vec<StepView>,
}

impl TaskView {
    pub(in crate::http) fn of(task: &Task) -> Self {
        let text = |text: &std::sync::Arc<str>| text.to_string();
        let mut view = Self {
            id: text(&task.id),
            state: task.state().to_string(),
            sent_at: task.sent_at().map(moment::of_seconds),
            received_at: task.received_at().map(moment::of_seconds),
            started_at: task.started_at().map(moment::of_seconds),
            finished_at: task.finished_at().map(moment::of_seconds),
            changed_at: task.changed_at().map(moment::of_seconds),
            lost_with_node: task.lost_with_node,
            ..Self::default()
        };
        view.worker = task.worker().map(text);
        if let Some(call) = task.call() {
            view.name = call.name.as_ref().map(text);
            view.args.clone_from(&call.args);
            view.kwargs.clone_from(&call.kwargs);
            view.retries = call.retries;
            view.eta = call.eta.as_deref().map(moment::of_text);
            view.expires = call.expires.as_deref().map(moment::of_text);
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

    /// Shows a task as the store has it.
    pub(in crate::http) fn of_record(record: &TaskRecord) -> Self {
        let at = |micros: i64| moment::of(Timestamp::from_micros(micros));
        Self {
            id: record.id.clone(),
            name: record.name.clone(),
            state: record.state.to_string(),
            args: record.args.clone(),
            kwargs: record.kwargs.clone(),
            queue: record.queue.clone(),
            worker: record.worker.clone(),
            client: record.client.clone(),
            retries: record.retries,
            eta: record.eta.as_deref().map(moment::of_text),
            expires: record.expires.as_deref().map(moment::of_text),
            root_id: record.root.clone(),
            parent_id: record.parent.clone(),
            sent_at: record.sent.map(at),
            received_at: record.received.map(at),
            started_at: record.started.map(at),
            finished_at: record.finished().map(at),
            changed_at: Some(at(record.changed)),
            runtime_seconds: record.runtime,
            result_text: record.result.clone(),
            exception: record.exception.clone(),
            traceback: record.traceback.clone(),
            ..Self::default()
        }
    }

    /// Adds what happened to it.
    pub(in crate::http) fn with_steps(mut self, steps: Vec<Step>) -> Self {
        self.timeline = steps.into_iter().map(StepView::of).collect();
        self
    }

    /// Adds what the result backend says. It is the word that clients go by: a ready
    /// state there counts even when its event never came.
    pub(in crate::http) fn with_result(mut self, document: ResultDocument) -> Self {
        self.id = document.task_id;
        if document.status.is_ready() || self.state == State::Pending.as_str() {
            self.state = document.status.to_string();
            self.lost_with_node &= !document.status.is_ready();
        }
        self.finished_at = self.finished_at.or(document.date_done.map(moment::of));
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
