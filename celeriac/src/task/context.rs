//! What a running task knows of itself.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use celeriac_protocol::event::EventKind;
use celeriac_protocol::headers::TimeLimits;
use celeriac_protocol::result::Extended;
use celeriac_protocol::{Body, ResultDocument, Signature, State, Table, Timestamp, Value};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{Request, Retry, SoftTimeLimitExceeded, TaskError, extended};
use crate::app::App;
use crate::backend::{Addition, Store};
use crate::call::Call;
use crate::canvas;
use crate::clock;
use crate::error::{Error, Result};
use crate::result::AsyncResult;
use crate::trace::{RunTrace, TraceContext};

/// What a running task knows of itself, and what it may ask for.
///
/// A task takes it as its first argument: `async fn report(ctx: Context, ...)`. Cheap
/// to clone. Calls sent through it (`add.call(2, 3).send(&ctx)`) become children of
/// this task.
#[derive(Debug, Clone)]
pub struct Context(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    app: App,
    request: Request,
    soft_limit: CancellationToken,
    cancelled: CancellationToken,
    children: Mutex<Vec<Value>>,
    /// The body of the chord that waits for this task.
    chord: OnceLock<Box<Signature>>,
    /// What the results say of the call, when they are extended.
    extended: OnceLock<Box<Extended>>,
    /// Where the run is in a trace, once somebody asked.
    trace: OnceLock<Option<Box<RunTrace>>>,
    /// How many ids were made for what is added to the chord.
    added: AtomicU32,
}

impl Context {
    /// Makes a context; nodes do this.
    pub fn new(app: App, request: Request) -> Self {
        Self(Arc::new(Inner {
            app,
            request,
            soft_limit: CancellationToken::new(),
            cancelled: CancellationToken::new(),
            children: Mutex::default(),
            chord: OnceLock::new(),
            extended: OnceLock::new(),
            trace: OnceLock::new(),
            added: AtomicU32::new(0),
        }))
    }

    /// Returns the task's id.
    pub fn id(&self) -> &str {
        &self.0.request.headers.id
    }

    /// Returns how often this task was retried; 0 on the first run.
    pub fn retries(&self) -> u32 {
        self.0.request.headers.retries
    }

    /// Returns the message that asked for this run.
    pub fn request(&self) -> &Request {
        &self.0.request
    }

    /// Returns the app.
    pub fn app(&self) -> &App {
        &self.0.app
    }

    /// Waits until the task shall stop: it was revoked with terminate, its node shuts
    /// down at once, or its hard limit passed.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn cancelled(&self) {
        self.0.cancelled.cancelled().await;
    }

    /// Tells whether the task shall stop. Blocking tasks ask this now and then; nobody
    /// can stop a thread from outside.
    pub fn is_cancelled(&self) -> bool {
        self.0.cancelled.is_cancelled()
    }

    /// Waits until the soft time limit has passed.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn soft_limit(&self) {
        self.0.soft_limit.cancelled().await;
    }

    /// Tells whether the soft time limit has passed.
    pub fn is_past_soft_limit(&self) -> bool {
        self.0.soft_limit.is_cancelled()
    }

    /// Runs a future until the soft time limit passes, so that the task can do something
    /// about it: tidy up, store what there is, or hand the error on by `?`.
    ///
    /// # Errors
    ///
    /// [`SoftTimeLimitExceeded`] when the limit passed first; the future is dropped.
    ///
    /// # Cancel safety
    ///
    /// As cancel safe as the future.
    ///
    /// # Example
    ///
    /// ```
    /// use celeriac::{Context, task};
    ///
    /// # async fn count() -> i64 { 1 }
    /// #[task(soft_time_limit = "5s")]
    /// async fn careful(ctx: Context) -> i64 {
    ///     ctx.within_soft_limit(count()).await.unwrap_or(0)
    /// }
    /// ```
    pub async fn within_soft_limit<T>(
        &self,
        future: impl Future<Output = T>,
    ) -> Result<T, SoftTimeLimitExceeded> {
        tokio::select! {
            biased;
            value = future => Ok(value),
            () = self.soft_limit() => Err(SoftTimeLimitExceeded),
        }
    }

    /// Asks whether to go on: for blocking tasks, between two steps.
    ///
    /// # Errors
    ///
    /// [`SoftTimeLimitExceeded`] when the limit has passed.
    pub fn check_soft_limit(&self) -> Result<(), SoftTimeLimitExceeded> {
        match self.is_past_soft_limit() {
            false => Ok(()),
            true => Err(SoftTimeLimitExceeded),
        }
    }

    /// Returns the time limits that the message sets, or else the task, in seconds.
    pub fn time_limits(&self) -> TimeLimits {
        let TimeLimits { hard, soft } = self.0.request.headers.timelimit;
        let options = self.0.app.registry().get(self.0.request.task());
        let options = options.map(|handler| handler.options());
        let seconds = |limit: Option<Duration>| limit.map(|limit| limit.as_secs_f64());
        TimeLimits {
            hard: hard.or_else(|| seconds(options?.time_limit)),
            soft: soft.or_else(|| seconds(options?.soft_time_limit)),
        }
    }

    /// Lets a call or workflow run in the task's place:
    /// `return Err(ctx.replace(add.call(2, 3)))`. See [`TaskError::replace`].
    pub fn replace(&self, with: impl Into<Signature>) -> TaskError {
        TaskError::replace(with)
    }

    /// Returns the body of the chord whose header this task is in, if it is in one.
    pub fn chord(&self) -> Option<&Signature> {
        self.0.chord.get().map(|body| &**body)
    }

    /// Says in which chord's header the task is; nodes do this before it starts.
    pub fn set_chord(&self, body: Box<Signature>) {
        let _ = self.0.chord.set(body);
    }

    /// Reads from the task's body what its results say of the call, those too that the task
    /// stores itself; nodes do this before it starts when results are
    /// [extended](crate::app::AppBuilder::result_extended).
    pub fn describe(&self, body: Option<&Body>) -> &Extended {
        let made = || Box::new(extended::extended(&self.0.request, body));
        self.0.extended.get_or_init(made)
    }

    /// Returns what the task's results say of the call, when that was read.
    pub fn extended(&self) -> Option<&Extended> {
        self.0.extended.get().map(Box::as_ref)
    }

    /// Says where this run is in a trace, in place of what its message says; nodes do this
    /// before it starts.
    pub fn set_trace(&self, trace: TraceContext) {
        let _ = self.0.trace.set(Some(Box::new(RunTrace::from(trace))));
    }

    pub(crate) fn run_trace(&self) -> Option<&RunTrace> {
        let of = || RunTrace::of(self.0.app.tracer(), &self.0.request.headers.extra);
        self.0.trace.get_or_init(|| of().map(Box::new)).as_deref()
    }

    /// Adds a task, chain or chord to the header of the chord that this task is in: the
    /// chord's body waits for its result too, and gets it beside this task's own. Where the
    /// header has members that end in groups, and with them a saved form, the body waits
    /// for it and gets the results of that form only.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] when this task is in no chord, or for what ends in a group: add
    /// its members one by one. [`Error::Unsupported`] when the backend does not count.
    /// After an error that is retryable nobody knows whether the call was sent, and the body
    /// may wait for ever.
    ///
    /// # Delivery guarantee
    ///
    /// At least once, under one id: a task whose message is delivered again adds the same
    /// ones again, in the order of its calls, and each counts once. A retry adds others.
    pub async fn add_to_chord<R: DeserializeOwned>(
        &self,
        call: impl Into<Call<R>>,
    ) -> Result<AsyncResult<R>> {
        let request = &self.0.request;
        let (Some(body), Some(group)) = (self.chord(), request.group_id()) else {
            let expected = "a task in the header of a chord";
            return Err(Error::invalid("add_to_chord", expected, "one in no chord"));
        };
        let mut signature = Signature::from(call.into());
        if canvas::ends_in_group(&signature) {
            let expected = "a task, a chain or a chord";
            return Err(Error::invalid("add_to_chord", expected, "a group"));
        }
        let options = &mut signature.options;
        options.insert("group_id", group);
        options.insert("group_index", request.group_index());
        options.insert("chord", Value::from(body.clone()));
        let wanted = signature.ignore_result() != Some(true);
        let (app, backend) = (&self.0.app, self.0.app.backend());
        // What cannot be sent must not be waited for.
        let plan = app.plan_with(signature, None, &mut || self.next_added())?;
        let id = plan.result.id.clone();
        backend.extend_join(group, Addition::Expected(&id)).await?;
        match app.send_plan_of(plan, wanted, Some(self)).await {
            // It may have been sent: it is expected.
            Err(error) if error.is_retryable() => Err(error),
            Err(error) => {
                backend.extend_join(group, Addition::Withdrawn(&id)).await?;
                Err(error)
            }
            sent => sent,
        }
    }

    /// Makes an id for what is added to the chord, the same each time this run is repeated.
    fn next_added(&self) -> String {
        let nth = self.0.added.fetch_add(1, Ordering::Relaxed);
        let name = format!("{}/{}/{nth}", self.id(), self.retries());
        Uuid::new_v3(&Uuid::NAMESPACE_OID, name.as_bytes()).to_string()
    }

    /// Stores a state of the task's own, such as `PROGRESS`, with metadata.
    ///
    /// # Errors
    ///
    /// When the metadata cannot be encoded or the backend is out of reach.
    pub async fn update_state(&self, state: &str, meta: &(impl Serialize + Sync)) -> Result<()> {
        let state = State::from(state);
        if state.is_ready() {
            return Err(Error::invalid(
                "state",
                "a state on the way, such as PROGRESS",
                state.to_string(),
            ));
        }
        self.store(state, Value::from_serialize(meta)?, None).await
    }

    /// Stores the task's value before it has ended. It is final: nothing overwrites a
    /// stored success, and a message that is delivered again does not run again where
    /// the backend can be asked.
    ///
    /// # Errors
    ///
    /// When the value cannot be encoded or the backend is out of reach.
    pub async fn store_result(&self, value: &(impl Serialize + Sync)) -> Result<()> {
        let done = Some(Timestamp::from(clock::now()));
        let value = Value::from_serialize(value)?;
        self.store(State::Success, value, done).await
    }

    /// Stores the state `PROGRESS` with `current` and `total`.
    ///
    /// # Errors
    ///
    /// When the backend is out of reach.
    pub async fn progress(&self, current: u64, total: u64) -> Result<()> {
        #[derive(Serialize)]
        struct Progress {
            current: u64,
            total: u64,
        }
        self.update_state("PROGRESS", &Progress { current, total })
            .await
    }

    async fn store(&self, status: State, result: Value, done: Option<Timestamp>) -> Result<()> {
        let Request {
            headers,
            properties,
            ..
        } = &self.0.request;
        let document = ResultDocument {
            task_id: headers.id.clone(),
            status,
            result,
            traceback: None,
            children: Some(self.children()),
            date_done: done,
            group_id: headers.group.clone(),
            parent_id: headers.parent_id.clone(),
            extended: self.extended().cloned(),
        };
        let store = Store {
            document,
            reply_to: properties.reply_to.clone(),
            correlation_id: properties.correlation_id.clone(),
        };
        let answers = self.0.app.backend().store(vec![store]).await;
        answers.into_iter().try_for_each(|answer| answer.map(drop))
    }

    /// Asks to run again after a delay: `return Err(ctx.retry_after(delay))`.
    pub fn retry_after(&self, delay: Duration) -> TaskError {
        Retry::default().after(delay).into()
    }

    /// Returns the token that fires when the soft limit passes; nodes fire it.
    pub fn soft_limit_token(&self) -> &CancellationToken {
        &self.0.soft_limit
    }

    /// Returns the token that fires when the task shall stop; nodes fire it.
    pub fn cancellation(&self) -> &CancellationToken {
        &self.0.cancelled
    }

    /// Publishes an event of the task's own for monitors: its type with `task-` before it,
    /// such as `task-progress`, its id and these fields.
    ///
    /// # Errors
    ///
    /// When the broker is out of reach.
    ///
    /// # Delivery guarantee
    ///
    /// None: events may be lost.
    pub async fn send_event(&self, kind: &str, fields: Table) -> Result<()> {
        let mut all = Table::with_capacity(fields.len() + 1);
        all.push("uuid", self.id());
        for (name, value) in fields.into_iter().filter(|(name, _)| name != "uuid") {
            all.push(name, value);
        }
        let kind = EventKind::Other {
            kind: kind.to_owned(),
            fields: all,
        };
        self.app().send_event(&self.request().hostname, kind).await
    }

    /// Notes a child: a task sent while this one ran, as a result tuple.
    pub fn add_child(&self, child: Value) {
        self.0
            .children
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(child);
    }

    /// Returns the tasks sent while this one ran, as result tuples.
    pub fn children(&self) -> Vec<Value> {
        self.0
            .children
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}
