//! Tasks: listing, searching, looking up.

mod batch;
pub(in crate::http) mod graph;
mod keys;
mod revoke;

use axum::Json;
use axum::extract::State;
use celeriac_protocol::State as TaskState;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(in crate::http) use self::keys::{Begin, Keys};
use super::check;
use super::page::{Cursor, Limit};
use crate::cluster::cut;
use crate::http::extract::{Path, Query};
use crate::http::view::TaskView;
use crate::http::{Desk, Problem};
use crate::store::{Position, TaskPage as Found, TaskRecord, TaskSearch};

/// Which tasks to list.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct TaskQuery {
    /// States such as SUCCESS, with commas between.
    pub(in crate::http) state: Option<String>,
    /// The name of the task, with `*` for any part.
    pub(in crate::http) name: Option<String>,
    /// The node that ran it.
    pub(in crate::http) worker: Option<String>,
    /// The queue that it was sent to.
    pub(in crate::http) queue: Option<String>,
    /// Became known at this time or later, as RFC 3339.
    pub(in crate::http) from: Option<String>,
    /// Became known before this time, as RFC 3339.
    pub(in crate::http) to: Option<String>,
    /// A part of the exception or the traceback, in either case.
    pub(in crate::http) error: Option<String>,
    /// A part of the arguments, in either case.
    pub(in crate::http) argument: Option<String>,
    /// How the id starts.
    pub(in crate::http) id: Option<String>,
    /// The id of the first task of a workflow: its members.
    pub(in crate::http) root: Option<String>,
    /// How many: 1 to 1,000, 100 unless told.
    #[param(value_type = Option<u16>, minimum = 1, maximum = 1000)]
    pub(in crate::http) limit: Option<Limit>,
    /// `next_cursor` of the page before.
    #[param(value_type = Option<String>)]
    pub(in crate::http) cursor: Option<Cursor<Position>>,
}

/// Some tasks, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct TaskPage {
    pub(in crate::http) tasks: Vec<TaskView>,
    /// Where the next page starts; `null` on the last one.
    pub(in crate::http) next_cursor: Option<String>,
    /// How many tasks are in memory, the ones seen last.
    pub(in crate::http) known: usize,
    /// How many tasks in memory are in each state, by name.
    #[schema(value_type = std::collections::BTreeMap<String, std::collections::BTreeMap<String, u64>>)]
    pub(in crate::http) counts: serde_json::Value,
}

pub(in crate::http) fn routes() -> OpenApiRouter<Desk> {
    OpenApiRouter::new()
        .routes(routes!(list, super::send::send))
        .routes(routes!(one))
        .merge(batch::routes())
        .merge(graph::routes())
        .merge(revoke::routes())
}

impl TaskQuery {
    /// Makes the question to the store; `within` is the path to the filter, for errors.
    pub(in crate::http) fn search(&self, within: &str) -> Result<TaskSearch, Problem> {
        let texts = [
            ("name", self.name.as_deref()),
            ("worker", self.worker.as_deref()),
            ("queue", self.queue.as_deref()),
            ("error", self.error.as_deref()),
            ("argument", self.argument.as_deref()),
            ("id", self.id.as_deref()),
            ("root", self.root.as_deref()),
        ];
        check::names(within, texts)?;
        Ok(TaskSearch {
            name: self.name.clone(),
            states: states(&format!("{within}state"), self.state.as_deref())?,
            worker: self.worker.clone(),
            queue: self.queue.clone(),
            from: check::moment(&format!("{within}from"), self.from.as_deref())?,
            to: check::moment(&format!("{within}to"), self.to.as_deref())?,
            error: self.error.clone(),
            argument: self.argument.clone(),
            id: self.id.clone(),
            root: self.root.clone(),
            after: self.cursor.clone().map(|Cursor(position)| position),
            limit: self.limit.unwrap_or_default().0,
        })
    }
}

/// How many states a filter names at most.
const STATES: usize = 20;

/// Reads names of states; a task's own states are names of words, too.
fn states(field: &str, text: Option<&str>) -> Result<Vec<String>, Problem> {
    let Some(text) = text else {
        return Ok(Vec::new());
    };
    let names = text.split(',').map(str::trim);
    let read = |name: &str| {
        if name.is_empty() || name.len() > 100 || name.chars().any(char::is_control) {
            let expected = "states such as SUCCESS, with commas between";
            return Err(Problem::field(
                field,
                expected,
                format!("'{}'", cut(text, 100)),
            ));
        }
        let known = TaskState::from(name.to_uppercase().as_str());
        Ok(match known {
            TaskState::Custom(_) => name.to_owned(),
            known => known.to_string(),
        })
    };
    if names.clone().count() > STATES {
        let (expected, found) = (format!("at most {STATES} states"), "more");
        return Err(Problem::field(field, expected, found));
    }
    names.map(read).collect()
}

/// Returns the tasks that a query asks for, as the store has them, with the states that
/// memory knows already. What happened in the last quarter of a second may be missing.
pub(in crate::http) async fn search(desk: &Desk, query: &TaskQuery) -> Result<TaskPage, Problem> {
    let found = find(desk, &query.search("")?).await?;
    let history = &desk.board.history;
    let tasks = found.tasks.iter().map(|record| view(desk, record));
    Ok(TaskPage {
        tasks: tasks.collect(),
        next_cursor: found.next.map(|position| Cursor(position).text()),
        known: history.len(),
        counts: serde_json::to_value(history.counts()).unwrap_or_default(),
    })
}

/// Asks the store, or memory where no history is kept.
async fn find(desk: &Desk, search: &TaskSearch) -> Result<Found, Problem> {
    if desk.board.recorder.is_off() {
        return Ok(search.in_memory(&desk.board.history));
    }
    Ok(desk.store.tasks().search(search).await?)
}

/// Shows a task as memory knows it, else as the store does.
fn view(desk: &Desk, record: &TaskRecord) -> TaskView {
    let known = desk.board.history.look(&record.id, TaskView::of);
    known.unwrap_or_else(|| TaskView::of_record(record))
}

#[utoipa::path(
    get,
    path = "/api/v1/tasks",
    operation_id = "list_tasks",
    tag = "tasks",
    summary = "Lists and searches tasks, newest first",
    params(TaskQuery),
    responses(
        (status = 200, body = TaskPage, description = "One page of tasks"),
        (status = 503, description = "The store is out of reach"),
        (status = 504, description = "The search took too long; narrow it"),
    ),
)]
async fn list(
    State(desk): State<Desk>,
    Query(query): Query<TaskQuery>,
) -> Result<Json<TaskPage>, Problem> {
    search(&desk, &query).await.map(Json)
}

#[utoipa::path(
    get,
    path = "/api/v1/tasks/{id}",
    operation_id = "get_task",
    tag = "tasks",
    summary = "Shows one task with its steps and its result",
    params(("id" = String, Path, description = "The task's id")),
    responses(
        (status = 200, body = TaskView, description = "The task"),
        (status = 404, description = "No task has this id"),
    ),
)]
async fn one(State(desk): State<Desk>, Path(id): Path<String>) -> Result<Json<TaskView>, Problem> {
    look_up(&desk, &id).await.map(Json)
}

/// Returns one task with its steps, from memory or the store.
pub(in crate::http) async fn recorded(desk: &Desk, id: &str) -> Result<Option<TaskView>, Problem> {
    if let Some(task) = desk.board.history.get(id) {
        let record = TaskRecord::of_task(&task, 0);
        return Ok(Some(TaskView::of(&task).with_steps(record.timeline())));
    }
    let record = desk.store.tasks().get(id).await?;
    Ok(record.map(|record| TaskView::of_record(&record).with_steps(record.timeline())))
}

/// Returns one task with its result.
pub(in crate::http) async fn look_up(desk: &Desk, id: &str) -> Result<TaskView, Problem> {
    check::name("id", id)?;
    // Any one of the two is an answer; without it the other's failure is.
    let (view, stored) = tokio::join!(recorded(desk, id), stored(desk, id));
    let view = match (view, stored) {
        (Ok(view), Ok(Some(document))) => Some(view.unwrap_or_default().with_result(document)),
        (Ok(Some(view)), _) => Some(view),
        (Err(_), Ok(Some(document))) => Some(TaskView::default().with_result(document)),
        (Ok(None), Ok(None)) => None,
        (Err(problem), _) | (_, Err(problem)) => return Err(problem),
    };
    view.ok_or_else(|| {
        let id = cut(id, 255);
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
