//! Tasks that end in something else than a value.

use celeriac::{AppBuilder, Context, TaskError, task};

pub(crate) fn add_to(app: AppBuilder) -> AppBuilder {
    app.task(fail_unpickleable)
        .task(reject_then_succeed)
        .task(reject_without_requeue)
}

/// The exceptions that the suite's own module defines.
pub(crate) const MODULE: &str = "t.integration.tasks";

#[task(name = "t.integration.tasks.fail_unpickleable")]
async fn fail_unpickleable(foo: String, bar: celeriac::Value) -> Result<(), TaskError> {
    // As in Python, where `bar` stays behind with the exception object.
    drop(bar);
    Err(TaskError::raise(MODULE, "UnpickleableException", foo))
}

#[task(name = "t.integration.tasks.reject_then_succeed", acks_late)]
async fn reject_then_succeed(ctx: Context) -> Result<String, TaskError> {
    if ctx.request().delivery.redelivered {
        return Ok("second-pass".to_owned());
    }
    Err(TaskError::requeue("the first delivery"))
}

#[task(name = "t.integration.tasks.reject_without_requeue")]
async fn reject_without_requeue() -> Result<(), TaskError> {
    Err(TaskError::reject("rejected"))
}
