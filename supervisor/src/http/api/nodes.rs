//! Nodes.

use std::time::Instant;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::cluster::NodeState;
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
}

/// Nodes, by name.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct NodeList {
    nodes: Vec<NodeView>,
}

pub(in crate::http) fn routes() -> OpenApiRouter<Desk> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(one))
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
    let nodes = all(&desk, state).collect();
    Ok(Json(NodeList { nodes }))
}

#[utoipa::path(
    get,
    path = "/api/v1/nodes/{name}",
    operation_id = "get_node",
    tag = "nodes",
    summary = "Shows one node",
    params(("name" = String, Path, description = "The node's name")),
    responses(
        (status = 200, body = NodeView, description = "The node"),
        (status = 404, description = "No node has this name"),
    ),
)]
async fn one(
    State(desk): State<Desk>,
    Path(name): Path<String>,
) -> Result<Json<NodeView>, Problem> {
    let Some(node) = desk.board.nodes.get(&name).map(|node| node.clone()) else {
        return Err(Problem::not_found(format!(
            "no node is called '{name}'; see /api/v1/nodes"
        )));
    };
    let facts = desk.board.facts.get(&name).map(|facts| facts.clone());
    Ok(Json(NodeView::new(node, facts, Instant::now())))
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
