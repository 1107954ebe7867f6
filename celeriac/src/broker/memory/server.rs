//! The part of a memory broker that its connections share.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, Weak};
use std::time::Duration;

use celeriac_protocol::Message;
use tokio::time::Instant;

use super::death::{self, Death, Reason};
use super::lanes::Held;
use super::lock;
use super::lock::Locks;
use super::queue::{After, QueueState};
use super::registry::{QueueCell, Registry, locked};
use super::timer::{self, Timer};
use super::usage::{Charge, MemoryLimits, Usage, weigh};
use crate::broker::{Publication, Topology};
use crate::clock;
use crate::error::{Error, Result};

/// Beyond this a delay is as good as for ever; timers cannot take any duration.
const LONGEST_DELAY: Duration = Duration::from_secs(30 * 365 * 86_400);

/// Queues, exchanges and what is to be done later.
///
/// Locks are taken in one order, the registry's before a queue's, and no queue's lock
/// is held while another one is taken: what a change leaves to do comes back as
/// [`After`].
#[derive(Debug)]
pub(super) struct Server {
    registry: RwLock<Registry>,
    usage: Arc<Usage>,
    timer: Arc<Timer<Due>>,
    ids: AtomicU64,
    pub(super) locks: Locks,
}

/// What is to be done later.
#[derive(Debug)]
pub(super) enum Due {
    /// A delayed message goes to its queues.
    Publish(Box<Routed>),
    /// A queue may hold expired messages.
    Look(Weak<QueueCell>),
    /// A queue may have been unused for too long.
    Expire(Weak<QueueCell>),
}

/// A message on its way to queues, with its place in the usage.
#[derive(Debug)]
pub(super) struct Routed {
    message: Arc<Message>,
    exchange: String,
    routing_key: String,
    charge: Charge,
}

impl Server {
    pub(super) fn start(limits: MemoryLimits) -> Arc<Self> {
        let timer = Arc::new(Timer::new());
        let server = Arc::new(Self {
            registry: RwLock::new(Registry::new()),
            usage: Arc::new(Usage::new(limits)),
            timer: Arc::clone(&timer),
            ids: AtomicU64::new(0),
            locks: Locks::default(),
        });
        tokio::spawn(timer::run(timer, Arc::downgrade(&server)));
        server
    }

    /// Returns a number that no connection or consumer had before.
    pub(super) fn next_id(&self) -> u64 {
        self.ids.fetch_add(1, Ordering::Relaxed)
    }

    pub(super) fn declare(&self, topology: &Topology, connection: u64) -> Result<()> {
        let now = Instant::now();
        let mut registry = self.write();
        for exchange in &topology.exchanges {
            registry.declare_exchange(exchange)?;
        }
        for queue in &topology.queues {
            let cell = registry.declare_queue(queue, connection, now)?;
            let mut state = lock(&cell.state);
            state.touch(now);
            self.plan_expiry(&cell, &mut state);
        }
        for binding in &topology.bindings {
            registry.bind(binding)?;
        }
        Ok(())
    }

    pub(super) fn publish(&self, publication: Publication) -> Result<()> {
        let Publication {
            exchange,
            routing_key,
            message,
            mandatory,
            not_before,
            ..
        } = publication;
        let refused = |reason: String| Error::Refused {
            what: format!("publication to exchange '{exchange}' with key '{routing_key}'"),
            reason,
        };
        let targets = self
            .read()
            .route(&exchange, &routing_key)
            .map_err(|_| refused("there is no such exchange".to_owned()))?;
        if targets.is_empty() {
            return if mandatory {
                Err(refused("no queue takes it".to_owned()))
            } else {
                Ok(())
            };
        }
        own_ttl(&message).map_err(refused)?;
        let full = || {
            let MemoryLimits { messages, bytes } = self.usage.limits();
            refused(format!(
                "memory broker is full: it holds at most {messages} messages and {bytes} bytes"
            ))
        };
        let bytes = weigh(&message);
        let message = Arc::new(message);
        let delay = not_before.and_then(|at| at.duration_since(clock::now()).ok());
        if let Some(delay) = delay.filter(|delay| !delay.is_zero()) {
            let charge = self.usage.charge(bytes).ok_or_else(full)?;
            let routed = Box::new(Routed {
                message,
                exchange,
                routing_key,
                charge,
            });
            self.timer.add(
                Instant::now() + delay.min(LONGEST_DELAY),
                Due::Publish(routed),
            );
            return Ok(());
        }
        // All or none: a message that has room in some of its queues only is refused.
        let charges: Option<Vec<Charge>> =
            targets.iter().map(|_| self.usage.charge(bytes)).collect();
        let charges = charges.ok_or_else(full)?;
        let now = Instant::now();
        let mut taken = false;
        for (cell, charge) in targets.iter().zip(charges) {
            let held = Held::new(
                Arc::clone(&message),
                exchange.clone(),
                routing_key.clone(),
                charge,
            );
            taken |= self.push(cell, held, now);
        }
        if taken || !mandatory {
            Ok(())
        } else {
            Err(refused("no queue takes it".to_owned()))
        }
    }

    /// Adds a message to a queue; false when the queue was deleted meanwhile.
    fn push(&self, cell: &Arc<QueueCell>, mut held: Held, now: Instant) -> bool {
        // Checked when it was published; a buried message has none.
        if let Ok(Some(ttl)) = own_ttl(&held.message) {
            held.expires = Some(now + ttl);
        }
        let pushed = lock(&cell.state).push(held, now);
        match pushed {
            Ok(after) => {
                self.finish(cell, after);
                true
            }
            Err(_) => false,
        }
    }

    /// Does what a change of a queue left to do.
    pub(super) fn finish(&self, cell: &Arc<QueueCell>, after: After) {
        if let Some(alarm) = after.wake {
            alarm.notify_one();
        }
        if let Some(at) = after.look {
            self.timer.add(at, Due::Look(Arc::downgrade(cell)));
        }
        for (held, reason) in after.dead {
            self.bury(cell, held, reason);
        }
    }

    /// Sends a dead message to its queue's dead-letter exchange, if there is one.
    fn bury(&self, cell: &Arc<QueueCell>, held: Held, reason: Reason) {
        let (exchange, key) = {
            let state = lock(&cell.state);
            let settings = state.settings();
            let Some(exchange) = settings.dead_letter_exchange.clone() else {
                return;
            };
            (exchange, settings.dead_letter_routing_key.clone())
        };
        let death = Death {
            queue: &cell.name,
            exchange: &held.exchange,
            routing_key: &held.routing_key,
            reason,
        };
        let message = Arc::new(death::bury(&held.message, &death, clock::now()));
        let routing_key = key.unwrap_or_else(|| held.routing_key.clone());
        let charge = held.into_charge();
        self.forward(
            Routed {
                message,
                exchange,
                routing_key,
                charge,
            },
            reason != Reason::Rejected,
        );
    }

    /// Routes a message that nobody waits for any more: delayed or dead.
    fn forward(&self, routed: Routed, automatic: bool) {
        let Routed {
            message,
            exchange,
            routing_key,
            charge,
        } = routed;
        let mut targets = self
            .read()
            .route(&exchange, &routing_key)
            .unwrap_or_default();
        if automatic {
            targets.retain(|cell| !death::circles(&message, &cell.name));
        }
        if targets.is_empty() {
            tracing::warn!(
                exchange,
                routing_key,
                "message dropped: no queue takes it any more"
            );
            return;
        }
        let bytes = weigh(&message);
        let now = Instant::now();
        let mut own = Some(charge);
        for cell in targets {
            let Some(charge) = own.take().or_else(|| self.usage.charge(bytes)) else {
                tracing::warn!(queue = %cell.name, "message dropped: memory broker is full");
                continue;
            };
            let held = Held::new(
                Arc::clone(&message),
                exchange.clone(),
                routing_key.clone(),
                charge,
            );
            self.push(&cell, held, now);
        }
    }

    pub(super) fn run(&self, due: Due) {
        match due {
            Due::Publish(routed) => self.forward(*routed, false),
            Due::Look(cell) => {
                let Some(cell) = cell.upgrade() else { return };
                let after = lock(&cell.state).look(Instant::now());
                self.finish(&cell, after);
            }
            Due::Expire(cell) => {
                let Some(cell) = cell.upgrade() else { return };
                let mut state = lock(&cell.state);
                if state.is_overdue(Instant::now()) {
                    drop(state);
                    self.delete(&cell);
                } else {
                    self.plan_expiry(&cell, &mut state);
                }
            }
        }
    }

    fn plan_expiry(&self, cell: &Arc<QueueCell>, state: &mut QueueState) {
        if let Some(at) = state.plan_expiry() {
            self.timer.add(at, Due::Expire(Arc::downgrade(cell)));
        }
    }

    /// Returns a queue that a connection may use.
    pub(super) fn queue(&self, name: &str, connection: u64) -> Result<Option<Arc<QueueCell>>> {
        match self.read().queue(name) {
            Some(cell) if cell.owner.is_some_and(|owner| owner != connection) => Err(locked(name)),
            found => Ok(found.cloned()),
        }
    }

    /// Deletes a queue if it is still there, with its messages.
    pub(super) fn delete(&self, cell: &Arc<QueueCell>) -> bool {
        let deleted = {
            let mut registry = self.write();
            registry
                .remove_queue(cell)
                .then(|| lock(&cell.state).delete())
        };
        deleted.is_some()
    }

    /// Removes a consumer, and the queue with it where that was asked for.
    pub(super) fn remove_taker(&self, cell: &Arc<QueueCell>, id: u64) {
        let now = Instant::now();
        let (last, after) = {
            let mut state = lock(&cell.state);
            let removed = state.remove_taker(id, now);
            self.plan_expiry(cell, &mut state);
            removed
        };
        if last {
            self.delete(cell);
        }
        self.finish(cell, after);
    }

    /// Takes back what a connection holds and forgets what is its own: exclusive
    /// queues lose their messages. They stay declared, as a client would do at once
    /// after connecting again.
    pub(super) fn lose(&self, connection: u64) {
        let cells = self.read().queues();
        for cell in cells {
            let (after, _lost) = {
                let mut state = lock(&cell.state);
                let after = state.take_back(connection);
                (
                    after,
                    (cell.owner == Some(connection)).then(|| state.purge()),
                )
            };
            self.finish(&cell, after);
        }
    }

    /// Ends a connection: its consumers, what it holds, its exclusive queues.
    pub(super) fn disconnect(&self, connection: u64) {
        let cells = self.read().queues();
        for cell in cells {
            let (takers, after) = {
                let mut state = lock(&cell.state);
                (state.takers_of(connection), state.take_back(connection))
            };
            for taker in takers {
                self.remove_taker(&cell, taker);
            }
            self.finish(&cell, after);
            if cell.owner == Some(connection) {
                self.delete(&cell);
            }
        }
    }

    // A panic under these locks would be a defect here, and the state is changed in
    // steps that each leave it whole.
    fn read(&self) -> RwLockReadGuard<'_, Registry> {
        self.registry.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Registry> {
        self.registry
            .write()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.timer.stop();
    }
}

/// Reads a message's own time to live.
fn own_ttl(message: &Message) -> Result<Option<Duration>, String> {
    let Some(text) = &message.properties.expiration else {
        return Ok(None);
    };
    match text.parse::<u32>() {
        Ok(milliseconds) => Ok(Some(Duration::from_millis(milliseconds.into()))),
        Err(_) => Err(format!(
            "expiration: expected milliseconds up to {}, found '{text}'",
            u32::MAX
        )),
    }
}
