//! The app: a value that holds everything a producer or a node needs.

mod builder;
mod events;
mod follow;
mod publish;
mod send;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use celeriac_protocol::ResultTuple;
use dashmap::DashSet;
use serde::de::DeserializeOwned;

pub use self::builder::AppBuilder;
pub use self::send::Caller;
use crate::backend::Backend;
use crate::broker::Broker;
use crate::call::Call;
use crate::clock::LamportClock;
use crate::control::{Commands, Control};
use crate::producer::{Defaults, PublishRetry};
use crate::result::AsyncResult;
use crate::routing::{Queues, Routes, Routing};
use crate::schedule::Entry;
use crate::task::{Registry, TaskHooks};
use crate::trace::Tracer;

/// An app: tasks, a broker, a result backend, and how calls are routed.
///
/// A plain value, cheap to clone; two apps with two brokers live in one process. Build
/// it with [`App::builder`], call tasks through it, give it to a node to run them.
///
/// # Example
///
/// ```
/// use celeriac::{App, task};
///
/// #[task]
/// async fn add(x: i64, y: i64) -> i64 {
///     x + y
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> celeriac::Result<()> {
/// let app = App::builder("demo").broker("memory://").backend("memory://").task(add).build()?;
/// assert_eq!(app.registry().len(), 1);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct App(Arc<Inner>);

struct Inner {
    name: String,
    broker: Arc<dyn Broker>,
    backend: Arc<dyn Backend>,
    registry: Registry,
    routing: Routing,
    defaults: Defaults,
    send_timeout: Duration,
    publish_retry: Option<PublishRetry>,
    oid: String,
    clock: LamportClock,
    commands: Commands,
    /// Whether monitors are told of every task that is sent.
    sent_events: bool,
    /// Whether the exchange of events is known to be there.
    events_declared: AtomicBool,
    hooks: Vec<TaskHooks>,
    result_extended: bool,
    schedules: Vec<Entry>,
    tracer: Option<Tracer>,
    /// Queues that were declared before the first call to them.
    declared: DashSet<String>,
}

impl App {
    /// Starts to build an app.
    pub fn builder(name: impl Into<String>) -> AppBuilder {
        AppBuilder::new(name.into())
    }

    /// Returns the app's name.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Returns the broker.
    pub fn broker(&self) -> &Arc<dyn Broker> {
        &self.0.broker
    }

    /// Returns the result backend.
    pub fn backend(&self) -> &Arc<dyn Backend> {
        &self.0.backend
    }

    /// Returns the tasks.
    pub fn registry(&self) -> &Registry {
        &self.0.registry
    }

    /// Returns what messages say when nobody says otherwise.
    pub fn defaults(&self) -> &Defaults {
        &self.0.defaults
    }

    /// Returns the routing rules.
    pub fn routes(&self) -> &Routes {
        &self.0.routing.routes
    }

    /// Returns what is called beside the code of every task.
    pub fn hooks(&self) -> &[TaskHooks] {
        &self.0.hooks
    }

    /// Tells whether results say what was called, where and how.
    pub fn result_extended(&self) -> bool {
        self.0.result_extended
    }

    /// Returns the entries of the plan that were given in code, by unique names.
    pub fn schedules(&self) -> &[Entry] {
        &self.0.schedules
    }

    /// Returns who makes spans of what is sent and run, if somebody does.
    pub fn tracer(&self) -> Option<&Tracer> {
        self.0.tracer.as_ref()
    }

    /// Tells whether monitors are told of every task that is sent.
    pub fn sends_sent_events(&self) -> bool {
        self.0.sent_events
    }

    /// Returns what is known of queues.
    pub fn queues(&self) -> &Queues {
        &self.0.routing.queues
    }

    /// Returns where calls go: the rules and the queues.
    pub fn routing(&self) -> &Routing {
        &self.0.routing
    }

    /// Returns the id by which replies find this app.
    pub fn oid(&self) -> &str {
        &self.0.oid
    }

    /// Returns the Lamport clock of events and control messages.
    pub fn clock(&self) -> &LamportClock {
        &self.0.clock
    }

    /// Returns the remote control commands of the program's own.
    pub fn commands(&self) -> &Commands {
        &self.0.commands
    }

    /// Returns the sender of remote control commands.
    pub fn control(&self) -> Control {
        Control::new(self.clone())
    }

    /// Starts a call by name, of a task that may live elsewhere.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # async fn example(app: celeriac::App) -> celeriac::Result<()> {
    /// let area = app.call::<f64>("shapes.area").arg(2.0).kwarg("unit", "m").send(&app).await?;
    /// println!("{}", area.get(Duration::from_secs(10)).await?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn call<R>(&self, task: impl Into<String>) -> Call<R> {
        Call::new(task)
    }

    /// Returns the result of a task that was sent before, here or elsewhere.
    pub fn result<R: DeserializeOwned>(&self, id: impl Into<String>) -> AsyncResult<R> {
        self.result_of(ResultTuple::new(id))
    }

    /// Returns a result that is known by name: what a task returned that returns the
    /// result of another one, or a child of a document.
    pub fn result_of<R: DeserializeOwned>(&self, result: ResultTuple) -> AsyncResult<R> {
        self.known(result)
    }

    /// Returns a result that nobody listens for yet.
    pub(crate) fn known<R>(&self, result: ResultTuple) -> AsyncResult<R> {
        AsyncResult::new(self.clone(), result, &mut std::iter::empty())
    }

    /// Returns this app on another broker and backend: the same tasks, routes and
    /// defaults, without a tracer: who sends for it makes the spans. Nodes make the apps of their child processes so.
    #[must_use]
    pub fn on(&self, broker: Arc<dyn Broker>, backend: Arc<dyn Backend>) -> Self {
        let inner = &self.0;
        let reply_to = backend.reply_to().unwrap_or_else(|| inner.oid.clone());
        Self(Arc::new(Inner {
            name: inner.name.clone(),
            broker,
            backend,
            registry: inner.registry.clone(),
            routing: inner.routing.clone(),
            publish_retry: inner.publish_retry,
            defaults: Defaults {
                reply_to,
                ..inner.defaults.clone()
            },
            send_timeout: inner.send_timeout,
            oid: inner.oid.clone(),
            clock: LamportClock::default(),
            commands: inner.commands.clone(),
            sent_events: inner.sent_events,
            events_declared: AtomicBool::new(false),
            hooks: inner.hooks.clone(),
            result_extended: inner.result_extended,
            schedules: inner.schedules.clone(),
            tracer: None,
            declared: DashSet::new(),
        }))
    }

    /// Closes backend and broker; what was taken over is flushed.
    pub async fn close(&self) {
        self.0.backend.close().await;
        self.0.broker.close().await;
    }
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App")
            .field("name", &self.0.name)
            .field("broker", &self.0.broker.url())
            .field("backend", &self.0.backend.url())
            .field("registry", &self.0.registry)
            .finish_non_exhaustive()
    }
}
