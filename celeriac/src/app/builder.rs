//! Builds an app.

use std::sync::Arc;
use std::time::Duration;

use celeriac_protocol::compression::Compression;
use celeriac_protocol::{Codec, naming};
use dashmap::DashSet;
use uuid::Uuid;

use super::{App, Inner};
use crate::backend::{self, Backend};
use crate::broker::{self, Broker};
use crate::clock::LamportClock;
use crate::control::{Answer, Commands, Invocation};
use crate::error::Result;
use crate::producer::Defaults;
use crate::routing::{Route, Routes};
use crate::task::{Handler, Registry, Task};

/// Builds an [`App`]. The first thing that is wrong is told by [`AppBuilder::build`].
#[derive(Debug)]
#[must_use = "a builder does nothing until it is built"]
pub struct AppBuilder {
    name: String,
    broker: Source<dyn Broker>,
    backend: Source<dyn Backend>,
    registry: Registry,
    routes: Routes,
    queue: String,
    serializer: Codec,
    compression: Option<Compression>,
    persistent: bool,
    send_timeout: Duration,
    commands: Commands,
    error: Option<crate::Error>,
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
            routes: Routes::default(),
            queue: naming::DEFAULT_QUEUE.to_owned(),
            serializer: Codec::Json,
            compression: None,
            persistent: true,
            send_timeout: Duration::from_secs(30),
            commands: Commands::default(),
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

    /// Routes tasks of a name or pattern (`*`, `?`).
    pub fn route(mut self, pattern: impl Into<String>, route: Route) -> Self {
        self.routes.add(pattern, route);
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
    pub fn build(self) -> Result<App> {
        if let Some(error) = self.error {
            return Err(error);
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
            routes: self.routes,
            defaults,
            send_timeout: self.send_timeout,
            oid,
            clock: LamportClock::default(),
            commands: self.commands,
            declared: DashSet::new(),
        })))
    }

    fn note(&mut self, added: Result<()>) {
        if let Err(error) = added {
            self.error.get_or_insert(error);
        }
    }
}
