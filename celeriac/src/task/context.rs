//! What a running task knows of itself.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use celeriac_protocol::{Properties, ResultDocument, State, TaskHeaders, Value};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::{Retry, TaskError};
use crate::app::App;
use crate::backend::Store;
use crate::error::{Error, Result};

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
}

/// The message that asked for this run.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Request {
    /// Its headers.
    pub headers: TaskHeaders,
    /// Its properties.
    pub properties: Properties,
    /// How it came.
    pub delivery: DeliveryInfo,
    /// The name of the node that runs it.
    pub hostname: String,
}

/// How a message came.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct DeliveryInfo {
    /// Through which exchange.
    pub exchange: String,
    /// With which routing key.
    pub routing_key: String,
    /// With which priority.
    pub priority: Option<u8>,
    /// Whether it had been delivered before.
    pub redelivered: bool,
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
        let headers = &self.0.request.headers;
        let document = ResultDocument {
            task_id: headers.id.clone(),
            status: state,
            result: Value::from_serialize(meta)?,
            traceback: None,
            children: Some(self.children()),
            date_done: None,
            group_id: headers.group.clone(),
            parent_id: headers.parent_id.clone(),
            extended: None,
        };
        self.store(document).await
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

    async fn store(&self, document: ResultDocument) -> Result<()> {
        let properties = &self.0.request.properties;
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
