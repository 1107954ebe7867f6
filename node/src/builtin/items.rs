//! Runs a task of this node for each of many items, in one run.

use std::borrow::Cow;
use std::panic::resume_unwind;
use std::sync::Weak;

use celeriac::protocol::{Codec, Exception, Parts, Raw, Signature, Value};
use celeriac::task::{Context, Execution, Handler, TaskError, TaskResult};
use tokio::task::coop;

use super::Given;
use crate::execution::code;
use crate::shared::Shared;

/// `celery.map`: each item is one argument.
pub(super) async fn map(shared: Weak<Shared>, context: Context, mut given: Given) -> TaskResult {
    let task: Signature = given.required("task")?;
    let items: Vec<Value> = given.required("it")?;
    each(
        &shared,
        &context,
        &task,
        items.into_iter().map(|item| vec![item]),
    )
    .await
}

/// `celery.starmap`: each item is a list of arguments.
pub(super) async fn starmap(
    shared: Weak<Shared>,
    context: Context,
    mut given: Given,
) -> TaskResult {
    let task: Signature = given.required("task")?;
    let items: Vec<Vec<Value>> = given.required("it")?;
    each(&shared, &context, &task, items.into_iter()).await
}

/// Runs the task's code for each item, one after the other. The first one that fails
/// ends all. What the signature says beside the task's name does not count, as in Celery.
async fn each(
    shared: &Weak<Shared>,
    context: &Context,
    task: &Signature,
    items: impl ExactSizeIterator<Item = Vec<Value>>,
) -> TaskResult {
    let name = task.task.as_str();
    let Some(handler) = context.app().registry().get(name) else {
        let Exception {
            exc_type,
            exc_message,
            exc_module,
        } = Exception::not_registered(name);
        let message = exc_message.first().and_then(Value::as_str);
        let module = exc_module.unwrap_or_default();
        let error = TaskError::raise(&module, &exc_type, message.unwrap_or_default());
        return Err(error.permanent());
    };
    if handler.options().isolated {
        let message = format!(
            "{name} runs in a process of its own, which its many items cannot share: \
             send a group of calls instead"
        );
        return Err(TaskError::python("ValueError", message).permanent());
    }
    let mut values = Vec::with_capacity(items.len());
    for args in items {
        values.push(one(shared, context, &**handler, args).await?);
        // Items that never wait must not keep limits and others from their turn.
        coop::consume_budget().await;
    }
    Ok(Value::Array(values))
}

async fn one(
    shared: &Weak<Shared>,
    context: &Context,
    handler: &dyn Handler,
    args: Vec<Value>,
) -> TaskResult {
    let mut raw = Vec::with_capacity(args.len());
    for value in &args {
        raw.push(Raw {
            codec: Codec::Json,
            bytes: Cow::Owned(Codec::Json.to_vec(value)?),
        });
    }
    let parts = Parts {
        args: raw,
        kwargs: Vec::new(),
        embed: celeriac::protocol::Embed::default(),
    };
    let started = handler.start(context.clone(), parts);
    let started =
        started.map_err(|error| TaskError::python("TypeError", error.to_string()).permanent())?;
    let ended = match started {
        Execution::Async(code) => code.await,
        // Its thread ends by itself when the limits of the whole end this.
        Execution::Blocking(code) => {
            let Some(shared) = shared.upgrade() else {
                return Err(TaskError::message("its node is gone"));
            };
            match code::on_thread(&shared, code).await {
                Ok(ended) => ended,
                Err(error) => match error.try_into_panic() {
                    Ok(panic) => resume_unwind(panic),
                    Err(error) => Err(TaskError::message(error.to_string())),
                },
            }
        }
    };
    ended.map_err(|error| direct(handler.name(), error))
}

/// A task that is called directly cannot run again by itself: what it wants to run again
/// for is its failure.
fn direct(name: &str, error: TaskError) -> TaskError {
    match error {
        TaskError::Retry(retry) => {
            let exception = retry.exception.clone();
            let exception =
                exception.unwrap_or_else(|| Exception::retry("Task can be retried", None, "None"));
            TaskError::Failure {
                exception,
                causes: vec![format!(
                    "{name} is called for many items and cannot be retried"
                )],
                retryable: false,
            }
        }
        other => other,
    }
}
