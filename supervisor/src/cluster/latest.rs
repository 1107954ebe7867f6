//! A value that remembers when it was said.

use std::cmp::Ordering;

/// When something was said, as a total order.
///
/// The sender's wall clock leads: Lamport clocks of workers that do not listen to each
/// other drift apart by thousands, wall clocks by milliseconds. The Lamport clock tells
/// events of one tick of the wall clock apart.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Said {
    /// Seconds since the epoch.
    pub(crate) at: f64,
    pub(crate) clock: u64,
}

/// A value of which the latest word counts, in whatever order the words arrive.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Latest<T>(Option<(Said, T)>);

impl Eq for Said {}

impl Said {
    /// Returns bytes that compare as the words do; times are never below 0.
    pub(crate) fn key(&self) -> [u8; 16] {
        let mut key = [0; 16];
        key[..8].copy_from_slice(&self.at.max(0.0).to_bits().to_be_bytes());
        key[8..].copy_from_slice(&self.clock.to_be_bytes());
        key
    }
}

impl PartialOrd for Said {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Said {
    fn cmp(&self, other: &Self) -> Ordering {
        self.at
            .total_cmp(&other.at)
            .then(self.clock.cmp(&other.clock))
    }
}

impl<T> Default for Latest<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T> Latest<T> {
    /// Takes the value unless a later word, or the same one, is known.
    pub(crate) fn hear(&mut self, said: Said, value: T) {
        if self.0.as_ref().is_none_or(|(known, _)| said > *known) {
            self.0 = Some((said, value));
        }
    }

    pub(crate) fn get(&self) -> Option<&T> {
        self.0.as_ref().map(|(_, value)| value)
    }

    pub(crate) fn said(&self) -> Option<Said> {
        self.0.as_ref().map(|(said, _)| *said)
    }
}
