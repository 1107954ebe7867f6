//! Health as progress: loops count their turns, and who watches compares.
//!
//! A process is well while every loop turns, whatever becomes of the servers that it
//! talks to: to start it again does not mend a network. What it can do meanwhile is
//! another question, with another answer.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::broker::Link;

/// How often who watches calls [`Progress::look`].
pub const LOOK: Duration = Duration::from_millis(500);

/// Every loop turns at least this often, also when it has nothing to do.
pub const BEAT: Duration = Duration::from_secs(1);

/// For how long a loop stands still before it counts as stuck, unless said otherwise:
/// noticed within 10 s with what a look and a beat add.
pub const STALL: Duration = Duration::from_secs(8);

/// The progress of one loop: a counter that stands still when the loop does.
#[derive(Clone, Default)]
pub struct Pulse(Arc<AtomicU64>);

impl Pulse {
    /// Counts a turn.
    pub fn beat(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// Waits for a future and counts turns meanwhile, for waits that may be long and are
    /// healthy all the same. It is polled by the caller, so a blocked thread still shows.
    ///
    /// # Cancel safety
    ///
    /// As that of the future.
    pub async fn during<T>(&self, future: impl Future<Output = T>) -> T {
        let mut future = std::pin::pin!(future);
        loop {
            self.beat();
            if let Ok(value) = tokio::time::timeout(BEAT, &mut future).await {
                return value;
            }
        }
    }

    /// Returns how often the loop has turned.
    pub fn turns(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl fmt::Debug for Pulse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pulse").field(&self.turns()).finish()
    }
}

/// The loops of a process, by name, and which of them stand still.
///
/// # Example
///
/// ```
/// use celeriac::health::{LOOK, Progress};
///
/// let progress = Progress::new(2 * LOOK);
/// let pulse = progress.keep("intake");
/// pulse.beat();
/// for _ in 0..3 {
///     progress.look();
/// }
/// assert_eq!(progress.stalled()[0].to_string(), "the loop intake has not turned for 1s");
/// ```
#[derive(Debug)]
pub struct Progress {
    loops: Mutex<BTreeMap<String, Loop>>,
    /// So many looks without a turn are a stall.
    most: u32,
}

#[derive(Debug)]
struct Loop {
    pulse: Pulse,
    /// Whether it is forgotten once nobody has its pulse.
    passes: bool,
    seen: u64,
    /// For how many looks it has not moved.
    still: u32,
}

/// A loop that stands still.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stalled {
    /// Which.
    pub name: String,
    /// For how long, as far as was looked.
    pub since: Duration,
}

impl fmt::Display for Stalled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, since } = self;
        write!(f, "the loop {name} has not turned for {}s", since.as_secs())
    }
}

impl Progress {
    /// Makes one without loops; one that does not turn for so long stands still.
    pub fn new(stall: Duration) -> Self {
        let most = stall.as_millis() / LOOK.as_millis();
        Self {
            loops: Mutex::default(),
            most: u32::try_from(most).unwrap_or(u32::MAX).max(1),
        }
    }

    /// Returns the pulse of a loop that lives as long as the process. One that is started
    /// again goes on with the counter it had, so one that dies and is not started again
    /// shows as standing still.
    pub fn keep(&self, name: impl Into<String>) -> Pulse {
        let mut loops = self.lock();
        let known = loops.entry(name.into()).or_insert_with(|| Loop::new(false));
        known.pulse.clone()
    }

    /// Returns the pulse of a loop that may end, in place of an earlier one of that name: it
    /// is forgotten once nobody has its pulse. Who keeps it makes it anew.
    pub fn add(&self, name: impl Into<String>) -> Pulse {
        let new = Loop::new(true);
        let pulse = new.pulse.clone();
        self.lock().insert(name.into(), new);
        pulse
    }

    /// Returns how often each loop has turned.
    pub fn turns(&self) -> BTreeMap<String, u64> {
        let mut loops = self.lock();
        loops.retain(|_, one| one.lives());
        let turns = |(name, one): (&String, &Loop)| (name.clone(), one.pulse.turns());
        loops.iter().map(turns).collect()
    }

    /// Compares the turns with what they were at the last look, and logs what has changed.
    ///
    /// Counting looks and not time keeps a machine that slept from being taken for one
    /// that hangs; so this is called every [`LOOK`], from a thread that no loop runs on.
    pub fn look(&self) {
        let mut loops = self.lock();
        loops.retain(|_, one| one.lives());
        for (name, one) in loops.iter_mut() {
            let turns = one.pulse.turns();
            if turns == one.seen {
                one.still = one.still.saturating_add(1);
                if one.still == self.most {
                    tracing::error!(name, turns, "a loop stands still");
                }
            } else {
                if one.still >= self.most {
                    tracing::info!(name, turns, "a loop moves again");
                }
                (one.seen, one.still) = (turns, 0);
            }
        }
    }

    /// Returns the loops that stand still, by name.
    pub fn stalled(&self) -> Vec<Stalled> {
        let loops = self.lock();
        let stalled = loops.iter().filter(|(_, one)| one.still >= self.most);
        let told = stalled.map(|(name, one)| Stalled {
            name: name.clone(),
            since: LOOK.saturating_mul(one.still),
        });
        told.collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Loop>> {
        self.loops.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Progress {
    /// Loops stand still after [`STALL`].
    fn default() -> Self {
        Self::new(STALL)
    }
}

impl Loop {
    fn new(passes: bool) -> Self {
        Self {
            pulse: Pulse::default(),
            passes,
            seen: 0,
            still: 0,
        }
    }

    fn lives(&self) -> bool {
        !self.passes || Arc::strong_count(&self.pulse.0) > 1
    }
}

/// Says what keeps a process from working with its broker; nothing when the link is up.
pub fn trouble(link: &Link) -> Option<String> {
    match link {
        Link::Up { .. } => None,
        Link::Connecting { failures, error } => {
            let error = error.as_deref().unwrap_or("no answer yet");
            Some(format!(
                "the broker is out of reach ({failures} tries failed): {error}"
            ))
        }
        Link::Blocked { reason } => Some(format!("the broker refuses messages for now: {reason}")),
        Link::Closed => Some("the broker was closed".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(progress: &Progress) -> Vec<String> {
        let stalled = progress.stalled().into_iter();
        stalled.map(|stalled| stalled.name).collect()
    }

    #[test]
    fn a_loop_that_stands_still_is_named_until_it_moves() {
        let progress = Progress::new(3 * LOOK);
        let (moving, standing) = (progress.keep("moving"), progress.keep("standing"));
        standing.beat();
        for _ in 0..4 {
            moving.beat();
            progress.look();
        }
        assert_eq!(names(&progress), ["standing"]);
        standing.beat();
        moving.beat();
        progress.look();
        assert!(names(&progress).is_empty());
    }

    // S51: a blocked loop is noticed within 10 s of its last turn.
    #[test]
    fn a_stall_is_noticed_in_time() {
        let progress = Progress::default();
        let pulse = progress.add("one");
        pulse.beat();
        let mut looks = 0_u32;
        while names(&progress).is_empty() {
            progress.look();
            looks += 1;
        }
        // One look sees the turn; a look may come a whole one late.
        assert!(LOOK * (looks + 1) <= Duration::from_secs(10), "{looks}");
        // A loop may be one beat late, and others of a busy machine some more.
        assert!(LOOK * looks >= 5 * BEAT, "{looks}");
    }

    #[test]
    fn a_loop_that_may_end_is_forgotten_and_one_that_lasts_is_not() {
        let progress = Progress::new(LOOK);
        let (passing, lasting) = (progress.add("passing"), progress.keep("lasting"));
        passing.beat();
        lasting.beat();
        assert_eq!(progress.turns().len(), 2);
        drop((passing, lasting));
        (0..3).for_each(|_| progress.look());
        assert_eq!(names(&progress), ["lasting"]);
        progress.keep("lasting").beat();
        assert_eq!(
            progress.turns(),
            BTreeMap::from([("lasting".to_owned(), 2)])
        );
    }

    #[test]
    fn a_broker_that_is_away_is_told() {
        let away = Link::Connecting {
            failures: 3,
            error: Some("refused".to_owned()),
        };
        let told = trouble(&away).unwrap_or_default();
        assert_eq!(told, "the broker is out of reach (3 tries failed): refused");
        let up = Link::Up {
            epoch: 1,
            server: String::new(),
        };
        assert_eq!(trouble(&up), None);
    }
}
