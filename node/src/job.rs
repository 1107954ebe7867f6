//! One message on its way through the node.

use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use celeriac::broker::{Receipt, Settlement};
use celeriac::clock;
use celeriac::protocol::control::Signal;
use celeriac::protocol::task::{Limits, Protocol};
use celeriac::protocol::{Body, DecodeError, Message, Properties, TaskHeaders, TaskMessage};
use celeriac::task::{Context, Handler, Request};

use crate::jobs::{Recent, Turn};

/// One message on its way through the node, from delivery to settlement.
///
/// ```text
/// Waiting --> Running --> Delivering --> Settled
///    |            |                         ^
///    +------------+--- given back ----------+
/// ```
pub(crate) struct Job {
    /// Tells jobs of this node apart: a client may send one id twice.
    pub(crate) serial: u64,
    /// What the running task knows of itself; made of the message.
    pub(crate) context: Context,
    /// The body as it travelled.
    pub(crate) body: Bytes,
    pub(crate) protocol: Protocol,
    /// The whole message, where headers and body do not say the same again: protocol 1,
    /// and what is no task at all.
    pub(crate) original: Option<Arc<Message>>,
    /// From which queue it came.
    pub(crate) queue: Arc<str>,
    /// `None` when no task here has the name.
    pub(crate) handler: Option<Arc<dyn Handler>>,
    stage: AtomicU8,
    stop: AtomicU8,
    /// When it came to this node.
    arrived: Instant,
    started: OnceLock<(SystemTime, Instant)>,
    /// The process that runs it, when that is another one; else 0.
    worker: AtomicU32,
    receipt: Mutex<Option<Receipt>>,
}

/// How far a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    /// For a place to run, or for its time.
    Waiting,
    /// The task's code runs.
    Running,
    /// Its outcome is on the way to the backend and the broker.
    Delivering,
    /// Nothing is left to do.
    Settled,
}

/// Why a running task shall stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// It was revoked with terminate, by the signal of this number. Only a task with a
    /// process of its own gets that signal; any other hears of the number alone.
    Terminated(Signal),
    /// The node ends.
    Shutdown,
}

impl Job {
    pub(crate) fn new(
        serial: u64,
        context: Context,
        queue: Arc<str>,
        handler: Option<Arc<dyn Handler>>,
        receipt: Receipt,
    ) -> Self {
        Self {
            serial,
            context,
            body: Bytes::new(),
            protocol: Protocol::V2,
            original: None,
            queue,
            handler,
            stage: AtomicU8::new(Stage::Waiting as u8),
            stop: AtomicU8::new(0),
            arrived: Instant::now(),
            started: OnceLock::new(),
            worker: AtomicU32::new(0),
            receipt: Mutex::new(Some(receipt)),
        }
    }

    /// Returns how long the task waited for its start: since its arrival here, or since its
    /// sending where the message tells that. `None` for a task that was to wait, or waits.
    ///
    /// A message tells whole seconds, by its sender's clock: one is taken off, so that no
    /// wait is shown that there was not.
    pub(crate) fn queue_time(&self) -> Option<Duration> {
        let headers = self.headers();
        if headers.eta.is_some() {
            return None;
        }
        let &(started_at, started) = self.started.get()?;
        let here = started.saturating_duration_since(self.arrived);
        let Some(sent) = self.properties().timestamp.filter(|_| headers.retries == 0) else {
            return Some(here);
        };
        let sent = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(sent))?;
        let since = started_at.duration_since(sent).unwrap_or_default();
        Some(here.max(since.saturating_sub(Duration::from_secs(1))))
    }

    pub(crate) fn id(&self) -> &str {
        self.context.id()
    }

    pub(crate) fn headers(&self) -> &TaskHeaders {
        &self.context.request().headers
    }

    pub(crate) fn properties(&self) -> &Properties {
        &self.context.request().properties
    }

    /// Makes the body readable.
    pub(crate) fn open(&self, limits: &Limits) -> Result<Body, DecodeError> {
        open(
            self.context.request(),
            self.protocol,
            self.body.clone(),
            limits,
        )
    }

    pub(crate) fn stage(&self) -> Stage {
        match self.stage.load(Ordering::Acquire) {
            0 => Stage::Waiting,
            1 => Stage::Running,
            2 => Stage::Delivering,
            _ => Stage::Settled,
        }
    }

    /// Moves on; never back.
    pub(crate) fn advance(&self, stage: Stage) {
        self.stage.fetch_max(stage as u8, Ordering::AcqRel);
    }

    /// Notes that the task's code starts.
    pub(crate) fn start(&self) {
        self.started.get_or_init(|| (clock::now(), Instant::now()));
        self.advance(Stage::Running);
    }

    /// Notes the process of its own that the task has.
    pub(crate) fn set_worker(&self, pid: u32) {
        self.worker.store(pid, Ordering::Relaxed);
    }

    /// Returns the process that runs the task.
    pub(crate) fn worker(&self) -> u32 {
        match self.worker.load(Ordering::Relaxed) {
            0 => std::process::id(),
            pid => pid,
        }
    }

    /// Returns when the task's code started.
    pub(crate) fn started_at(&self) -> Option<SystemTime> {
        self.started.get().map(|(at, _)| *at)
    }

    /// Returns how long the task's code has run.
    pub(crate) fn runtime(&self) -> Duration {
        self.started
            .get()
            .map(|(_, start)| start.elapsed())
            .unwrap_or_default()
    }

    /// Asks the running task to stop. The first reason stays.
    pub(crate) fn stop(&self, why: Stop) {
        let code = match why {
            // Signals are 1 to 64.
            Stop::Terminated(signal) => signal.number(),
            Stop::Shutdown => u8::MAX,
        };
        let _ = self
            .stop
            .compare_exchange(0, code, Ordering::AcqRel, Ordering::Acquire);
        self.context.cancellation().cancel();
    }

    /// Returns why the task shall stop, if it shall.
    pub(crate) fn stopping(&self) -> Option<Stop> {
        match self.stop.load(Ordering::Acquire) {
            u8::MAX => Some(Stop::Shutdown),
            number => Signal::from_number(number).map(Stop::Terminated),
        }
    }

    /// Tells whether the broker still waits for this message's settlement, or needs
    /// none.
    pub(crate) fn is_current(&self) -> bool {
        self.lock().as_ref().is_none_or(Receipt::is_current)
    }

    /// Tells whether the message was acknowledged before its task ended.
    pub(crate) fn is_acknowledged(&self) -> bool {
        self.lock().is_none()
    }

    /// Acknowledges before the run, for tasks that want that.
    pub(crate) fn acknowledge_early(&self) {
        if let Some(receipt) = self.lock().take() {
            receipt.acknowledge();
        }
    }

    /// Takes the receipt of the same message, delivered again, in place of its own,
    /// which is void; so the settlement counts.
    ///
    /// # Errors
    ///
    /// Gives the receipt back when this job is settled, or its own is still good.
    pub(crate) fn renew(&self, fresh: Receipt) -> Result<(), Receipt> {
        let mut receipt = self.lock();
        if self.stage() == Stage::Settled || receipt.as_ref().is_some_and(Receipt::is_current) {
            return Err(fresh);
        }
        match receipt.replace(fresh) {
            Some(_void) => {}
            // It was acknowledged early, and the acknowledgement was lost.
            None => {
                if let Some(fresh) = receipt.take() {
                    fresh.acknowledge();
                }
            }
        }
        Ok(())
    }

    /// Settles the message; the first settlement counts.
    pub(crate) fn settle(&self, settlement: Settlement) {
        let mut receipt = self.lock();
        self.advance(Stage::Settled);
        if let Some(receipt) = receipt.take() {
            receipt.settle(settlement);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Receipt>> {
        self.receipt.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes the body of a message readable.
pub(crate) fn open(
    request: &Request,
    protocol: Protocol,
    body: Bytes,
    limits: &Limits,
) -> Result<Body, DecodeError> {
    // Headers and properties live in the context; only these of them matter here.
    let message = TaskMessage {
        headers: TaskHeaders {
            compression: request.headers.compression.clone(),
            ..TaskHeaders::default()
        },
        properties: Properties {
            content_type: request.properties.content_type.clone(),
            content_encoding: request.properties.content_encoding.clone(),
            ..Properties::default()
        },
        protocol,
        body,
    };
    message.body(limits)
}

/// A message that is not due may come so much too early: brokers count whole seconds.
const EARLY: Duration = Duration::from_secs(2);

/// The duty to end a job. Dropped undone, the message goes back to the broker, so that
/// no path through the node, a panic among them, can lose one.
pub(crate) struct Claim {
    job: Arc<Job>,
    jobs: Arc<super::jobs::Jobs>,
    settled: bool,
    /// A rate limit has let it pass; it is not asked again.
    pub(crate) admitted: bool,
    /// That it was received has been told; it is not told again.
    pub(crate) told: bool,
}

impl Claim {
    pub(crate) fn new(job: Arc<Job>, jobs: Arc<super::jobs::Jobs>) -> Self {
        Self {
            job,
            jobs,
            settled: false,
            admitted: false,
            told: false,
        }
    }

    /// Ends a job whose task is done: the same message, delivered again, is known.
    pub(crate) fn finish(self, settlement: Settlement) {
        let headers = self.job.headers();
        // Before the settlement: a redelivery that overtakes it must find one or the
        // other.
        let now = Instant::now();
        let recent = &self.jobs.finished;
        recent.insert(&headers.id, Turn::of(headers), now, now + Recent::KEEP);
        self.settle(settlement);
    }

    /// Ends a job whose task waits in the broker until then, as another message: the same
    /// message, delivered again, is known for as long as the other one surely waits.
    pub(crate) fn park(self, until: SystemTime) {
        let wait = until.duration_since(clock::now()).unwrap_or_default();
        if let Some(wait) = wait.checked_sub(EARLY) {
            let (headers, now) = (self.job.headers(), Instant::now());
            let recent = &self.jobs.parked;
            recent.insert(
                &headers.id,
                Turn::of(headers),
                now,
                now + wait.min(Recent::KEEP),
            );
        }
        self.settle(Settlement::Acknowledge);
    }

    /// Ends a job whose task is not done here.
    pub(crate) fn settle(mut self, settlement: Settlement) {
        self.end(settlement);
    }

    fn end(&mut self, settlement: Settlement) {
        self.settled = true;
        self.job.settle(settlement);
        self.jobs.remove(self.job.serial);
    }
}

impl std::ops::Deref for Claim {
    type Target = Arc<Job>;

    fn deref(&self) -> &Arc<Job> {
        &self.job
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if !self.settled {
            self.end(Settlement::Requeue);
        }
    }
}
