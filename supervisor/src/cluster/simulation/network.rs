//! A network that loses, repeats and reorders.

use std::collections::BTreeMap;

use celeriac_protocol::event::Event;

use super::rng::Rng;

/// What travels.
#[derive(Debug, Clone)]
pub(super) enum Parcel {
    Event(Box<Event>),
    Ping(String),
    Pong(String),
    Pace(String, f64),
}

pub(super) struct Network {
    rng: Rng,
    loss: f64,
    /// Whether all arrives, once and in order.
    pub(super) calm: bool,
    /// By the time of arrival, in microseconds, and the order of sending.
    flying: BTreeMap<(u64, u64), Parcel>,
    sent: u64,
}

impl Network {
    pub(super) fn new(seed: u64, loss: f64) -> Self {
        Self {
            rng: Rng::new(seed),
            loss,
            calm: false,
            flying: BTreeMap::new(),
            sent: 0,
        }
    }

    /// Sends a parcel; in a storm it may be dropped, come twice, and be overtaken.
    pub(super) fn send(&mut self, now: f64, parcel: Parcel) {
        if self.calm {
            self.fly(now, 0.01, parcel);
            return;
        }
        if self.rng.happens(self.loss) {
            return;
        }
        let again = self.rng.happens(0.05);
        for _ in 0..=usize::from(again) {
            let takes = self.rng.share() * 0.3;
            self.fly(now, takes, parcel.clone());
        }
    }

    fn fly(&mut self, now: f64, takes: f64, parcel: Parcel) {
        self.sent += 1;
        let at = ((now + takes) * 1e6) as u64;
        self.flying.insert((at, self.sent), parcel);
    }

    pub(super) fn arrivals(&mut self, now: f64) -> Vec<Parcel> {
        let later = self.flying.split_off(&((now * 1e6) as u64 + 1, 0));
        std::mem::replace(&mut self.flying, later)
            .into_values()
            .collect()
    }
}
