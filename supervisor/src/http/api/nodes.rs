//! Nodes.

pub(in crate::http) mod asked;
pub(in crate::http) mod control;
pub(in crate::http) mod running;

use std::time::Instant;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use self::running::RunningTask;
use super::page::{Cursor, Limit, cut_page};
use crate::cluster::{Node, NodeState};
use crate::http::extract::{Path, Query};
use crate::http::view::NodeView;
use crate::http::{Desk, Problem};

/// Which nodes to list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct NodeQuery {
    /// One of online, draining, suspect, lost, offline.
    state: Option<String>,
    /// How many: 1 to 1,000, 100 unless told.
    #[param(value_type = Option<u16>, minimum = 1, maximum = 1000)]
    limit: Option<Limit>,
    /// `next_cursor` of the page before.
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor<String>>,
}

/// Nodes, by name.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct NodeList {
    nodes: Vec<NodeView>,
    /// Where the next page starts; `null` on the last one.
    next_cursor: Option<String>,
}

/// A node, with what it runs.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct NodeDetail {
    #[serde(flatten)]
    pub(in crate::http) node: NodeView,
    /// What it runs now; `null` when it did not answer.
    pub(in crate::http) running: Option<Vec<RunningTask>>,
}

pub(in crate::http) fn routes() -> OpenApiRouter<Desk> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(one))
        .merge(control::routes())
}

#[utoipa::path(
    get,
    path = "/api/v1/nodes",
    operation_id = "list_nodes",
    tag = "nodes",
    summary = "Lists the nodes",
    params(NodeQuery),
    responses((status = 200, body = NodeList, description = "The nodes, by name")),
)]
async fn list(
    State(desk): State<Desk>,
    Query(query): Query<NodeQuery>,
) -> Result<Json<NodeList>, Problem> {
    let state = query.state.as_deref().map(state).transpose()?;
    let after = query.cursor.map(|Cursor(name)| name);
    let rest = all(&desk, state).filter(|node| after.as_ref().is_none_or(|a| node.name > *a));
    let (nodes, next_cursor) = cut_page(rest, query.limit, |node| node.name.clone());
    Ok(Json(NodeList { nodes, next_cursor }))
}

#[utoipa::path(
    get,
    path = "/api/v1/nodes/{name}",
    operation_id = "get_node",
    tag = "nodes",
    summary = "Shows one node, and what it runs now",
    params(("name" = String, Path, description = "The node's name")),
    responses(
        (status = 200, body = NodeDetail, description = "The node"),
        (status = 404, description = "No node has this name"),
    ),
)]
async fn one(
    State(desk): State<Desk>,
    Path(name): Path<String>,
) -> Result<Json<NodeDetail>, Problem> {
    detail(&desk, &name).await.map(Json)
}

/// Returns one node with what it runs now.
pub(in crate::http) async fn detail(desk: &Desk, name: &str) -> Result<NodeDetail, Problem> {
    let node = known(desk, name)?;
    let running = match node.state.is_gone() {
        true => Some(Vec::new()),
        false => running::now(desk, name).await,
    };
    let facts = desk.board.facts.get(name).map(|facts| facts.clone());
    let node = NodeView::new(node, facts, Instant::now());
    Ok(NodeDetail { node, running })
}

/// Returns a node by its name.
pub(in crate::http) fn known(desk: &Desk, name: &str) -> Result<Node, Problem> {
    let node = desk.board.nodes.get(name).map(|node| node.clone());
    node.ok_or_else(|| {
        let name = crate::cluster::cut(name, 255);
        Problem::not_found(format!("no node is called '{name}'; see /api/v1/nodes"))
    })
}

fn state(name: &str) -> Result<NodeState, Problem> {
    let found = NodeState::ALL
        .into_iter()
        .find(|state| state.as_str() == name);
    found.ok_or_else(|| {
        let known = NodeState::ALL.map(NodeState::as_str).join(", ");
        let found = crate::cluster::cut(name, 60);
        Problem::field("state", format!("one of: {known}"), format!("'{found}'"))
    })
}

/// Returns the nodes by name, without the names of their tasks.
pub(in crate::http) fn all(
    desk: &Desk,
    state: Option<NodeState>,
) -> impl Iterator<Item = NodeView> {
    let (board, now) = (&desk.board, Instant::now());
    let nodes = board.nodes_by_name().into_iter();
    nodes
        .filter(move |node| state.is_none_or(|state| node.state == state))
        .map(move |node| {
            let facts = board.facts.get(&node.name).map(|facts| facts.clone());
            NodeView::new(node, facts, now).without_tasks()
        })
}
