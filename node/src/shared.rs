//! What the parts of a node share.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use celeriac::broker::Link;
use celeriac::clock;
use celeriac::health::Progress;
use celeriac::protocol::task::Limits;
use celeriac::routing::TaskQueue;
use celeriac::task::Registry;
use celeriac::{App, Result};
use dashmap::DashMap;
use serde::Serialize;
use tokio::runtime;
use tokio::sync::{Semaphore, mpsc, watch};

use crate::autoscale::Bounds;
use crate::backend::Outcomes;
use crate::builtin;
use crate::config::{Autoscale, Config, MAX_DEFAULT_THREADS as MAX_THREADS};
use crate::counters::Counters;
use crate::events::Events;
use crate::execution::limits::TaskLimits;
use crate::heart::tempo::Tempo;
use crate::isolation::Pool;
use crate::jobs::Jobs;
use crate::mailroom::Samples;
use crate::quarantine::Quarantine;
use crate::rate::Rates;
use crate::revoked::Revoked;
use crate::revoked::file::StateFile;
use crate::shutdown::Shutdown;
use crate::slots::Slots;
use crate::timetable::{Parked, Timetable};

/// What the parts of a node share: state behind atomics and small locks, and the ways
/// to each other. No part holds another.
pub(crate) struct Shared {
    pub(crate) app: App,
    /// The tasks that it runs: the app's, and Celery's own.
    pub(crate) tasks: Registry,
    pub(crate) config: Config,
    /// What the decoder may be made to hold.
    pub(crate) limits: Limits,
    pub(crate) slots: Arc<Slots>,
    /// Between which bounds the number of places follows the load, if it does.
    pub(crate) autoscale: Option<Bounds>,
    /// How many blocking tasks may have a thread. A thread that was given up has its
    /// permit until it returns.
    pub(crate) threads: Arc<Semaphore>,
    /// How many outcomes may have their errbacks called at once, beside what runs.
    pub(crate) errbacks: Arc<Semaphore>,
    /// How many permits of `threads` there ever were.
    allowed_threads: AtomicUsize,
    /// The processes of isolated tasks.
    pub(crate) isolation: Arc<Pool>,
    pub(crate) jobs: Arc<Jobs>,
    pub(crate) revoked: Revoked,
    /// Messages that are not to be tried once more.
    pub(crate) quarantine: Quarantine,
    /// Where that outlives the node, if it does.
    pub(crate) state_file: OnceLock<StateFile>,
    pub(crate) rates: Rates,
    pub(crate) time_limits: TaskLimits,
    pub(crate) timetable: Timetable,
    pub(crate) parked: Parked,
    pub(crate) events: Events,
    pub(crate) tempo: Tempo,
    pub(crate) counters: Arc<Counters>,
    pub(crate) pulses: Progress,
    pub(crate) samples: Samples,
    pub(crate) outcomes: Outcomes,
    pub(crate) queues: DashMap<String, Arc<QueueState>>,
    /// What these queues are, by their names.
    pub(crate) task_queues: DashMap<String, TaskQueue>,
    /// The node's own: the caller's wishes, and those of remote control.
    pub(crate) shutdown: Shutdown,
    /// The work-stealing runtime: user code and the loops of the data plane.
    pub(crate) work: runtime::Handle,
    pub(crate) started: SystemTime,
    pub(crate) since: Instant,
    /// Where health is served, once it is.
    pub(crate) http: OnceLock<SocketAddr>,
    /// Requests to the root actor.
    pub(crate) commands: mpsc::Sender<Command>,
    /// Restarts of children, by name; the root actor writes it.
    pub(crate) restarts: Mutex<BTreeMap<String, u64>>,
    /// Ids of tasks that ran and were given back at shutdown.
    pub(crate) unfinished: Mutex<Vec<String>>,
    /// Messages that had not started and were given back at shutdown.
    pub(crate) returned: AtomicU64,
    phase: watch::Sender<Phase>,
    /// Changes when the number of places does, or its bounds, so that consumers adjust.
    pub(crate) resized: watch::Sender<usize>,
    /// Whether the neighbours were asked what they know.
    acquainted: watch::Sender<bool>,
    /// Changes when a consumer starts or stops to consume.
    consuming: watch::Sender<u64>,
    /// Whether all queues were consumed at once, ever.
    begun: AtomicBool,
}

/// How far a node is in its life.
///
/// ```text
/// Starting --> Running --> Draining --> Cancelling --> Returning --> Flushing --> Stopped
///     |           |           |                            ^
///     +-----------+-----------+------- without waiting ----+
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Phase {
    /// Children start.
    Starting,
    /// It takes and runs tasks.
    Running,
    /// It takes no more; what runs may finish until the deadline.
    Draining,
    /// What still runs was asked to stop.
    Cancelling,
    /// What still runs is given back to the broker.
    Returning,
    /// Outcomes that are on the way are delivered.
    Flushing,
    /// It has ended.
    Stopped,
}

/// What the root actor is asked by other parts.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Command {
    /// Take tasks from one more queue.
    AddConsumer(TaskQueue),
    /// Take no more tasks from a queue, by its name or alias.
    CancelConsumer(String),
}

/// What is known of a queue that the node consumes.
#[derive(Debug, Default)]
pub(crate) struct QueueState {
    /// Whether the consumer is there.
    pub(crate) consuming: AtomicBool,
    pub(crate) prefetch: AtomicU16,
    /// Messages that wait for a place to run.
    pub(crate) reserved: AtomicUsize,
    /// Messages taken since the start.
    pub(crate) taken: AtomicU64,
}

impl Shared {
    pub(crate) fn new(
        app: App,
        config: Config,
        work: runtime::Handle,
        commands: mpsc::Sender<Command>,
    ) -> Arc<Self> {
        Arc::new_cyclic(|shared| Self {
            tasks: match config.builtin_tasks {
                true => builtin::complete(app.registry().clone(), shared),
                false => app.registry().clone(),
            },
            limits: Limits {
                body: config.max_body,
            },
            slots: Slots::new(config.places()),
            autoscale: config.autoscale.map(Bounds::new),
            threads: Arc::new(Semaphore::new(config.threads())),
            errbacks: Arc::new(Semaphore::new(config.places())),
            allowed_threads: AtomicUsize::new(config.threads()),
            isolation: Pool::new(config.isolation.clone(), config.max_body),
            jobs: Arc::default(),
            revoked: Revoked::default(),
            quarantine: Quarantine::default(),
            state_file: OnceLock::new(),
            rates: Rates::new(app.registry()),
            time_limits: TaskLimits::default(),
            timetable: Timetable::default(),
            parked: Parked::default(),
            events: Events::new(config.events),
            tempo: Tempo::new(config.heartbeat),
            counters: Arc::new(Counters::new(app.registry())),
            pulses: Progress::default(),
            samples: Samples::default(),
            outcomes: Outcomes::new(),
            queues: DashMap::new(),
            task_queues: DashMap::new(),
            shutdown: Shutdown::new(),
            work,
            started: clock::now(),
            since: Instant::now(),
            http: OnceLock::new(),
            commands,
            restarts: Mutex::default(),
            unfinished: Mutex::default(),
            returned: AtomicU64::new(0),
            phase: watch::Sender::new(Phase::Starting),
            resized: watch::Sender::new(config.places()),
            acquainted: watch::Sender::new(false),
            consuming: watch::Sender::new(0),
            begun: AtomicBool::new(false),
            app,
            config,
        })
    }

    /// Returns the node's name.
    pub(crate) fn name(&self) -> &str {
        &self.config.name
    }

    /// Returns what a queue is that the node consumes, or would be.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`](celeriac::Error::Invalid) when it is not described and missing
    /// queues are not to be created.
    pub(crate) fn task_queue(&self, name: &str) -> Result<TaskQueue> {
        if let Some(queue) = self.task_queues.get(name) {
            return Ok(queue.clone());
        }
        Ok(self.app.queues().get(name)?.into_owned())
    }

    /// Waits until a phase has come, or a later one.
    pub(crate) async fn reach(&self, phase: Phase) {
        // The sender is our own.
        let _ = self.phase.subscribe().wait_for(|at| *at >= phase).await;
    }

    pub(crate) fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    /// Moves on; never back.
    pub(crate) fn enter(&self, phase: Phase) {
        let entered = self.phase.send_if_modified(|present| {
            let on = *present < phase;
            if on {
                *present = phase;
            }
            on
        });
        if entered {
            tracing::info!(node = self.name(), ?phase, "node is {phase:?}");
        }
    }

    /// Tells whether the node takes tasks now: it has begun, it runs, the link is up, and
    /// every queue has its consumer. One that remote control has left no queue does all
    /// that it is told to.
    pub(crate) fn is_ready(&self) -> bool {
        self.phase() == Phase::Running
            && self.has_started()
            && self.app.broker().link().borrow().is_up()
            && self.consumes_all()
    }

    fn consumes_all(&self) -> bool {
        let mut queues = self.queues.iter();
        queues.all(|queue| queue.consuming.load(Ordering::Acquire))
    }

    /// Tells whether the node was connected once, its queues were declared, and each was
    /// consumed.
    pub(crate) fn has_started(&self) -> bool {
        self.begun.load(Ordering::Acquire)
    }

    /// Counts the messages that wait for a place to run.
    pub(crate) fn reserved(&self) -> usize {
        let queues = self.queues.iter();
        let reserved = queues.map(|queue| queue.reserved.load(Ordering::Relaxed));
        reserved.sum()
    }

    /// Notes that a consumer is there, or is not any more.
    pub(crate) fn set_consuming(&self, queue: &QueueState, consuming: bool) {
        queue.consuming.store(consuming, Ordering::Release);
        // A consumer is there, so the root has named every queue that the node was made for.
        if consuming && self.consumes_all() {
            self.begun.store(true, Ordering::Release);
        }
        self.consuming.send_modify(|changes| *changes += 1);
    }

    /// Notes that the neighbours were asked what they know.
    pub(crate) fn set_acquainted(&self) {
        self.acquainted.send_replace(true);
    }

    /// Waits until the neighbours were asked what they know, `within` at most and once.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub(crate) async fn acquainted(&self, within: Duration) {
        let mut acquainted = self.acquainted.subscribe();
        let asked = acquainted.wait_for(|asked| *asked);
        if tokio::time::timeout(within, asked).await.is_err() {
            self.set_acquainted();
        }
    }

    /// Waits until the node is ready, or will never be.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub(crate) async fn ready(&self) -> bool {
        let mut phase = self.phase.subscribe();
        let mut consuming = self.consuming.subscribe();
        let mut link = self.app.broker().link();
        loop {
            if self.is_ready() {
                return true;
            }
            if self.phase() > Phase::Running || *link.borrow() == Link::Closed {
                return false;
            }
            // A sender that is gone says no more; the other two do.
            tokio::select! {
                _ = phase.changed() => {}
                _ = consuming.changed() => {}
                Ok(()) = link.changed() => {}
            }
        }
    }

    /// Changes the number of places to run; returns how many there are now.
    pub(crate) fn resize(&self, by: isize) -> usize {
        let places = match usize::try_from(by) {
            Ok(more) => {
                self.grow_threads(more);
                self.slots.grow(more)
            }
            Err(_) => self.slots.shrink(by.unsigned_abs()),
        };
        self.resized.send_replace(places);
        places
    }

    /// Returns how many places there may be: with bounds the load alone brings so many,
    /// and it cannot be seen when fewer messages are taken.
    pub(crate) fn most_places(&self) -> usize {
        let places = self.slots.capacity();
        let bounds = self.autoscale.as_ref().map(Bounds::get);
        bounds.map_or(places, |bounds| places.max(bounds.max))
    }

    /// Sets the bounds between which the number of places follows the load.
    pub(crate) fn scale_between(&self, bounds: &Bounds, new: Autoscale) {
        bounds.set(new);
        // What is taken ahead follows from the maximum.
        self.resized.send_replace(self.slots.capacity());
    }

    /// Lets as many more blocking tasks have a thread, so that new places are of use to
    /// them, unless the number of threads was given.
    fn grow_threads(&self, more: usize) {
        if self.config.blocking_threads.is_some() {
            return;
        }
        let places = self.slots.capacity().saturating_add(more).min(MAX_THREADS);
        let before = self.allowed_threads.fetch_max(places, Ordering::AcqRel);
        self.threads.add_permits(places.saturating_sub(before));
    }

    /// Notes a task that ran and was given back. Its run may say so, and who ends the node
    /// at the same moment: it counts once.
    pub(crate) fn note_unfinished(&self, id: &str) {
        let mut unfinished = self
            .unfinished
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if !unfinished.iter().any(|known| known == id) {
            self.counters.requeued.add(1);
            unfinished.push(id.to_owned());
        }
    }

    /// Notes messages that had not started and were given back.
    pub(crate) fn note_returned(&self, count: usize) {
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        self.counters.requeued.add(count);
        self.returned.fetch_add(count, Ordering::Relaxed);
    }
}
