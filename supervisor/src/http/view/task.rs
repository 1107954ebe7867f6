//! A task, as the API shows it.

use celeriac_protocol::{Exception, ResultDocument, State, Value};
use serde::Serialize;
use utoipa::ToSchema;

use super::moment;
use crate::cluster::Task;

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

    /// Adds what the result backend says. It is the word that clients go by: a ready
    /// state there counts even when its event never came.
    pub(in crate::http) fn with_result(mut self, document: ResultDocument) -> Self {
        self.id = document.task_id;
        if document.status.is_ready() || self.state == State::Pending.as_str() {
            self.state = document.status.to_string();
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
