//! Tasks: listing and looking up.

use axum::Json;
use axum::extract::State;
use celeriac_protocol::State as TaskState;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::page::{Cursor, Limit};
use crate::cluster::Filter;
use crate::http::extract::{Path, Query};
use crate::http::view::TaskView;
use crate::http::{Desk, Problem};

/// Which tasks to list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct TaskQuery {
    /// A state, such as SUCCESS.
    pub(in crate::http) state: Option<String>,
    /// The name of the task.
    pub(in crate::http) name: Option<String>,
    /// The node that ran it.
    pub(in crate::http) worker: Option<String>,
    /// How many: 1 to 1,000, 100 unless told.
    #[param(value_type = Option<u16>, minimum = 1, maximum = 1000)]
    pub(in crate::http) limit: Option<Limit>,
    /// `next_cursor` of the page before.
    #[param(value_type = Option<String>)]
    pub(in crate::http) cursor: Option<Cursor<u64>>,
}

/// Some tasks, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct TaskPage {
    pub(in crate::http) tasks: Vec<TaskView>,
    /// Where the next page starts; `null` on the last one.
    pub(in crate::http) next_cursor: Option<String>,
    /// How many tasks are known.
    pub(in crate::http) known: usize,
    /// How many tasks are in each state, by name.
    #[schema(value_type = std::collections::BTreeMap<String, std::collections::BTreeMap<String, u64>>)]
    pub(in crate::http) counts: serde_json::Value,
}

pub(in crate::http) fn routes() -> OpenApiRouter<Desk> {
    OpenApiRouter::new()
        .routes(routes!(list, super::send::send))
        .routes(routes!(one))
}

/// Returns the tasks that a query asks for.
pub(in crate::http) fn search(desk: &Desk, query: &TaskQuery) -> Result<TaskPage, Problem> {
    let filter = Filter {
        state: query
            .state
            .as_ref()
            .map(|state| TaskState::from(state.to_uppercase().as_str())),
        name: query.name.clone(),
        worker: query.worker.clone(),
    };
    let history = &desk.board.history;
    let cursor = query.cursor.map(|Cursor(number)| number);
    let page = history.list(&filter, cursor, query.limit.unwrap_or_default().0);
    Ok(TaskPage {
        tasks: page.tasks.iter().map(|task| TaskView::of(task)).collect(),
        next_cursor: page.next.map(|number| Cursor(number).text()),
        known: history.len(),
        counts: serde_json::to_value(history.counts()).unwrap_or_default(),
    })
}

#[utoipa::path(
    get,
    path = "/api/v1/tasks",
    operation_id = "list_tasks",
    tag = "tasks",
    summary = "Lists and searches tasks, newest first",
    params(TaskQuery),
    responses((status = 200, body = TaskPage, description = "One page of tasks")),
)]
async fn list(
    State(desk): State<Desk>,
    Query(query): Query<TaskQuery>,
) -> Result<Json<TaskPage>, Problem> {
    search(&desk, &query).map(Json)
}

#[utoipa::path(
    get,
    path = "/api/v1/tasks/{id}",
    operation_id = "get_task",
    tag = "tasks",
    summary = "Shows one task with its result",
    params(("id" = String, Path, description = "The task's id")),
    responses(
        (status = 200, body = TaskView, description = "The task"),
        (status = 404, description = "No task has this id"),
    ),
)]
async fn one(State(desk): State<Desk>, Path(id): Path<String>) -> Result<Json<TaskView>, Problem> {
    look_up(&desk, &id).await.map(Json)
}

/// Returns one task with its result.
pub(in crate::http) async fn look_up(desk: &Desk, id: &str) -> Result<TaskView, Problem> {
    let view = desk.board.history.get(id).map(|task| TaskView::of(&task));
    let stored = match stored(desk, id).await {
        Ok(stored) => stored,
        // The history is an answer too; without it the failure is the answer.
        Err(problem) if view.is_none() => return Err(problem),
        Err(_) => None,
    };
    let view = match (view, stored) {
        (view, Some(document)) => Some(view.unwrap_or_default().with_result(document)),
        (view, None) => view,
    };
    view.ok_or_else(|| {
        let detail = format!("no task '{id}' in the history or the result backend");
        Problem::not_found(detail)
    })
}

async fn stored(
    desk: &Desk,
    id: &str,
) -> Result<Option<celeriac_protocol::ResultDocument>, Problem> {
    if !desk.app.backend().capabilities().fetch {
        return Ok(None);
    }
    let ids = [id.to_owned()];
    let fetch = desk.app.backend().fetch(&ids);
    match tokio::time::timeout(desk.config.broker_timeout, fetch).await {
        Ok(fetched) => Ok(fetched?.pop().flatten().map(|document| desk.hide(document))),
        Err(_) => {
            let message = "the result backend did not answer in time; try again later";
            Err(Problem::new(504, "timeout", message))
        }
    }
}
