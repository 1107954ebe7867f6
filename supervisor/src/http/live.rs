//! What handlers share beside the board: streams that are open, and short memories.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::api::nodes::running::RunningCache;
use super::api::tasks::Keys;
use super::pages::LetterCount;

/// What handlers share beside the board.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) running: RunningCache,
    pub(super) keys: Keys,
    pub(super) letters: LetterCount,
    streams: Arc<Semaphore>,
    closing: watch::Sender<bool>,
    /// Tells the numbers of this process's feed from those of one before it.
    epoch: u64,
}

/// How many event streams are served at once.
pub(super) const STREAMS: usize = 64;

impl Default for Live {
    fn default() -> Self {
        let since = celeriac::clock::now().duration_since(UNIX_EPOCH);
        let since = since.as_ref().map_or(0, Duration::as_millis);
        Self {
            running: RunningCache::default(),
            keys: Keys::default(),
            letters: LetterCount::default(),
            streams: Arc::new(Semaphore::new(STREAMS)),
            closing: watch::Sender::new(false),
            epoch: u64::try_from(since).unwrap_or_default(),
        }
    }
}

impl Live {
    /// Takes a place for a stream, if there is one.
    pub(super) fn stream(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.streams).try_acquire_owned().ok()
    }

    /// Ends all streams: the server stops.
    pub(super) fn close(&self) {
        self.closing.send_replace(true);
    }

    pub(super) fn closing(&self) -> watch::Receiver<bool> {
        self.closing.subscribe()
    }

    pub(super) const fn epoch(&self) -> u64 {
        self.epoch
    }
}
