//! The broker in this process's memory: complete, for tests and the embedded default.

mod connection;
mod consumer;
mod death;
mod exchange;
mod lanes;
mod lock;
mod queue;
mod registry;
mod server;
mod settings;
mod taker;
#[cfg(test)]
mod tests;
mod timer;
mod usage;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use tokio::time::Instant;

use self::connection::Connection;
use self::consumer::MemoryConsumer;
use self::registry::QueueCell;
use self::server::Server;
pub use self::usage::MemoryLimits;
use super::{
    BoxFuture, Broker, Capabilities, Consumer, Link, Lock, Publication, QueueStatus, Subscription,
    Topology,
};
use crate::error::{Error, Result};

/// A broker in this process's memory, with the behaviour of RabbitMQ.
///
/// Exchanges (direct, topic, fanout, the default one, bound to queues and to each
/// other), priorities, time to live, queue expiry, dead letters, length limits,
/// exclusive and auto-deleted queues, and delays of its own. What it holds is gone
/// with the process.
///
/// A value is a connection, and its clones are the same connection. [`Self::connect`]
/// opens another one to the same queues: one each for nodes that live in one process,
/// so that one can close without the others.
///
/// Time is tokio's, so a paused clock moves delays and expiry.
///
/// # Example
///
/// ```
/// use celeriac::broker::{Broker, MemoryBroker, Publication, Subscription, Topology};
/// use celeriac::protocol::Message;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> celeriac::Result<()> {
/// let broker = MemoryBroker::new();
/// broker.declare(&Topology::task_queue("celery")).await?;
/// broker.publish(Publication::to_queue("celery", Message::default())).await?;
///
/// let mut consumer = broker.consume(Subscription::new("celery", 10)).await?;
/// for delivery in consumer.next(10).await.unwrap_or_default() {
///     delivery.receipt.acknowledge();
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct MemoryBroker(Arc<Connection>);

impl MemoryBroker {
    /// Makes an empty broker with the default limits.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime: the timer lives there.
    pub fn new() -> Self {
        Self::with_limits(MemoryLimits::default())
    }

    /// Makes an empty broker that refuses publications beyond the limits.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub fn with_limits(limits: MemoryLimits) -> Self {
        Self(Connection::open(Server::start(limits)))
    }

    /// Makes an empty broker as a URL says: `memory://`, or with limits
    /// `memory://?max_messages=1000&max_bytes=1000000`.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for anything else.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub fn from_url(url: &str) -> Result<Self> {
        let wrong = |found: &str| {
            let expected = "memory:// with at most max_messages and max_bytes as parameters";
            Error::invalid("broker url", expected, found)
        };
        let parsed = url::Url::parse(url).map_err(|_| wrong(url))?;
        if parsed.scheme() != "memory" {
            return Err(wrong(&super::mask(url)));
        }
        let mut limits = MemoryLimits::default();
        for (name, value) in parsed.query_pairs() {
            let limit = match &*name {
                "max_messages" => &mut limits.messages,
                "max_bytes" => &mut limits.bytes,
                _ => return Err(wrong(&name)),
            };
            *limit = value
                .parse()
                .map_err(|_| wrong(&format!("{name}={value}")))?;
        }
        Ok(Self::with_limits(limits))
    }

    /// Opens another connection to the same queues.
    ///
    /// It has its own epoch and its own [`Broker::close`], and shares exclusive queues
    /// with nobody.
    #[must_use]
    pub fn connect(&self) -> Self {
        Self(Connection::open(Arc::clone(self.0.server())))
    }

    /// Loses this connection and makes it again at once, for tests of what happens then.
    ///
    /// The epoch goes up, receipts of before are void, and their messages are delivered
    /// again. Consumers go on. Exclusive queues are empty, as if declared anew.
    pub fn interrupt(&self) {
        self.0.interrupt();
    }

    fn cell(&self, name: &str) -> Result<Option<Arc<QueueCell>>> {
        self.0.check_open()?;
        self.0.server().queue(name, self.0.id())
    }

    fn publish_now(&self, publication: Publication) -> Result<()> {
        self.0.check_open()?;
        self.0.server().publish(publication)
    }
}

impl Default for MemoryBroker {
    fn default() -> Self {
        Self::new()
    }
}

impl Broker for MemoryBroker {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            delay: true,
            priority: true,
            durable: false,
            shared: false,
            lock: true,
        }
    }

    fn url(&self) -> String {
        "memory://".to_owned()
    }

    fn declare<'a>(&'a self, topology: &'a Topology) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            self.0.check_open()?;
            self.0.server().declare(topology, self.0.id())
        })
    }

    fn publish(&self, publication: Publication) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            // A producer that never has to wait must still let others run.
            tokio::task::coop::consume_budget().await;
            self.publish_now(publication)
        })
    }

    fn publish_all(&self, publications: Vec<Publication>) -> BoxFuture<'_, Vec<Result<()>>> {
        Box::pin(async move {
            tokio::task::coop::consume_budget().await;
            publications
                .into_iter()
                .map(|publication| self.publish_now(publication))
                .collect()
        })
    }

    fn consume(&self, subscription: Subscription) -> BoxFuture<'_, Result<Box<dyn Consumer>>> {
        Box::pin(async move {
            let cell = self
                .cell(&subscription.queue)?
                .ok_or_else(|| Error::Refused {
                    what: format!("consumption of queue {}", subscription.queue),
                    reason: "there is no such queue".to_owned(),
                })?;
            let consumer = MemoryConsumer::start(&self.0, cell, &subscription)?;
            Ok(Box::new(consumer) as Box<dyn Consumer>)
        })
    }

    fn queue<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<QueueStatus>>> {
        Box::pin(async move {
            let (now, wall) = (Instant::now(), crate::clock::now());
            let status = |cell: Arc<QueueCell>| lock(&cell.state).status(now, wall);
            Ok(self.cell(name)?.map(status))
        })
    }

    fn purge<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<u64>> {
        Box::pin(async move {
            let cell = self.cell(name)?.ok_or_else(|| Error::Refused {
                what: format!("purge of queue {name}"),
                reason: "there is no such queue".to_owned(),
            })?;
            let purged = lock(&cell.state).purge();
            Ok(purged.len() as u64)
        })
    }

    fn delete_queue<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<bool>> {
        Box::pin(async move {
            Ok(self
                .cell(name)?
                .is_some_and(|cell| self.0.server().delete(&cell)))
        })
    }

    fn lock<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<Box<dyn Lock>>>> {
        Box::pin(async move {
            self.0.check_open()?;
            let taken = self.0.server().locks.take(name, self.0.link());
            Ok(taken.map(|lock| Box::new(lock) as Box<dyn Lock>))
        })
    }

    fn link(&self) -> watch::Receiver<Link> {
        self.0.link()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move { self.0.close() })
    }
}

/// Locks a mutex whatever happened to others who held it: each change here leaves the
/// state whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
