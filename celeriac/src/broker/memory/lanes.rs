//! The ready messages of a queue, by priority.

use std::collections::VecDeque;
use std::sync::Arc;

use celeriac_protocol::Message;
use tokio::time::Instant;

use super::usage::Charge;

/// A message in a queue.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) message: Arc<Message>,
    pub(super) exchange: String,
    pub(super) routing_key: String,
    pub(super) redelivered: bool,
    /// When it dies; set from its own `expiration` before it comes here.
    pub(super) expires: Option<Instant>,
    /// Since when it waits in this queue.
    pub(super) since: Option<Instant>,
    /// Its place: what comes back goes where it was.
    pub(super) order: u64,
    charge: Charge,
}

impl Held {
    pub(super) const fn new(
        message: Arc<Message>,
        exchange: String,
        routing_key: String,
        charge: Charge,
    ) -> Self {
        Self {
            message,
            exchange,
            routing_key,
            redelivered: false,
            expires: None,
            since: None,
            order: 0,
            charge,
        }
    }

    pub(super) fn into_charge(self) -> Charge {
        self.charge
    }
}

/// Ready messages: one lane for each priority, each in order of arrival.
#[derive(Debug)]
pub(super) struct Lanes {
    lanes: Vec<VecDeque<Held>>,
    length: usize,
    /// How many have an end.
    mortal: usize,
}

impl Lanes {
    pub(super) fn new(max_priority: u8) -> Self {
        let lanes = (0..=max_priority).map(|_| VecDeque::new()).collect();
        Self {
            lanes,
            length: 0,
            mortal: 0,
        }
    }

    pub(super) const fn len(&self) -> usize {
        self.length
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Puts a message where it belongs: at the end if it is new, at its old place if
    /// it comes back.
    pub(super) fn put(&mut self, held: Held) {
        let priority = usize::from(held.message.properties.priority.unwrap_or(0));
        self.length += 1;
        self.mortal += usize::from(held.expires.is_some());
        let highest = self.lanes.len() - 1;
        let lane = &mut self.lanes[priority.min(highest)];
        if lane.back().is_none_or(|last| last.order < held.order) {
            lane.push_back(held);
        } else {
            let at = lane.partition_point(|other| other.order < held.order);
            lane.insert(at, held);
        }
    }

    /// Takes the oldest message of the highest priority.
    pub(super) fn pop(&mut self) -> Option<Held> {
        let lane = self.lanes.iter().rposition(|lane| !lane.is_empty())?;
        self.pop_from(lane)
    }

    /// Takes the oldest message of the lowest priority if there are more than `most`.
    pub(super) fn overflow(&mut self, most: Option<usize>) -> Option<Held> {
        if most.is_none_or(|most| self.length <= most) {
            return None;
        }
        let lane = self.lanes.iter().position(|lane| !lane.is_empty())?;
        self.pop_from(lane)
    }

    /// Takes the expired messages from the heads of the lanes.
    pub(super) fn expire(&mut self, now: Instant) -> Vec<Held> {
        let mut dead = Vec::new();
        if self.mortal == 0 {
            return dead;
        }
        for lane in 0..self.lanes.len() {
            let expired = |held: &Held| held.expires.is_some_and(|end| end <= now);
            while self.lanes[lane].front().is_some_and(expired) {
                dead.extend(self.pop_from(lane));
            }
        }
        dead
    }

    /// Returns when the first head expires.
    pub(super) fn next_end(&self) -> Option<Instant> {
        self.lanes
            .iter()
            .filter_map(|lane| lane.front()?.expires)
            .min()
    }

    /// Returns since when the oldest waits.
    pub(super) fn oldest(&self) -> Option<Instant> {
        self.lanes
            .iter()
            .filter_map(|lane| lane.front()?.since)
            .min()
    }

    /// Takes all.
    pub(super) fn drain(&mut self) -> Vec<Held> {
        self.length = 0;
        self.mortal = 0;
        self.lanes.iter_mut().flat_map(std::mem::take).collect()
    }

    fn pop_from(&mut self, lane: usize) -> Option<Held> {
        let held = self.lanes[lane].pop_front()?;
        self.length -= 1;
        self.mortal -= usize::from(held.expires.is_some());
        Some(held)
    }
}
