//! Tasks: listing and looking up.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use celeriac_protocol::State as TaskState;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::cluster::Filter;
use crate::http::view::TaskView;
use crate::http::{Desk, Problem};

/// Which tasks to list.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct Wanted {
    state: Option<String>,
    name: Option<String>,
    worker: Option<String>,
    limit: Option<usize>,
    cursor: Option<u64>,
}

/// Page sizes: as asked, at most.
const LIMIT: usize = 100;
const LIMIT_MOST: usize = 1_000;

pub(in crate::http) async fn list(
    State(desk): State<Desk>,
    query: Result<Query<Wanted>, QueryRejection>,
) -> Result<Json<Value>, Problem> {
    let wanted = super::query(query)?;
    let limit = wanted.limit.unwrap_or(LIMIT);
    if !(1..=LIMIT_MOST).contains(&limit) {
        let message = format!("limit: expected 1 to {LIMIT_MOST}, found {limit}");
        return Err(Problem::invalid(message));
    }
    let filter = Filter {
        state: wanted
            .state
            .map(|state| TaskState::from(state.to_uppercase().as_str())),
        name: wanted.name,
        worker: wanted.worker,
    };
    let page = desk.board.history.list(&filter, wanted.cursor, limit);
    let tasks: Vec<_> = page.tasks.iter().map(TaskView::of).collect();
    Ok(Json(json!({
        "tasks": tasks,
        "next_cursor": page.next,
        "known": desk.board.history.len(),
        "counts": desk.board.history.counts(),
    })))
}

pub(in crate::http) async fn one(
    State(desk): State<Desk>,
    Path(id): Path<String>,
) -> Result<Json<TaskView>, Problem> {
    let view = desk.board.history.get(&id).map(|task| TaskView::of(&task));
    let stored = match stored(&desk, &id).await {
        Ok(stored) => stored,
        // The history is an answer too; without it the failure is the answer.
        Err(problem) if view.is_none() => return Err(problem),
        Err(_) => None,
    };
    let view = match (view, stored) {
        (view, Some(document)) => Some(view.unwrap_or_default().with_result(document)),
        (view, None) => view,
    };
    view.map(Json).ok_or_else(|| {
        let message = format!("no task '{id}' in the history or the result backend");
        Problem::not_found(message)
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
        Ok(fetched) => Ok(fetched?.pop().flatten()),
        Err(_) => {
            let message = "the result backend did not answer in time; try again later";
            Err(Problem::new(504, "timeout", message))
        }
    }
}
