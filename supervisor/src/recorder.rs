//! Records what becomes of tasks in the store: what changed waits here, bounded, and is
//! written in batches.
//!
//! ```text
//!  Backend --mark--> Dirty --take--> writer --save--> store
//!     |                ^                |
//!     +--evicted task--+     History <--+ latest state
//! ```
//!
//! Many events of a task become one write of its latest state. While the store is slow or
//! down, tasks wait; when too many do, states that others will follow are left out first,
//! and what is left out is counted.
//!
//! A supervisor that is to keep no tasks records nothing at all.

mod dirty;
mod retention;
#[cfg(test)]
mod tests;
mod writer;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use celeriac::health::Pulse;
use celeriac_protocol::State;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

use self::dirty::Dirty;
pub(crate) use self::retention::Limits;
use crate::cluster::{History, Moved, Task};
use crate::store::{Store, Tally};

/// Takes in what changed; the writer takes it out.
///
/// Cloning shares it.
#[derive(Debug, Clone)]
pub(crate) struct Recorder(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    dirty: Mutex<Dirty>,
    tally: Mutex<Tally>,
    /// Whether no history is kept.
    off: AtomicBool,
    /// Tells the writer that a whole batch waits.
    full: Notify,
    stored: AtomicU64,
    written: AtomicU64,
    refused: AtomicU64,
}

/// What the recorder has done and could not do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Recorded {
    /// Tasks in the store, as last counted.
    pub(crate) stored: u64,
    /// Task states written since the start.
    pub(crate) written: u64,
    /// Tasks that wait to be written.
    pub(crate) waiting: u64,
    /// States left out because the store was slow or down; another state of the same task
    /// followed or follows.
    pub(crate) dropped: u64,
    /// Final states left out because the store was down for too long, or refused them.
    pub(crate) lost: u64,
}

/// The writer and the retention while they run.
#[derive(Debug)]
pub(crate) struct Recording {
    stop: watch::Sender<bool>,
    writer: JoinHandle<()>,
    retention: JoinHandle<()>,
}

/// How many tasks may wait to be written.
const WAITING: usize = 50_000;
/// How many bytes those may hold that are no longer in the cache.
const BYTES: usize = 48 * 1024 * 1024;
/// How many tasks are written in one transaction.
const BATCH: usize = 1_000;
/// The longest time before what changed is written, when few tasks wait.
const PAUSE: Duration = Duration::from_millis(250);
/// How many are few. When more wait, states that others will follow wait for those:
/// most tasks are written once, then, as they ended.
const FEW: usize = 100;
/// The longest time that they wait, in microseconds.
const PATIENCE: i64 = 1_000_000;

impl Recorder {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Inner {
            dirty: Mutex::new(Dirty::new(WAITING, BYTES)),
            tally: Mutex::default(),
            off: AtomicBool::new(false),
            full: Notify::new(),
            stored: AtomicU64::new(0),
            written: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        }))
    }

    /// Takes in that a task changed, what it moved to, and which task the cache let go.
    pub(crate) fn note(
        &self,
        id: &Arc<str>,
        moved: Option<&Moved>,
        evicted: Option<Task>,
        now: SystemTime,
    ) {
        if self.is_off() {
            return;
        }
        let now = micros(now);
        let state = moved.and_then(|moved| moved.state.as_ref());
        let is_final = state.is_some_and(State::is_ready);
        let whole = {
            let mut dirty = self.dirty();
            dirty.mark(id, is_final, now);
            if let Some(task) = evicted {
                dirty.keep(task);
            }
            dirty.finals() >= BATCH
        };
        if whole {
            self.0.full.notify_one();
        }
        if let Some(moved) = moved {
            let state = state.map(State::as_str);
            self.tally().count(now, &moved.name, state, moved.figures);
        }
    }

    /// Whether no history is kept: then memory alone knows tasks.
    pub(crate) fn is_off(&self) -> bool {
        self.0.off.load(Ordering::Relaxed)
    }

    /// Returns what was done and what could not be.
    pub(crate) fn figures(&self) -> Recorded {
        let dirty = self.dirty();
        Recorded {
            stored: self.0.stored.load(Ordering::Relaxed),
            written: self.0.written.load(Ordering::Relaxed),
            waiting: dirty.len() as u64,
            dropped: dirty.dropped,
            lost: dirty.lost + self.0.refused.load(Ordering::Relaxed),
        }
    }

    /// Starts to write, and to forget what is too old or too much. Limits of no tasks turn
    /// the history off, and forget what there is.
    pub(crate) fn start(
        &self,
        store: &Store,
        history: &History,
        limits: Limits,
        writer: String,
        pulse: Pulse,
    ) -> Recording {
        self.0.off.store(limits.tasks == 0, Ordering::Relaxed);
        let (stop, stopped) = watch::channel(false);
        let write = writer::Writer {
            recorder: self.clone(),
            store: store.clone(),
            history: history.clone(),
            name: writer,
            pulse,
        };
        let retention = retention::run(self.clone(), store.clone(), limits, stopped.clone());
        Recording {
            stop,
            writer: tokio::spawn(write.run(stopped)),
            retention: tokio::spawn(retention),
        }
    }

    fn dirty(&self) -> MutexGuard<'_, Dirty> {
        self.0.dirty.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tally(&self) -> MutexGuard<'_, Tally> {
        self.0.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Recording {
    /// Writes what still waits, until `deadline`; says whether all of it was.
    pub(crate) async fn stop(mut self, deadline: tokio::time::Instant) -> bool {
        self.stop.send_replace(true);
        let ended = tokio::time::timeout_at(deadline, &mut self.writer).await;
        self.retention.abort();
        matches!(ended, Ok(Ok(())))
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        self.writer.abort();
        self.retention.abort();
    }
}

/// Microseconds since the epoch.
pub(crate) fn micros(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}
