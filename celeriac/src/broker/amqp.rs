//! RabbitMQ, and other servers that speak AMQP 0-9-1.
//!
//! One connection publishes and one consumes; each is made when it is first needed,
//! belongs to a task, and is made again for ever. Nothing is repaired: what is lost is
//! thrown away whole and built anew from what was declared.
//!
//! | part | does |
//! |---|---|
//! | `connection` | connects, restores what was declared, notices the end, again |
//! | `declare`, `topology` | declares, adopts what is there; remembers it |
//! | `publisher`, `ledger` | sends; matches confirms and returned messages, sends again |
//! | `feed`, `session`, `consumer` | one channel for each consumer, its deliveries and receipts |
//! | `acks` | the fewest acknowledgements that say what is settled |
//! | `watchdog` | notices a consumer that should receive and does not |
//! | `lock` | a queue that one connection has for itself |
//! | `delay` | Celery's queues that hold messages until their time |
//!
//! The client's own tasks, heartbeats among them, run on a thread of the broker: what
//! the program does on its runtime cannot cost it the connection.

mod acks;
mod calls;
mod config;
mod connection;
mod consumer;
mod core;
mod declare;
mod delay;
mod failure;
mod feed;
mod job;
mod ledger;
mod lock;
mod publisher;
mod runtime;
mod session;
mod socket;
mod stats;
mod table;
mod topology;
mod url;
mod watchdog;

use std::fmt;
use std::sync::Arc;

use lapin::options::{QueueDeleteOptions, QueuePurgeOptions};
use tokio::sync::{OnceCell, Semaphore, mpsc, watch};

pub use self::config::{Backoff, Config};
use self::connection::Connection;
use self::core::{Core, Role};
use self::declare::Scratch;
use self::delay::Routes;
use self::job::Job;
use self::publisher::Publisher;
use self::runtime::Runtime;
pub use self::stats::Stats;
use crate::broker::{
    BoxFuture, Broker, Capabilities, Consumer, Link, Lock, Publication, QueueStatus, Subscription,
    Topology, mask,
};
use crate::error::Result;

/// A broker that speaks AMQP 0-9-1: RabbitMQ.
///
/// # Delivery guarantee
///
/// A publication that was sent when the connection died is sent again on the next
/// one, for as long as its deadline has not passed; so it may arrive twice, and does
/// not get lost. Settlements of an earlier connection are dropped: the server has
/// given the message back to the queue by then.
pub struct AmqpBroker {
    core: Arc<Core>,
    publishing: Arc<Connection>,
    consuming: Arc<Connection>,
    jobs: mpsc::UnboundedSender<Job>,
    window: Arc<Semaphore>,
    stair: OnceCell<()>,
    routes: Routes,
}

impl AmqpBroker {
    /// Opens a broker with the default settings. Does not wait for a connection.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`](crate::Error::Invalid) for a URL that is not one of AMQP.
    pub fn open(url: &str) -> Result<Self> {
        Self::with_config(url, Config::default())
    }

    /// Opens a broker. Does not wait for a connection.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`](crate::Error::Invalid) for a URL that is not one of AMQP.
    pub fn with_config(url: &str, mut config: Config) -> Result<Self> {
        let uri = url::parse(url, &mut config)?;
        let window = Arc::new(Semaphore::new(config.window.max(1) as usize));
        let core = Arc::new(Core::new(config, uri, mask(url), Runtime::start()?));
        let publishing = Connection::new(Arc::clone(&core), Role::Publishing);
        let consuming = Connection::new(Arc::clone(&core), Role::Consuming);
        let (jobs, queued) = mpsc::unbounded_channel();
        let publisher = Publisher {
            core: Arc::clone(&core),
            connection: Arc::clone(&publishing),
            jobs: queued,
        };
        core.runtime.spawn(publisher.run());
        Ok(Self {
            core,
            publishing,
            consuming,
            jobs,
            window,
            stair: OnceCell::new(),
            routes: Routes::default(),
        })
    }

    /// Returns how the broker fared since it was opened.
    pub fn stats(&self) -> Stats {
        self.core.stats.read()
    }
}

impl Broker for AmqpBroker {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            delay: true,
            priority: true,
            durable: true,
            shared: true,
            lock: true,
        }
    }

    fn url(&self) -> String {
        self.core.url.clone()
    }

    fn declare<'a>(&'a self, topology: &'a Topology) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.declare_all(topology))
    }

    fn publish(&self, publication: Publication) -> BoxFuture<'_, Result<()>> {
        Box::pin(self.publish_one(publication))
    }

    fn publish_all(&self, publications: Vec<Publication>) -> BoxFuture<'_, Vec<Result<()>>> {
        Box::pin(self.publish_many(publications))
    }

    fn consume(&self, subscription: Subscription) -> BoxFuture<'_, Result<Box<dyn Consumer>>> {
        Box::pin(self.start_consumer(subscription))
    }

    fn queue<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<QueueStatus>>> {
        Box::pin(async move {
            let short = table::short("queue name", name)?;
            let timeout = self.core.config.call_timeout;
            let short = &short;
            self.ask(self.asking(), "looking at a queue", |live| async move {
                let found = Scratch::new(&live, timeout).look(short.clone()).await?;
                Ok(found.map(|queue| QueueStatus {
                    ready: queue.message_count().into(),
                    consumers: queue.consumer_count().into(),
                    ..QueueStatus::default()
                }))
            })
            .await
        })
    }

    fn purge<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<u64>> {
        Box::pin(async move {
            let short = table::short("queue name", name)?;
            let timeout = self.core.config.call_timeout;
            let short = &short;
            self.ask(self.asking(), "purging a queue", |live| async move {
                let queue = short.clone();
                let mut scratch = Scratch::new(&live, timeout);
                let purged = scratch
                    .ask(|channel| async move {
                        channel
                            .queue_purge(queue, QueuePurgeOptions::default())
                            .await
                    })
                    .await?;
                Ok(purged.into())
            })
            .await
        })
    }

    fn delete_queue<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<bool>> {
        Box::pin(async move {
            let short = table::short("queue name", name)?;
            let timeout = self.core.config.call_timeout;
            self.routes.clear();
            self.core.remembered().forget_queue(name);
            let short = &short;
            self.ask(self.asking(), "deleting a queue", |live| async move {
                let mut scratch = Scratch::new(&live, timeout);
                // The server takes the deletion of nothing for done.
                if scratch.look(short.clone()).await?.is_none() {
                    return Ok(false);
                }
                let queue = short.clone();
                scratch
                    .ask(|channel| async move {
                        channel
                            .queue_delete(queue, QueueDeleteOptions::default())
                            .await
                    })
                    .await?;
                Ok(true)
            })
            .await
        })
    }

    fn lock<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<Box<dyn Lock>>>> {
        Box::pin(self.take_lock(name))
    }

    fn link(&self) -> watch::Receiver<Link> {
        self.core.link.subscribe()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            self.core.runtime.close();
            self.core.runtime.finished().await;
            self.core.closed();
        })
    }
}

impl Drop for AmqpBroker {
    fn drop(&mut self) {
        self.core.runtime.close();
    }
}

impl fmt::Debug for AmqpBroker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AmqpBroker")
            .field("url", &self.core.url)
            .field("link", &*self.core.link.borrow())
            .finish_non_exhaustive()
    }
}
