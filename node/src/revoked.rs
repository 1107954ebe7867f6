//! What was called off.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use celeriac::protocol::naming::defaults::{REVOKED_EXPIRES, REVOKED_MAX};
use celeriac::protocol::{TaskHeaders, Value};

/// So many values of stamps are remembered at most.
const MAX_STAMPS: usize = 10_000;

/// What was called off: ids of tasks, and stamps whose tasks are.
///
/// Bounded as Celery's: 50,000 ids, for three hours; the oldest go first.
#[derive(Debug, Default)]
pub(crate) struct Revoked {
    /// Every task asks, and mostly nothing is revoked.
    any: AtomicBool,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    ids: Remembered<String>,
    stamps: Remembered<(String, String)>,
}

impl Revoked {
    /// Adds ids.
    pub(crate) fn add(&self, ids: impl IntoIterator<Item = String>, now: Instant) {
        let mut inner = self.lock();
        for id in ids {
            inner.ids.insert(id, now, REVOKED_MAX, REVOKED_EXPIRES);
        }
        self.any.store(true, Ordering::Release);
    }

    /// Adds a stamp: every task that carries it with one of the values is called off.
    pub(crate) fn add_stamp(&self, name: &str, values: &[Value], now: Instant) {
        let mut inner = self.lock();
        for value in values {
            let stamp = (name.to_owned(), text(value));
            inner.stamps.insert(stamp, now, MAX_STAMPS, REVOKED_EXPIRES);
        }
        self.any.store(true, Ordering::Release);
    }

    /// Tells whether a task was called off, by its id or a stamp.
    pub(crate) fn contains(&self, headers: &TaskHeaders) -> bool {
        if !self.any.load(Ordering::Acquire) {
            return false;
        }
        let inner = self.lock();
        inner.ids.contains(&headers.id) || matches(&inner.stamps, headers)
    }

    /// Returns the ids, the oldest first.
    pub(crate) fn ids(&self) -> Vec<String> {
        self.lock().ids.order.values().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells whether a task carries one of the stamps.
fn matches(stamps: &Remembered<(String, String)>, headers: &TaskHeaders) -> bool {
    if stamps.order.is_empty() {
        return false;
    }
    headers.stamps.iter().any(|(name, value)| {
        let revoked = |value: &Value| stamps.contains(&(name.to_owned(), text(value)));
        match value {
            Value::Array(values) => values.iter().any(revoked),
            one => revoked(one),
        }
    })
}

/// Stamps compare as texts: what a command line gives is text.
pub(crate) fn text(value: &Value) -> String {
    match value {
        Value::Str(text) => text.clone(),
        other => celeriac::protocol::repr::python(other),
    }
}

/// A bounded set whose oldest members go first. One that is added again is new.
#[derive(Debug)]
struct Remembered<T> {
    /// With its number, and when it was added.
    members: HashMap<T, (u64, Instant)>,
    /// By number.
    order: BTreeMap<u64, T>,
    added: u64,
}

impl<T> Default for Remembered<T> {
    fn default() -> Self {
        Self {
            members: HashMap::new(),
            order: BTreeMap::new(),
            added: 0,
        }
    }
}

impl<T: Clone + Eq + std::hash::Hash> Remembered<T> {
    fn insert(&mut self, member: T, now: Instant, max: usize, keep: Duration) {
        self.added += 1;
        if let Some((number, _)) = self.members.insert(member.clone(), (self.added, now)) {
            self.order.remove(&number);
        }
        self.order.insert(self.added, member);
        while let Some(oldest) = self.order.first_entry() {
            let too_old = |(_, at): &(u64, Instant)| now.duration_since(*at) > keep;
            if self.members.len() <= max && !self.members.get(oldest.get()).is_some_and(too_old) {
                return;
            }
            self.members.remove(&oldest.remove());
        }
    }

    fn contains(&self, member: &T) -> bool {
        self.members.contains_key(member)
    }
}

#[cfg(test)]
mod tests {
    use celeriac::protocol::Table;

    use super::*;

    fn task(id: &str) -> TaskHeaders {
        TaskHeaders {
            id: id.to_owned(),
            ..TaskHeaders::default()
        }
    }

    #[test]
    fn ids_are_remembered_for_a_while() {
        let (revoked, start) = (Revoked::default(), Instant::now());
        assert!(!revoked.contains(&task("a")));
        revoked.add(["a".to_owned()], start);
        assert!(revoked.contains(&task("a")));
        assert!(!revoked.contains(&task("b")));
        revoked.add(
            ["c".to_owned()],
            start + REVOKED_EXPIRES + Duration::from_secs(1),
        );
        assert_eq!(revoked.ids(), ["c"]);
    }

    #[test]
    fn one_that_is_called_off_again_is_remembered_from_then() {
        let (revoked, start) = (Revoked::default(), Instant::now());
        revoked.add(["a".to_owned(), "b".to_owned()], start);
        revoked.add(["a".to_owned()], start + REVOKED_EXPIRES);
        assert_eq!(revoked.ids(), ["b", "a"]);
        let later = start + REVOKED_EXPIRES + Duration::from_secs(1);
        revoked.add(["c".to_owned()], later);
        assert!(revoked.contains(&task("a")));
        assert_eq!(revoked.ids(), ["a", "c"]);
    }

    #[test]
    fn the_oldest_go_first() {
        let (revoked, start) = (Revoked::default(), Instant::now());
        revoked.add((0..=REVOKED_MAX).map(|n| n.to_string()), start);
        assert!(!revoked.contains(&task("0")));
        assert!(revoked.contains(&task("1")));
        assert_eq!(revoked.ids().len(), REVOKED_MAX);
    }

    #[test]
    fn any_value_of_a_stamp_counts() {
        let revoked = Revoked::default();
        revoked.add_stamp("customer", &["7".into(), "8".into()], Instant::now());
        for (value, hit) in [
            (Value::from("7"), true),
            (Value::from(8_i64), true),
            (Value::Array(vec!["1".into(), "8".into()]), true),
            (Value::from("9"), false),
        ] {
            let mut stamps = Table::new();
            stamps.push("customer", value);
            assert_eq!(
                revoked.contains(&TaskHeaders {
                    stamps,
                    ..task("x")
                }),
                hit
            );
        }
    }
}
