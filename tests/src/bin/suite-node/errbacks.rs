//! Tasks that are told of one that failed: with its id alone, or with all that is known.

use celeriac::task::Failure;
use celeriac::{AppBuilder, TaskError, Value, task};

use crate::records::{count, push};

pub(crate) fn add_to(app: AppBuilder) -> AppBuilder {
    app.task(errback_old_style)
        .task(errback_old_style_with_args)
        .task(errback_new_style)
        .task(errback_new_style_with_args)
}

#[task(name = "t.integration.tasks.errback_old_style")]
async fn errback_old_style(request_id: String) -> Result<String, TaskError> {
    count(&request_id).await?;
    Ok(request_id)
}

#[task(name = "t.integration.tasks.errback_new_style", errback)]
async fn errback_new_style(request: Failure) -> Result<String, TaskError> {
    count(&request.id).await?;
    Ok(request.id)
}

#[task(name = "t.integration.tasks.errback_old_style_with_args")]
async fn errback_old_style_with_args(request_id: String, label: Value) -> Result<(), TaskError> {
    push(&request_id, label).await
}

#[task(name = "t.integration.tasks.errback_new_style_with_args", errback)]
async fn errback_new_style_with_args(request: Failure, label: Value) -> Result<(), TaskError> {
    push(&request.id, label).await
}
