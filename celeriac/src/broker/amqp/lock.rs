//! Locks: a queue that one connection has for itself.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use lapin::options::{BasicConsumeOptions, QueueDeclareOptions};
use lapin::types::{FieldTable, ShortString};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use super::AmqpBroker;
use super::connection::Live;
use super::failure::{Failure, code};
use super::table;
use crate::broker::{BoxFuture, Lock};
use crate::error::Result;

/// For how long the server's last answer proves a lock, when heartbeats do not say.
///
/// A server takes two to three times the heartbeat until it gives up on a client that
/// fell silent, and counts from the last it heard; a holder counts one heartbeat from
/// before it asked. So it stops at half of what the server allows.
const PROOF: Duration = Duration::from_secs(10);

/// How many times the server is asked within the time that one answer is good for.
const ASKS: u32 = 4;

/// A lock that a task keeps proven. Dropping this ends the task, and with it the
/// channel, the consumer, and the queue that goes with it.
#[derive(Debug)]
struct AmqpLock {
    /// Until when it is proven; `None` when it is lost.
    until: watch::Receiver<Option<Instant>>,
}

impl Lock for AmqpLock {
    fn is_held(&self) -> bool {
        self.until.borrow().is_some_and(|at| Instant::now() < at)
    }

    fn lost(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let mut changes = self.until.clone();
            loop {
                let until = *changes.borrow_and_update();
                let Some(until) = until.filter(|at| Instant::now() < *at) else {
                    return;
                };
                tokio::select! {
                    changed = changes.changed() => if changed.is_err() { return },
                    () = sleep_until(until) => {}
                }
            }
        })
    }
}

/// The task's side of a lock.
struct Keeper {
    /// Held, because the connection ends with its last user.
    _live: Arc<Live>,
    channel: lapin::Channel,
    consumer: lapin::Consumer,
    queue: ShortString,
    validity: Duration,
    until: watch::Sender<Option<Instant>>,
}

impl AmqpBroker {
    /// Takes a lock, unless somebody has it: declares a queue that belongs to this
    /// connection, and consumes it exclusively, for which two holders on one connection
    /// are told apart as well.
    pub(super) async fn take_lock(&self, name: &str) -> Result<Option<Box<dyn Lock>>> {
        let queue = &table::short("lock name", name)?;
        let limit = self.core.config.call_timeout;
        let heartbeat = self.core.config.heartbeat;
        let take = |live: Arc<Live>| async move {
            let channel = live.channel(limit).await?;
            let asked = Instant::now();
            let options = QueueDeclareOptions {
                exclusive: true,
                auto_delete: true,
                ..QueueDeclareOptions::default()
            };
            let declared = channel.queue_declare(queue.clone(), options, FieldTable::default());
            match timeout(limit, declared).await?.map_err(Failure::from) {
                Err(failure) if failure.is(code::RESOURCE_LOCKED) => return Ok(None),
                declared => declared?,
            };
            let options = BasicConsumeOptions {
                exclusive: true,
                ..BasicConsumeOptions::default()
            };
            let consumed =
                channel.basic_consume(queue.clone(), "".into(), options, FieldTable::default());
            let consumer = match timeout(limit, consumed).await?.map_err(Failure::from) {
                Err(failure) if failure.is(code::ACCESS_REFUSED) => return Ok(None),
                consumed => consumed?,
            };
            let agreed = Duration::from_secs(live.heartbeat().into());
            let validity = validity(heartbeat, agreed);
            Ok(Some(Keeper {
                _live: live,
                channel,
                consumer,
                queue: queue.clone(),
                validity,
                until: watch::Sender::new(Some(asked + validity)),
            }))
        };
        let taken = self.ask(&self.consuming, "taking a lock", take).await?;
        Ok(taken.map(|keeper| {
            let until = keeper.until.subscribe();
            let closed = self.core.runtime.closed();
            self.core.runtime.spawn(async move {
                let mut closed = closed;
                tokio::select! {
                    biased;
                    () = closed.wait() => keeper.end().await,
                    () = keeper.keep() => keeper.end().await,
                }
            });
            Box::new(AmqpLock { until }) as Box<dyn Lock>
        }))
    }
}

impl Keeper {
    /// Proves the lock again and again; ends when it is lost or nobody wants it.
    async fn keep(&self) {
        let mut consumer = self.consumer.clone();
        let mut due = Instant::now() + self.validity / ASKS;
        loop {
            tokio::select! {
                biased;
                () = self.until.closed() => return,
                // Nobody sends there; should somebody, it changes nothing.
                said = consumer.next() => match said {
                    Some(Ok(_)) => continue,
                    _ => return,
                },
                () = sleep_until(due) => {}
            }
            let asked = Instant::now();
            let options = QueueDeclareOptions {
                passive: true,
                ..QueueDeclareOptions::default()
            };
            let table = FieldTable::default();
            let found = self
                .channel
                .queue_declare(self.queue.clone(), options, table);
            let end = self.until.borrow().unwrap_or(asked);
            let proven = match timeout_at(end, found).await {
                Ok(Ok(queue)) => queue.consumer_count() == 1 && self.prove(asked),
                _ => false,
            };
            if !proven {
                return;
            }
            due = asked + self.validity / ASKS;
        }
    }

    /// Notes an answer to a question asked then; false when it came too late. What was
    /// once said to be lost is never said to be held again.
    fn prove(&self, asked: Instant) -> bool {
        self.until.send_if_modified(|until| {
            let held = until.is_some_and(|at| Instant::now() < at);
            if held {
                *until = Some(asked + self.validity);
            }
            held
        })
    }

    /// Says that the lock is lost, then lets go of it on the server.
    async fn end(&self) {
        self.until.send_replace(None);
        // The consumer goes with the channel, and the queue with its consumer.
        let _ = timeout(PROOF, self.channel.close(200, "OK".into())).await;
    }
}

/// Returns for how long one answer of the server proves a lock.
fn validity(asked_for: Duration, agreed: Duration) -> Duration {
    let said = [asked_for, agreed]
        .into_iter()
        .filter(|said| !said.is_zero());
    said.fold(PROOF, Duration::min)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_is_never_good_for_longer_than_a_heartbeat() {
        let seconds = Duration::from_secs;
        for (asked_for, agreed, good) in [
            (10, 10, 10),
            (60, 60, 10),
            (0, 0, 10),
            (10, 3, 3),
            (2, 0, 2),
        ] {
            assert_eq!(validity(seconds(asked_for), seconds(agreed)), seconds(good));
        }
    }
}
