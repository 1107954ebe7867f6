//! What changed, told to whoever listens.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use tokio::sync::broadcast;

/// What changed: enough to say which thing it was, so that a listener can look it up.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Change {
    /// A task moved to a state.
    Task {
        id: Arc<str>,
        name: Arc<str>,
        state: String,
    },
    /// A node joined, changed its state, or was forgotten.
    Node { name: String, state: &'static str },
    /// A queue's depth changed, or it was paused, resumed or purged.
    Queue { name: String, what: &'static str },
    /// A schedule was created, edited, deleted, or fired.
    Schedule { name: String, what: &'static str },
    /// A dead letter came in, was replayed, or discarded.
    Letter { id: String, what: &'static str },
    /// Somebody did something.
    Audit { action: String, target: String },
}

/// A change with its number; numbers have no holes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Numbered {
    pub(crate) number: u64,
    pub(crate) at: SystemTime,
    pub(crate) change: Change,
}

/// Hands changes to whoever listens. Who is too slow misses the oldest and learns how
/// many; who comes back soon gets what it missed.
#[derive(Debug)]
pub(crate) struct Feed {
    changes: broadcast::Sender<Arc<Numbered>>,
    recent: Mutex<Recent>,
}

/// The last changes, for who comes back.
#[derive(Debug, Default)]
struct Recent {
    last: u64,
    changes: VecDeque<Arc<Numbered>>,
}

/// What a listener starts with.
#[derive(Debug)]
pub(crate) struct Subscription {
    /// What came after the number that it knows.
    pub(crate) before: Vec<Arc<Numbered>>,
    /// How many that it does not know were dropped already.
    pub(crate) missed: u64,
    /// What comes from now on.
    pub(crate) changes: broadcast::Receiver<Arc<Numbered>>,
}

/// How many changes are kept for a listener that is behind, and for one that comes back.
const BEHIND: usize = 2_048;

impl Default for Feed {
    fn default() -> Self {
        Self {
            changes: broadcast::Sender::new(BEHIND),
            recent: Mutex::default(),
        }
    }
}

impl Feed {
    /// Tells all listeners.
    pub(crate) fn publish(&self, change: Change) {
        let at = celeriac::clock::now();
        // Under one lock, so that numbers come in order and nobody who subscribes now
        // gets a change twice or not at all.
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.last += 1;
        let number = recent.last;
        let change = Arc::new(Numbered { number, at, change });
        if recent.changes.len() == BEHIND {
            recent.changes.pop_front();
        }
        recent.changes.push_back(Arc::clone(&change));
        // Nobody may listen.
        let _ = self.changes.send(change);
    }

    /// Listens from now on, or from after the change of number `known`.
    pub(crate) fn subscribe(&self, known: Option<u64>) -> Subscription {
        let recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let changes = self.changes.subscribe();
        let known = known.map_or(recent.last, |known| known.min(recent.last));
        let held = recent.changes.iter();
        let before: Vec<_> = held
            .filter(|change| change.number > known)
            .cloned()
            .collect();
        Subscription {
            missed: recent.last - known - before.len() as u64,
            before,
            changes,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn tell(feed: &Feed, count: usize) {
        for n in 0..count {
            feed.publish(Change::Letter {
                id: n.to_string(),
                what: "kept",
            });
        }
    }

    #[test]
    fn who_comes_back_gets_what_came_between() {
        let feed = Feed::default();
        tell(&feed, 10);
        let back = feed.subscribe(Some(7));
        let numbers: Vec<_> = back.before.iter().map(|change| change.number).collect();
        assert_eq!((numbers, back.missed), (vec![8, 9, 10], 0));
        let new = feed.subscribe(None);
        assert_eq!((new.before.len(), new.missed), (0, 0));
        // A number of another life of the process is no reason to fail.
        assert!(feed.subscribe(Some(99)).before.is_empty());
    }

    #[test]
    fn who_was_away_too_long_learns_how_many_it_missed() {
        let feed = Feed::default();
        tell(&feed, BEHIND + 10);
        let back = feed.subscribe(Some(4));
        assert_eq!((back.before.len(), back.missed), (BEHIND, 6));
    }

    #[tokio::test]
    async fn who_is_slow_misses_the_oldest_and_nothing_grows() {
        let feed = Feed::default();
        let mut slow = feed.subscribe(None).changes;
        tell(&feed, BEHIND + 5);
        let error = slow.recv().await.unwrap_err();
        assert_eq!(error, broadcast::error::RecvError::Lagged(5));
        assert_eq!(slow.recv().await.unwrap().number, 6);
    }
}
