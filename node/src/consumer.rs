//! Takes tasks from one queue.
//!
//! What becomes of a message that is not a plain call of a known task:
//!
//! | message | result | message ends |
//! |---|---|---|
//! | no `task` or `id`, header of a wrong type, unreadable `eta` or `expires` | none | dead letter |
//! | content type or compression missing, unknown or not accepted (pickle) | FAILURE `ContentDisallowed` | dead letter |
//! | body that is not what it claims, larger than the limit | FAILURE `DecodeError` | dead letter |
//! | body empty, or not of three elements | FAILURE `DecodeError` | dead letter |
//! | arguments that do not fit the task | FAILURE `TypeError` | acknowledged |
//! | unknown task | FAILURE `NotRegistered` | dead letter |
//! | expired | REVOKED `expired` | acknowledged |
//! | called off | REVOKED `revoked` | acknowledged |
//! | not due within [`Config::hold`](crate::Config::hold) | none | parked in the broker |
//! | delivered again while its task runs here | none | its receipt takes the void one's place |
//! | delivered again after its task ended here | none | acknowledged |
//! | delivered again, and the backend has its success | kept | what follows it is sent, acknowledged |
//!
//! "Dead letter" is a publication to the exchange `celeriac.dead`, which leads to the
//! queue `<queue>.dead`, with the headers `x-celeriac-reason` among others. No
//! message ends a node.

mod intake;
pub(crate) mod topology;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use celeriac::broker::{Consumer, Subscription};
use celeriac::health::{BEAT, Pulse};
use celeriac::protocol::Timestamp;
use celeriac::retry::Backoff;
use celeriac::routing::TaskQueue;
use celeriac::{Error, clock};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::execution::run::execute;
use crate::job::Claim;
use crate::returned;
use crate::shared::{QueueState, Shared};

/// So many messages are taken from the broker at once at most.
const BATCH: usize = 256;

/// How long a consumer that ends waits for the broker to hear it.
const CANCEL_WITHIN: Duration = Duration::from_secs(2);

/// How long a change of the prefetch may hold up the intake.
const RESIZE_WITHIN: Duration = Duration::from_secs(2);

/// How long to wait before a queue is declared and subscribed again.
const BACKOFF: Backoff = Backoff::new(Duration::from_millis(100))
    .max(Duration::from_secs(5))
    .exact();

fn unanswered() -> Error {
    Error::Timeout {
        what: "changing the prefetch".to_owned(),
        after: RESIZE_WITHIN,
    }
}

/// The intake of one queue.
struct Intake {
    shared: Arc<Shared>,
    queue: Arc<str>,
    state: Arc<QueueState>,
    /// Jobs that wait for a place to run.
    waiting: VecDeque<Claim>,
    /// The way back for jobs whose time has come.
    back: mpsc::Sender<Claim>,
    due: mpsc::Receiver<Claim>,
}

/// Takes tasks from a queue until it is stopped. What has not started then goes back.
///
/// Ends by itself only when the broker is closed or refuses the queue for good; its
/// keeper ends with it, and is made anew.
pub(crate) async fn run(
    shared: Arc<Shared>,
    queue: TaskQueue,
    state: Arc<QueueState>,
    stop: CancellationToken,
) {
    let prefetch = prefetch(&shared);
    let subscribed = tokio::select! {
        subscribed = subscribe(&shared, &queue, prefetch) => subscribed,
        () = stop.cancelled() => return,
    };
    let mut consumer = match subscribed {
        Ok(consumer) => consumer,
        Err(error) => {
            tracing::error!(queue = queue.name, %error, "queue cannot be consumed");
            return;
        }
    };
    let queue = queue.name;
    state.prefetch.store(prefetch, Ordering::Relaxed);
    let (back, due) = mpsc::channel(usize::from(u16::MAX));
    let mut intake = Intake {
        shared: Arc::clone(&shared),
        queue: queue.as_str().into(),
        state: Arc::clone(&state),
        waiting: VecDeque::new(),
        back,
        due,
    };
    shared.set_consuming(&state, true);
    tracing::info!(queue, prefetch, "consuming");
    // However this ends, a panic among the ways, the queue is not consumed any more.
    let gone = Gone { shared, state };
    intake.keep(consumer.as_mut(), stop).await;
    let _ = timeout(CANCEL_WITHIN, consumer.cancel()).await;
    intake.give_back();
    drop(gone);
}

struct Gone {
    shared: Arc<Shared>,
    state: Arc<QueueState>,
}

impl Drop for Gone {
    fn drop(&mut self) {
        self.state.reserved.store(0, Ordering::Relaxed);
        self.shared.set_consuming(&self.state, false);
    }
}

/// Declares the queue and subscribes, however long the broker is away.
async fn subscribe(
    shared: &Shared,
    queue: &TaskQueue,
    prefetch: u16,
) -> Result<Box<dyn Consumer>, Error> {
    let topology = topology::of(queue, shared.config.dead_letters.any());
    let broker = shared.app.broker();
    let mut failures = 0;
    loop {
        let subscribed = async {
            broker.declare(&topology).await?;
            broker
                .consume(Subscription::new(&*queue.name, prefetch))
                .await
        };
        match subscribed.await {
            Ok(consumer) => return Ok(consumer),
            Err(error) if error.is_retryable() => {
                if failures == 0 {
                    tracing::warn!(queue = queue.name, %error, "queue cannot be consumed yet");
                }
                sleep(BACKOFF.delay(failures, 0.0)).await;
                failures = failures.saturating_add(1);
            }
            Err(error) => return Err(error),
        }
    }
}

fn has_expired(claim: &Claim) -> bool {
    let expired = |expires: Timestamp| SystemTime::from(expires) <= clock::now();
    claim.headers().expires.is_some_and(expired)
}

fn prefetch(shared: &Shared) -> u16 {
    shared
        .config
        .prefetch
        .per_queue(shared.most_places(), shared.queues.len())
}

impl Intake {
    async fn keep(&mut self, consumer: &mut dyn Consumer, stop: CancellationToken) {
        let shared = Arc::clone(&self.shared);
        let pulse = shared.pulses.add(format!("consumer {}", self.queue));
        let mut resized = shared.resized.subscribe();
        let mut beat = interval(BEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            pulse.beat();
            self.look(consumer.is_consuming());
            self.start();
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = shared.slots.freed(), if !self.waiting.is_empty() => {}
                Some(claim) = self.due.recv() => self.admit(claim),
                Ok(()) = resized.changed() => self.resize(consumer, &pulse, &stop).await,
                batch = consumer.next(BATCH) => match batch {
                    Some(batch) => {
                        let mut again = self.take(batch);
                        if again.is_empty() {
                            continue;
                        }
                        // It asks others, who may be away.
                        tokio::select! {
                            biased;
                            () = stop.cancelled() => return self.waiting.extend(again),
                            () = pulse.during(self.take_again(&mut again)) => {}
                        }
                    }
                    None => return,
                },
                _ = beat.tick() => {}
            }
        }
    }

    /// Notes whether the broker has the consumer: it is made anew by itself, and what
    /// tells of the node must know meanwhile.
    fn look(&self, consuming: bool) {
        if self.state.consuming.load(Ordering::Relaxed) != consuming {
            self.shared.set_consuming(&self.state, consuming);
        }
    }

    /// Starts what has a place to run.
    fn start(&mut self) {
        while !self.waiting.is_empty() {
            let Some(slot) = self.shared.slots.try_take() else {
                break;
            };
            let Some(claim) = self.waiting.pop_front() else {
                break;
            };
            // The connection it came by is gone, so the broker gives it to somebody
            // else, or to us again.
            if !claim.is_current() {
                self.shared.counters.requeued.add(1);
                continue;
            }
            // Whether it was called off is asked when it starts.
            if has_expired(&claim) {
                self.admit(claim);
                continue;
            }
            tokio::spawn(execute(Arc::clone(&self.shared), claim, slot));
        }
        self.state
            .reserved
            .store(self.waiting.len(), Ordering::Relaxed);
    }

    async fn resize(&self, consumer: &mut dyn Consumer, pulse: &Pulse, stop: &CancellationToken) {
        let prefetch = prefetch(&self.shared);
        if self.state.prefetch.swap(prefetch, Ordering::Relaxed) == prefetch {
            return;
        }
        let changed = pulse.during(timeout(RESIZE_WITHIN, consumer.set_prefetch(prefetch)));
        let changed = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            changed = changed => changed.unwrap_or_else(|_| Err(unanswered())),
        };
        if let Err(error) = changed {
            // It is a matter of speed, and the next connection starts with it.
            tracing::warn!(queue = &*self.queue, %error, "prefetch is not changed");
        }
    }

    /// Gives back what has not started.
    fn give_back(&mut self) {
        let mut claims = std::mem::take(&mut self.waiting);
        while let Ok(claim) = self.due.try_recv() {
            claims.push_back(claim);
        }
        self.shared.note_returned(claims.len());
        for claim in claims {
            returned::give_back(&self.shared, claim);
        }
    }
}

#[cfg(test)]
mod tests;
