//! Which queues somebody scales by, so that the Survey reads them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, watch};

use super::QueueSet;
use crate::board::{Board, Depth};

/// Which queues somebody scales by.
///
/// Names come from outside, so there are few, and those that nobody asked for in ten
/// minutes are dropped. Who asks never asks the broker: the Survey does, at its own pace.
#[derive(Debug)]
pub(crate) struct Demand {
    queues: Mutex<BTreeMap<String, Asked>>,
    /// Wakes the Survey.
    wake: Notify,
    /// How many rounds of the Survey ended.
    rounds: watch::Sender<u64>,
}

/// A queue that somebody scales by.
#[derive(Debug)]
struct Asked {
    /// When somebody asked last.
    at: Instant,
    /// How many wait to be told of changes.
    streams: usize,
    /// Somebody waits for a reading.
    wanted: bool,
    /// What the broker said, for a queue that nobody else named.
    depth: Option<Depth>,
}

/// Somebody waits to be told of changes of these queues, until this is dropped.
#[derive(Debug)]
pub(crate) struct Watch {
    board: Arc<Board>,
    queues: QueueSet,
}

/// More queues are asked for than are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Full;

/// How many queues may be asked for within [`IDLE`].
pub(super) const MOST: usize = 200;
/// After so long without a question a queue is no longer read.
const IDLE: Duration = Duration::from_secs(600);

impl Default for Demand {
    fn default() -> Self {
        Self {
            queues: Mutex::default(),
            wake: Notify::new(),
            rounds: watch::Sender::new(0),
        }
    }
}

impl Demand {
    /// Notes that somebody asks about queues: all of them, or none when there is no room.
    pub(super) fn ask(&self, queues: &QueueSet, now: Instant) -> Result<(), Full> {
        let mut known = self.lock();
        let new = queues
            .names()
            .iter()
            .filter(|name| !known.contains_key(*name));
        if known.len() + new.count() > MOST {
            known.retain(|_, asked| asked.is_alive(now));
            let new = queues
                .names()
                .iter()
                .filter(|name| !known.contains_key(*name));
            if known.len() + new.count() > MOST {
                return Err(Full);
            }
        }
        for name in queues.names() {
            let asked = known.entry(name.clone()).or_insert(Asked {
                at: now,
                streams: 0,
                wanted: false,
                depth: None,
            });
            asked.at = now;
        }
        Ok(())
    }

    /// Lets the Survey read queues now.
    pub(super) fn want(&self, names: &[String]) {
        let mut known = self.lock();
        for name in names {
            if let Some(asked) = known.get_mut(name) {
                asked.wanted = true;
            }
        }
        drop(known);
        self.wake.notify_one();
    }

    /// Says when the Survey has read again.
    pub(crate) fn rounds(&self) -> watch::Receiver<u64> {
        self.rounds.subscribe()
    }

    /// Returns the queues that somebody waits for now, and drops those that nobody asks
    /// for any more.
    pub(crate) fn due(&self, now: Instant) -> Vec<String> {
        let mut known = self.lock();
        known.retain(|_, asked| asked.is_alive(now));
        let due = known.iter_mut().filter_map(|(name, asked)| {
            let wanted = std::mem::take(&mut asked.wanted);
            (wanted || asked.streams > 0).then(|| name.clone())
        });
        due.collect()
    }

    /// Returns all queues that somebody scales by.
    pub(crate) fn names(&self) -> Vec<String> {
        self.lock().keys().cloned().collect()
    }

    /// Returns when somebody waits for a reading.
    pub(crate) async fn wanted(&self) {
        self.wake.notified().await;
    }

    /// Tells those who wait that the Survey has read what was due.
    pub(crate) fn tell(&self) {
        self.rounds
            .send_modify(|rounds| *rounds = rounds.wrapping_add(1));
    }

    pub(crate) fn depth(&self, name: &str) -> Option<Depth> {
        self.lock().get(name)?.depth
    }

    /// Keeps what the broker said of a queue, while somebody asks for it.
    pub(crate) fn put(&self, name: &str, depth: Depth) {
        if let Some(asked) = self.lock().get_mut(name) {
            asked.depth = Some(depth);
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Asked>> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Asked {
    fn is_alive(&self, now: Instant) -> bool {
        self.streams > 0 || now.saturating_duration_since(self.at) < IDLE
    }
}

impl Watch {
    pub(super) fn new(board: &Arc<Board>, queues: &QueueSet, now: Instant) -> Result<Self, Full> {
        board.demand.ask(queues, now)?;
        let mut known = board.demand.lock();
        for name in queues.names() {
            if let Some(asked) = known.get_mut(name) {
                asked.streams += 1;
            }
        }
        drop(known);
        board.demand.wake.notify_one();
        Ok(Self {
            board: Arc::clone(board),
            queues: queues.clone(),
        })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut known = self.board.demand.lock();
        for name in self.queues.names() {
            if let Some(asked) = known.get_mut(name) {
                asked.streams = asked.streams.saturating_sub(1);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::store::{Place, Store};

    fn set(text: &str) -> QueueSet {
        QueueSet::parse(text).unwrap()
    }

    #[test]
    fn a_flood_of_names_is_bounded_and_forgotten() {
        let (demand, start) = (Demand::default(), Instant::now());
        for n in 0..MOST {
            demand.ask(&set(&format!("q{n}")), start).unwrap();
        }
        demand.ask(&set("q0,q1"), start).unwrap();
        assert_eq!(demand.ask(&set("q0,one-more"), start), Err(Full));
        assert!(!demand.names().contains(&"one-more".to_owned()));
        let later = start + IDLE;
        demand.ask(&set("one-more"), later).unwrap();
        assert_eq!(demand.names(), ["one-more"]);
    }

    #[tokio::test]
    async fn what_is_watched_is_due_until_nobody_watches() {
        let store = Store::open(&Place::Memory).await.unwrap();
        let board = Arc::new(Board::new(10, store));
        let now = Instant::now();
        let watch = Watch::new(&board, &set("a,b"), now).unwrap();
        assert_eq!(board.demand.due(now + 2 * IDLE), ["a", "b"]);
        drop(watch);
        assert!(board.demand.due(now).is_empty());
        board.demand.want(&["a".to_owned(), "stranger".to_owned()]);
        assert_eq!(board.demand.due(now), ["a"]);
        assert!(board.demand.due(now).is_empty(), "read once");
        assert!(board.demand.due(now + IDLE).is_empty() && board.demand.names().is_empty());
    }
}
