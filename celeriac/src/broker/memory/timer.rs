//! The one task that waits for everything a memory broker has to do later.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::{Arc, Mutex, Weak};

use tokio::sync::Notify;
use tokio::time::Instant;

use super::lock;
use super::server::Server;

/// A heap of what is due, and the task that waits for the first of it.
#[derive(Debug)]
pub(super) struct Timer<T> {
    heap: Mutex<BinaryHeap<Reverse<Entry<T>>>>,
    changed: Notify,
}

#[derive(Debug)]
struct Entry<T> {
    at: Instant,
    what: T,
}

impl<T> Timer<T> {
    pub(super) fn new() -> Self {
        Self {
            heap: Mutex::new(BinaryHeap::new()),
            changed: Notify::new(),
        }
    }

    pub(super) fn add(&self, at: Instant, what: T) {
        let first = {
            let mut heap = lock(&self.heap);
            let first = heap.peek().is_none_or(|Reverse(entry)| at < entry.at);
            heap.push(Reverse(Entry { at, what }));
            first
        };
        if first {
            self.changed.notify_one();
        }
    }

    /// Ends the task that waits on this timer.
    pub(super) fn stop(&self) {
        self.changed.notify_one();
    }

    fn take_due(&self, now: Instant) -> Vec<T> {
        let mut heap = lock(&self.heap);
        let mut due = Vec::new();
        while heap.peek().is_some_and(|Reverse(entry)| entry.at <= now) {
            due.extend(heap.pop().map(|Reverse(entry)| entry.what));
        }
        due
    }

    fn next(&self) -> Option<Instant> {
        lock(&self.heap).peek().map(|Reverse(entry)| entry.at)
    }
}

/// Runs what is due for as long as the server lives.
pub(super) async fn run(timer: Arc<Timer<super::server::Due>>, server: Weak<Server>) {
    loop {
        let Some(alive) = server.upgrade() else {
            return;
        };
        for due in timer.take_due(Instant::now()) {
            alive.run(due);
        }
        drop(alive);
        let changed = timer.changed.notified();
        match timer.next() {
            Some(at) => drop(tokio::time::timeout_at(at, changed).await),
            None => changed.await,
        }
    }
}

// A heap orders by time alone.
impl<T> PartialEq for Entry<T> {
    fn eq(&self, other: &Self) -> bool {
        self.at == other.at
    }
}

impl<T> Eq for Entry<T> {}

impl<T> PartialOrd for Entry<T> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Entry<T> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.at.cmp(&other.at)
    }
}
