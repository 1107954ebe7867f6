//! The processes of a node.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use celeriac::App;
use futures_util::future::join_all;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::Isolation;
use super::frame::{VERSION, Welcome};
use super::memory::resident;
use super::process::Process;
use super::supervision::Supervision;
use super::wire::max_frame;

/// So often a process is started for one task, or taken and found dead, before that fails.
pub(super) const TRIES: u32 = 3;

/// The wait after the first start that failed; each further one doubles it.
const BACKOFF: Duration = Duration::from_millis(200);

/// How long the processes of runs may take to be killed.
const END_WITHIN: Duration = Duration::from_secs(1);

/// No wait is longer.
const MAX_BACKOFF: Duration = Duration::from_secs(30);

/// The processes of a node: those that run a task, and those that wait for one.
///
/// ```text
/// nothing --take--> starting --> busy --give back--> idle --take--> busy ...
///              |        |                  |           |
///              |        v                  v           v
///              +--- backed off          let go     let go, or gone by itself
/// ```
///
/// There are never more than places to run; they start when a task needs one.
pub(crate) struct Pool {
    settings: Isolation,
    max_body: usize,
    /// How many there may be, when that is fewer than places to run.
    permits: Option<Arc<Semaphore>>,
    /// Starting takes a processor; more at once start none earlier.
    starts: Semaphore,
    runs: AtomicU64,
    supervision: Supervision,
    /// How many runs there are.
    runs_now: watch::Sender<usize>,
    /// Fires when runs shall be no more.
    ending: CancellationToken,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    idle: Vec<Process>,
    /// By process id, the tasks run so far.
    all: BTreeMap<u32, u32>,
    /// Processes of an earlier one are let go when they are idle.
    generation: u64,
    failures: u32,
    /// Nothing is started before.
    not_before: Option<Instant>,
    closed: bool,
}

impl Pool {
    pub(crate) fn new(settings: Isolation, max_body: usize) -> Arc<Self> {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Arc::new(Self {
            permits: settings
                .processes
                .map(|most| Arc::new(Semaphore::new(most))),
            starts: Semaphore::new(cores),
            runs: AtomicU64::new(0),
            supervision: Supervision::default(),
            runs_now: watch::Sender::new(0),
            ending: CancellationToken::new(),
            state: Mutex::default(),
            max_body,
            settings,
        })
    }

    /// Returns where processes are looked after.
    ///
    /// # Errors
    ///
    /// Why they cannot be.
    pub(super) fn supervision(&self) -> Result<Handle, String> {
        self.supervision.handle()
    }

    /// Runs what attends a task, unless the pool ends: then it is dropped, and with it its
    /// process.
    pub(super) async fn attend<T>(&self, run: impl Future<Output = T>) -> Option<T> {
        let _counted = Counted::new(&self.runs_now);
        self.ending.run_until_cancelled(run).await
    }

    pub(super) const fn settings(&self) -> &Isolation {
        &self.settings
    }

    pub(super) const fn max_body(&self) -> usize {
        self.max_body
    }

    /// Numbers a run; the first is 0.
    pub(super) fn next_run(&self) -> u64 {
        self.runs.fetch_add(1, Ordering::Relaxed)
    }

    /// Waits until one more process may be busy; what it returns is held meanwhile.
    pub(super) async fn permit(&self) -> Option<OwnedSemaphorePermit> {
        let permits = self.permits.as_ref()?;
        // Nobody closes it; without a limit the places to run are one.
        Arc::clone(permits).acquire_owned().await.ok()
    }

    /// Returns a process that waits for a task, or starts one.
    ///
    /// # Errors
    ///
    /// Why none could be started, after some tries.
    pub(super) async fn take(self: &Arc<Self>, app: &App) -> Result<Process, String> {
        let mut tries = 0;
        loop {
            if let Some(process) = self.idle() {
                return Ok(process);
            }
            let not_before = self.lock().not_before;
            if let Some(at) = not_before.filter(|at| *at > Instant::now()) {
                sleep_until(at.into()).await;
            }
            // Nobody closes the semaphore; if it were, the start would only be unbounded.
            let _start = self.starts.acquire().await;
            // One may have come free.
            if let Some(process) = self.idle() {
                return Ok(process);
            }
            let generation = {
                let state = self.lock();
                if state.closed {
                    return Err("the node ends".to_owned());
                }
                state.generation
            };
            match self.start(app, generation).await {
                Ok(process) => {
                    let mut state = self.lock();
                    state.failures = 0;
                    state.not_before = None;
                    return Ok(process);
                }
                Err(reason) => {
                    tries += 1;
                    self.back_off();
                    tracing::error!(reason, tries, "cannot start a process for isolated tasks");
                    if tries >= TRIES {
                        return Err(reason);
                    }
                }
            }
        }
    }

    async fn start(self: &Arc<Self>, app: &App, generation: u64) -> Result<Process, String> {
        let welcome = self.welcome(app);
        let start = Instant::now();
        let spawned = Process::spawn(app, &welcome, generation);
        let what = if cfg!(target_os = "linux") {
            " (/proc/self/exe)"
        } else {
            ""
        };
        let mut process =
            spawned.map_err(|error| format!("cannot start this program{what}: {error}"))?;
        let pid = process.pid();
        self.lock().all.insert(pid, 0);
        // Whatever ends it, it is counted for as long as it is there.
        let (pool, closed) = (Arc::downgrade(self), process.closed());
        tokio::spawn(async move {
            closed.await;
            if let Some(pool) = pool.upgrade() {
                pool.gone(pid).await;
            }
        });
        process.ready(welcome, self.settings.start_within).await?;
        tracing::info!(pid, took = ?start.elapsed(), "process for isolated tasks started");
        Ok(process)
    }

    fn welcome(&self, app: &App) -> Welcome {
        let (broker, backend) = (app.broker(), app.backend());
        Welcome {
            version: VERSION,
            broker: broker.capabilities(),
            broker_url: broker.url(),
            backend: backend.capabilities(),
            backend_url: backend.url(),
            reply_to: app.defaults().reply_to.clone(),
            beat: u64::try_from(self.beat().as_millis()).unwrap_or(1000),
            max_frame: max_frame(self.max_body),
        }
    }

    fn beat(&self) -> Duration {
        (self.settings.silence / 10).min(Duration::from_secs(1))
    }

    fn back_off(&self) {
        let mut state = self.lock();
        let wait = backoff(state.failures);
        state.failures = state.failures.saturating_add(1);
        state.not_before = Instant::now().checked_add(wait);
    }

    /// Takes a process that is well and waits.
    fn idle(&self) -> Option<Process> {
        let mut state = self.lock();
        while let Some(process) = state.idle.pop() {
            // One that says nothing has been stopped, and may be for ever.
            if process.is_alive() && process.silence() <= self.settings.silence {
                return Some(process);
            }
        }
        None
    }

    /// Takes back a process whose run has ended: it waits for the next, or is let go.
    pub(super) fn give_back(&self, process: Process) {
        let memory = self.settings.recycle_memory;
        let memory = memory.and_then(|limit| Some((limit, resident(process.pid())?)));
        let mut state = self.lock();
        let stale = state.closed || state.generation != process.generation;
        let verdict = verdict(process.tasks, self.settings.max_tasks, memory, stale);
        if let Some(count) = state.all.get_mut(&process.pid()) {
            *count = process.tasks;
        }
        match verdict {
            Verdict::Keep => state.idle.push(process),
            Verdict::LetGo(why) => {
                drop(state);
                tracing::info!(
                    pid = process.pid(),
                    why,
                    "process of isolated tasks is let go"
                );
                tokio::spawn(process.leave());
            }
        }
    }

    /// Forgets a process that cannot be spoken to, and reaps it if it was idle.
    async fn gone(&self, pid: u32) {
        let idle = {
            let mut state = self.lock();
            state.all.remove(&pid);
            let at = state.idle.iter().position(|process| process.pid() == pid);
            at.map(|at| state.idle.swap_remove(at))
        };
        if let Some(mut process) = idle {
            let loss = process.loss(None).await;
            tracing::warn!(pid, %loss, "process of isolated tasks ended while it was idle");
        }
    }

    /// Lets go of every process: idle ones now, busy ones when their run has ended.
    pub(crate) fn restart(&self) {
        let idle = {
            let mut state = self.lock();
            state.generation += 1;
            std::mem::take(&mut state.idle)
        };
        // Without it there is no process either.
        if let (false, Ok(runtime)) = (idle.is_empty(), self.supervision()) {
            runtime.spawn(join_all(idle.into_iter().map(Process::leave)));
        }
    }

    /// Kills the processes of all runs, with all that they started, and starts none any
    /// more.
    pub(crate) async fn end_runs(&self) {
        self.lock().closed = true;
        self.ending.cancel();
        let none = async { drop(self.runs_now.subscribe().wait_for(|n| *n == 0).await) };
        if timeout(END_WITHIN, none).await.is_err() {
            tracing::warn!("not every process of isolated tasks could be ended in time");
        }
    }

    /// Lets go of the idle ones and waits for them; ends all others.
    pub(crate) async fn close(&self) {
        let idle = {
            let mut state = self.lock();
            state.closed = true;
            std::mem::take(&mut state.idle)
        };
        if let (false, Ok(runtime)) = (idle.is_empty(), self.supervision()) {
            let leave = runtime.spawn(join_all(idle.into_iter().map(Process::leave)));
            // A panic there ends them as well.
            let _ = leave.await;
        }
        self.end_runs().await;
        self.supervision.end();
    }

    /// Returns the ids of the processes that are there, with the number of tasks that
    /// each has run.
    pub(crate) fn processes(&self) -> Vec<(u32, u32)> {
        self.lock()
            .all
            .iter()
            .map(|(pid, tasks)| (*pid, *tasks))
            .collect()
    }

    /// Returns after how many tasks a process is replaced.
    pub(crate) const fn max_tasks(&self) -> Option<u32> {
        self.settings.max_tasks
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One more, for as long as it is there.
struct Counted<'a>(&'a watch::Sender<usize>);

impl<'a> Counted<'a> {
    fn new(count: &'a watch::Sender<usize>) -> Self {
        count.send_modify(|count| *count += 1);
        Self(count)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

/// What becomes of a process whose run has ended.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Keep,
    LetGo(&'static str),
}

/// Decides it; `memory` is the limit and what it holds.
fn verdict(tasks: u32, max: Option<u32>, memory: Option<(u64, u64)>, stale: bool) -> Verdict {
    if stale {
        Verdict::LetGo("all are")
    } else if max.is_some_and(|max| tasks >= max) {
        Verdict::LetGo("it ran as many tasks as it may")
    } else if memory.is_some_and(|(limit, held)| held > limit) {
        Verdict::LetGo("it holds more memory than it may")
    } else {
        Verdict::Keep
    }
}

/// Returns the wait after so many starts that failed before this one.
fn backoff(failures: u32) -> Duration {
    let factor = 1_u32.checked_shl(failures).unwrap_or(u32::MAX);
    BACKOFF.saturating_mul(factor).min(MAX_BACKOFF)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_used_up_is_let_go() {
        for (tasks, max, memory, stale, keep) in [
            (9, None, None, false, true),
            (2, Some(3), Some((100, 100)), false, true),
            (3, Some(3), None, false, false),
            (1, None, Some((100, 101)), false, false),
            (1, None, None, true, false),
        ] {
            let verdict = verdict(tasks, max, memory, stale);
            assert_eq!(verdict == Verdict::Keep, keep, "{verdict:?}");
        }
    }

    #[test]
    fn starts_that_fail_come_slower_and_slower() {
        let waits: Vec<_> = (0..4).map(|n| backoff(n).as_millis()).collect();
        assert_eq!(waits, [200, 400, 800, 1600]);
        assert_eq!(backoff(1000), MAX_BACKOFF);
    }
}
