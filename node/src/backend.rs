//! Delivers outcomes: stores them, sends what comes next, and settles the messages.
//!
//! ```text
//! runs --outcomes--> [ batch ] --publish next tries--> store --> send what follows --> settle
//!   ^ bounded channel    ^                                |
//!   +--- slots held ---  +----- again, after a while -----+ (backend or broker away)
//! ```
//!
//! A server that is away, or a backend that refuses everything, makes outcomes wait. A
//! message that is refused becomes another outcome, so that nothing waits for ever: a
//! task that cannot be parked waits here, a next try that cannot be published is a
//! failure and a dead letter, and a follower that cannot be sent fails in its place.
//!
//! # Delivery guarantee
//!
//! A message is settled after its result is stored and what follows is sent. A crash on
//! the way means that it is delivered again.

mod deliver;
mod follow;
mod home;
mod store;

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use celeriac::health::BEAT;
use celeriac::retry::Backoff;
use celeriac::{Error, Result};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Mutex, mpsc};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};
use tokio_util::sync::CancellationToken;

use self::deliver::Left;
use crate::execution::report::{Report, Settle};
use crate::execution::workflow::Next;
use crate::execution::workflow::Step;
use crate::job::Claim;
use crate::shared::Shared;

/// An outcome on its way.
pub(crate) struct Parcel {
    /// The job it ends; `None` for a state on the way.
    pub(crate) claim: Option<Claim>,
    pub(crate) report: Report,
    /// Where a task that is to be parked goes back to when it has waited here.
    back: Option<mpsc::Sender<Claim>>,
    /// Why it could not be delivered the last time.
    waits: Option<Box<Error>>,
}

/// What is to be done about an outcome next; each comes after those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Due {
    /// Its next run is published.
    Publish,
    /// Its results are stored.
    Store,
    /// What follows is sent.
    Follow,
    /// Errbacks of this node are called.
    Call,
    /// Its message is dead-lettered.
    Bury,
    /// It is ended here.
    End,
}

impl Parcel {
    pub(crate) const fn new(claim: Option<Claim>, report: Report) -> Self {
        Self {
            claim,
            report,
            back: None,
            waits: None,
        }
    }

    /// Says where a task waits whose message is refused.
    pub(crate) fn or_back(mut self, back: mpsc::Sender<Claim>) -> Self {
        self.back = Some(back);
        self
    }

    fn due(&self) -> Due {
        let report = &self.report;
        if report.before.is_some() {
            Due::Publish
        } else if !report.stores.is_empty() {
            Due::Store
        } else if let Some((_, step)) = report.next_step() {
            match step {
                Step::Call { .. } => Due::Call,
                _ => Due::Follow,
            }
        } else if matches!(report.settle, Settle::Dead(_)) && self.claim.is_some() {
            Due::Bury
        } else {
            Due::End
        }
    }

    /// Tells whether this is due now.
    fn is(&self, due: Due) -> bool {
        self.waits.is_none() && self.due() == due
    }

    /// Leaves the rest for another time.
    fn wait(&mut self, why: Error) {
        tracing::debug!(error = %why, "outcome is not delivered yet");
        self.waits = Some(Box::new(why));
    }

    /// The tasks of which it is to store something.
    fn ids(&self) -> impl Iterator<Item = &str> {
        let stores = self.report.stores.iter();
        stores.map(|store| store.document.task_id.as_str())
    }
}

/// Tells whether the same call may work later: a server is away.
const fn passes(error: &Error) -> bool {
    error.is_retryable() || matches!(error, Error::Closed(_))
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
/// again or to have their errbacks called; beyond that runs hold their slots.
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
        if parcel.due() == Due::End {
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

/// Does once what follows a task, without a message to be settled after: what is found
/// done already is harmless to do again.
///
/// # Errors
///
/// The first of any part, when others may have been done.
pub(crate) async fn perform(shared: &Shared, next: Next) -> Result<()> {
    let mut report = Report {
        stores: next.stores,
        steps: next.steps,
        ..Report::default()
    };
    loop {
        let stores = std::mem::take(&mut report.stores);
        let stored = shared.app.backend().store(stores).await;
        stored.into_iter().try_for_each(|answer| answer.map(drop))?;
        if report.steps.is_empty() {
            return Ok(());
        }
        follow::perform(shared, &mut report).await?;
        if matches!(report.next_step(), Some((_, Step::Call { .. }))) {
            follow::call_now(shared, &mut report).await;
        }
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
    let mut calls: VecDeque<Box<Parcel>> = VecDeque::new();
    let (mut failures, mut again) = (0, Instant::now());
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            permit = Arc::clone(&shared.errbacks).acquire_owned(), if !calls.is_empty() => {
                // Nobody closes the semaphore.
                if let (Ok(permit), Some(parcel)) = (permit, calls.pop_front()) {
                    follow::call(&shared, parcel, permit);
                }
            }
            () = sleep_until(again), if !late.is_empty() => batch.append(&mut late),
            count = inbox.recv_many(&mut batch, BATCH), if late.len() + calls.len() < CAPACITY => {
                if count == 0 {
                    return;
                }
                queue_up(&mut batch, &mut late);
            }
            _ = beat.tick() => {}
        }
        pulse.beat();
        if batch.is_empty() {
            continue;
        }
        let Left {
            late: left,
            calls: due,
        } = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            left = pulse.during(deliver::deliver(&shared, std::mem::take(&mut batch))) => left,
        };
        calls.extend(due);
        if left.is_empty() {
            failures = 0;
            continue;
        }
        if failures == 0 {
            let why = left.first().and_then(|parcel| parcel.waits.as_deref());
            let why = why.map(tracing::field::display);
            tracing::warn!(outcomes = left.len(), why, "outcomes wait");
        }
        shared.counters.retries.add(left.len() as u64);
        again = Instant::now() + BACKOFF.delay(failures, 0.0);
        failures += 1;
        late.extend(left);
    }
}

/// Moves behind the late ones what concerns the same tasks: the end of a task is not
/// overtaken by what came before it.
#[allow(clippy::vec_box, reason = "parcels come boxed")]
fn queue_up(batch: &mut Vec<Box<Parcel>>, late: &mut Vec<Box<Parcel>>) {
    if late.is_empty() {
        return;
    }
    let ids: HashSet<&str> = late.iter().flat_map(|parcel| parcel.ids()).collect();
    let behind = batch.extract_if(.., |parcel| parcel.ids().any(|id| ids.contains(id)));
    let behind: Vec<_> = behind.collect();
    late.extend(behind);
}

#[cfg(test)]
mod tests {
    use celeriac::backend::Store;
    use celeriac::protocol::{ResultDocument, State};

    use super::*;

    fn parcel(id: &str, state: State) -> Box<Parcel> {
        let store = Store {
            document: ResultDocument::new(id, state, 0),
            reply_to: None,
            correlation_id: None,
        };
        let report = Report {
            stores: vec![store],
            ..Report::default()
        };
        Box::new(Parcel::new(None, report))
    }

    #[test]
    fn what_is_late_comes_before_what_is_new_of_the_same_task() {
        let mut late = vec![parcel("a", State::Started), parcel("b", State::Started)];
        let mut batch = vec![parcel("c", State::Success), parcel("a", State::Failure)];
        queue_up(&mut batch, &mut late);
        let ids = |parcels: &[Box<Parcel>]| -> Vec<String> {
            let ids = parcels.iter().flat_map(|parcel| parcel.ids());
            ids.map(str::to_owned).collect()
        };
        assert_eq!(ids(&batch), ["c"]);
        assert_eq!(ids(&late), ["a", "b", "a"]);
        assert_eq!(late[2].report.stores[0].document.status, State::Failure);
    }
}
