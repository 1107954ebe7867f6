//! What happens to tasks, on its way to the event stream.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::SystemTime;

use celeriac::clock;
use celeriac::protocol::event::EventKind;
use tokio::sync::{Mutex, mpsc};

/// So many events wait at most; more are dropped and counted.
const CAPACITY: usize = 16_384;

/// What happened to a task, and when.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TaskEvent {
    pub(crate) at: SystemTime,
    pub(crate) kind: EventKind,
}

/// The way of task events to the one who sends them.
///
/// Events may be lost, work may not: a full channel drops and counts.
#[derive(Debug)]
pub(crate) struct Events {
    enabled: AtomicBool,
    /// Whether there is somewhere to speak.
    open: AtomicBool,
    dropped: AtomicU64,
    sent: AtomicU64,
    sender: mpsc::Sender<TaskEvent>,
    /// Locked for as long as the one who sends them lives; the next one finds what it
    /// left.
    pub(crate) receiver: Mutex<mpsc::Receiver<TaskEvent>>,
}

impl Events {
    pub(crate) fn new(enabled: bool) -> Self {
        let (sender, receiver) = mpsc::channel(CAPACITY);
        Self {
            enabled: AtomicBool::new(enabled),
            open: AtomicBool::new(false),
            dropped: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            sender,
            receiver: Mutex::new(receiver),
        }
    }

    /// Tells whether anybody wants events; making their texts costs.
    pub(crate) fn enabled(&self) -> bool {
        self.enabled.load(Ordering::Relaxed)
    }

    /// Turns events on or off and returns whether they were on.
    pub(crate) fn enable(&self, on: bool) -> bool {
        self.enabled.swap(on, Ordering::Relaxed)
    }

    /// Notes whether there is somewhere to speak.
    pub(crate) fn open(&self, open: bool) {
        self.open.store(open, Ordering::Relaxed);
    }

    /// Tells whether there is somewhere to speak.
    pub(crate) fn is_open(&self) -> bool {
        self.open.load(Ordering::Relaxed)
    }

    /// Hands over events, unless nobody wants them.
    pub(crate) fn emit(&self, kinds: impl IntoIterator<Item = EventKind>) {
        if !self.enabled() {
            return;
        }
        let at = clock::now();
        for kind in kinds {
            if self.sender.try_send(TaskEvent { at, kind }).is_err() {
                self.dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Notes what became of events that were taken out: sent, or lost on the way.
    pub(crate) fn note(&self, count: usize, sent: bool) {
        let counter = if sent { &self.sent } else { &self.dropped };
        counter.fetch_add(u64::try_from(count).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Returns how many events were sent.
    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Returns how many events were dropped: too many waited, or the broker did not take
    /// them.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn started() -> EventKind {
        EventKind::TaskStarted {
            uuid: "a".to_owned(),
        }
    }

    #[tokio::test]
    async fn events_flow_only_when_somebody_wants_them() {
        let events = Events::new(false);
        events.emit([started()]);
        assert!(!events.enable(true));
        events.emit([started()]);
        let mut receiver = events.receiver.lock().await;
        assert_eq!(receiver.recv().await.unwrap().kind, started());
        assert!(receiver.try_recv().is_err());
    }

    #[test]
    fn a_full_channel_drops_and_counts() {
        let events = Events::new(true);
        events.emit(std::iter::repeat_with(started).take(CAPACITY + 3));
        assert_eq!(events.dropped(), 3);
    }
}
