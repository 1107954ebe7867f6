//! Builds an app.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use celeriac_protocol::compression::Compression;
use celeriac_protocol::{Codec, naming};
use dashmap::DashSet;
use uuid::Uuid;

use super::{App, Inner};
use crate::backend::{self, Backend};
use crate::broker::{self, Broker, ExchangeKind};
use crate::clock::LamportClock;
use crate::control::{Answer, Commands, Invocation};
use crate::error::{Error, Result};
use crate::producer::{Defaults, PublishRetry};
use crate::routing::{QueueType, Route, RouteRequest, Routing, TaskQueue};
use crate::schedule::Entry;
use crate::task::{Handler, Hooks, Registry, Task, TaskHooks};
use crate::trace::Tracer;

/// Builds an [`App`]. The first thing that is wrong is told by [`AppBuilder::build`].
#[derive(Debug)]
#[must_use = "a builder does nothing until it is built"]
pub struct AppBuilder {
    name: String,
    broker: Source<dyn Broker>,
    backend: Source<dyn Backend>,
    registry: Registry,
    routing: Routing,
    queue: String,
    serializer: Codec,
    compression: Option<Compression>,
    persistent: bool,
    send_timeout: Duration,
    publish_retry: Option<PublishRetry>,
    commands: Commands,
    sent_events: bool,
    hooks: Vec<TaskHooks>,
    result_extended: bool,
    schedules: Vec<Entry>,
    tracer: Option<Tracer>,
    error: Option<Error>,
}

/// A thing by URL, or the thing itself.
#[derive(Debug)]
enum Source<T: ?Sized> {
    Url(String),
    Value(Arc<T>),
}

impl AppBuilder {
    pub(super) fn new(name: String) -> Self {
        Self {
            name,
            broker: Source::Url("memory://".to_owned()),
            backend: Source::Url("disabled://".to_owned()),
            registry: Registry::default(),
            routing: Routing::default(),
            queue: naming::DEFAULT_QUEUE.to_owned(),
            serializer: Codec::Json,
            compression: None,
            persistent: true,
            send_timeout: Duration::from_secs(30),
            commands: Commands::default(),
            sent_events: false,
            hooks: Vec::new(),
            result_extended: false,
            schedules: Vec::new(),
            tracer: None,
            publish_retry: None,
            error: None,
        }
    }

    /// Sets the broker by URL: `memory://` (default), `amqp://`, `amqps://`.
    pub fn broker(mut self, url: impl Into<String>) -> Self {
        self.broker = Source::Url(url.into());
        self
    }

    /// Sets the broker itself, to share one between apps or to bring one's own.
    pub fn broker_value(mut self, broker: Arc<dyn Broker>) -> Self {
        self.broker = Source::Value(broker);
        self
    }

    /// Sets the result backend by URL: `disabled://` (default), `memory://`, `rpc://`,
    /// `redis://`, `rediss://`.
    pub fn backend(mut self, url: impl Into<String>) -> Self {
        self.backend = Source::Url(url.into());
        self
    }

    /// Sets the result backend itself.
    pub fn backend_value(mut self, backend: Arc<dyn Backend>) -> Self {
        self.backend = Source::Value(backend);
        self
    }

    /// Adds a task. Needed where it runs, and where its options shall count.
    pub fn task(mut self, task: impl Task) -> Self {
        let added = self.registry.add(task);
        self.note(added);
        self
    }

    /// Adds a handler made by hand.
    pub fn handler(mut self, handler: Arc<dyn Handler>) -> Self {
        let added = self.registry.add_handler(handler);
        self.note(added);
        self
    }

    /// Adds what is called beside the code of every task. May be used often.
    pub fn hooks(mut self, hooks: impl Hooks) -> Self {
        self.hooks.push(TaskHooks::new(hooks));
        self
    }

    /// Adds an entry to the plan of what runs by itself. A supervisor with this app sends it;
    /// an app alone sends nothing.
    pub fn schedule(mut self, entry: Entry) -> Self {
        let taken = self.schedules.iter().any(|other| other.name == entry.name);
        let added = if taken {
            let what = format!("schedule {:?}", entry.name);
            let expected = "a name that no other entry has, by Entry::named";
            Err(Error::invalid(what, expected, "it twice"))
        } else {
            entry
                .check()
                .map_err(|error| error.within(&format!("schedule {:?}", entry.name)))
        };
        self.note(added);
        self.schedules.push(entry);
        self
    }

    /// Routes tasks of a name or pattern (`*`, `?`, `[a-z]`). Rules are asked in the order of
    /// these calls, exact names before patterns: see [`crate::routing`].
    pub fn route(mut self, pattern: impl Into<String>, route: Route) -> Self {
        self.routing.routes.add(pattern, route);
        self
    }

    /// Routes tasks whose name fits a regular expression from its start.
    pub fn route_regex(mut self, pattern: &str, route: Route) -> Self {
        let added = self.routing.routes.add_regex(pattern, route);
        self.note(added);
        self
    }

    /// Routes by a function; `None` leaves the call to the next rule.
    pub fn route_with(
        mut self,
        function: impl Fn(&RouteRequest<'_>) -> Option<Route> + Send + Sync + 'static,
    ) -> Self {
        self.routing.routes.add_function(function);
        self
    }

    /// Describes a queue. One of which only the name is known is durable, behind a direct
    /// exchange of the same name.
    pub fn queue(mut self, queue: TaskQueue) -> Self {
        let added = self.routing.queues.add(queue);
        self.note(added);
        self
    }

    /// Sets the highest priority, 1 to 255, of queues whose description has none. Default
    /// none: without it priorities have no effect on RabbitMQ.
    pub fn queue_max_priority(mut self, priority: u8) -> Self {
        if priority == 0 {
            let wrong = Error::invalid("queue max priority", "1 to 255", "0");
            self.note(Err(wrong));
        }
        self.routing.queues.max_priority = Some(priority);
        self
    }

    /// Sets how queues are kept that are not described. Default classic.
    pub fn queue_type(mut self, queue_type: QueueType) -> Self {
        self.routing.queues.missing_type = queue_type;
        self
    }

    /// Sets how the exchange before a queue routes that is not described. Default direct.
    pub fn queue_exchange_type(mut self, kind: ExchangeKind) -> Self {
        self.routing.queues.missing_exchange_type = kind;
        self
    }

    /// Sets whether a queue that is not described is made when a call or a node names it.
    /// Default true; otherwise naming it is an error.
    pub fn create_missing_queues(mut self, create: bool) -> Self {
        self.routing.queues.create_missing = create;
        self
    }

    /// Sets how often a call is tried whose message does not reach the broker. Default is to
    /// wait for the broker as long as sending may take.
    pub fn publish_retry(mut self, retry: PublishRetry) -> Self {
        self.publish_retry = Some(retry);
        self
    }

    /// Sets the queue of calls that no route takes. Default `celery`.
    pub fn default_queue(mut self, name: impl Into<String>) -> Self {
        self.queue = name.into();
        self
    }

    /// Sets the serializer of bodies. Default JSON, which every client reads.
    pub fn serializer(mut self, codec: Codec) -> Self {
        self.serializer = codec;
        self
    }

    /// Sets the compression of bodies. Default none.
    pub fn compression(mut self, compression: Compression) -> Self {
        self.compression = Some(compression);
        self
    }

    /// Lets messages be lost when the broker restarts. Default is that they survive.
    pub fn transient(mut self) -> Self {
        self.persistent = false;
        self
    }

    /// Sets how long sending a call may take as a whole, with all that belongs to it: waiting
    /// for the broker, declaring a queue, asking the backend for the result. Default 30 s.
    ///
    /// A broker's own limits, which are 30 s too, may end it earlier.
    pub fn send_timeout(mut self, timeout: Duration) -> Self {
        self.send_timeout = timeout;
        self
    }

    /// Stores with each result, and each state on the way, the task's name, arguments, worker,
    /// retries, queue and stamps: Celery's `result_extended`. Default false; the arguments are read and written once
    /// more for each task.
    pub fn result_extended(mut self, on: bool) -> Self {
        self.result_extended = on;
        self
    }

    /// Lets monitors know of every task that is sent, by an event `task-sent`: Celery's
    /// `task_send_sent_event`. Default false; it is one more message for each task.
    pub fn sent_events(mut self, on: bool) -> Self {
        self.sent_events = on;
        self
    }

    /// Has spans made of what is sent and run. Default none: traces that came with messages
    /// are handed on, and nothing is recorded.
    pub fn tracer(mut self, tracer: Tracer) -> Self {
        self.tracer = Some(tracer);
        self
    }

    /// Adds a remote control command that nodes answer, as `@control_command` and
    /// `@inspect_command` do in Celery. One of Celery's own names replaces what nodes do.
    ///
    /// It runs beside the tasks, not on the node's control threads, and has a minute; its
    /// exception is answered as `{"error": repr}`.
    ///
    /// # Example
    ///
    /// ```
    /// use celeriac::control::Invocation;
    /// use celeriac::App;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> celeriac::Result<()> {
    /// let app = App::builder("shop")
    ///     .control_command("greet", async |asked: Invocation| {
    ///         Ok(format!("{} greets {}", asked.node(), asked.text("name")?).into())
    ///     })
    ///     .build()?;
    /// assert!(app.commands().contains("greet"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn control_command<F, R>(mut self, name: impl Into<String>, run: F) -> Self
    where
        F: Fn(Invocation) -> R + Send + Sync + 'static,
        R: Future<Output = Answer> + Send + 'static,
    {
        let added = self.commands.add(name.into(), run);
        self.note(added);
        self
    }

    /// Builds the app. Connections are made in the background.
    ///
    /// # Errors
    ///
    /// The first thing that was wrong: a URL, a task's name given twice.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub fn build(mut self) -> Result<App> {
        if let Some(error) = self.error {
            return Err(error);
        }
        let queues = &mut self.routing.queues;
        if !queues.create_missing && queues.iter().next().is_none() {
            queues.add(TaskQueue::new(&self.queue))?;
        }
        let broker = match self.broker {
            Source::Url(url) => broker::open(&url)?,
            Source::Value(broker) => broker,
        };
        let backend = match self.backend {
            Source::Url(url) => backend::open(&url, &broker)?,
            Source::Value(backend) => backend,
        };
        let oid = Uuid::new_v4().to_string();
        // Workers answer to the queue a message names; without an rpc backend nobody
        // listens there, but Celery's clients send the field all the same.
        let reply_to = backend.reply_to().unwrap_or_else(|| oid.clone());
        let defaults = Defaults {
            queue: self.queue,
            serializer: self.serializer,
            compression: self.compression,
            persistent: self.persistent,
            origin: naming::origin(std::process::id(), &crate::host::name()),
            reply_to,
        };
        Ok(App(Arc::new(Inner {
            name: self.name,
            broker,
            backend,
            registry: self.registry,
            routing: self.routing,
            defaults,
            send_timeout: self.send_timeout,
            publish_retry: self.publish_retry,
            oid,
            clock: LamportClock::default(),
            commands: self.commands,
            sent_events: self.sent_events,
            events_declared: AtomicBool::new(false),
            hooks: self.hooks,
            result_extended: self.result_extended,
            schedules: self.schedules,
            tracer: self.tracer,
            declared: DashSet::new(),
        })))
    }

    fn note(&mut self, added: Result<()>) {
        if let Err(error) = added {
            self.error.get_or_insert(error);
        }
    }
}
