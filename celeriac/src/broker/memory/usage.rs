//! How much a memory broker holds, and when it is full.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use celeriac_protocol::{Message, Table, Value};

/// How much a memory broker holds at most: ready, unacknowledged and delayed together.
///
/// Beyond it, publications are refused. A message in several queues counts once each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryLimits {
    /// How many messages. Default 1,048,576.
    pub messages: usize,
    /// How many bytes of bodies, headers and properties. Default 1 GiB.
    pub bytes: usize,
}

impl Default for MemoryLimits {
    fn default() -> Self {
        Self {
            messages: 1 << 20,
            bytes: 1 << 30,
        }
    }
}

/// What is held at present, against the limits.
#[derive(Debug)]
pub(super) struct Usage {
    limits: MemoryLimits,
    messages: AtomicUsize,
    bytes: AtomicUsize,
}

/// One message's share of the usage; given back when dropped.
#[derive(Debug)]
pub(super) struct Charge {
    usage: Arc<Usage>,
    bytes: usize,
}

impl Usage {
    pub(super) const fn new(limits: MemoryLimits) -> Self {
        Self {
            limits,
            messages: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
        }
    }

    pub(super) const fn limits(&self) -> MemoryLimits {
        self.limits
    }

    /// Takes a share, or nothing when that would be beyond the limits.
    pub(super) fn charge(self: &Arc<Self>, bytes: usize) -> Option<Charge> {
        // The charge exists before the check, so that a refusal gives it back.
        let charge = Charge {
            usage: Arc::clone(self),
            bytes,
        };
        let messages = self.messages.fetch_add(1, Ordering::Relaxed) + 1;
        let bytes = self
            .bytes
            .fetch_add(bytes, Ordering::Relaxed)
            .saturating_add(bytes);
        (messages <= self.limits.messages && bytes <= self.limits.bytes).then_some(charge)
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.usage.messages.fetch_sub(1, Ordering::Relaxed);
        self.usage.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// Estimates the memory of a message in bytes.
pub(super) fn weigh(message: &Message) -> usize {
    size_of::<Message>() + message.body.len() + weigh_table(&message.headers)
}

fn weigh_table(table: &Table) -> usize {
    table
        .iter()
        .map(|(key, value)| key.len() + weigh_value(value))
        .sum()
}

fn weigh_value(value: &Value) -> usize {
    let inside = match value {
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) => 0,
        Value::Str(text) | Value::BigInt(text) => text.len(),
        Value::Bytes(bytes) => bytes.len(),
        Value::Array(items) => items.iter().map(weigh_value).sum(),
        Value::Map(table) => weigh_table(table),
    };
    size_of::<Value>() + inside
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_refused_charge_leaves_nothing_behind() {
        let usage = Arc::new(Usage::new(MemoryLimits {
            messages: 2,
            bytes: 100,
        }));
        let first = usage.charge(60).unwrap();
        assert!(usage.charge(60).is_none());
        let second = usage.charge(40).unwrap();
        assert!(usage.charge(0).is_none());
        drop((first, second));
        assert_eq!(usage.messages.load(Ordering::Relaxed), 0);
        assert_eq!(usage.bytes.load(Ordering::Relaxed), 0);
    }
}
