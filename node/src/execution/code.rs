//! A task's code on this node's own threads, until it ends or is ended.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use celeriac::protocol::DecodeError;
use celeriac::task::{Execution, TaskResult};
use futures_util::FutureExt as _;
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::{JoinError, JoinHandle};
use tokio::time::{Instant, sleep_until, timeout_at};

use super::limits::{Alarm, RunLimits};
use super::outcome::Limit;
use crate::job::Job;
use crate::shared::Shared;
use crate::slots::Slot;

/// How a task's code came to its end.
pub(crate) enum Ended {
    Returned(TaskResult),
    Panicked(String),
    /// It was asked to stop and did not in time.
    Stopped,
    TimedOut(Limit, std::time::Duration),
    /// Its arguments are not those of the task; nothing has run.
    Unreadable(DecodeError),
    /// The process of its own is gone, for this reason.
    Crashed(String),
    /// It could have no process of its own.
    NoProcess(String),
    /// The thread or the runtime it ran on is gone.
    Lost,
}

/// Runs code within its limits.
pub(super) async fn run(
    execution: Execution,
    shared: &Shared,
    job: &Arc<Job>,
    limits: RunLimits,
    slot: &mut Option<Slot>,
) -> Ended {
    match execution {
        Execution::Async(mut code) => {
            let end = AssertUnwindSafe(code.as_mut()).catch_unwind();
            let end = pin!(end.map(|end| match end {
                Ok(result) => Ended::Returned(result),
                Err(panic) => Ended::Panicked(text(&*panic)),
            }));
            let ended = supervise(end, shared, job, limits, true).await;
            discard(code, job.id(), &job.headers().task);
            ended
        }
        Execution::Blocking(code) => Box::pin(run_blocking(code, shared, job, limits, slot)).await,
    }
}

/// A blocking task's code.
type Blocking = Box<dyn FnOnce() -> TaskResult + Send>;

/// Runs blocking code that is a part of something else, once there is a thread for it.
///
/// # Cancel safety
///
/// Code that has begun goes on and keeps its thread until it ends by itself.
pub(crate) async fn on_thread(shared: &Shared, code: Blocking) -> Result<TaskResult, JoinError> {
    let permit = Arc::clone(&shared.threads).acquire_owned().await;
    start(shared, permit.ok(), code).await
}

/// Starts a thread, which has its permit until the code ends.
fn start(
    shared: &Shared,
    permit: Option<OwnedSemaphorePermit>,
    code: Blocking,
) -> JoinHandle<TaskResult> {
    shared.work.spawn_blocking(move || {
        let _permit = permit;
        code()
    })
}

async fn run_blocking(
    code: Blocking,
    shared: &Shared,
    job: &Arc<Job>,
    limits: RunLimits,
    slot: &mut Option<Slot>,
) -> Ended {
    // Limits are those of its code, which has not started before it has a thread.
    let permit = tokio::select! {
        biased;
        permit = Arc::clone(&shared.threads).acquire_owned() => permit,
        () = job.context.cancelled() => {
            discard(code, job.id(), &job.headers().task);
            return Ended::Stopped;
        }
    };
    // Nobody closes the semaphore.
    let Ok(permit) = permit else {
        return Ended::Lost;
    };
    let mut thread = start(shared, Some(permit), code);
    let code = pin!((&mut thread).map(|end| match end {
        Ok(result) => Ended::Returned(result),
        Err(error) => match error.try_into_panic() {
            Ok(panic) => Ended::Panicked(text(&*panic)),
            Err(_cancelled) => Ended::Lost,
        },
    }));
    let ended = supervise(code, shared, job, limits, false).await;
    if matches!(ended, Ended::Stopped | Ended::TimedOut(..)) {
        // Nobody can stop a thread from outside, once it has begun. It keeps its place
        // until it ends by itself, or the node would run more than it may.
        thread.abort();
        let slot = slot.take();
        let counters = Arc::clone(&shared.counters);
        counters.lost_threads.fetch_add(1, Ordering::Relaxed);
        tracing::warn!(
            task_id = job.id(),
            task = job.headers().task,
            "blocking task did not stop when it was asked to; its thread is lost until it ends"
        );
        shared.work.spawn(async move {
            let _ = thread.await;
            counters.lost_threads.fetch_sub(1, Ordering::Relaxed);
            drop(slot);
        });
    }
    ended
}

/// Waits for the code's end, its limits, or a wish that it stop.
pub(crate) async fn supervise(
    mut code: Pin<&mut impl Future<Output = Ended>>,
    shared: &Shared,
    job: &Job,
    limits: RunLimits,
    stoppable: bool,
) -> Ended {
    let (start, grace) = (Instant::now(), shared.config.cancel_grace);
    let mut asked = false;
    loop {
        let alarm = limits.next(asked, grace, stoppable);
        let ringing = async {
            match alarm.and_then(|(after, alarm)| Some((start.checked_add(after)?, after, alarm))) {
                Some((at, after, alarm)) => {
                    sleep_until(at).await;
                    (after, alarm)
                }
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            ended = code.as_mut() => return ended,
            () = job.context.cancelled() => break,
            (after, alarm) = ringing => match alarm {
                Alarm::Ask => {
                    asked = true;
                    job.context.soft_limit_token().cancel();
                }
                Alarm::Soft => return Ended::TimedOut(Limit::Soft, after),
                Alarm::Hard => {
                    // A blocking task may still be listening.
                    job.context.cancellation().cancel();
                    return Ended::TimedOut(Limit::Hard, after);
                }
            },
        }
    }
    timeout_at(Instant::now() + grace, code)
        .await
        .unwrap_or(Ended::Stopped)
}

/// Drops a task's code, which drops what it holds: code of the task as well. Why it
/// ended stands; a panic here would give its message back, to do so again.
pub(super) fn discard<T>(code: T, task_id: &str, task: &str) {
    if let Err(panic) = std::panic::catch_unwind(AssertUnwindSafe(|| drop(code))) {
        tracing::error!(
            task_id,
            task,
            error = text(&*panic),
            "task panicked when it was dropped"
        );
    }
}

/// Reads what a panic says.
pub(crate) fn text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "no message".to_owned())
}
