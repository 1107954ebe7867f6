//! What is stored of a task, and for whom: pure functions.

use celeriac::backend::Store;
use celeriac::protocol::result::Extended;
use celeriac::protocol::task::Limits;
use celeriac::protocol::{Properties, ResultDocument, Table, TaskHeaders, Value};
use celeriac::task::TaskOptions;

use super::republish::Call;
use crate::job::Job;

/// Makes the document that says the task runs.
pub(crate) fn started(headers: &TaskHeaders, properties: &Properties, node: &str) -> Store {
    let document = ResultDocument::started(headers.id.clone(), std::process::id(), node);
    addressed(document, headers, properties)
}

/// Tells whether a task's result is unwanted; the caller's word wins over the task's.
pub(crate) fn ignores(headers: &TaskHeaders, options: &TaskOptions) -> bool {
    headers.ignore_result.unwrap_or(options.ignore_result)
}

/// Adds to a document what its message says of its family, and who waits for it.
pub(crate) fn addressed(
    document: ResultDocument,
    headers: &TaskHeaders,
    properties: &Properties,
) -> Store {
    Store {
        document: ResultDocument {
            group_id: headers.group.clone(),
            parent_id: headers.parent_id.clone(),
            ..document
        },
        reply_to: properties.reply_to.clone(),
        correlation_id: properties
            .correlation_id
            .clone()
            .or_else(|| Some(headers.id.clone())),
    }
}

/// Makes what an extended result says of its call. A body that cannot be read says nothing
/// of arguments.
pub(crate) fn extended(job: &Job, limits: &Limits) -> Extended {
    let (headers, request) = (job.headers(), job.context.request());
    let call = job.open(limits).and_then(|body| Call::read(&body)).ok();
    let (args, kwargs) = match call {
        Some(call) => (Value::Array(call.args), Value::Map(call.kwargs)),
        None => (Value::Null, Value::Null),
    };
    let mut stamps = Table::new();
    if let Some(names) = headers
        .stamped_headers
        .as_ref()
        .filter(|names| !names.is_empty())
    {
        let listed = names.iter().map(|name| Value::from(name.as_str()));
        stamps.push("stamped_headers", listed.collect::<Vec<_>>());
        for name in names {
            if let Some(value) = headers.stamps.get(name) {
                stamps.insert(name.as_str(), value.clone());
            }
        }
    }
    Extended {
        name: Some(headers.task.clone()),
        args,
        kwargs,
        worker: Some(request.hostname.clone()),
        retries: Some(headers.retries),
        queue: Some(request.delivery.routing_key.clone()),
        stamps,
    }
}
