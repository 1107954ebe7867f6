//! A queue of the memory broker as data: no lock, no clock, no task.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::SystemTime;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::death::Reason;
use super::lanes::{Held, Lanes};
use super::settings::Settings;
use super::taker::Taker;
use crate::broker::{QueueStatus, Settlement};

/// A message that was handed out and not yet settled.
#[derive(Debug)]
struct Unacknowledged {
    held: Held,
    consumer: u64,
    connection: u64,
}

/// What an event leaves to be done after the queue's lock is released.
#[derive(Debug, Default)]
#[must_use = "dead messages go to the dead-letter exchange, alarms wake consumers"]
pub(super) struct After {
    pub(super) wake: Option<Arc<Notify>>,
    pub(super) dead: Vec<(Held, Reason)>,
    /// Acknowledged messages, to be freed outside the lock.
    pub(super) done: Option<Held>,
    /// When to look for expired messages.
    pub(super) look: Option<Instant>,
}

/// A queue: what is ready, what is handed out, and who takes.
///
/// ```text
///          push              take                acknowledge
///   (new) ------> ready ----------------> unacked -----------> gone
///                 |   ^                    |   |
///                 |   +--------------------+   | reject
///          expire,|     requeue, link lost     |
///        overflow |     (redelivered = true)   |
///                 +-----------> dead <---------+
/// ```
///
/// Consumers pull, so nothing waits in a consumer. One that finds nothing falls
/// asleep; a push wakes one sleeper that has credit, and a busy consumer none.
#[derive(Debug)]
pub(super) struct QueueState {
    settings: Settings,
    ready: Lanes,
    unacked: HashMap<u64, Unacknowledged>,
    takers: HashMap<u64, Taker>,
    /// Sleepers with credit; who waits longest is first.
    sleepers: VecDeque<u64>,
    /// Counts arrivals and deliveries.
    counter: u64,
    /// The next look for expired messages that is already planned.
    planned: Option<Instant>,
    /// Since when nobody uses the queue; for `x-expires`.
    idle_since: Instant,
    /// Whether a check of `x-expires` is planned.
    expiry_planned: bool,
    deleted: bool,
}

impl QueueState {
    pub(super) fn new(settings: Settings, now: Instant) -> Self {
        Self {
            ready: Lanes::new(settings.max_priority),
            settings,
            unacked: HashMap::new(),
            takers: HashMap::new(),
            sleepers: VecDeque::new(),
            counter: 0,
            planned: None,
            idle_since: now,
            expiry_planned: false,
            deleted: false,
        }
    }

    pub(super) const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Tells how the queue is; `now` by the steady clock is `wall` by the other.
    pub(super) fn status(&self, now: Instant, wall: SystemTime) -> QueueStatus {
        let oldest = self.ready.oldest();
        QueueStatus {
            ready: self.ready.len() as u64,
            consumers: self.takers.len() as u64,
            unacked: Some(self.unacked.len() as u64),
            oldest: oldest.and_then(|since| wall.checked_sub(now.saturating_duration_since(since))),
        }
    }

    /// Adds a message; gives it back when the queue was deleted meanwhile.
    pub(super) fn push(&mut self, mut held: Held, now: Instant) -> Result<After, Held> {
        if self.deleted {
            return Err(held);
        }
        if let Some(ttl) = self.settings.message_ttl {
            let end = now + ttl;
            held.expires = Some(held.expires.map_or(end, |own| own.min(end)));
        }
        held.order = self.next_number();
        held.since = Some(now);
        let look = self.plan(held.expires);
        self.ready.put(held);
        let dead = self
            .ready
            .overflow(self.settings.max_length)
            .map(|held| (held, Reason::Overflow))
            .into_iter()
            .collect();
        Ok(After {
            wake: self.wake(),
            dead,
            done: None,
            look,
        })
    }

    /// Hands messages to a taker; `None` when the taker is not here any more. A taker
    /// that gets nothing is asleep afterwards.
    pub(super) fn take(
        &mut self,
        id: u64,
        max: usize,
        now: Instant,
        mut hand: impl FnMut(u64, &Held),
    ) -> Option<(usize, After)> {
        let mut after = After {
            dead: expired(self.ready.expire(now)),
            ..After::default()
        };
        self.takers.get_mut(&id)?.asleep = false;
        // Leaves something for the others that wait, or are waking up.
        let waiting = self
            .takers
            .values()
            .filter(|taker| taker.asleep && taker.credit() > 0);
        let share = self.ready.len().div_ceil(waiting.count() + 1);
        let taker = self.takers.get(&id)?;
        let wanted = max.min(taker.credit()).min(share);
        let (no_ack, connection) = (taker.no_ack, taker.connection);
        let mut taken = 0;
        while taken < wanted {
            let Some(held) = self.ready.pop() else { break };
            if held.expires.is_some_and(|end| end <= now) {
                after.dead.push((held, Reason::Expired));
                continue;
            }
            taken += 1;
            let number = self.next_number();
            hand(number, &held);
            if !no_ack {
                self.unacked.insert(
                    number,
                    Unacknowledged {
                        held,
                        consumer: id,
                        connection,
                    },
                );
            }
        }
        if let Some(taker) = self.takers.get_mut(&id) {
            if !no_ack {
                taker.unsettled += taken;
            }
            if taken == 0 {
                taker.asleep = true;
                if taker.credit() > 0 {
                    self.sleepers.push_back(id);
                }
            }
        }
        after.wake = self.wake();
        Some((taken, after))
    }

    /// Ends a taker's sleep that nobody ended; an alarm it does not hear goes to the next.
    pub(super) fn rouse(&mut self, id: u64) -> After {
        if let Some(taker) = self.takers.get_mut(&id) {
            taker.asleep = false;
        }
        self.sleepers.retain(|&sleeper| sleeper != id);
        After {
            wake: self.wake(),
            ..After::default()
        }
    }

    /// Settles a delivery; a number that is not outstanding is ignored.
    pub(super) fn settle(&mut self, number: u64, settlement: Settlement) -> After {
        let Some(unacked) = self.unacked.remove(&number) else {
            return After::default();
        };
        self.credit(unacked.consumer);
        let mut after = After::default();
        match settlement {
            Settlement::Acknowledge => after.done = Some(unacked.held),
            Settlement::Reject => after.dead.push((unacked.held, Reason::Rejected)),
            Settlement::Requeue => after.look = self.put_back(unacked.held),
        }
        after.wake = self.wake();
        after
    }

    pub(super) fn is_unacked(&self, number: u64) -> bool {
        self.unacked.contains_key(&number)
    }

    /// Takes back all that a connection holds: it was lost.
    pub(super) fn take_back(&mut self, connection: u64) -> After {
        let lost = self
            .unacked
            .extract_if(|_, unacked| unacked.connection == connection);
        let lost: Vec<_> = lost.map(|(_, unacked)| unacked).collect();
        let mut look = None;
        for unacked in lost {
            self.credit(unacked.consumer);
            look = self.put_back(unacked.held).or(look);
        }
        After {
            wake: self.wake(),
            look,
            ..After::default()
        }
    }

    pub(super) fn add_taker(&mut self, id: u64, taker: Taker) -> Result<(), &'static str> {
        if self.deleted {
            return Err("the queue was deleted");
        }
        if self.takers.values().any(|other| other.exclusive) {
            return Err("the queue has an exclusive consumer");
        }
        if taker.exclusive && !self.takers.is_empty() {
            return Err("the queue has consumers, so it cannot have an exclusive one");
        }
        self.takers.insert(id, taker);
        Ok(())
    }

    /// Removes a taker; what it was handed stays to be settled. Tells whether the
    /// queue goes with it.
    pub(super) fn remove_taker(&mut self, id: u64, now: Instant) -> (bool, After) {
        let Some(taker) = self.takers.remove(&id) else {
            return (false, After::default());
        };
        taker.alarm.notify_one();
        self.touch(now);
        let after = self.rouse(id);
        (self.settings.auto_delete && self.takers.is_empty(), after)
    }

    pub(super) fn takers_of(&self, connection: u64) -> Vec<u64> {
        let own = self
            .takers
            .iter()
            .filter(|(_, taker)| taker.connection == connection);
        own.map(|(id, _)| *id).collect()
    }

    pub(super) fn set_prefetch(&mut self, id: u64, prefetch: usize) -> After {
        if let Some(taker) = self.takers.get_mut(&id) {
            taker.prefetch = prefetch;
            let listed = self.sleepers.contains(&id);
            if taker.asleep && taker.credit() > 0 && !listed {
                self.sleepers.push_back(id);
            } else if taker.credit() == 0 && listed {
                self.sleepers.retain(|&sleeper| sleeper != id);
            }
        }
        After {
            wake: self.wake(),
            ..After::default()
        }
    }

    /// Drops all ready messages and returns them.
    pub(super) fn purge(&mut self) -> Vec<Held> {
        self.ready.drain()
    }

    /// Ends the queue: takers find it gone, settlements change nothing any more.
    pub(super) fn delete(&mut self) -> Vec<Held> {
        self.deleted = true;
        for (_, taker) in self.takers.drain() {
            taker.alarm.notify_one();
        }
        self.sleepers.clear();
        let unacked = std::mem::take(&mut self.unacked);
        let mut all = self.purge();
        all.extend(unacked.into_values().map(|unacked| unacked.held));
        all
    }

    /// Notes that somebody declared the queue or stopped using it.
    pub(super) const fn touch(&mut self, now: Instant) {
        self.idle_since = now;
    }

    /// Returns when to check whether the queue was unused for too long, if nobody
    /// plans to do so yet.
    pub(super) fn plan_expiry(&mut self) -> Option<Instant> {
        if self.expiry_planned || self.deleted || !self.takers.is_empty() {
            return None;
        }
        let end = self.idle_since + self.settings.expires?;
        self.expiry_planned = true;
        Some(end)
    }

    /// Tells whether the queue was unused for too long, when a planned check comes.
    pub(super) fn is_overdue(&mut self, now: Instant) -> bool {
        self.expiry_planned = false;
        let expires = self
            .settings
            .expires
            .filter(|_| self.takers.is_empty() && !self.deleted);
        expires.is_some_and(|expires| self.idle_since + expires <= now)
    }

    /// Takes the expired messages from the heads of the lanes. One behind a head that
    /// still lives is found when it gets there.
    pub(super) fn look(&mut self, now: Instant) -> After {
        self.planned = None;
        let dead = expired(self.ready.expire(now));
        let next = self.ready.next_end();
        After {
            dead,
            look: self.plan(next),
            ..After::default()
        }
    }

    /// Returns `end` when an earlier look is not planned yet.
    fn plan(&mut self, end: Option<Instant>) -> Option<Instant> {
        let end = end.filter(|end| self.planned.is_none_or(|planned| *end < planned))?;
        self.planned = Some(end);
        Some(end)
    }

    fn wake(&mut self) -> Option<Arc<Notify>> {
        if self.ready.is_empty() {
            return None;
        }
        let taker = self.takers.get(&self.sleepers.pop_front()?)?;
        Some(Arc::clone(&taker.alarm))
    }

    fn credit(&mut self, consumer: u64) {
        let Some(taker) = self.takers.get_mut(&consumer) else {
            return;
        };
        let had = taker.credit();
        taker.unsettled = taker.unsettled.saturating_sub(1);
        if had == 0 && taker.asleep && taker.credit() > 0 {
            self.sleepers.push_back(consumer);
        }
    }

    fn put_back(&mut self, mut held: Held) -> Option<Instant> {
        if self.deleted {
            return None;
        }
        held.redelivered = true;
        let look = self.plan(held.expires);
        self.ready.put(held);
        look
    }

    const fn next_number(&mut self) -> u64 {
        self.counter += 1;
        self.counter
    }
}

fn expired(dead: Vec<Held>) -> Vec<(Held, Reason)> {
    dead.into_iter()
        .map(|held| (held, Reason::Expired))
        .collect()
}
