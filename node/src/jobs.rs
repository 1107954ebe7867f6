//! The jobs this node has.

mod finished;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use celeriac::broker::Receipt;
use dashmap::DashMap;
use tokio::sync::Notify;

use self::finished::Finished;
use crate::job::{Job, Stage};

/// The jobs this node has, from delivery to settlement, and those it had.
///
/// Bounded by the prefetch, which counts unacknowledged messages, plus the places to
/// run for those acknowledged early.
#[derive(Default)]
pub(crate) struct Jobs {
    table: DashMap<u64, Arc<Job>>,
    /// Counting the table's shards would cost every task.
    len: AtomicUsize,
    next: AtomicU64,
    pub(crate) finished: Finished,
    emptied: Notify,
}

/// What a redelivered message is here.
#[derive(Debug)]
pub(crate) enum Known {
    /// New; its receipt comes back.
    No(Receipt),
    /// A job that is here; it took the receipt.
    Here,
    /// A job that has finished here; its receipt comes back.
    Finished(Receipt),
}

impl Jobs {
    pub(crate) fn next_serial(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn insert(&self, job: Arc<Job>) {
        self.len.fetch_add(1, Ordering::AcqRel);
        self.table.insert(job.serial, job);
    }

    pub(crate) fn remove(&self, serial: u64) {
        if self.table.remove(&serial).is_some() && self.len.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.emptied.notify_waiters();
        }
    }

    /// Finds a redelivered message among the jobs that are here or were.
    ///
    /// A scan: redeliveries are rare, and an index would cost every task.
    pub(crate) fn recognise(&self, id: &str, retries: u32, receipt: Receipt) -> Known {
        let mut receipt = receipt;
        for entry in &self.table {
            let job = entry.value();
            if job.id() == id && job.headers().retries == retries {
                match job.renew(receipt) {
                    Ok(()) => return Known::Here,
                    Err(back) => receipt = back,
                }
            }
        }
        match self.finished.contains(id, retries) {
            true => Known::Finished(receipt),
            false => Known::No(receipt),
        }
    }

    /// Returns the jobs at a stage, in the order they came.
    pub(crate) fn at(&self, stage: Stage) -> Vec<Arc<Job>> {
        let all = self
            .table
            .iter()
            .filter(|entry| entry.value().stage() == stage);
        let mut jobs: Vec<_> = all.map(|entry| Arc::clone(entry.value())).collect();
        jobs.sort_unstable_by_key(|job| job.serial);
        jobs
    }

    /// Returns how many jobs are at a stage.
    pub(crate) fn count(&self, stage: Stage) -> usize {
        self.table
            .iter()
            .filter(|entry| entry.value().stage() == stage)
            .count()
    }

    /// Waits until there is no job.
    pub(crate) async fn empty(&self) {
        loop {
            let emptied = self.emptied.notified();
            if self.len.load(Ordering::Acquire) == 0 {
                return;
            }
            emptied.await;
        }
    }
}
