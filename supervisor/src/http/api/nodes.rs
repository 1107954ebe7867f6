//! Nodes.

use std::time::Instant;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::cluster::NodeState;
use crate::http::view::NodeView;
use crate::http::{Desk, Problem};

/// Which nodes to list.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct Wanted {
    state: Option<String>,
}

pub(in crate::http) async fn list(
    State(desk): State<Desk>,
    query: Result<Query<Wanted>, QueryRejection>,
) -> Result<Json<Value>, Problem> {
    let state = match super::query(query)?.state {
        None => None,
        Some(name) => match NodeState::ALL
            .into_iter()
            .find(|state| state.as_str() == name)
        {
            Some(state) => Some(state),
            None => {
                let known = NodeState::ALL.map(NodeState::as_str).join(", ");
                let message = format!("state: expected one of {known}, found '{name}'");
                return Err(Problem::invalid(message));
            }
        },
    };
    let nodes: Vec<_> = all(&desk, state).collect();
    Ok(Json(json!({ "nodes": nodes })))
}

pub(in crate::http) async fn one(
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
