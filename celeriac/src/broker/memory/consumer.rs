//! Consumers of the memory broker.

use std::fmt;
use std::sync::Arc;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::connection::Connection;
use super::lock;
use super::registry::QueueCell;
use super::taker::Taker;
use crate::broker::{
    BoxFuture, Consumer, Delivery, Receipt, Settlement, Settler, Subscription, Tag,
};
use crate::error::{Error, Result};

/// What a consumer and its receipts share.
struct Subscriber {
    connection: Arc<Connection>,
    cell: Arc<QueueCell>,
    id: u64,
}

/// A consumer of the memory broker.
pub(super) struct MemoryConsumer {
    shared: Arc<Subscriber>,
    no_ack: bool,
    alarm: Arc<Notify>,
}

impl MemoryConsumer {
    pub(super) fn start(
        connection: &Arc<Connection>,
        cell: Arc<QueueCell>,
        subscription: &Subscription,
    ) -> Result<Self> {
        let id = connection.server().next_id();
        let alarm = Arc::new(Notify::new());
        let mut taker = Taker::new(connection.id(), subscription.no_ack, Arc::clone(&alarm));
        taker.prefetch = subscription.prefetch.max(1).into();
        taker.exclusive = subscription.exclusive;
        let added = lock(&cell.state).add_taker(id, taker);
        added.map_err(|reason| Error::Refused {
            what: format!("consumption of queue {}", cell.name),
            reason: reason.to_owned(),
        })?;
        let shared = Arc::new(Subscriber {
            connection: Arc::clone(connection),
            cell,
            id,
        });
        let consumer = Self {
            shared,
            no_ack: subscription.no_ack,
            alarm,
        };
        // Closed after the caller looked: dropping the consumer removes it.
        consumer.shared.connection.check_open()?;
        Ok(consumer)
    }

    /// Takes what is ready; `None` when the consumer or its queue has ended.
    fn take(&self, max: usize) -> Option<Vec<Delivery>> {
        let shared = &self.shared;
        let epoch = shared.connection.epoch();
        let mut deliveries = Vec::new();
        let (_, after) =
            lock(&shared.cell.state).take(shared.id, max, Instant::now(), |number, held| {
                let receipt = if self.no_ack {
                    Receipt::settled()
                } else {
                    let settler: Arc<dyn Settler> = Arc::clone(shared) as _;
                    Receipt::new(Tag { epoch, number }, settler)
                };
                deliveries.push(Delivery {
                    message: Arc::clone(&held.message),
                    exchange: held.exchange.clone(),
                    routing_key: held.routing_key.clone(),
                    queue: Arc::clone(&shared.cell.name),
                    redelivered: held.redelivered,
                    receipt,
                });
            })?;
        shared.connection.server().finish(&shared.cell, after);
        Some(deliveries)
    }
}

impl Consumer for MemoryConsumer {
    fn next(&mut self, max: usize) -> BoxFuture<'_, Option<Vec<Delivery>>> {
        Box::pin(async move {
            // A consumer that always finds something must still let others run.
            tokio::task::coop::consume_budget().await;
            loop {
                let deliveries = self.take(max.max(1))?;
                if !deliveries.is_empty() {
                    return Some(deliveries);
                }
                let mut sleep = Sleep {
                    shared: &self.shared,
                    over: false,
                };
                self.alarm.notified().await;
                sleep.over = true;
            }
        })
    }

    fn set_prefetch(&mut self, prefetch: u16) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            self.shared.connection.check_open()?;
            let cell = &self.shared.cell;
            let after = lock(&cell.state).set_prefetch(self.shared.id, prefetch.max(1).into());
            self.shared.connection.server().finish(cell, after);
            Ok(())
        })
    }

    fn cancel(&mut self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            self.shared
                .connection
                .server()
                .remove_taker(&self.shared.cell, self.shared.id);
            Ok(())
        })
    }
}

impl Drop for MemoryConsumer {
    fn drop(&mut self) {
        self.shared
            .connection
            .server()
            .remove_taker(&self.shared.cell, self.shared.id);
    }
}

/// A sleep that may be cut short by dropping the future: the alarm then goes on to
/// another consumer.
struct Sleep<'a> {
    shared: &'a Subscriber,
    over: bool,
}

impl Drop for Sleep<'_> {
    fn drop(&mut self) {
        if !self.over {
            let after = lock(&self.shared.cell.state).rouse(self.shared.id);
            self.shared
                .connection
                .server()
                .finish(&self.shared.cell, after);
        }
    }
}

impl Settler for Subscriber {
    fn settle(&self, tag: Tag, settlement: Settlement) {
        if tag.epoch != self.connection.epoch() {
            return;
        }
        let after = lock(&self.cell.state).settle(tag.number, settlement);
        self.connection.server().finish(&self.cell, after);
    }

    fn is_current(&self, tag: Tag) -> bool {
        tag.epoch == self.connection.epoch() && lock(&self.cell.state).is_unacked(tag.number)
    }
}

impl fmt::Debug for MemoryConsumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryConsumer")
            .field("queue", &self.shared.cell.name)
            .finish_non_exhaustive()
    }
}
