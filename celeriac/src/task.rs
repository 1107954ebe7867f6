//! Tasks: what a node runs.
//!
//! `#[task]` on a function implements [`Task`]; nothing stops you from doing so by
//! hand. A [`Registry`] holds the tasks of an app as [`Handler`]s, their types erased.

mod arguments;
mod context;
mod error;
mod extended;
mod failure;
mod hooks;
mod options;
mod registry;
mod request;
mod retry;
mod soft_limit;

use celeriac_protocol::error::{DecodeError, EncodeError};
use celeriac_protocol::{Parts, Value};
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use self::arguments::{Arguments, Parameter, ParameterKind};
pub use self::context::Context;
pub use self::error::TaskError;
pub use self::failure::Failure;
pub use self::hooks::{Hooks, Moment, TaskHooks};
pub use self::options::{RateLimit, TaskOptions};
pub use self::registry::{Handler, Registry};
pub use self::request::{DeliveryInfo, Request};
pub use self::retry::Retry;
pub use self::soft_limit::SoftTimeLimitExceeded;
use crate::broker::BoxFuture;

/// What a task's code ends in: a value, or why there is none.
pub type TaskResult = Result<Value, TaskError>;

/// A task: a name, its options, and how to run it.
///
/// # Example
///
/// ```
/// use celeriac::task;
///
/// /// Adds two numbers.
/// #[task(name = "demo.add", max_retries = 3)]
/// async fn add(x: i64, y: i64) -> i64 {
///     x + y
/// }
///
/// assert_eq!(celeriac::task::Task::name(&add), "demo.add");
/// ```
pub trait Task: Send + Sync + 'static {
    /// What it returns, as its callers read it.
    type Output: Serialize + DeserializeOwned + Send + 'static;

    /// Returns the name that messages carry.
    fn name(&self) -> &'static str;

    /// Returns what it does when nobody says otherwise.
    fn options(&self) -> TaskOptions {
        TaskOptions::default()
    }

    /// Returns its parameters in order, for error texts and `inspect registered`.
    fn parameters(&self) -> &'static [Parameter];

    /// Decodes the arguments into its own types and returns the code to run.
    ///
    /// # Errors
    ///
    /// When an argument is missing, unknown or of the wrong type. Nothing has run.
    fn start(&self, context: Context, arguments: Arguments<'_>) -> Result<Execution, DecodeError>;
}

/// Code that is ready to run.
pub enum Execution {
    /// Runs on the asynchronous runtime. It must not block.
    Async(BoxFuture<'static, TaskResult>),
    /// Runs on a thread of its own from a bounded pool. It may block.
    Blocking(Box<dyn FnOnce() -> TaskResult + Send>),
}

impl std::fmt::Debug for Execution {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Async(_) => "Async",
            Self::Blocking(_) => "Blocking",
        })
    }
}

/// Turns the `Result` that a task function returns into a [`TaskResult`].
///
/// Generated code calls this; there is no need to implement it.
#[diagnostic::on_unimplemented(
    message = "a task cannot return `{Self}`",
    note = "a task returns a value, or `Result<T, E>` where `E` is an error or `TaskError`"
)]
pub trait IntoTaskResult {
    /// The value of a success.
    type Output: Serialize + DeserializeOwned + Send + 'static;

    /// Converts.
    fn into_task_result(self) -> TaskResult;
}

impl<T, E> IntoTaskResult for Result<T, E>
where
    T: Serialize + DeserializeOwned + Send + 'static,
    E: Into<TaskError>,
{
    type Output = T;

    fn into_task_result(self) -> TaskResult {
        encode(&self.map_err(Into::into)?)
    }
}

/// Encodes a task's value; a value that cannot be put on the wire fails the task as
/// Celery's `EncodeError` does.
///
/// # Errors
///
/// [`TaskError`] with the exception `kombu.exceptions.EncodeError`.
pub fn encode<T: Serialize>(value: &T) -> TaskResult {
    Value::from_serialize(value).map_err(|error: EncodeError| {
        TaskError::raise("kombu.exceptions", "EncodeError", error.to_string())
    })
}

/// A task with its types erased.
pub(crate) struct Erased<T> {
    pub(crate) task: T,
    pub(crate) options: TaskOptions,
}

impl<T: Task> Handler for Erased<T> {
    fn name(&self) -> &str {
        self.task.name()
    }

    fn options(&self) -> &TaskOptions {
        &self.options
    }

    fn parameters(&self) -> &[Parameter] {
        self.task.parameters()
    }

    fn start(&self, context: Context, parts: Parts<'_>) -> Result<Execution, DecodeError> {
        let arguments = Arguments::new(
            self.task.name(),
            self.task.parameters(),
            parts.args,
            parts.kwargs,
        )?;
        self.task.start(context, arguments)
    }
}
