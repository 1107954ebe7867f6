//! What changed, told to whoever listens.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::broadcast;

/// What changed: enough to say which thing it was, so that a listener can look it up.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Change {
    /// A task moved to a state.
    Task {
        id: Arc<str>,
        name: Option<Arc<str>>,
        state: String,
        node: Option<Arc<str>>,
    },
    /// A node joined, changed its state, or was forgotten.
    Node { name: String, state: &'static str },
    /// A queue's depth changed, or it was paused, resumed or purged.
    Queue {
        name: String,
        ready: Option<u64>,
        consumers: Option<u64>,
        paused: bool,
    },
    /// A schedule was created, edited, deleted, or fired.
    Schedule { name: String, what: &'static str },
    /// A dead letter came in, was replayed, or discarded.
    Letter { id: String, what: &'static str },
    /// Somebody did something.
    Audit { action: String, target: String },
}

/// A change with its number; numbers have no holes while nothing was missed.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Numbered {
    pub(crate) number: u64,
    pub(crate) change: Change,
}

/// Hands changes to whoever listens; who is too slow misses the oldest and learns how
/// many.
#[derive(Debug)]
pub(crate) struct Feed {
    changes: broadcast::Sender<Arc<Numbered>>,
    last: AtomicU64,
}

/// How many changes are kept for a listener that is behind.
const BEHIND: usize = 4_096;

impl Default for Feed {
    fn default() -> Self {
        Self {
            changes: broadcast::Sender::new(BEHIND),
            last: AtomicU64::new(0),
        }
    }
}

impl Feed {
    /// Tells all listeners. Costs next to nothing while there are none.
    pub(crate) fn publish(&self, change: Change) {
        let number = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        if self.changes.receiver_count() > 0 {
            // The last listener may have just gone.
            let _ = self.changes.send(Arc::new(Numbered { number, change }));
        }
    }

    /// Listens from now on.
    pub(crate) fn subscribe(&self) -> broadcast::Receiver<Arc<Numbered>> {
        self.changes.subscribe()
    }
}
