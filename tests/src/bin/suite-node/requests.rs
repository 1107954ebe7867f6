//! Tasks that tell what they know of the message that asked for them.

use std::time::Duration;

use celeriac::protocol::Table;
use celeriac::task::SoftTimeLimitExceeded;
use celeriac::{AppBuilder, Context, TaskError, Value, task};
use serde::{Deserialize, Serialize};

use crate::plain::sum;

pub(crate) fn add_to(app: AppBuilder) -> AppBuilder {
    app.task(ids)
        .task(collect_ids)
        .task(return_request_eta)
        .task(return_request_time_limits)
        .task(task_with_declared_time_limits)
        .task(return_properties)
        .task(return_priority)
        .task(delayed_sum_with_soft_guard)
}

#[derive(Serialize, Deserialize)]
struct Limits {
    time_limit: Option<f64>,
    soft_time_limit: Option<f64>,
}

#[task(name = "t.integration.tasks.return_request_time_limits")]
async fn return_request_time_limits(ctx: Context) -> Limits {
    limits_of(&ctx)
}

#[task(
    name = "t.integration.tasks.task_with_declared_time_limits",
    time_limit = 60,
    soft_time_limit = 45
)]
async fn task_with_declared_time_limits(ctx: Context) -> Limits {
    limits_of(&ctx)
}

fn limits_of(ctx: &Context) -> Limits {
    let limits = ctx.time_limits();
    Limits {
        time_limit: limits.hard,
        soft_time_limit: limits.soft,
    }
}

#[task(name = "t.integration.tasks.return_properties")]
async fn return_properties(ctx: Context) -> Table {
    ctx.request().properties_table()
}

#[task(name = "t.integration.tasks.return_priority")]
async fn return_priority(ctx: Context, #[args] _args: Vec<Value>) -> String {
    let priority = ctx.request().delivery.priority;
    format!(
        "Priority: {}",
        priority.map_or("None".to_owned(), |p| p.to_string())
    )
}

/// Gives up waiting at the soft limit, with another value.
#[task(name = "t.integration.tasks.delayed_sum_with_soft_guard")]
async fn delayed_sum_with_soft_guard(
    ctx: Context,
    numbers: Vec<Value>,
    #[default(1.0)] pause_time: f64,
) -> Result<Value, TaskError> {
    let pause = tokio::time::sleep(Duration::from_secs_f64(pause_time));
    match ctx.within_soft_limit(pause).await {
        Ok(()) => sum(numbers),
        Err(SoftTimeLimitExceeded) => Ok(Value::Int(0)),
    }
}

type Ids = (Option<String>, Option<String>, Value);

#[task(name = "t.integration.tasks.ids")]
async fn ids(ctx: Context, i: Value) -> Ids {
    ids_of(&ctx, i)
}

#[task(name = "t.integration.tasks.collect_ids")]
async fn collect_ids(ctx: Context, res: Value, i: Value) -> (Value, Ids) {
    (res, ids_of(&ctx, i))
}

fn ids_of(ctx: &Context, i: Value) -> Ids {
    let headers = &ctx.request().headers;
    (headers.root_id.clone(), headers.parent_id.clone(), i)
}

#[task(name = "t.integration.tasks.return_request_eta")]
async fn return_request_eta(ctx: Context) -> Option<String> {
    ctx.request().headers.eta.as_ref().map(ToString::to_string)
}
