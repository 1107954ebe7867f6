//! The jobs this node has.

mod recent;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use celeriac::broker::Receipt;
use dashmap::DashMap;
use tokio::sync::Notify;

pub(crate) use self::recent::{Recent, Turn};
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
    /// Those whose tasks have ended here.
    pub(crate) finished: Recent,
    /// Those that wait in the broker as another message.
    pub(crate) parked: Recent,
    emptied: Notify,
}

/// What a redelivered message is here.
#[derive(Debug)]
pub(crate) enum Known {
    /// New; its receipt comes back.
    No(Receipt),
    /// A job that is here; it took the receipt.
    Here,
    /// A job that was ended here; its receipt comes back.
    Ended(Receipt),
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
    /// `twice` says that the same message may have been sent twice: then one that is here
    /// is enough, though its own receipt is good.
    ///
    /// A scan: redeliveries are rare, and an index would cost every task.
    pub(crate) fn recognise(&self, id: &str, turn: Turn, twice: bool, receipt: Receipt) -> Known {
        let mut receipt = receipt;
        for entry in &self.table {
            let job = entry.value();
            if job.id() == id && Turn::of(job.headers()) == turn {
                match job.renew(receipt) {
                    Ok(()) => return Known::Here,
                    Err(back) if twice && job.stage() != Stage::Settled => {
                        return Known::Ended(back);
                    }
                    Err(back) => receipt = back,
                }
            }
        }
        let now = Instant::now();
        let ended = |jobs: &Recent| jobs.contains(id, turn, now);
        match ended(&self.finished) || ended(&self.parked) {
            true => Known::Ended(receipt),
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

    /// Returns how many jobs run, and for how long they have, in sum.
    pub(crate) fn running(&self) -> (usize, Duration) {
        let running = self.table.iter();
        running
            .filter(|entry| entry.value().stage() == Stage::Running)
            .fold((0, Duration::ZERO), |(count, sum), entry| {
                (count + 1, sum.saturating_add(entry.value().runtime()))
            })
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use celeriac::App;
    use celeriac::broker::Settlement;
    use celeriac::protocol::{Properties, TaskHeaders};
    use celeriac::task::{Context, DeliveryInfo, Request};

    use super::*;
    use crate::job::Claim;

    fn claim(jobs: &Arc<Jobs>, id: &str) -> Claim {
        let headers = TaskHeaders {
            id: id.to_owned(),
            ..TaskHeaders::default()
        };
        let request = Request {
            headers,
            properties: Properties::default(),
            delivery: DeliveryInfo::default(),
            hostname: String::new(),
        };
        let context = Context::new(App::builder("test").build().unwrap(), request);
        let serial = jobs.next_serial();
        let job = Job::new(serial, context, "q".into(), None, Receipt::settled());
        let job = Arc::new(job);
        jobs.insert(Arc::clone(&job));
        Claim::new(job, Arc::clone(jobs))
    }

    const FIRST: Turn = Turn {
        replaced: 0,
        retries: 0,
    };

    // S43: a tick that was sent twice runs once where the first one still runs.
    #[tokio::test]
    async fn a_tick_that_is_here_is_known_when_it_was_sent_twice() {
        let jobs = Arc::<Jobs>::default();
        let here = claim(&jobs, "tick");
        let known = |twice| jobs.recognise("tick", FIRST, twice, Receipt::settled());
        assert!(matches!(known(true), Known::Ended(_)));
        here.finish(Settlement::Acknowledge);
        assert!(matches!(known(true), Known::Ended(_)));
    }

    #[tokio::test]
    async fn a_message_that_was_ended_here_is_known_when_it_comes_again() {
        let jobs = Arc::<Jobs>::default();
        let known = |id: &str| match jobs.recognise(id, FIRST, false, Receipt::settled()) {
            Known::Ended(_) => true,
            Known::No(_) => false,
            Known::Here => panic!("no job is here"),
        };
        claim(&jobs, "done").finish(Settlement::Acknowledge);
        claim(&jobs, "dead").finish(Settlement::Reject);
        claim(&jobs, "requeued").settle(Settlement::Requeue);
        let after = |seconds| celeriac::clock::now() + Duration::from_secs(seconds);
        claim(&jobs, "parked").park(after(60));
        // It may be back already, and must not be taken for the one that was parked.
        claim(&jobs, "soon").park(after(2));
        let ids = ["done", "dead", "requeued", "parked", "soon", ""];
        assert_eq!(ids.map(known), [true, true, false, true, false, false]);
    }
}
