//! Tasks that end in something else than a value.

use std::time::Duration;

use celeriac::protocol::{Exception, Table};
use celeriac::{AppBuilder, Context, TaskError, Value, task};

pub(crate) fn add_to(app: AppBuilder) -> AppBuilder {
    app.task(fail)
        .task(raise_error)
        .task(fail_unpickleable)
        .task(reject_then_succeed)
        .task(store_success_then_reject)
        .task(reject_without_requeue)
        .task(sleeping)
        .task(soft_time_limit_must_exceed_time_limit)
}

/// Fails with the exception that the suite's own module defines.
pub(crate) fn expected_exception(args: Vec<Value>) -> TaskError {
    exception("ExpectedException", args)
}

/// Fails with the exception that loses its second argument.
pub(crate) fn unpickleable(foo: Value) -> TaskError {
    exception("UnpickleableException", vec![foo])
}

fn exception(exc_type: &str, exc_message: Vec<Value>) -> TaskError {
    TaskError::Failure {
        exception: Exception {
            exc_type: exc_type.to_owned(),
            exc_message,
            exc_module: Some("t.integration.tasks".to_owned()),
        },
        causes: Vec::new(),
        retryable: true,
    }
}

#[task(name = "t.integration.tasks.fail")]
pub(crate) async fn fail(#[args] args: Vec<Value>) -> Result<(), TaskError> {
    let mut words = vec![Value::from("Task expected to fail")];
    words.extend(args);
    Err(expected_exception(words))
}

#[task(name = "t.integration.tasks.raise_error")]
pub(crate) async fn raise_error(#[args] args: Vec<Value>) -> Result<(), TaskError> {
    drop(args);
    Err(TaskError::python("ValueError", "deliberate error"))
}

#[task(name = "t.integration.tasks.fail_unpickleable")]
async fn fail_unpickleable(foo: Value, bar: Value) -> Result<(), TaskError> {
    drop(bar);
    Err(unpickleable(foo))
}

#[task(name = "t.integration.tasks.reject_then_succeed", acks_late)]
async fn reject_then_succeed(ctx: Context) -> Result<String, TaskError> {
    if ctx.request().delivery.redelivered {
        return Ok("second-pass".to_owned());
    }
    Err(TaskError::requeue("the first delivery"))
}

/// The second delivery finds the first one's success where that is asked for, and never
/// gets here.
#[task(name = "t.integration.tasks.store_success_then_reject", acks_late)]
async fn store_success_then_reject(ctx: Context) -> Result<String, TaskError> {
    if ctx.request().delivery.redelivered {
        return Ok("dedup-pass".to_owned());
    }
    ctx.store_result(&"first-pass").await?;
    Err(TaskError::requeue("the first delivery"))
}

#[task(name = "t.integration.tasks.reject_without_requeue")]
async fn reject_without_requeue() -> Result<(), TaskError> {
    Err(TaskError::reject("rejected"))
}

/// Acknowledged when it starts, as Celery's tasks are unless they say otherwise; the
/// suite looks at that.
#[task(name = "t.integration.tasks.sleeping", acks_late = false)]
async fn sleeping(i: f64, #[kwargs] more: Table) {
    drop(more);
    tokio::time::sleep(Duration::from_secs_f64(i)).await;
}

/// Never runs: a client refuses to send it with the limits that it has in Python.
#[task(name = "t.integration.tasks.soft_time_limit_must_exceed_time_limit")]
async fn soft_time_limit_must_exceed_time_limit() {}
