//! What is stored of a task, and for whom: pure functions.

use celeriac::backend::Store;
use celeriac::protocol::result::Extended;
use celeriac::protocol::task::Limits;
use celeriac::protocol::{Properties, ResultDocument, TaskHeaders};
use celeriac::task::TaskOptions;

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

/// Makes what an extended result says of its call.
pub(crate) fn extended(job: &Job, limits: &Limits) -> Extended {
    match job.context.extended() {
        Some(known) => known.clone(),
        None => job.context.describe(job.open(limits).ok().as_ref()).clone(),
    }
}
