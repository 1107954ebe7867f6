//! Many tasks in one request.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use futures_util::{StreamExt, stream};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::access::Identity;
use crate::http::api::send::Order;
use crate::http::extract::Body;
use crate::http::{Desk, Problem};

/// Tasks to send.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct Batch {
    /// 1 to 1,000 tasks.
    #[schema(min_items = 1, max_items = 1000)]
    tasks: Vec<Order>,
}

/// What became of the tasks of a batch.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct BatchReport {
    /// How many were sent.
    sent: usize,
    /// How many were not.
    failed: usize,
    /// One item for each task, in their order.
    tasks: Vec<BatchItem>,
}

/// What became of one task of a batch.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct BatchItem {
    /// The task's id; `null` when it was not sent.
    id: Option<String>,
    /// Why it was not sent.
    error: Option<Problem>,
}

const MOST: usize = 1_000;
/// How many are on their way to the broker at once.
const ABREAST: usize = 32;

pub(super) fn routes() -> OpenApiRouter<Desk> {
    OpenApiRouter::new().routes(routes!(batch))
}

#[utoipa::path(
    post,
    path = "/api/v1/tasks/batch",
    operation_id = "send_tasks",
    tag = "tasks",
    summary = "Sends up to 1,000 tasks; all are checked before any is sent",
    request_body = Batch,
    responses(
        (status = 202, body = BatchReport, description = "All were sent"),
        (status = 207, body = BatchReport, description = "Some were not sent; each item says"),
    ),
)]
async fn batch(
    State(desk): State<Desk>,
    who: Identity,
    headers: HeaderMap,
    Body(Batch { tasks }): Body<Batch>,
) -> Result<(StatusCode, Json<BatchReport>), Problem> {
    if !(1..=MOST).contains(&tasks.len()) {
        let (expected, found) = (format!("1 to {MOST} tasks"), tasks.len().to_string());
        return Err(Problem::field("tasks", expected, found));
    }
    for (at, order) in tasks.iter().enumerate() {
        let within = format!("tasks[{at}].");
        order.check(&desk, &within)?;
        if order.waits() {
            let field = format!("{within}wait_ms");
            return Err(Problem::field(field, "none: a batch does not wait", "one"));
        }
    }
    let orders = tasks.into_iter().map(|order| order.within_trace(&headers));
    let sends = orders.map(|order| order.post(&desk));
    let outcomes: Vec<_> = stream::iter(sends).buffered(ABREAST).collect().await;
    let items: Vec<_> = outcomes
        .into_iter()
        .map(|outcome| match outcome {
            Ok(id) => (Some(id), None),
            Err(problem) => (None, Some(problem)),
        })
        .map(|(id, error)| BatchItem { id, error })
        .collect();
    let sent = items.iter().filter(|item| item.id.is_some()).count();
    let failed = items.len() - sent;
    desk.audit(
        &who,
        "task.batch",
        "",
        json!({ "sent": sent, "failed": failed }),
    )
    .await;
    let status = match failed {
        0 => StatusCode::ACCEPTED,
        _ => StatusCode::MULTI_STATUS,
    };
    let report = BatchReport {
        sent,
        failed,
        tasks: items,
    };
    Ok((status, Json(report)))
}
