//! Calling many tasks off.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use celeriac::control::Command;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::TaskQuery;
use crate::access::Identity;
use crate::http::api::check;
use crate::http::api::page::Limit;
use crate::http::extract::Body;
use crate::http::{Desk, Problem};

/// Which tasks to call off: by `ids`, or by `filter` with `confirm`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct RevokeMany {
    /// Up to 10,000 ids.
    ids: Option<Vec<String>>,
    /// Those that match and are not done yet; up to 1,000.
    filter: Option<TaskFilter>,
    /// How many match the filter: the sign that they are meant.
    confirm: Option<u64>,
    /// Whether to end those that run.
    #[serde(default)]
    terminate: bool,
    /// The signal to end them with; SIGTERM unless told.
    signal: Option<String>,
}

/// Which tasks are meant: all that match each of these and are not done yet.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct TaskFilter {
    /// Among PENDING, RECEIVED, STARTED and RETRY, with commas between.
    state: Option<String>,
    name: Option<String>,
    worker: Option<String>,
    queue: Option<String>,
    from: Option<String>,
    to: Option<String>,
    argument: Option<String>,
    root: Option<String>,
}

/// What was told to the nodes.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct RevokedMany {
    /// The ids of the tasks that every node was told of.
    ids: Vec<String>,
    terminate: bool,
}

const IDS: usize = 10_000;
const MATCHES: usize = 1_000;
/// So many ids go into the audit log.
const TOLD: usize = 50;
const OPEN: [&str; 4] = ["PENDING", "RECEIVED", "STARTED", "RETRY"];

pub(super) fn routes() -> OpenApiRouter<Desk> {
    OpenApiRouter::new().routes(routes!(revoke))
}

#[utoipa::path(
    post,
    path = "/api/v1/tasks/revoke",
    operation_id = "revoke_tasks",
    tag = "tasks",
    summary = "Calls many tasks off, by their ids or by a filter",
    request_body = RevokeMany,
    responses(
        (status = 202, body = RevokedMany, description = "Every node was told"),
        (status = 409, description = "Another number of tasks matches; nothing was done"),
    ),
)]
async fn revoke(
    State(desk): State<Desk>,
    who: Identity,
    Body(order): Body<RevokeMany>,
) -> Result<(StatusCode, Json<RevokedMany>), Problem> {
    let signal = order.signal.unwrap_or_else(|| "SIGTERM".to_owned());
    check::signal("signal", &signal)?;
    let ids = match (order.ids, order.filter) {
        (Some(ids), None) => named(ids)?,
        (None, Some(filter)) => matching(&desk, filter, order.confirm).await?,
        _ => {
            return Err(Problem::field(
                "ids",
                "either ids or a filter",
                "both or none",
            ));
        }
    };
    let terminate = order.terminate;
    if !ids.is_empty() {
        let command = Command::revoke(ids.iter().map(String::as_str))
            .argument("terminate", terminate)
            .argument("signal", signal);
        desk.app.control().cast(command).await?;
    }
    let some = &ids[..ids.len().min(TOLD)];
    let details = json!({ "count": ids.len(), "ids": some, "terminate": terminate });
    desk.audit(&who, "task.revoke", "", details).await;
    Ok((StatusCode::ACCEPTED, Json(RevokedMany { ids, terminate })))
}

fn named(ids: Vec<String>) -> Result<Vec<String>, Problem> {
    if !(1..=IDS).contains(&ids.len()) {
        let expected = format!("1 to {IDS} ids");
        return Err(Problem::field("ids", expected, ids.len().to_string()));
    }
    for (at, id) in ids.iter().enumerate() {
        check::name(&format!("ids[{at}]"), id)?;
    }
    Ok(ids)
}

async fn matching(
    desk: &Desk,
    filter: TaskFilter,
    confirm: Option<u64>,
) -> Result<Vec<String>, Problem> {
    let query = TaskQuery {
        state: filter.state.or_else(|| Some(OPEN.join(","))),
        name: filter.name,
        worker: filter.worker,
        queue: filter.queue,
        from: filter.from,
        to: filter.to,
        argument: filter.argument,
        root: filter.root,
        limit: Some(Limit(MATCHES)),
        ..TaskQuery::default()
    };
    let search = query.search("filter.")?;
    if let Some(done) = search
        .states
        .iter()
        .find(|state| !OPEN.contains(&&***state))
    {
        let expected = format!("some of {}", OPEN.join(", "));
        return Err(Problem::field(
            "filter.state",
            expected,
            format!("'{done}'"),
        ));
    }
    let Some(confirm) = confirm else {
        return Err(Problem::field("confirm", "how many tasks match", "none"));
    };
    let found = super::find(desk, &search).await?;
    if found.next.is_some() {
        let detail = format!("more than {MATCHES} tasks match; narrow the filter");
        return Err(Problem::conflict(detail));
    }
    let ids: Vec<_> = found.tasks.into_iter().map(|task| task.id).collect();
    if ids.len() as u64 != confirm {
        let count = ids.len();
        let detail = format!("confirm: expected {count}, as many tasks match, found {confirm}");
        return Err(Problem::conflict(detail));
    }
    Ok(ids)
}
