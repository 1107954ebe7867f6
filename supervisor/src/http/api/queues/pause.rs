//! Pausing a queue, and resuming it.
//!
//! A paused queue keeps its messages: every node that consumes it stops to. What was
//! paused is kept in the store, and nodes that join later are told as soon as they are
//! known.

use axum::Json;
use axum::extract::State;
use celeriac::control::Command;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::access::Identity;
use crate::feed::Change;
use crate::http::api::nodes::asked::{ask_all, refusal, said};
use crate::http::extract::{Body, Path};
use crate::http::{Desk, Problem};

/// No body.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NoBody)]
pub(in crate::http) struct Empty {}

/// What became of a pause or its end.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct PauseReport {
    queue: String,
    paused: bool,
    /// The nodes that were told.
    pub(in crate::http) nodes: Vec<PausedNode>,
}

/// What a node said to it.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct PausedNode {
    node: String,
    /// Whether the node did it; a node that did not answer may have done it too.
    pub(in crate::http) done: bool,
    reply: Option<String>,
}

pub(super) fn routes() -> OpenApiRouter<Desk> {
    OpenApiRouter::new()
        .routes(routes!(pause))
        .routes(routes!(resume))
}

#[utoipa::path(
    post,
    path = "/api/v1/queues/{name}/pause",
    operation_id = "pause_queue",
    tag = "queues",
    summary = "Lets every node stop consuming a queue; its messages stay",
    params(("name" = String, Path, description = "The queue's name")),
    request_body = Empty,
    responses(
        (status = 200, body = PauseReport, description = "The queue is paused"),
        (status = 404, description = "No queue of this name is known"),
        (status = 503, description = "The store is out of reach; nothing was changed"),
    ),
)]
pub(in crate::http) async fn pause(
    State(desk): State<Desk>,
    who: Identity,
    Path(name): Path<String>,
    Body(Empty {}): Body<Empty>,
) -> Result<Json<PauseReport>, Problem> {
    let nodes = super::find(&desk, &name)?.nodes;
    // Kept before anybody is told: whoever asks who is to go on later finds all of them.
    let at = celeriac::clock::now();
    desk.store.pause_queue(&name, &nodes, at).await?;
    desk.board.pauses.restore(desk.store.paused_queues().await?);
    let command = Command::new("cancel_consumer").argument("queue", name.as_str());
    let report = tell(&desk, &name, nodes, command, true).await?;
    desk.audit(&who, "queue.pause", &name, json!({ "nodes": report.nodes }))
        .await;
    Ok(Json(report))
}

#[utoipa::path(
    post,
    path = "/api/v1/queues/{name}/resume",
    operation_id = "resume_queue",
    tag = "queues",
    summary = "Lets the nodes consume a paused queue again",
    params(("name" = String, Path, description = "The queue's name")),
    request_body = Empty,
    responses(
        (status = 200, body = PauseReport, description = "The queue is consumed again"),
        (status = 409, description = "The queue is not paused"),
        (status = 503, description = "The store is out of reach; nothing was changed"),
    ),
)]
pub(in crate::http) async fn resume(
    State(desk): State<Desk>,
    who: Identity,
    Path(name): Path<String>,
    Body(Empty {}): Body<Empty>,
) -> Result<Json<PauseReport>, Problem> {
    desk.board.pauses.restore(desk.store.paused_queues().await?);
    let Some(pause) = desk.board.pauses.get(&name) else {
        let name = crate::cluster::cut(&name, 255);
        return Err(Problem::conflict(format!(
            "the queue '{name}' is not paused"
        )));
    };
    desk.store.resume_queue(&name).await?;
    desk.board.pauses.restore(desk.store.paused_queues().await?);
    let here = |node: &String| {
        desk.board
            .nodes
            .get(node)
            .is_some_and(|n| !n.state.is_gone())
    };
    let nodes = pause.nodes.into_iter().filter(here).collect();
    let command = Command::new("add_consumer").argument("queue", name.as_str());
    let report = tell(&desk, &name, nodes, command, false).await?;
    desk.audit(
        &who,
        "queue.resume",
        &name,
        json!({ "nodes": report.nodes }),
    )
    .await;
    Ok(Json(report))
}

/// Tells nodes, and takes over what they did.
async fn tell(
    desk: &Desk,
    queue: &str,
    nodes: Vec<String>,
    command: Command,
    paused: bool,
) -> Result<PauseReport, Problem> {
    let replies = ask_all(desk, &nodes, command).await?;
    let nodes = nodes.into_iter().map(|node| {
        let reply = replies.get(&node);
        let done = reply.is_some_and(|reply| refusal(reply).is_none());
        if let Some(mut facts) = desk.board.facts.get_mut(&node).filter(|_| done) {
            facts.queues.retain(|known| known != queue);
            if !paused {
                facts.queues.push(queue.to_owned());
            }
        }
        let reply = reply.map(|reply| refusal(reply).unwrap_or_else(|| said(reply)));
        PausedNode { node, done, reply }
    });
    let nodes = nodes.collect();
    desk.board.feed.publish(Change::Queue {
        name: queue.to_owned(),
        what: if paused { "paused" } else { "resumed" },
    });
    Ok(PauseReport {
        queue: queue.to_owned(),
        paused,
        nodes,
    })
}
