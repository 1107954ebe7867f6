//! The tasks of the random workflows, as in `tests/python/workflow_tasks.py`.
//!
//! Each run leaves a record in the Redis list of its workflow, so that a test sees what
//! ran, how often, with what, and below whom.

use std::time::Duration;

use celeriac::task::Retry;
use celeriac::{AppBuilder, Context, Signature, TaskError, Value, task};
use redis::AsyncCommands;
use serde::Serialize;

/// Adds them all to an app.
pub(crate) fn add(app: AppBuilder) -> AppBuilder {
    app.task(step)
        .task(fail)
        .task(again)
        .task(replaced)
        .task(item)
        .task(pair)
}

#[derive(Serialize)]
struct Record<'a> {
    label: &'a str,
    id: &'a str,
    root: Option<&'a str>,
    parent: Option<&'a str>,
    retries: u32,
    previous: &'a Value,
}

/// A workflow and a place in it.
struct Spot {
    run: String,
    label: String,
}

impl Spot {
    /// Notes that this place runs.
    async fn note(&self, ctx: &Context, previous: &Value) -> Result<(), TaskError> {
        let headers = &ctx.request().headers;
        let record = Record {
            label: &self.label,
            id: ctx.id(),
            root: headers.root_id.as_deref(),
            parent: headers.parent_id.as_deref(),
            retries: ctx.retries(),
            previous,
        };
        let url = std::env::var("CELERIAC_TEST_REDIS_URL")?;
        let mut redis = redis::Client::open(url)?
            .get_multiplexed_async_connection()
            .await?;
        let record = serde_json::to_string(&record)?;
        let _: i64 = redis
            .rpush(format!("workflow:{}", self.run), record)
            .await?;
        Ok(())
    }
}

/// Returns its label and what came before.
#[task(name = "workflow.step")]
async fn step(
    ctx: Context,
    previous: Option<Value>,
    label: String,
    run: String,
) -> Result<Value, TaskError> {
    let previous = previous.unwrap_or_default();
    let spot = Spot { run, label };
    spot.note(&ctx, &previous).await?;
    Ok(Value::Array(vec![spot.label.into(), previous]))
}

/// Fails with an exception of the kind asked for.
#[task(name = "workflow.fail")]
async fn fail(
    ctx: Context,
    previous: Option<Value>,
    label: String,
    run: String,
    kind: String,
) -> Result<(), TaskError> {
    let spot = Spot { run, label };
    spot.note(&ctx, &previous.unwrap_or_default()).await?;
    Err(TaskError::python(&kind, spot.label))
}

/// Runs again so many times, of which so many are allowed.
#[task(name = "workflow.again")]
async fn again(
    ctx: Context,
    previous: Option<Value>,
    label: String,
    run: String,
    times: u32,
    allowed: u32,
) -> Result<Value, TaskError> {
    let previous = previous.unwrap_or_default();
    let spot = Spot { run, label };
    spot.note(&ctx, &previous).await?;
    if ctx.retries() < times {
        let cause = TaskError::python("OSError", spot.label);
        return Err(Retry::default()
            .after(Duration::ZERO)
            .up_to(allowed)
            .because(cause)
            .into());
    }
    Ok(Value::Array(vec![spot.label.into(), previous]))
}

/// Has something else run in its place.
#[task(name = "workflow.replaced")]
async fn replaced(
    ctx: Context,
    previous: Option<Value>,
    label: String,
    run: String,
    substitute: Value,
) -> Result<(), TaskError> {
    let spot = Spot { run, label };
    spot.note(&ctx, &previous.unwrap_or_default()).await?;
    Err(ctx.replace(Signature::from_value(substitute)?))
}

/// What `map` calls for each item.
#[task(name = "workflow.item")]
async fn item(value: Value) -> Value {
    Value::Array(vec![value])
}

/// What `starmap` and `chunks` call for each item.
#[task(name = "workflow.pair")]
async fn pair(x: i64, y: i64) -> Vec<i64> {
    vec![y, x]
}
