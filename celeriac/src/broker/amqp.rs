//! RabbitMQ, and other servers that speak AMQP 0-9-1.
//!
//! One connection publishes and one consumes; each is made when it is first needed,
//! belongs to a task, and is made again for ever. Nothing is repaired: what is lost is
//! thrown away whole and built anew from what was declared.
//!
//! | part | does |
//! |---|---|
//! | `connection` | connects, restores what was declared, notices the end, again |
//! | `topology` | declares, adopts what is there, remembers |
//! | `publisher` | sends, matches confirms and returned messages, sends again |
//! | `feed`, `consumer` | one channel for each consumer, its deliveries and receipts |
//! | `acks` | the fewest acknowledgements that say what is settled |
//! | `watchdog` | notices a consumer that should receive and does not |
//! | `delay` | Celery's queues that hold messages until their time |
//!
//! The client's own tasks, heartbeats among them, run on a thread of the broker: what
//! the program does on its runtime cannot cost it the connection.

mod acks;
mod config;
mod connection;
mod consumer;
mod core;
mod failure;
mod feed;
mod job;
mod publisher;
mod runtime;
mod socket;
mod stats;
mod table;
mod topology;
mod url;
mod watchdog;

use std::fmt;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use lapin::options::{QueueDeleteOptions, QueuePurgeOptions};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};

pub use self::config::{Backoff, Config};
pub use self::stats::Stats;
use self::connection::{Connection, Live};
use self::consumer::{AmqpConsumer, Shared};
use self::core::{Core, Role};
use self::failure::{Failure, code};
use self::feed::Feed;
use self::job::{Batch, Job};
use self::publisher::Publisher;
use self::runtime::Runtime;
use self::topology::{Scratch, Wire};
use crate::broker::{
    BoxFuture, Broker, Capabilities, Consumer, Link, Publication, QueueStatus, Subscription,
    Topology, mask,
};
use crate::error::{Error, Result};

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
}

impl AmqpBroker {
    /// Opens a broker with the default settings. Does not wait for a connection.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for a URL that is not one of AMQP.
    pub fn open(url: &str) -> Result<Self> {
        Self::with_config(url, Config::default())
    }

    /// Opens a broker. Does not wait for a connection.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for a URL that is not one of AMQP.
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
        Ok(Self { core, publishing, consuming, jobs, window })
    }

    /// Returns how the broker fared since it was opened.
    pub fn stats(&self) -> Stats {
        self.core.stats.read()
    }

    /// Returns the connection to ask things on: the server stops reading from one that
    /// publishes when it runs low, and then answers nothing there.
    fn asking(&self) -> &Arc<Connection> {
        if self.consuming.is_started() { &self.consuming } else { &self.publishing }
    }

    /// Asks until there is an answer, or the deadline passes.
    async fn ask<T, F>(
        &self,
        connection: &Arc<Connection>,
        what: &str,
        ask: impl Fn(Arc<Live>) -> F,
    ) -> Result<T>
    where
        F: Future<Output = std::result::Result<T, Failure>>,
    {
        let asked = async {
            loop {
                let live = connection.live().await?;
                match ask(live).await {
                    Err(Failure::Lost(_)) => tokio::time::sleep(Duration::from_millis(50)).await,
                    Err(failure) => return Err(failure.into_error(what)),
                    Ok(answer) => return Ok(answer),
                }
            }
        };
        match tokio::time::timeout(self.core.config.call_timeout, asked).await {
            Ok(answer) => answer,
            Err(_) => Err(self.late(what, self.core.config.call_timeout)),
        }
    }

    /// Makes the error for something that did not happen in time.
    fn late(&self, what: &str, after: Duration) -> Error {
        let unavailable = |reason: String| Error::Unavailable { what: "broker", reason, source: None };
        match &*self.core.link.borrow() {
            Link::Up { .. } => Error::Timeout { what: what.to_owned(), after },
            Link::Closed => Error::Closed("broker"),
            Link::Blocked { reason } => unavailable(format!("the server takes no messages: {reason}")),
            Link::Connecting { error, .. } => unavailable(match error {
                Some(error) => format!("no connection within {} ms: {error}", after.as_millis()),
                None => format!("no connection within {} ms", after.as_millis()),
            }),
        }
    }

    async fn publish_one(&self, publication: Publication) -> Result<()> {
        if self.core.runtime.closed().now() {
            return Err(Error::Closed("broker"));
        }
        let after = self.core.config.publish_timeout;
        let published = async {
            let window = Arc::clone(&self.window).acquire_owned().await;
            let permit = window.map_err(|_| Error::Closed("broker"))?;
            let (job, outcome) = Job::one(publication, permit);
            self.jobs.send(job).map_err(|_| Error::Closed("broker"))?;
            outcome.await.map_err(|_| Error::Closed("broker"))?
        };
        match tokio::time::timeout(after, published).await {
            Ok(result) => result,
            Err(_) => Err(self.late("publishing", after)),
        }
    }

    async fn publish_many(&self, publications: Vec<Publication>) -> Vec<Result<()>> {
        if publications.is_empty() {
            return Vec::new();
        }
        let after = self.core.config.publish_timeout;
        let (batch, all) = Batch::new(publications.len());
        let published = async {
            for (at, publication) in publications.into_iter().enumerate() {
                let Ok(permit) = Arc::clone(&self.window).acquire_owned().await else { return };
                if self.jobs.send(Job::many(publication, permit, &batch, at)).is_err() {
                    return;
                }
            }
            let _ = all.await;
        };
        let late = tokio::time::timeout(after, published).await.is_err();
        batch.take(|| if late { self.late("publishing", after) } else { Error::Closed("broker") })
    }

    async fn start_consumer(&self, subscription: Subscription) -> Result<Box<dyn Consumer>> {
        let queue = table::short("queue name", &subscription.queue)?;
        let arguments = table::table(&subscription.arguments)?;
        let shared = Shared::new(&subscription.queue, subscription.no_ack);
        let (requests, asked) = mpsc::channel(4);
        let (first, consuming) = oneshot::channel();
        let feed = Feed {
            core: Arc::clone(&self.core),
            connection: Arc::clone(&self.consuming),
            shared: Arc::clone(&shared),
            requests: asked,
            queue,
            prefetch: subscription.prefetch.max(1),
            exclusive: subscription.exclusive,
            arguments,
            first: Some(first),
        };
        self.core.runtime.spawn(feed.run());
        // Dropped on any error, which ends the task.
        let consumer = AmqpConsumer { shared, requests };
        match tokio::time::timeout(self.core.config.call_timeout, consuming).await {
            Ok(Ok(begun)) => begun.map(|()| Box::new(consumer) as Box<dyn Consumer>),
            Ok(Err(_)) => Err(Error::Closed("broker")),
            Err(_) => Err(self.late(&format!("consuming queue {:?}", subscription.queue), self.core.config.call_timeout)),
        }
    }

    async fn declare_all(&self, topology: &Topology) -> Result<()> {
        let wire = Wire::new(topology)?;
        // An exclusive queue belongs to its connection, which must be the consumers'.
        let connection = match topology.queues.iter().any(|queue| queue.exclusive) {
            true => &self.consuming,
            false => self.asking(),
        };
        let timeout = self.core.config.call_timeout;
        let wire = &wire;
        let declared = self.ask(connection, "declaring", |live| async move {
            let mut scratch = Scratch::new(&live, timeout);
            match wire.declare(&mut scratch).await {
                // Whoever had it before is about to be found dead by the server.
                Err((_, failure)) if failure.is(code::RESOURCE_LOCKED) => Err(Failure::Late),
                Err((_, failure @ (Failure::Lost(_) | Failure::Late))) => Err(failure),
                Err((what, refused)) => Ok(Err((what, refused))),
                Ok(()) => Ok(Ok(())),
            }
        });
        match declared.await? {
            Err((what, refused)) => Err(refused.into_error(what)),
            Ok(()) => {
                self.core.remembered.lock().unwrap_or_else(PoisonError::into_inner).add(topology);
                Ok(())
            }
        }
    }
}

impl Broker for AmqpBroker {
    fn capabilities(&self) -> Capabilities {
        Capabilities { delay: false, priority: true, durable: true, shared: true }
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
                    .ask(|channel| async move { channel.queue_purge(queue, QueuePurgeOptions::default()).await })
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
            self.core.remembered.lock().unwrap_or_else(PoisonError::into_inner).forget_queue(name);
            let short = &short;
            self.ask(self.asking(), "deleting a queue", |live| async move {
                let mut scratch = Scratch::new(&live, timeout);
                // The server takes the deletion of nothing for done.
                if scratch.look(short.clone()).await?.is_none() {
                    return Ok(false);
                }
                let queue = short.clone();
                scratch
                    .ask(|channel| async move { channel.queue_delete(queue, QueueDeleteOptions::default()).await })
                    .await?;
                Ok(true)
            })
            .await
        })
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
