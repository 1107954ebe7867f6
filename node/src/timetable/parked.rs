//! What this node has parked in the broker.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use celeriac::task::DeliveryInfo;

use crate::job::Job;

/// So many are remembered at most; the oldest are forgotten first.
const MAX: usize = 10_000;

/// Of a task with a larger body only the texts in its headers are remembered.
const MAX_BODY: usize = 1 << 10;

/// What this node has parked in the broker, for `inspect scheduled`.
///
/// A memory aid: the messages are the broker's, and another node may get them.
#[derive(Default)]
pub(crate) struct Parked(Mutex<VecDeque<ParkedTask>>);

/// A task that waits in the broker.
#[derive(Clone)]
pub(crate) struct ParkedTask {
    /// Until when.
    pub(crate) until: SystemTime,
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) argsrepr: Option<String>,
    pub(crate) kwargsrepr: Option<String>,
    pub(crate) delivery: DeliveryInfo,
    /// Its message, which has the arguments themselves, unless that is large.
    pub(crate) job: Option<Arc<Job>>,
}

impl Parked {
    pub(crate) fn add(&self, until: SystemTime, job: &Arc<Job>, delivery: &DeliveryInfo) {
        let headers = job.headers();
        let task = ParkedTask {
            until,
            id: headers.id.clone(),
            name: headers.task.clone(),
            argsrepr: headers.argsrepr.clone(),
            kwargsrepr: headers.kwargsrepr.clone(),
            delivery: delivery.clone(),
            job: (job.body.len() <= MAX_BODY).then(|| Arc::clone(job)),
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
