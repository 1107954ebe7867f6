//! Who takes messages from a queue.

use std::sync::Arc;

use tokio::sync::Notify;

/// Who takes messages from a queue.
#[derive(Debug)]
pub(super) struct Taker {
    pub(super) connection: u64,
    pub(super) prefetch: usize,
    pub(super) no_ack: bool,
    pub(super) exclusive: bool,
    pub(super) alarm: Arc<Notify>,
    /// How many it was handed and has not settled.
    pub(super) unsettled: usize,
    /// Whether it waits for `alarm`.
    pub(super) asleep: bool,
}

impl Taker {
    pub(super) const fn new(connection: u64, no_ack: bool, alarm: Arc<Notify>) -> Self {
        Self {
            connection,
            prefetch: 1,
            no_ack,
            exclusive: false,
            alarm,
            unsettled: 0,
            asleep: false,
        }
    }

    /// Returns how many more it may be handed.
    pub(super) const fn credit(&self) -> usize {
        if self.no_ack {
            usize::MAX
        } else {
            self.prefetch.saturating_sub(self.unsettled)
        }
    }
}
