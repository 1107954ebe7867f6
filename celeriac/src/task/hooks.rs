//! What is called beside a task's code.

use std::fmt;
use std::sync::Arc;

use celeriac_protocol::{State, Value};

use super::{Context, Failure, TaskError};
use crate::broker::BoxFuture;

/// What is called beside a task's code: `#[task(hooks = EXPR)]` for one task,
/// [`AppBuilder::hooks`](crate::AppBuilder::hooks) for all.
///
/// Hooks run on the node, in the task's place to run; those of the app before those of
/// the task. Those that come after the code run before its outcome is stored, so that
/// who sees the outcome sees what they did, and again when the task runs again. A hook
/// that fails, panics or takes longer than 30 seconds is logged and changes nothing, but
/// for [`Hooks::before_start`]. When the outcome then cannot be written (a value that has
/// no encoding, a next try that nobody takes), the task has failed, and no hook is told.
///
/// # Example
///
/// ```
/// use celeriac::{App, Context, TaskError, Value, task};
/// use celeriac::task::{Failure, Hooks};
///
/// struct Audit;
///
/// impl Hooks for Audit {
///     async fn on_failure(&self, ctx: &Context, failure: &Failure) -> Result<(), TaskError> {
///         println!("{} failed: {:?}", ctx.id(), failure.exception);
///         Ok(())
///     }
/// }
///
/// #[task(hooks = Audit)]
/// async fn add(x: i64, y: i64) -> i64 {
///     x + y
/// }
///
/// let builder = App::builder("demo").task(add).hooks(Audit);
/// ```
pub trait Hooks: Send + Sync + 'static {
    /// Is called before the code starts. An error is as good as one of the code: the task
    /// fails, runs again, is ignored... without having run.
    fn before_start(&self, ctx: &Context) -> impl Future<Output = Result<(), TaskError>> + Send {
        let _ = ctx;
        async { Ok(()) }
    }

    /// Is called when the code has returned a value.
    fn on_success(
        &self,
        ctx: &Context,
        value: &Value,
    ) -> impl Future<Output = Result<(), TaskError>> + Send {
        let _ = (ctx, value);
        async { Ok(()) }
    }

    /// Is called when the task has failed for good.
    fn on_failure(
        &self,
        ctx: &Context,
        failure: &Failure,
    ) -> impl Future<Output = Result<(), TaskError>> + Send {
        let _ = (ctx, failure);
        async { Ok(()) }
    }

    /// Is called when the task will run again.
    fn on_retry(
        &self,
        ctx: &Context,
        failure: &Failure,
    ) -> impl Future<Output = Result<(), TaskError>> + Send {
        let _ = (ctx, failure);
        async { Ok(()) }
    }

    /// Is called when the task has ended well or badly, after the hooks for that; `value`
    /// is what is stored: the value, or the exception.
    fn after_return(
        &self,
        ctx: &Context,
        state: &State,
        value: &Value,
    ) -> impl Future<Output = Result<(), TaskError>> + Send {
        let _ = (ctx, state, value);
        async { Ok(()) }
    }
}

/// A moment in a task's run at which hooks are called.
#[derive(Debug, Clone, Copy)]
pub enum Moment<'a> {
    /// See [`Hooks::before_start`].
    BeforeStart,
    /// See [`Hooks::on_success`].
    Success(&'a Value),
    /// See [`Hooks::on_failure`].
    Failure(&'a Failure),
    /// See [`Hooks::on_retry`].
    Retry(&'a Failure),
    /// See [`Hooks::after_return`].
    Return(&'a State, &'a Value),
}

/// Hooks with their type erased: what options hold and nodes call.
#[derive(Clone)]
pub struct TaskHooks(Arc<dyn Erased>);

trait Erased: Send + Sync {
    fn call<'a>(
        &'a self,
        ctx: &'a Context,
        moment: Moment<'a>,
    ) -> BoxFuture<'a, Result<(), TaskError>>;
}

impl<H: Hooks> Erased for H {
    fn call<'a>(
        &'a self,
        ctx: &'a Context,
        moment: Moment<'a>,
    ) -> BoxFuture<'a, Result<(), TaskError>> {
        match moment {
            Moment::BeforeStart => Box::pin(self.before_start(ctx)),
            Moment::Success(value) => Box::pin(self.on_success(ctx, value)),
            Moment::Failure(failure) => Box::pin(self.on_failure(ctx, failure)),
            Moment::Retry(failure) => Box::pin(self.on_retry(ctx, failure)),
            Moment::Return(state, value) => Box::pin(self.after_return(ctx, state, value)),
        }
    }
}

impl TaskHooks {
    /// Erases the type of hooks.
    pub fn new(hooks: impl Hooks) -> Self {
        Self(Arc::new(hooks))
    }

    /// Calls the hook of a moment.
    ///
    /// # Errors
    ///
    /// Those of the hook.
    pub fn call<'a>(
        &'a self,
        ctx: &'a Context,
        moment: Moment<'a>,
    ) -> BoxFuture<'a, Result<(), TaskError>> {
        self.0.call(ctx, moment)
    }
}

impl fmt::Debug for TaskHooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TaskHooks")
    }
}

/// The same hooks, not hooks that do the same.
impl PartialEq for TaskHooks {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}
