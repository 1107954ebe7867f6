//! How many places to run follow from the load.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use celeriac::health::Pulse;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::config::Autoscale;
use crate::shared::Shared;

/// How often the load is looked at.
const LOOK: Duration = Duration::from_millis(200);

/// For how long fewer places must do before any is taken away: Celery's time.
const KEEP: Duration = Duration::from_secs(30);

/// The bounds that remote control may change while the node runs.
#[derive(Debug)]
pub(crate) struct Bounds(Mutex<Autoscale>);

impl Bounds {
    pub(crate) const fn new(bounds: Autoscale) -> Self {
        Self(Mutex::new(bounds))
    }

    pub(crate) fn get(&self) -> Autoscale {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set(&self, bounds: Autoscale) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = bounds;
    }
}

/// What matters for the number of places, at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Load {
    /// How many places there are.
    pub(crate) places: usize,
    /// How many are in use.
    pub(crate) used: usize,
    /// How many tasks wait here for one.
    pub(crate) waiting: usize,
}

impl Load {
    pub(crate) fn read(shared: &Shared) -> Self {
        Self {
            places: shared.slots.capacity(),
            used: shared.slots.used(),
            waiting: shared.reserved(),
        }
    }

    /// Returns how many places the load would fill.
    const fn wanted(self) -> usize {
        self.used + self.waiting
    }
}

/// Decides how many places there are.
///
/// ```text
/// Enough --more are wanted--> Enough, at once with so many, or the maximum
///   |
///   +--fewer are wanted--> Idle since then --for 30 s--> Enough, with the most that
///                              |                         were wanted meanwhile
///                              +--all are wanted--> Enough
/// ```
#[derive(Debug, Default)]
pub(crate) struct Scaler {
    /// Since when fewer places would do, and the most that were wanted since.
    idle: Option<(Instant, usize)>,
}

impl Scaler {
    /// Returns how many places there shall be.
    pub(crate) fn decide(&mut self, load: Load, bounds: Autoscale, now: Instant) -> usize {
        let (min, max) = (bounds.min.max(1), bounds.max.max(1));
        let wanted = load.wanted();
        // Bounds that were changed hold at once.
        let places = load.places.min(max).max(min.min(max));
        if wanted >= places || places == min {
            self.idle = None;
            return wanted.clamp(places, max.max(places));
        }
        let (since, most) = self.idle.unwrap_or((now, wanted));
        let most = most.max(wanted);
        if now.duration_since(since) < KEEP {
            self.idle = Some((since, most));
            return places;
        }
        self.idle = None;
        most.max(min).min(places)
    }
}

/// Follows the load until it is stopped.
pub(crate) async fn follow(shared: Arc<Shared>, stop: CancellationToken, pulse: Pulse) {
    let Some(bounds) = &shared.autoscale else {
        return;
    };
    let mut scaler = Scaler::default();
    let mut ticks = interval(LOOK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        pulse.beat();
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        let load = Load::read(&shared);
        let places = scaler.decide(load, bounds.get(), Instant::now());
        if places != load.places {
            tracing::info!(
                places,
                before = load.places,
                used = load.used,
                waiting = load.waiting,
                "scaling"
            );
            shared.resize(places.cast_signed() - load.places.cast_signed());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Autoscale = Autoscale { max: 10, min: 2 };

    fn load(places: usize, used: usize, waiting: usize) -> Load {
        Load {
            places,
            used,
            waiting,
        }
    }

    /// S34.
    #[test]
    fn more_load_gets_places_at_once() {
        let (mut scaler, now) = (Scaler::default(), Instant::now());
        for (load, places) in [
            (load(2, 0, 0), 2),
            (load(2, 2, 0), 2),
            (load(2, 2, 3), 5),
            (load(5, 5, 90), 10),
            (load(10, 10, 90), 10),
        ] {
            assert_eq!(scaler.decide(load, BOUNDS, now), places, "{load:?}");
        }
    }

    /// S34.
    #[test]
    fn places_go_when_fewer_did_for_a_while() {
        let (mut scaler, start) = (Scaler::default(), Instant::now());
        let mut at = |second: u64, used| {
            scaler.decide(
                load(10, used, 0),
                BOUNDS,
                start + Duration::from_secs(second),
            )
        };
        assert_eq!(at(0, 1), 10);
        assert_eq!(at(20, 4), 10);
        assert_eq!(at(29, 0), 10);
        // The most that were wanted meanwhile stay.
        assert_eq!(at(30, 1), 4);
        // It begins anew, and full use in between as well.
        assert_eq!(at(40, 1), 10);
        assert_eq!(at(50, 10), 10);
        assert_eq!(at(71, 1), 10);
        assert_eq!(at(101, 0), 2);
    }

    #[test]
    fn changed_bounds_hold_at_once() {
        let (mut scaler, now) = (Scaler::default(), Instant::now());
        let bounds = |max, min| Autoscale { max, min };
        assert_eq!(scaler.decide(load(10, 9, 0), bounds(4, 1), now), 4);
        assert_eq!(scaler.decide(load(2, 0, 0), bounds(8, 6), now), 6);
        assert_eq!(scaler.decide(load(1, 0, 0), bounds(8, 0), now), 1);
    }
}
