//! Delivers outcomes: stores them, sends what comes next, and settles the messages.
//!
//! ```text
//! runs --outcomes--> [ batch ] --publish next tries--> store --> send what follows --> settle
//!   ^ bounded channel    ^                                |
//!   +--- slots held ---  +----- again, after a while -----+ (backend or broker away)
//! ```
//!
//! # Delivery guarantee
//!
//! A message is settled after its result is stored and what follows is sent. A crash on
//! the way means that it is delivered again.

mod deliver;

use std::sync::Arc;
use std::time::Duration;

use celeriac::retry::Backoff;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Mutex, mpsc};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::execution::report::Report;
use crate::job::Claim;
use crate::pulse::BEAT;
use crate::shared::Shared;

/// An outcome on its way.
pub(crate) struct Parcel {
    /// The job it ends; `None` for a state on the way.
    pub(crate) claim: Option<Claim>,
    pub(crate) report: Report,
}

impl Parcel {
    pub(crate) const fn new(claim: Option<Claim>, report: Report) -> Self {
        Self { claim, report }
    }
}

/// The bounded way of outcomes from runs to the one who delivers them.
#[derive(Debug)]
pub(crate) struct Outcomes {
    sender: mpsc::Sender<Box<Parcel>>,
    /// Locked for as long as a deliverer lives; the next one finds what it left.
    receiver: Mutex<mpsc::Receiver<Box<Parcel>>>,
}

/// So many outcomes are delivered at once at most.
const BATCH: usize = 256;

/// So many outcomes wait to be delivered at most, and as many again to be delivered
/// again; beyond that runs hold their slots.
const CAPACITY: usize = 1024;

/// How long to wait before outcomes are delivered again.
const BACKOFF: Backoff = Backoff::new(Duration::from_millis(100))
    .max(Duration::from_secs(5))
    .exact();

impl Outcomes {
    pub(crate) fn new() -> Self {
        let (sender, receiver) = mpsc::channel(CAPACITY);
        Self {
            sender,
            receiver: Mutex::new(receiver),
        }
    }

    /// Ends a job here and now when nobody else is needed for it, or hands its outcome
    /// over; returns it when too many are on the way already.
    pub(crate) fn offer(&self, shared: &Shared, parcel: Parcel) -> Option<Box<Parcel>> {
        let report = &parcel.report;
        let alone = report.before.is_none() && report.stores.is_empty() && report.steps.is_empty();
        if alone && report.settle.is_local() {
            deliver::end(shared, parcel);
            return None;
        }
        match self.sender.try_send(Box::new(parcel)) {
            Ok(()) => None,
            Err(TrySendError::Full(parcel) | TrySendError::Closed(parcel)) => Some(parcel),
        }
    }

    /// Hands an outcome over; waits while too many are on the way.
    pub(crate) async fn send(&self, parcel: Box<Parcel>) {
        // The receiver lives in self. Were it gone, the claim would give its message
        // back when it is dropped.
        let _ = self.sender.send(parcel).await;
    }
}

/// Delivers outcomes until it is stopped. What cannot be delivered is tried again for
/// as long as it lives; what is left at its end goes back to the broker.
pub(crate) async fn run(shared: Arc<Shared>, stop: CancellationToken) {
    let pulse = shared.pulses.add("backend");
    let mut inbox = shared.outcomes.receiver.lock().await;
    let mut beat = interval(BEAT);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut batch = Vec::with_capacity(BATCH);
    let mut late: Vec<Box<Parcel>> = Vec::new();
    let (mut failures, mut again) = (0, Instant::now());
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = sleep_until(again), if !late.is_empty() => batch.append(&mut late),
            count = inbox.recv_many(&mut batch, BATCH), if late.len() < CAPACITY => {
                if count == 0 {
                    return;
                }
            }
            _ = beat.tick() => {}
        }
        pulse.beat();
        if batch.is_empty() {
            continue;
        }
        let left = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            left = pulse.during(deliver::deliver(&shared, std::mem::take(&mut batch))) => left,
        };
        if left.is_empty() {
            failures = 0;
            continue;
        }
        if failures == 0 {
            tracing::warn!(
                outcomes = left.len(),
                "outcomes wait: backend or broker is away"
            );
        }
        shared.counters.retries.add(left.len() as u64);
        again = Instant::now() + BACKOFF.delay(failures, 0.0);
        failures += 1;
        late.extend(left);
    }
}
