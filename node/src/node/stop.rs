//! The end of a node, phase by phase.

mod countdown;

use std::collections::HashSet;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use actix::Recipient;
use celeriac::broker::Settlement;
use futures_util::future::join_all;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use self::countdown::Countdown;
use super::root::{Address, Release};
use crate::execution::outcome::Outcome;
use crate::execution::run;
use crate::guardian::Stop;
use crate::job::{self, Claim, Stage};
use crate::returned;
use crate::shared::{Phase, Shared};
use crate::shutdown::{Reason, Stopped, Wish};

/// How long outcomes on the way may take at the end.
const FLUSH_WITHIN: Duration = Duration::from_secs(5);

/// The same, when nothing shall be waited for: an answer that is nearly there is taken.
const FLUSH_NOW_WITHIN: Duration = Duration::from_millis(500);

/// How long one part may take to end.
const END_WITHIN: Duration = Duration::from_secs(5);

/// Ends a node. Each phase has its time; a wish to stop now skips the waits.
pub(super) async fn stop(shared: &Arc<Shared>, root: &Address, fault: Option<Reason>) -> Stopped {
    let mut time = Countdown::start(&shared.config, Instant::now());

    // 1. Intake stops; what has not started goes back, and others can have it.
    shared.enter(Phase::Draining);
    let consumers = root.send(Release::Consumers).await.unwrap_or_default();
    end(consumers, time.consumers()).await;
    let waiting = shared.timetable.drain();
    shared.note_returned(waiting.len());
    for claim in waiting {
        returned::give_back(shared, claim);
    }

    // 2. What runs may finish: in its own time when that was asked, else until the deadline.
    if shared.shutdown.wish() == Wish::Finish {
        tokio::select! {
            () = shared.jobs.empty() => {}
            () = shared.shutdown.wished(Wish::Drain) => {}
        }
        time = Countdown::start(&shared.config, Instant::now());
    }
    let drained = until(shared, time.deadline()).await;
    if !drained {
        if shared.shutdown.wish() == Wish::Now {
            time.hurry(Instant::now());
        }
        // 3. What still runs is asked to stop.
        shared.enter(Phase::Cancelling);
        for job in shared.jobs.at(Stage::Running) {
            job.stop(job::Stop::Shutdown);
        }
        let grace = shared.config.cancel_grace + Duration::from_millis(100);
        until(shared, time.cancelled(grace)).await;

        // 4. What does not stop is given back; its outcome does not count any more.
        shared.enter(Phase::Returning);
        // Nobody else runs a task while a process of ours still does.
        let _ = timeout_at(time.returned(), shared.isolation.end_runs()).await;
        let mut lost = Vec::new();
        for job in shared.jobs.at(Stage::Running) {
            if job.is_acknowledged() || returned::is_worn(shared, &job) {
                // Nobody would run it again, so this is its end; or it is sent anew.
                let claim = Claim::new(job, Arc::clone(&shared.jobs));
                lost.push(run::conclude(shared, claim, Outcome::Lost));
                continue;
            }
            shared.note_unfinished(job.id());
            job.settle(Settlement::Requeue);
            shared.jobs.remove(job.serial);
        }
        let _ = timeout(FLUSH_NOW_WITHIN, join_all(lost)).await;
    }

    // 5. Outcomes that are on the way are delivered, or given back.
    shared.enter(Phase::Flushing);
    let now = shared.shutdown.wish() == Wish::Now;
    let flush = if now { FLUSH_NOW_WITHIN } else { FLUSH_WITHIN };
    let _ = timeout_at(time.flushed(flush), shared.jobs.empty()).await;
    let undelivered = shared.jobs.at(Stage::Delivering);
    shared.counters.requeued.add(undelivered.len() as u64);
    let undelivered: Vec<_> = undelivered.iter().map(|job| job.id().to_owned()).collect();

    let _ = timeout_at(time.closed(), shared.isolation.close()).await;

    // 6. The other parts end, those that tell of the node after those that work.
    let rest = root.send(Release::Rest).await.unwrap_or_default();
    end(rest, time.ended()).await;
    if let Some(file) = shared.state_file.get() {
        file.release();
    }

    // The app stays open: who made it closes it, and others may still use it.
    let mut unfinished = shared
        .unfinished
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone();
    // A run whose process was killed may note itself while it is given back here.
    let mut named = HashSet::new();
    unfinished.retain(|id| named.insert(id.clone()));
    let reason = fault.unwrap_or(match (drained, shared.shutdown.wish()) {
        (true, _) if unfinished.is_empty() && undelivered.is_empty() => Reason::Drained,
        (_, Wish::Now) => Reason::Interrupted,
        _ => Reason::Deadline,
    });
    let stopped = Stopped {
        reason,
        finished: shared.counters.processed.get(),
        unfinished,
        undelivered,
        returned: shared.returned.load(Ordering::Relaxed),
    };
    shared.enter(Phase::Stopped);
    tracing::info!(node = shared.name(), "{stopped}");
    stopped
}

/// Waits until no job is left; says false when time or patience is.
async fn until(shared: &Shared, time: Instant) -> bool {
    tokio::select! {
        biased;
        () = shared.jobs.empty() => true,
        () = shared.shutdown.wished(Wish::Now) => false,
        () = sleep_until(time) => false,
    }
}

async fn end(children: Vec<Recipient<Stop>>, until: Instant) {
    let ends = children
        .into_iter()
        .map(|child| timeout_at(until, child.send(Stop)));
    for ended in join_all(ends).await {
        if ended.is_err() {
            tracing::warn!("a part of the node did not end in time");
        }
    }
}
