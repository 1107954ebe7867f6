//! A workflow as a graph.

use std::collections::HashSet;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::http::extract::Path;
use crate::http::view::TaskView;
use crate::http::{Desk, Problem};
use crate::store::{TaskRecord, TaskSearch};

/// A workflow: all tasks that came of one first task.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct TaskGraph {
    /// The id of the first task.
    pub(in crate::http) root_id: String,
    /// The members, oldest first; `parent_id` tells which task sent each one.
    pub(in crate::http) tasks: Vec<TaskView>,
    pub(in crate::http) edges: Vec<Edge>,
    /// Whether there are more members than a graph shows.
    pub(in crate::http) truncated: bool,
}

/// One task sent another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(in crate::http) struct Edge {
    pub(in crate::http) from: String,
    pub(in crate::http) to: String,
}

/// How many members a graph shows: as many as the store returns.
const MEMBERS: usize = 1_000;

pub(super) fn routes() -> OpenApiRouter<Desk> {
    OpenApiRouter::new().routes(routes!(graph))
}

#[utoipa::path(
    get,
    path = "/api/v1/tasks/{id}/graph",
    operation_id = "get_task_graph",
    tag = "tasks",
    summary = "Shows the workflow of a task, as tasks and who sent whom",
    params(("id" = String, Path, description = "The id of any member")),
    responses(
        (status = 200, body = TaskGraph, description = "The workflow"),
        (status = 404, description = "No task of the history has this id"),
    ),
)]
async fn graph(
    State(desk): State<Desk>,
    Path(id): Path<String>,
) -> Result<Json<TaskGraph>, Problem> {
    of(&desk, &id).await.map(Json)
}

/// Returns the workflow of a task.
pub(in crate::http) async fn of(desk: &Desk, id: &str) -> Result<TaskGraph, Problem> {
    super::super::check::name("id", id)?;
    let Some(task) = super::recorded(desk, id).await? else {
        let id = crate::cluster::cut(id, 255);
        return Err(Problem::not_found(format!("no task '{id}' in the history")));
    };
    let root_id = task.root_id.clone().unwrap_or_else(|| id.to_owned());
    let members = members(desk, &root_id).await?;
    let truncated = members.len() >= MEMBERS;
    let mut tasks: Vec<_> = members.iter().map(|m| super::view(desk, m)).collect();
    // A task of this moment is not in the store yet.
    if !tasks.iter().any(|member| member.id == task.id) {
        tasks.push(task);
    }
    let edges = edges(&tasks);
    Ok(TaskGraph {
        root_id,
        tasks,
        edges,
        truncated,
    })
}

/// Returns the members of a workflow, oldest first.
async fn members(desk: &Desk, root_id: &str) -> Result<Vec<TaskRecord>, Problem> {
    if !desk.board.recorder.is_off() {
        return Ok(desk.store.tasks().by_root(root_id).await?);
    }
    let search = TaskSearch {
        root: Some(root_id.to_owned()),
        limit: MEMBERS,
        ..TaskSearch::default()
    };
    let mut members = super::find(desk, &search).await?.tasks;
    members.reverse();
    Ok(members)
}

fn edges(tasks: &[TaskView]) -> Vec<Edge> {
    let ids: HashSet<_> = tasks.iter().map(|task| &*task.id).collect();
    let edge = |task: &TaskView| {
        let parent = task.parent_id.clone();
        let from = parent.filter(|parent| ids.contains(&**parent) && *parent != task.id)?;
        let to = task.id.clone();
        Some(Edge { from, to })
    };
    tasks.iter().filter_map(edge).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges_lead_from_members_to_members() {
        let task = |id: &str, parent: Option<&str>| TaskView {
            id: id.to_owned(),
            parent_id: parent.map(str::to_owned),
            ..TaskView::default()
        };
        let tasks = [
            task("a", None),
            task("b", Some("a")),
            task("c", Some("gone")),
            task("d", Some("d")),
        ];
        let (from, to) = ("a".to_owned(), "b".to_owned());
        assert_eq!(edges(&tasks), [Edge { from, to }]);
    }
}
