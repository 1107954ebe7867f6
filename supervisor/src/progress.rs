//! Health as progress: loops count their turns, a thread outside the runtimes looks.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// The loops of this process and how often each has turned.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    loops: Mutex<Vec<Loop>>,
}

#[derive(Debug)]
struct Loop {
    name: &'static str,
    turns: Arc<AtomicU64>,
    /// What the watchdog saw at its last look, and for how many looks it has not moved.
    seen: u64,
    still: u32,
}

/// The counter of one loop. A loop that waits for work turns at least once a second.
#[derive(Clone)]
pub(crate) struct Pulse(Arc<AtomicU64>);

/// The thread that looks at the loops; stops when dropped.
#[derive(Debug)]
pub(crate) struct Watchdog {
    stop: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// How often the watchdog looks.
const LOOK: Duration = Duration::from_millis(500);

impl Progress {
    /// Returns the counter of a loop. A loop that is started again goes on with the
    /// counter it had, so a part that dies and is not restarted shows as standing still.
    pub(crate) fn pulse(&self, name: &'static str) -> Pulse {
        let mut loops = self.lock();
        if let Some(known) = loops.iter().find(|known| known.name == name) {
            return Pulse(Arc::clone(&known.turns));
        }
        let turns = Arc::new(AtomicU64::new(0));
        loops.push(Loop {
            name,
            turns: Arc::clone(&turns),
            seen: 0,
            still: 0,
        });
        Pulse(turns)
    }

    /// Returns each loop's name and turns.
    pub(crate) fn turns(&self) -> Vec<(&'static str, u64)> {
        let turns = |one: &Loop| (one.name, one.turns.load(Ordering::Relaxed));
        self.lock().iter().map(turns).collect()
    }

    /// Returns the loops that have stood still for `looks` looks of the watchdog.
    pub(crate) fn stalled(&self, looks: u32) -> Vec<&'static str> {
        self.lock()
            .iter()
            .filter(|one| one.still >= looks)
            .map(|one| one.name)
            .collect()
    }

    /// Looks once. Counting looks and not time keeps a machine that slept from being
    /// taken for one that hangs.
    fn look(&self, looks: u32) {
        for one in self.lock().iter_mut() {
            let turns = one.turns.load(Ordering::Relaxed);
            if turns == one.seen {
                one.still = one.still.saturating_add(1);
                if one.still == looks {
                    tracing::error!(part = one.name, turns, "a loop stands still");
                }
            } else {
                if one.still >= looks {
                    tracing::info!(part = one.name, turns, "a loop moves again");
                }
                (one.seen, one.still) = (turns, 0);
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Loop>> {
        self.loops.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Translates a time into looks.
pub(crate) fn looks(stall_after: Duration) -> u32 {
    u32::try_from(stall_after.as_millis() / LOOK.as_millis())
        .unwrap_or(u32::MAX)
        .max(1)
}

impl Pulse {
    /// Counts a turn.
    pub(crate) fn beat(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// Waits for a future and counts a turn each second, for waits that may be long and
    /// are healthy all the same. It is polled on the caller's thread, so a blocked
    /// thread still shows.
    pub(crate) async fn during<T>(&self, future: impl Future<Output = T>) -> T {
        let mut future = std::pin::pin!(future);
        let mut second = tokio::time::interval(Duration::from_secs(1));
        loop {
            tokio::select! {
                biased;
                value = &mut future => {
                    self.beat();
                    return value;
                }
                _ = second.tick() => self.beat(),
            }
        }
    }
}

impl fmt::Debug for Pulse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pulse")
            .field(&self.0.load(Ordering::Relaxed))
            .finish()
    }
}

impl Watchdog {
    /// Starts to look at the loops.
    pub(crate) fn start(progress: Arc<Progress>, stall_after: Duration) -> std::io::Result<Self> {
        let (stop, stopped) = mpsc::channel();
        let looks = looks(stall_after);
        let watch = move || {
            while stopped.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
                progress.look(looks);
            }
        };
        let thread = std::thread::Builder::new()
            .name("celeriac-watch".to_owned())
            .spawn(watch)?;
        Ok(Self {
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        // The thread wakes when the sender goes, so the join is short.
        drop(self.stop.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the watchdog panicked");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loop_that_stands_still_is_named_until_it_moves() {
        let progress = Progress::default();
        let (moving, standing) = (progress.pulse("moving"), progress.pulse("standing"));
        standing.beat();
        for _ in 0..4 {
            moving.beat();
            progress.look(3);
        }
        assert_eq!(progress.stalled(3), ["standing"]);
        standing.beat();
        moving.beat();
        progress.look(3);
        assert!(progress.stalled(3).is_empty());
    }

    #[test]
    fn a_restarted_loop_keeps_its_counter() {
        let progress = Progress::default();
        progress.pulse("intake").beat();
        progress.pulse("intake").beat();
        assert_eq!(progress.turns(), [("intake", 2)]);
    }
}
