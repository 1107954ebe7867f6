//! Which tasks have finished here lately.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// So many ids are remembered at most.
const MAX: usize = 10_000;

/// For so long.
const KEEP: Duration = Duration::from_secs(300);

/// Which tasks have finished here lately: an acknowledgement may be lost with its
/// connection, and then the message comes again.
#[derive(Debug, Default)]
pub(crate) struct Finished(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// The highest number of retries that finished, by id.
    retries: HashMap<Arc<str>, (u32, Instant)>,
    order: VecDeque<(Arc<str>, Instant)>,
}

impl Finished {
    pub(crate) fn insert(&self, id: &str, retries: u32, now: Instant) {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let id: Arc<str> = id.into();
        inner.retries.insert(Arc::clone(&id), (retries, now));
        inner.order.push_back((id, now));
        while inner.order.len() > MAX
            || inner
                .order
                .front()
                .is_some_and(|(_, at)| now.duration_since(*at) > KEEP)
        {
            let Some((id, at)) = inner.order.pop_front() else {
                return;
            };
            // The same id may have finished again since.
            if inner.retries.get(&id).is_some_and(|(_, last)| *last == at) {
                inner.retries.remove(&id);
            }
        }
    }

    pub(crate) fn contains(&self, id: &str, retries: u32) -> bool {
        let inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        inner
            .retries
            .get(id)
            .is_some_and(|(done, _)| *done >= retries)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_earlier_try_is_done_a_later_one_is_not() {
        let finished = Finished::default();
        finished.insert("a", 1, Instant::now());
        assert!(finished.contains("a", 0));
        assert!(finished.contains("a", 1));
        assert!(!finished.contains("a", 2));
        assert!(!finished.contains("b", 0));
    }

    #[test]
    fn old_ones_are_forgotten_and_the_number_is_bounded() {
        let (finished, start) = (Finished::default(), Instant::now());
        finished.insert("old", 0, start);
        finished.insert("new", 0, start + KEEP + Duration::from_secs(1));
        assert!(!finished.contains("old", 0));
        for number in 0..2 * MAX {
            finished.insert(&number.to_string(), 0, start + 2 * KEEP);
        }
        assert_eq!(finished.0.lock().unwrap().retries.len(), MAX);
    }
}
