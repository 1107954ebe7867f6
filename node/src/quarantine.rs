//! Messages that take what runs them along.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// So many ids are remembered at most; the oldest go first.
const MOST: usize = 10_000;

/// A longer id or reason is not remembered, in bytes.
const MAX_TEXT: usize = 255;

/// The ids of messages that are not to be tried again when they were delivered before,
/// each with the reason.
///
/// Only a message that comes again is asked after: one that somebody sent anew has
/// another chance.
#[derive(Debug, Default)]
pub(crate) struct Quarantine(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    reasons: HashMap<String, String>,
    /// From the oldest to the newest.
    order: VecDeque<String>,
}

impl Quarantine {
    /// Adds an id, and tells whether it is new and could be added.
    pub(crate) fn add(&self, id: &str, reason: &str) -> bool {
        let fits = |text: &str| !text.is_empty() && text.len() <= MAX_TEXT;
        let mut inner = self.lock();
        if !fits(id) || !fits(reason) || inner.reasons.contains_key(id) {
            return false;
        }
        inner.reasons.insert(id.to_owned(), reason.to_owned());
        inner.order.push_back(id.to_owned());
        if inner.order.len() > MOST
            && let Some(oldest) = inner.order.pop_front()
        {
            inner.reasons.remove(&oldest);
        }
        true
    }

    /// Returns why an id is not to be tried again.
    pub(crate) fn reason(&self, id: &str) -> Option<String> {
        self.lock().reasons.get(id).cloned()
    }

    /// Returns all ids with their reasons.
    pub(crate) fn all(&self) -> Vec<(String, String)> {
        let inner = self.lock();
        let all = inner.reasons.iter();
        all.map(|(id, reason)| (id.clone(), reason.clone()))
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_reason_stays_and_the_oldest_go() {
        let quarantine = Quarantine::default();
        assert!(quarantine.add("a", "first"));
        assert!(!quarantine.add("a", "second"));
        assert_eq!(quarantine.reason("a").as_deref(), Some("first"));
        assert!(!quarantine.add("", "x") && !quarantine.add(&"x".repeat(256), "x"));
        for n in 0..MOST {
            quarantine.add(&n.to_string(), "r");
        }
        assert_eq!(quarantine.reason("a"), None);
        assert_eq!(quarantine.all().len(), MOST);
    }
}
