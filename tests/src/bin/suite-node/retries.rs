//! Tasks that run again.

use std::time::Duration;

use celeriac::protocol::Table;
use celeriac::task::Retry;
use celeriac::{AppBuilder, Context, TaskError, Value, task};
use serde::{Deserialize, Serialize};

use crate::errors::{expected_exception, unpickleable};

pub(crate) fn add_to(app: AppBuilder) -> AppBuilder {
    app.task(retry)
        .task(retry_unpickleable)
        .task(retry_with_args_after_kwargs)
        .task(retry_with_kwargs_after_args)
        .task(retry_once)
        .task(retry_once_ignore_result)
        .task(retry_once_with_result)
        .task(retry_once_priority)
        .task(retry_once_headers)
        .task(auto_retry_class_task)
}

#[task(name = "t.integration.tasks.retry", retry_delay = "1s")]
async fn retry(ctx: Context, return_value: Option<Value>) -> Result<Value, TaskError> {
    match return_value {
        Some(value) if ctx.retries() >= 3 => Ok(value),
        _ => Err(Retry::default()
            .because(expected_exception(vec![]))
            .after(Duration::from_secs(5))
            .into()),
    }
}

#[derive(Serialize, Deserialize)]
struct RetryOptions {
    countdown: f64,
    max_retries: u32,
}

#[task(name = "t.integration.tasks.retry_unpickleable", retry_delay = "1s")]
async fn retry_unpickleable(
    foo: Value,
    bar: Value,
    #[args] _rest: Vec<Value>,
    retry_kwargs: RetryOptions,
) -> Result<(), TaskError> {
    drop(bar);
    Err(Retry::default()
        .because(unpickleable(foo))
        .after(Duration::from_secs_f64(retry_kwargs.countdown))
        .up_to(retry_kwargs.max_retries)
        .into())
}

#[derive(Serialize, Deserialize)]
struct Retried {
    foo: i64,
    bar: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<String>,
    retries: u32,
    is_eager: bool,
}

#[task(
    name = "t.integration.tasks.retry_with_args_after_kwargs",
    max_retries = 1
)]
async fn retry_with_args_after_kwargs(
    ctx: Context,
    foo: i64,
    bar: i64,
    label: Option<String>,
) -> Result<Retried, TaskError> {
    if ctx.retries() == 0 {
        return Err(Retry::default()
            .args([foo + 1, bar + 1])
            .after(Duration::ZERO)
            .into());
    }
    Ok(Retried {
        foo,
        bar,
        label,
        retries: ctx.retries(),
        is_eager: false,
    })
}

#[task(
    name = "t.integration.tasks.retry_with_kwargs_after_args",
    max_retries = 1
)]
async fn retry_with_kwargs_after_args(
    ctx: Context,
    foo: i64,
    bar: i64,
) -> Result<Retried, TaskError> {
    if ctx.retries() == 0 {
        return Err(Retry::default()
            .kwargs([("foo", foo + 1)])
            .after(Duration::ZERO)
            .into());
    }
    Ok(Retried {
        foo,
        bar,
        label: None,
        retries: ctx.retries(),
        is_eager: false,
    })
}

#[task(
    name = "t.integration.tasks.retry_once",
    max_retries = 1,
    expires = "2m"
)]
async fn retry_once(
    ctx: Context,
    #[args] _args: Vec<Value>,
    expires: Option<f64>,
    #[default(1)] max_retries: u32,
    #[default(0.1)] countdown: f64,
) -> Result<u32, TaskError> {
    if ctx.retries() > 0 {
        return Ok(ctx.retries());
    }
    let again = once(countdown, max_retries);
    Err(match expires {
        Some(seconds) => again.expires(Duration::from_secs_f64(seconds)).into(),
        None => again.into(),
    })
}

#[task(name = "t.integration.tasks.retry_once_ignore_result", ignore_result)]
async fn retry_once_ignore_result(ctx: Context) -> Result<u32, TaskError> {
    at_once(&ctx)
}

#[task(name = "t.integration.tasks.retry_once_with_result")]
async fn retry_once_with_result(ctx: Context) -> Result<u32, TaskError> {
    at_once(&ctx)
}

#[task(name = "t.integration.tasks.retry_once_priority", max_retries = 1)]
async fn retry_once_priority(
    ctx: Context,
    #[args] _args: Vec<Value>,
    #[default(60.0)] expires: f64,
    #[default(1)] max_retries: u32,
    #[default(0.1)] countdown: f64,
) -> Result<Option<u8>, TaskError> {
    // The task of the suite takes it and does nothing with it.
    let _ = expires;
    match ctx.retries() {
        0 => Err(once(countdown, max_retries).into()),
        _ => Ok(ctx.request().delivery.priority),
    }
}

#[task(name = "t.integration.tasks.retry_once_headers", max_retries = 1)]
async fn retry_once_headers(
    ctx: Context,
    #[args] _args: Vec<Value>,
    #[default(1)] max_retries: u32,
    #[default(0.1)] countdown: f64,
) -> Result<Table, TaskError> {
    match ctx.retries() {
        0 => Err(once(countdown, max_retries).into()),
        _ => Ok(ctx.request().headers.extra.clone()),
    }
}

#[task(name = "auto_retry_class_task", max_retries = 1, backoff = "1s")]
async fn auto_retry_class_task(ctx: Context) -> Result<u32, TaskError> {
    match ctx.retries() {
        0 => Err(TaskError::python("ValueError", "")),
        retries => Ok(retries),
    }
}

fn once(countdown: f64, max_retries: u32) -> Retry {
    Retry::default()
        .after(Duration::from_secs_f64(countdown))
        .up_to(max_retries)
}

fn at_once(ctx: &Context) -> Result<u32, TaskError> {
    match ctx.retries() {
        0 => Err(Retry::default().after(Duration::ZERO).into()),
        retries => Ok(retries),
    }
}
