//! What the log says of a task that ended.

use celeriac::protocol::Exception;
use tracing::field;

use super::outcome::Outcome;
use super::trace;
use crate::job::Job;

/// Writes how a task ended, with what it is found by.
pub(super) fn log(job: &Job, outcome: &Outcome) {
    let (task_id, task) = (job.id(), job.headers().task.as_str());
    let trace_id = trace::id(&job.context).map(field::display);
    match outcome {
        Outcome::Success(_) | Outcome::Stored(_) | Outcome::Ignore => {
            tracing::debug!(task_id, task, trace_id, runtime = ?job.runtime(), "task ended");
        }
        Outcome::Retry(again) => {
            let error = again.exception.as_ref().map(Exception::repr);
            tracing::info!(task_id, task, trace_id, error, "task will run again");
        }
        Outcome::Replace(with) => {
            tracing::debug!(task_id, task, trace_id, by = with.task, "task is replaced");
        }
        Outcome::Failure { exception, .. } => {
            tracing::error!(task_id, task, trace_id, error = %exception, "task failed");
        }
        Outcome::Panicked { message } => {
            tracing::error!(task_id, task, trace_id, error = message, "task panicked");
        }
        Outcome::TimedOut { limit, after } => {
            tracing::error!(
                task_id,
                task,
                trace_id,
                ?limit,
                ?after,
                "task ran into its time limit"
            );
        }
        Outcome::Crashed { cause } => {
            tracing::error!(task_id, task, trace_id, cause, "process of the task died");
        }
        Outcome::NoProcess { reason } => {
            tracing::error!(
                task_id,
                task,
                trace_id,
                reason,
                "task could have no process of its own"
            );
        }
        Outcome::Deadly { cause } => {
            tracing::error!(
                task_id,
                task,
                trace_id,
                cause,
                "message is put away: it does not end"
            );
        }
        Outcome::Unknown => tracing::error!(task_id, task, trace_id, "task is not registered here"),
        Outcome::Unreadable(error) => {
            tracing::error!(task_id, task, trace_id, queue = &*job.queue, %error, "message cannot be used");
        }
        Outcome::Reject { reason, requeue } => {
            tracing::warn!(
                task_id,
                task,
                trace_id,
                reason,
                requeue,
                "task rejected its message"
            );
        }
        Outcome::Revoked(why) => {
            tracing::info!(
                task_id,
                task,
                trace_id,
                reason = why.as_str(),
                "task was called off"
            );
        }
        Outcome::Lost => {
            tracing::warn!(task_id, task, trace_id, "task is given back to the broker")
        }
    }
}
