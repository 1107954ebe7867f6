//! A message handed to a consumer, and the duty to settle it.

use std::fmt;
use std::sync::Arc;

use celeriac_protocol::Message;

/// A message handed to a consumer.
#[derive(Debug)]
pub struct Delivery {
    /// What was sent. Shared, because some brokers keep it until it is settled; to own
    /// it use [`Arc::unwrap_or_clone`], which copies only then.
    pub message: Arc<Message>,
    /// Through which exchange; empty for the default one.
    pub exchange: String,
    /// With which routing key.
    pub routing_key: String,
    /// From which queue.
    pub queue: Arc<str>,
    /// Whether it was delivered before, here or elsewhere, and not settled.
    pub redelivered: bool,
    /// The duty to settle it.
    pub receipt: Receipt,
}

/// The duty to settle a delivery. Dropping it unsettled gives the message back.
#[must_use = "dropping a receipt gives the message back to the queue"]
pub struct Receipt(Option<(Tag, Arc<dyn Settler>)>);

/// Names a delivery to its settler.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Tag {
    /// On which connection it came; an older epoch is void.
    pub epoch: u64,
    /// The number in that epoch.
    pub number: u64,
}

/// How a delivery ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Settlement {
    /// Done; the broker forgets it.
    Acknowledge,
    /// Unusable; the broker drops it or hands it to the dead-letter exchange.
    Reject,
    /// Not done; the broker delivers it again.
    Requeue,
}

/// Takes settlements, without waiting; brokers implement it.
pub trait Settler: Send + Sync {
    /// Settles a delivery. A tag of an older epoch is ignored: the broker has the
    /// message back already.
    fn settle(&self, tag: Tag, settlement: Settlement);

    /// Tells whether a settlement of this tag would still count.
    fn is_current(&self, tag: Tag) -> bool;
}

impl Receipt {
    /// Makes a receipt that must be settled with `settler`.
    pub fn new(tag: Tag, settler: Arc<dyn Settler>) -> Self {
        Self(Some((tag, settler)))
    }

    /// Makes a receipt of a delivery that needs no settlement.
    pub const fn settled() -> Self {
        Self(None)
    }

    /// Says that the message is done.
    pub fn acknowledge(self) {
        self.settle(Settlement::Acknowledge);
    }

    /// Says that the message is unusable: dropped, or dead-lettered where that is set up.
    pub fn reject(self) {
        self.settle(Settlement::Reject);
    }

    /// Gives the message back, to be delivered again.
    pub fn requeue(self) {
        self.settle(Settlement::Requeue);
    }

    /// Settles the delivery.
    pub fn settle(mut self, settlement: Settlement) {
        if let Some((tag, settler)) = self.0.take() {
            settler.settle(tag, settlement);
        }
    }

    /// Tells whether the broker still waits for this receipt. After a lost
    /// connection it does not: the message comes again.
    pub fn is_current(&self) -> bool {
        self.0
            .as_ref()
            .is_none_or(|(tag, settler)| settler.is_current(*tag))
    }
}

impl Drop for Receipt {
    fn drop(&mut self) {
        if let Some((tag, settler)) = self.0.take() {
            settler.settle(tag, Settlement::Requeue);
        }
    }
}

impl fmt::Debug for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Receipt")
            .field(&self.0.as_ref().map(|(tag, _)| tag))
            .finish()
    }
}
