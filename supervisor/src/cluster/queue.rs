//! The queues that somebody named.

use std::collections::BTreeSet;
use std::sync::Arc;

/// The names of queues worth watching: from the settings, from events, and from what
/// nodes say that they consume.
#[derive(Debug, Default)]
pub(crate) struct Queues(BTreeSet<Arc<str>>);

/// Each known queue is asked about at every turn, and names come from outside.
const MOST: usize = 500;

impl Queues {
    /// Takes a name in; says whether it is new. Full is full: names that come later are
    /// left out, so that a flood of them cannot push out those from the settings.
    pub(crate) fn learn(&mut self, name: &str) -> bool {
        let usable = !name.is_empty() && name.len() <= 255;
        let room = self.0.len() < MOST && !self.0.contains(name);
        usable && room && self.0.insert(name.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_names_is_bounded_and_pushes_nothing_out() {
        let mut queues = Queues::default();
        assert!(queues.learn("celery"));
        assert!(!queues.learn("celery"));
        assert!(!queues.learn(""));
        assert!(!queues.learn(&"x".repeat(256)));
        let learned = (0..2 * MOST)
            .filter(|n| queues.learn(&n.to_string()))
            .count();
        assert_eq!(learned, MOST - 1);
        assert!(queues.0.contains("celery"));
    }
}
