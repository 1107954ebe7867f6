//! What others see of the beat, and tell it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, watch};

use super::book::Line;
use super::news::{Leader, News};

/// What others see of the beat, and tell it. The beat is its one writer.
#[derive(Debug, Default)]
pub(crate) struct BeatDesk {
    heard: Mutex<VecDeque<News>>,
    view: RwLock<Arc<View>>,
    wake: Notify,
    /// Whether this process shall lead no more, and whether it has let go.
    retiring: watch::Sender<bool>,
    retired: watch::Sender<bool>,
}

/// The beat as it is now.
#[derive(Debug, Clone, Default)]
pub(crate) struct View {
    /// How this process is called.
    pub(crate) me: String,
    /// How a leader is elected.
    pub(crate) election: &'static str,
    /// Whether this one leads, and sends ticks.
    pub(crate) leads: bool,
    /// Who leads, and when that was last known.
    pub(crate) leader: Option<(Leader, Instant)>,
    /// Which store this process has.
    pub(crate) store: Option<String>,
    /// Why there is no leader, or why ticks are not recorded.
    pub(crate) trouble: Option<String>,
    pub(crate) lines: Vec<Line>,
}

/// For how long a leader that says nothing more counts as one.
pub(crate) const SILENT: Duration = Duration::from_secs(10);
/// How much news waits for the beat at most; the oldest goes first.
const HEARD: usize = 10_000;

impl BeatDesk {
    /// Tells the beat what another one said.
    pub(crate) fn hear(&self, news: News) {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        if heard.len() >= HEARD {
            heard.pop_front();
        }
        heard.push_back(news);
        drop(heard);
        self.wake.notify_one();
    }

    /// Takes what was heard.
    pub(super) fn take(&self) -> VecDeque<News> {
        std::mem::take(&mut *self.heard.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Makes the beat look at the store at once: entries were edited.
    pub(crate) fn wake(&self) {
        self.wake.notify_one();
    }

    /// Makes the beat send no more ticks and let go of its lock, for good; returns when it
    /// has.
    pub(crate) async fn retire(&self) {
        self.retiring.send_replace(true);
        wait(&self.retired).await;
    }

    /// Waits until the beat shall let go.
    pub(super) async fn retiring(&self) {
        wait(&self.retiring).await;
    }

    /// Says that the beat holds no lock any more, and will hold none.
    pub(super) fn set_retired(&self) {
        self.retired.send_replace(true);
    }

    pub(super) async fn woken(&self) {
        self.wake.notified().await;
    }

    pub(super) fn show(&self, view: View) {
        *self.view.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(view);
    }

    /// Returns the beat as it was a moment ago.
    pub(crate) fn view(&self) -> Arc<View> {
        Arc::clone(&self.view.read().unwrap_or_else(PoisonError::into_inner))
    }
}

async fn wait(flag: &watch::Sender<bool>) {
    // The sender is borrowed, so this ends only by the flag.
    let _ = flag.subscribe().wait_for(|set| *set).await;
}

impl View {
    /// Returns who leads, unless that was too long ago.
    pub(crate) fn leader(&self, now: Instant) -> Option<&Leader> {
        let (leader, at) = self.leader.as_ref()?;
        let known = now.saturating_duration_since(*at) < SILENT;
        known.then_some(leader)
    }

    /// Returns an entry.
    pub(crate) fn line(&self, name: &str) -> Option<&Line> {
        self.lines
            .binary_search_by(|line| line.planned.entry.name.as_str().cmp(name))
            .ok()
            .map(|at| &self.lines[at])
    }
}
