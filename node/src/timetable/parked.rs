//! What this node has parked in the broker.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use celeriac::protocol::TaskHeaders;
use celeriac::task::DeliveryInfo;

/// So many are remembered at most; the oldest are forgotten first.
const MAX: usize = 10_000;

/// What this node has parked in the broker, for `inspect scheduled`.
///
/// A memory aid: the messages are the broker's, and another node may get them.
#[derive(Debug, Default)]
pub(crate) struct Parked(Mutex<VecDeque<ParkedTask>>);

/// A task that waits in the broker.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ParkedTask {
    /// Until when.
    pub(crate) until: SystemTime,
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) argsrepr: Option<String>,
    pub(crate) kwargsrepr: Option<String>,
    pub(crate) delivery: DeliveryInfo,
}

impl Parked {
    pub(crate) fn add(&self, until: SystemTime, headers: &TaskHeaders, delivery: &DeliveryInfo) {
        let task = ParkedTask {
            until,
            id: headers.id.clone(),
            name: headers.task.clone(),
            argsrepr: headers.argsrepr.clone(),
            kwargsrepr: headers.kwargsrepr.clone(),
            delivery: delivery.clone(),
        };
        let mut tasks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if tasks.len() >= MAX {
            tasks.pop_front();
        }
        tasks.push_back(task);
    }

    /// Returns those that still wait, in the order they were parked.
    pub(crate) fn waiting(&self, now: SystemTime) -> Vec<ParkedTask> {
        let mut tasks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.retain(|task| task.until > now);
        tasks.iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn what_is_due_is_forgotten() {
        let parked = Parked::default();
        let second = |n| UNIX_EPOCH + Duration::from_secs(n);
        for (id, until) in [("a", 10), ("b", 20)] {
            let headers = TaskHeaders {
                id: id.to_owned(),
                ..TaskHeaders::default()
            };
            parked.add(second(until), &headers, &DeliveryInfo::default());
        }
        let ids: Vec<_> = parked
            .waiting(second(15))
            .into_iter()
            .map(|task| task.id)
            .collect();
        assert_eq!(ids, ["b"]);
    }
}
