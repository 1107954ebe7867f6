//! What a trace shows of a run: pure functions.

use celeriac::protocol::Exception;
use celeriac::task::{Context, Execution};
use celeriac::trace::{self, Span, TraceId};
use tracing::{Instrument as _, info_span};

use super::outcome::{Limit, Outcome, Revocation};
use super::traceback;
use crate::job::Job;

/// Returns the trace that a task is in.
pub(super) fn id(context: &Context) -> Option<TraceId> {
    Some(context.trace()?.span()?.trace_id())
}

/// Lets the log lines of a task's code say in which trace they are.
pub(crate) fn within(execution: Execution, context: &Context) -> Execution {
    let Some(trace_id) = id(context) else {
        return execution;
    };
    let (task_id, task) = (context.id(), context.request().task());
    let span = info_span!("task", task_id, task, %trace_id);
    if span.is_disabled() {
        return execution;
    }
    match execution {
        Execution::Async(code) => Execution::Async(Box::pin(code.instrument(span))),
        Execution::Blocking(code) => Execution::Blocking(Box::new(move || span.in_scope(code))),
    }
}

/// Makes the span of a job that has ended, when it is recorded.
pub(super) fn span(job: &Job, outcome: &Outcome) -> Option<Span> {
    let mut span = job.context.run_span(job.started_at())?;
    span.set("celeriac.queue", &*job.queue);
    span.set_some("celery.state", state(outcome));
    let task = job.headers().task.as_str();
    if let Some((exception, causes)) = exception(outcome, task) {
        let kind = match exception.exc_module.as_deref() {
            None | Some("builtins") => exception.exc_type.clone(),
            Some(module) => format!("{module}.{}", exception.exc_type),
        };
        let message = traceback::message(&exception);
        if matches!(outcome, Outcome::Retry(_)) {
            span.set("celery.retry.reason", message.as_str());
        } else {
            span.set("error.type", kind.as_str());
            span.error = Some(message.clone());
        }
        span.exceptions.push(trace::Exception {
            kind,
            message,
            stacktrace: Some(traceback::text(task, &exception, causes)),
            at: span.end,
        });
    }
    match outcome {
        Outcome::Revoked(why) => {
            span.set("celery.revoked.reason", why.as_str());
            if let Revocation::Terminated(signal) = why {
                span.set("celery.terminated.signal", u32::from(signal.number()));
            }
        }
        Outcome::Replace(with) => span.set("celeriac.replaced_by", with.task.as_str()),
        _ => {}
    }
    Some(span)
}

/// The states of Celery; a message that goes back has none.
const fn state(outcome: &Outcome) -> Option<&'static str> {
    Some(match outcome {
        Outcome::Success(_) | Outcome::Stored(_) => "SUCCESS",
        Outcome::Retry(_) => "RETRY",
        Outcome::Replace(_) | Outcome::Ignore => "IGNORED",
        Outcome::Reject { .. } => "REJECTED",
        Outcome::Revoked(_) => "REVOKED",
        Outcome::Lost => return None,
        Outcome::Failure { .. }
        | Outcome::TimedOut { .. }
        | Outcome::Panicked { .. }
        | Outcome::Unknown
        | Outcome::Unreadable(_)
        | Outcome::Crashed { .. }
        | Outcome::Deadly { .. }
        | Outcome::NoProcess { .. } => "FAILURE",
    })
}

/// What happened, and what caused it.
fn exception<'a>(outcome: &'a Outcome, task: &str) -> Option<(Exception, &'a [String])> {
    let exception = match outcome {
        Outcome::Success(_) | Outcome::Stored(_) | Outcome::Replace(_) | Outcome::Ignore => {
            return None;
        }
        Outcome::Failure { exception, causes } => return Some((exception.clone(), causes)),
        Outcome::Retry(again) => return Some((again.exception.clone()?, &again.causes)),
        Outcome::Reject { reason, requeue } => Exception::reject(reason.as_str(), *requeue),
        Outcome::Revoked(why) => Exception::task_revoked(why.as_str()),
        Outcome::TimedOut {
            limit: Limit::Soft, ..
        } => Exception::soft_time_limit_exceeded(),
        Outcome::TimedOut { after, .. } => Exception::time_limit_exceeded(after.as_secs_f64()),
        Outcome::Panicked { message } => {
            Exception::python("RuntimeError", format!("task panicked: {message}"))
        }
        Outcome::Unknown => Exception::not_registered(task),
        Outcome::Unreadable(error) => Exception::invalid_task(&error.to_string()),
        Outcome::Crashed { cause } | Outcome::Deadly { cause } => Exception::worker_lost(cause),
        Outcome::NoProcess { reason } => Exception::worker_lost(reason),
        Outcome::Lost => Exception::worker_lost("given back to the broker"),
    };
    Some((exception, &[]))
}
