//! Revoking a task, and sending it again.

use axum::extract::State;
use axum::response::Response;
use celeriac::control::Command;
use serde_json::json;

use super::show;
use crate::http::extract::Path;
use crate::http::pages::form::Fields;
use crate::http::pages::shell::{Visit, done};
use crate::http::pages::text;
use crate::http::view::TaskView;
use crate::http::{Desk, Problem, api};

/// The form that sends a task again.
#[derive(Debug, Default)]
pub(in crate::http::pages) struct Replay {
    pub(in crate::http::pages) open: bool,
    pub(in crate::http::pages) args: String,
    pub(in crate::http::pages) kwargs: String,
    pub(in crate::http::pages) queue: String,
    /// Which field is wrong, and why.
    pub(in crate::http::pages) wrong: String,
    pub(in crate::http::pages) error: String,
    pub(in crate::http::pages) hint: String,
}

impl Replay {
    pub(in crate::http::pages) fn of(task: &TaskView) -> Self {
        Self {
            args: task.args.clone().unwrap_or_default(),
            kwargs: task.kwargs.clone().unwrap_or_default(),
            queue: task.queue.clone().unwrap_or_default(),
            ..Self::default()
        }
    }
}

pub(in crate::http::pages) async fn revoke(
    State(desk): State<Desk>,
    visit: Visit,
    Path(id): Path<String>,
    fields: Fields,
) -> Result<Response, Problem> {
    let terminate = fields.is_ticked("terminate");
    let signal = fields.get("signal").unwrap_or("SIGTERM").to_owned();
    let command = Command::revoke([id.as_str()])
        .argument("terminate", terminate)
        .argument("signal", signal);
    desk.app.control().cast(command).await?;
    let details = json!({ "terminate": terminate });
    desk.audit(&visit.who, "task.revoke", &id, details).await;
    let text = match terminate {
        true => "Every node was told to stop the task, and not to start it again.",
        false => "Every node was told not to start the task.",
    };
    Ok(done(&format!("/tasks/{}", text::url(&id)), text))
}

pub(in crate::http::pages) async fn replay(
    State(desk): State<Desk>,
    visit: Visit,
    Path(id): Path<String>,
    fields: Fields,
) -> Result<Response, Problem> {
    let task = api::tasks::look_up(&desk, &id).await?;
    let mut replay = Replay {
        open: true,
        args: fields.text("args"),
        kwargs: fields.text("kwargs"),
        queue: fields.text("queue"),
        ..Replay::default()
    };
    for (name, problem) in [
        ("args", fields.array("args").err()),
        ("kwargs", fields.object("kwargs").err()),
    ] {
        if let Some(problem) = problem {
            replay.wrong = name.to_owned();
            replay.error = problem.detail().to_owned();
        }
    }
    show(&desk, &visit, task, replay).await
}
