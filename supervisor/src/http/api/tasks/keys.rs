//! Keys that make a repeated request send nothing twice.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use uuid::Uuid;

/// The keys that were used lately. A task's id follows from its key, so that the history
/// tells of older ones.
#[derive(Debug, Default)]
pub(in crate::http) struct Keys(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    entries: HashMap<Uuid, Entry>,
    order: VecDeque<(Instant, Uuid)>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    /// Of the request, to tell another one under the same key.
    fingerprint: u64,
    sent: bool,
}

/// What a request with a key is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http) enum Begin {
    /// Nobody used the key lately.
    New,
    /// The same request is being handled just now.
    Busy,
    /// The same request was sent.
    Sent,
    /// Another request has the key.
    Other,
}

/// For how long keys are known, and how many.
const AGE: Duration = Duration::from_secs(24 * 3_600);
const MOST: usize = 10_000;

/// So that no key of ours gives an id that somebody else's scheme gives.
const NAMESPACE: Uuid = Uuid::from_u128(0x6b6f_2c5a_9d3e_4f1a_8c77_0e5d_b1a9_4c02);

impl Keys {
    /// Returns the id of the task that a key stands for.
    pub(in crate::http) fn id(key: &str) -> Uuid {
        Uuid::new_v3(&NAMESPACE, key.as_bytes())
    }

    /// Begins a request.
    fn begin(&self, id: Uuid, fingerprint: u64, now: Instant) -> Begin {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some((at, old)) = known.order.front().copied() {
            if now.saturating_duration_since(at) < AGE && known.order.len() < MOST {
                break;
            }
            known.order.pop_front();
            known.entries.remove(&old);
        }
        match known.entries.get(&id) {
            Some(entry) if entry.fingerprint != fingerprint => Begin::Other,
            Some(entry) if entry.sent => Begin::Sent,
            Some(_) => Begin::Busy,
            None => {
                let entry = Entry {
                    fingerprint,
                    sent: false,
                };
                known.entries.insert(id, entry);
                known.order.push_back((now, id));
                Begin::New
            }
        }
    }

    /// Begins a request as [`Keys::begin`] does. One that is dropped before it ends, such
    /// as one that took too long, frees its key: who tries again gets the same id.
    pub(in crate::http) fn hold(
        &self,
        id: Uuid,
        fingerprint: u64,
        now: Instant,
    ) -> Result<Held<'_>, Begin> {
        match self.begin(id, fingerprint, now) {
            Begin::New => Ok(Held {
                keys: self,
                id,
                sent: false,
            }),
            other => Err(other),
        }
    }

    /// Ends a request: a task that was not sent frees its key.
    fn end(&self, id: Uuid, sent: bool) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if sent {
            if let Some(entry) = known.entries.get_mut(&id) {
                entry.sent = true;
            }
        } else {
            known.entries.remove(&id);
            known.order.retain(|(_, known)| *known != id);
        }
    }
}

/// A key while its request is handled.
#[derive(Debug)]
pub(in crate::http) struct Held<'a> {
    keys: &'a Keys,
    id: Uuid,
    sent: bool,
}

impl Held<'_> {
    /// Ends the request.
    pub(in crate::http) fn end(mut self, sent: bool) {
        self.sent = sent;
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.keys.end(self.id, self.sent);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_good_for_one_request() {
        let (keys, now, id) = (Keys::default(), Instant::now(), Keys::id("order-17"));
        assert_eq!(id, Keys::id("order-17"));
        assert_ne!(id, Keys::id("order-18"));
        assert_eq!(keys.begin(id, 1, now), Begin::New);
        assert_eq!(keys.begin(id, 1, now), Begin::Busy);
        keys.end(id, false);
        assert_eq!(keys.begin(id, 1, now), Begin::New);
        keys.end(id, true);
        assert_eq!(keys.begin(id, 1, now), Begin::Sent);
        assert_eq!(keys.begin(id, 2, now), Begin::Other);
        assert_eq!(keys.begin(id, 2, now + AGE), Begin::New);
    }

    #[test]
    fn a_request_that_never_ended_frees_its_key() {
        let (keys, now, id) = (Keys::default(), Instant::now(), Keys::id("order-17"));
        drop(keys.hold(id, 1, now).ok());
        if let Ok(held) = keys.hold(id, 1, now) {
            held.end(true);
        }
        assert_eq!(keys.begin(id, 1, now), Begin::Sent);
    }

    #[test]
    fn keys_are_bounded() {
        let (keys, now) = (Keys::default(), Instant::now());
        for n in 0..2 * MOST {
            keys.begin(Keys::id(&n.to_string()), 0, now);
        }
        let known = keys.0.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(known.entries.len() <= MOST && known.order.len() <= MOST);
    }
}
