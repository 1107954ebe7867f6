//! Calls what the app and a task want called beside the task's code.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use celeriac::clock;
use celeriac::protocol::{Exception, State};
use celeriac::task::{Failure, Moment, TaskError, TaskHooks, TaskOptions};
use futures_util::FutureExt as _;
use tokio::time::timeout;

use super::outcome::Outcome;
use super::{code, decide, run, traceback};
use crate::job::Job;

/// So long a hook may take: it holds the task's place to run.
const LONGEST: Duration = Duration::from_secs(30);

/// The hooks of one run, those of the app first.
pub(crate) struct RunHooks<'a> {
    job: &'a Job,
    options: &'a TaskOptions,
}

impl<'a> RunHooks<'a> {
    /// Returns the hooks of a run; `None` where there are none, which is the rule.
    pub(crate) fn of(job: &'a Job, options: &'a TaskOptions) -> Option<Self> {
        let some = options.hooks.is_some() || !job.context.app().hooks().is_empty();
        some.then_some(Self { job, options })
    }

    /// Calls what comes before the code; returns how the task ends when it is not to run.
    pub(crate) async fn before(&self) -> Option<Outcome> {
        for hooks in self.all() {
            if let Err(error) = self.call(hooks, Moment::BeforeStart).await {
                let (headers, random) = (self.job.headers(), run::random());
                let now = clock::now();
                return Some(decide::decide(
                    Err(error),
                    headers,
                    self.options,
                    now,
                    random,
                ));
            }
        }
        None
    }

    /// Calls what comes after the code.
    pub(crate) async fn after(&self, outcome: &Outcome) {
        match outcome {
            Outcome::Success(value) => {
                self.tell(Moment::Success(value)).await;
                self.tell(Moment::Return(&State::Success, value)).await;
            }
            Outcome::Retry(again) => {
                let mut failure = self.failure();
                if let Some(exception) = &again.exception {
                    let task = &self.job.headers().task;
                    let text = traceback::text(task, exception, &again.causes);
                    failure = failure.because(exception.clone(), Some(text));
                }
                self.tell(Moment::Retry(&failure)).await;
            }
            other => {
                let Some((exception, causes)) = other.exception() else {
                    return;
                };
                let text = traceback::text(&self.job.headers().task, &exception, causes);
                let value = exception.to_value();
                let failure = self.failure().because(exception, Some(text));
                self.tell(Moment::Failure(&failure)).await;
                self.tell(Moment::Return(&State::Failure, &value)).await;
            }
        }
    }

    fn failure(&self) -> Failure {
        let headers = self.job.headers();
        Failure::new(self.job.id()).of_task(&*headers.task, Some(headers.root().to_owned()))
    }

    fn all(&self) -> impl Iterator<Item = &TaskHooks> {
        self.job
            .context
            .app()
            .hooks()
            .iter()
            .chain(&self.options.hooks)
    }

    async fn tell(&self, moment: Moment<'_>) {
        for hooks in self.all() {
            if let Err(error) = self.call(hooks, moment).await {
                let (task_id, task) = (self.job.id(), self.job.headers().task.as_str());
                tracing::error!(task_id, task, %error, "hook failed");
            }
        }
    }

    async fn call(&self, hooks: &TaskHooks, moment: Moment<'_>) -> Result<(), TaskError> {
        let mut call = Box::pin(async { hooks.call(&self.job.context, moment).await });
        let ended = timeout(LONGEST, AssertUnwindSafe(call.as_mut()).catch_unwind()).await;
        code::discard(call, self.job.id(), &self.job.headers().task);
        match ended {
            Ok(Ok(result)) => result,
            Ok(Err(panic)) => {
                let text = format!("hook panicked: {}", code::text(&*panic));
                Err(TaskError::message(text))
            }
            Err(_) => {
                let text = format!("hook took longer than {} s", LONGEST.as_secs());
                Err(TaskError::python("TimeoutError", text))
            }
        }
    }
}

impl Outcome {
    /// Returns what the code failed with, if it did, and the causes of that.
    fn exception(&self) -> Option<(Exception, &[String])> {
        use super::outcome::Limit;
        use celeriac::protocol::error::Fault;
        let exception = match self {
            Self::Failure { exception, causes } => return Some((exception.clone(), causes)),
            Self::TimedOut {
                limit: Limit::Soft, ..
            } => Exception::soft_time_limit_exceeded(),
            Self::TimedOut { after, .. } => Exception::time_limit_exceeded(after.as_secs_f64()),
            Self::Panicked { message } => {
                Exception::python("RuntimeError", format!("task panicked: {message}"))
            }
            Self::Unreadable(error) if error.fault == Fault::Arguments => {
                Exception::python("TypeError", error.to_string())
            }
            _ => return None,
        };
        Some((exception, &[]))
    }
}
