//! The caller's queue, and the task that empties it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use celeriac_protocol::{Codec, Message, ResultDocument};
use tokio::runtime::Handle;
use tokio::sync::OnceCell;
use tokio::task::AbortHandle;

use super::super::{Waiter, Waiters};
use super::cache::Cache;
use crate::broker::{Broker, Consumer, Queue, Subscription, Topology};
use crate::error::{Error, Result};

/// How many results are taken over at once.
const BATCH: usize = 256;

/// The caller's queue: opened on first use, emptied by a task, read by waiters.
pub(super) struct Inbox {
    broker: Arc<dyn Broker>,
    queue: Queue,
    /// That of who made the backend: callers may run on one that ends before.
    runtime: Handle,
    task: OnceCell<AbortHandle>,
    seen: Arc<Seen>,
}

/// What came, and who waits for more.
struct Seen {
    waiters: Waiters,
    cache: Mutex<Cache>,
    closed: AtomicBool,
}

impl Inbox {
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub(super) fn new(broker: Arc<dyn Broker>, queue: Queue, kept: usize) -> Self {
        let seen = Seen {
            waiters: Waiters::default(),
            cache: Mutex::new(Cache::new(kept)),
            closed: AtomicBool::new(false),
        };
        Self {
            broker,
            queue,
            runtime: Handle::current(),
            task: OnceCell::new(),
            seen: Arc::new(seen),
        }
    }

    /// Declares the queue and begins to empty it, unless that was done.
    pub(super) async fn open(&self) -> Result<()> {
        self.check()?;
        self.task
            .get_or_try_init(|| async {
                let topology = Topology {
                    queues: vec![self.queue.clone()],
                    ..Topology::default()
                };
                self.broker.declare(&topology).await?;
                let subscription = Subscription::unacknowledged(&self.queue.name);
                let consumer = self.broker.consume(subscription).await?;
                let seen = Arc::clone(&self.seen);
                let task = self
                    .runtime
                    .spawn(async move { seen.empty(consumer).await });
                Ok(task.abort_handle())
            })
            .await
            .map(drop)
    }

    /// Fails when it was closed.
    pub(super) fn check(&self) -> Result<()> {
        match self.seen.closed.load(Ordering::Acquire) {
            true => Err(Error::Closed("result backend")),
            false => Ok(()),
        }
    }

    /// Registers a waiter; one for something that came already is served at once.
    pub(super) fn wait(&self, id: &str) -> Waiter {
        let cache = self.seen.cache();
        let waiter = self.seen.waiters.wait(id);
        if let Some(document) = cache.get(id) {
            self.seen.waiters.notify(document.clone());
        }
        waiter
    }

    /// Returns what came.
    pub(super) fn known(&self, ids: &[String]) -> Vec<Option<ResultDocument>> {
        let cache = self.seen.cache();
        ids.iter().map(|id| cache.get(id).cloned()).collect()
    }

    pub(super) fn forget(&self, ids: &[String]) {
        let mut cache = self.seen.cache();
        ids.iter().for_each(|id| cache.forget(id));
    }

    /// Stops; the queue goes with its only consumer.
    pub(super) async fn close(&self) {
        self.seen.closed.store(true, Ordering::Release);
        if let Some(task) = self.task.get() {
            task.abort();
        }
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        if let Some(task) = self.task.get() {
            task.abort();
        }
    }
}

impl Seen {
    fn cache(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn empty(&self, mut consumer: Box<dyn Consumer>) {
        while let Some(deliveries) = consumer.next(BATCH).await {
            for delivery in deliveries {
                match decode(&delivery.message) {
                    Ok(document) => {
                        // Both under the lock, or a waiter could come between them.
                        let mut cache = self.cache();
                        cache.keep(document.clone());
                        self.waiters.notify(document);
                    }
                    Err(error) => {
                        tracing::warn!(queue = %delivery.queue, %error, "dropped a result that cannot be read");
                    }
                }
                delivery.receipt.acknowledge();
            }
        }
    }
}

fn decode(message: &Message) -> Result<ResultDocument> {
    let content_type = message
        .properties
        .content_type
        .as_deref()
        .unwrap_or_default();
    let codec = Codec::from_content_type(content_type).ok_or_else(|| {
        Error::invalid("content type of a result", "one of a codec", content_type)
    })?;
    Ok(ResultDocument::decode(codec, &message.body)?)
}
