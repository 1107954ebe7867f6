//! Sends workflows that came as messages.

use std::num::NonZeroUsize;

use celeriac::canvas::Plan;
use celeriac::protocol::{ResultTuple, Signature, Value};
use celeriac::task::{Context, TaskError, TaskResult};

use super::Given;

/// `celery.chunks`: the items in groups of `n`, each a message of its own.
pub(super) async fn chunks(context: Context, mut given: Given) -> TaskResult {
    let task: Signature = given.required("task")?;
    let items: Vec<Vec<Value>> = given.required("it")?;
    let size: usize = given.required("n")?;
    let Some(size) = NonZeroUsize::new(size) else {
        let error = TaskError::python("ValueError", "n: expected at least 1, found 0");
        return Err(error.permanent());
    };
    let result = send(&context, celeriac::canvas::chunks(task, items, size)).await?;
    context.add_child(Value::from(result.without_parents()));
    Ok(result.into())
}

/// `celery.group`: sends members that their sender has named already.
pub(super) async fn group(context: Context, mut given: Given) -> TaskResult {
    let tasks: Vec<Signature> = given.required("tasks")?;
    let result: Value = given.required("result")?;
    let id: String = given.required("group_id")?;
    let partial: Option<Vec<Value>> = given.optional("partial_args")?;
    let add_to_parent: Option<bool> = given.optional("add_to_parent")?;
    let mut group = celeriac::canvas::group(tasks);
    group.options.insert("task_id", id);
    group.args = partial.unwrap_or_default();
    send(&context, group).await?;
    if add_to_parent.unwrap_or(true) {
        context.add_child(result.clone());
    }
    Ok(result)
}

/// `celery.chord`: sends the header; the result is that of the body.
pub(super) async fn chord(context: Context, mut given: Given) -> TaskResult {
    let header: Value = given.required("header")?;
    let body: Signature = given.required("body")?;
    let partial: Option<Vec<Value>> = given.optional("partial_args")?;
    let mut chord = celeriac::canvas::chord(Vec::<Signature>::new(), body);
    chord.kwargs.insert("header", header);
    chord.args = partial.unwrap_or_default();
    let result = send(&context, chord).await?;
    context.add_child(Value::from(result.without_parents()));
    Ok(result.into())
}

/// Sends a workflow as what follows this run. Nobody here waits for its result.
async fn send(context: &Context, signature: Signature) -> Result<ResultTuple, TaskError> {
    let app = context.app();
    let plan: Plan = app.plan(signature, None)?;
    Ok(app.send_plan(plan, &context.lineage()).await?)
}
