//! Errbacks that are called by the node, without a message.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use celeriac::canvas::Kind;
use celeriac::protocol::{Body, Codec, Embed, Signature, TaskHeaders, Value};
use celeriac::task::{Context, Execution, Failure, Handler, Registry, Request, TaskResult};
use celeriac::trace::TraceContext;
use futures_util::FutureExt as _;
use tokio::time::timeout;

use super::code;
use crate::shared::Shared;

/// So long an errback may take that names no time limit: it holds up the end of the task
/// that failed.
const LONGEST: Duration = Duration::from_secs(60);

/// Returns the errback that a node calls itself: its task is registered here, takes more
/// than an id and needs no process of its own.
pub(crate) fn handler<'a>(
    errback: &Signature,
    tasks: &'a Registry,
) -> Option<&'a Arc<dyn Handler>> {
    if errback.immutable || Kind::of(errback) != Kind::Task {
        return None;
    }
    tasks
        .get(&errback.task)
        .filter(|handler| handler.options().errback && !handler.options().isolated)
}

/// Calls an errback. The task has failed already: whatever goes wrong here is logged.
pub(crate) async fn call(
    shared: &Shared,
    errback: &Signature,
    failure: &Failure,
    trace: Option<&TraceContext>,
) {
    let Some(handler) = handler(errback, &shared.tasks) else {
        return;
    };
    let (task_id, task) = (failure.id.as_str(), errback.task.as_str());
    let limit = handler.options().time_limit.unwrap_or(LONGEST);
    let mut running = Box::pin(execute(shared, handler, errback, failure, trace));
    let ended = AssertUnwindSafe(running.as_mut()).catch_unwind();
    let ended = timeout(limit, ended).await;
    code::discard(running, task_id, task);
    let error = match ended {
        Ok(Ok(Ok(_))) => return tracing::debug!(task_id, task, "errback ended"),
        Ok(Ok(Err(error))) => error,
        Ok(Err(panic)) => format!("it panicked: {}", code::text(&*panic)),
        Err(_) => format!("it took longer than {} s", limit.as_secs_f64()),
    };
    tracing::error!(task_id, task, error, "errback failed");
}

async fn execute(
    shared: &Shared,
    handler: &Arc<dyn Handler>,
    errback: &Signature,
    failure: &Failure,
    trace: Option<&TraceContext>,
) -> Result<Value, String> {
    let request = Request {
        headers: TaskHeaders {
            task: errback.task.clone(),
            // That which it would have as a message, so that a state that it stores is not
            // that of the task that failed.
            id: errback.task_id().unwrap_or_default().to_owned(),
            root_id: failure.root_id.clone(),
            parent_id: Some(failure.id.clone()),
            ..TaskHeaders::default()
        },
        hostname: shared.name().to_owned(),
        ..Request::default()
    };
    let context = Context::new(shared.app.clone(), request);
    // It has no span of its own: what it sends belongs to the task that failed.
    if let Some(trace) = trace {
        context.set_trace(trace.clone());
    }
    let encoded = || -> Result<Body, String> {
        let told = Value::from_serialize(failure).map_err(|error| error.to_string())?;
        let args: Vec<Value> = [told].into_iter().chain(errback.args.clone()).collect();
        Body::encode(Codec::Msgpack, &args, &errback.kwargs, &Embed::default())
            .map_err(|error| error.to_string())
    };
    let started = {
        let body = encoded()?;
        let parts = body.parts().map_err(|error| error.to_string())?;
        handler.start(context, parts)
    };
    let ended: TaskResult = match started.map_err(|error| error.to_string())? {
        Execution::Async(code) => code.await,
        Execution::Blocking(code) => code::on_thread(shared, code)
            .await
            .map_err(|error| error.to_string())?,
    };
    ended.map_err(|error| error.to_string())
}
