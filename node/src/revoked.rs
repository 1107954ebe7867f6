//! What was called off.

pub(crate) mod file;

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use celeriac::protocol::naming::defaults::{REVOKED_EXPIRES, REVOKED_MAX};
use celeriac::protocol::{TaskHeaders, Value};
use tokio::sync::watch;

use self::file::Contents;

/// So many values of stamps are remembered at most.
pub(crate) const MAX_STAMPS: usize = 10_000;

/// A longer id, or name or value of a stamp, is not remembered, in bytes: what is
/// remembered has a size that can be told.
pub(crate) const MAX_TEXT: usize = 255;

/// What was called off: ids of tasks, and stamps whose tasks are.
///
/// Bounded as Celery's: 50,000 ids, for three hours; the oldest go first.
#[derive(Debug, Default)]
pub(crate) struct Revoked {
    /// Every task asks, and mostly nothing is revoked.
    any: AtomicBool,
    inner: Mutex<Inner>,
    /// How often something was added.
    changes: watch::Sender<u64>,
}

/// The name of a stamp, and a value.
pub(crate) type Stamp = (String, String);

#[derive(Debug, Default)]
struct Inner {
    ids: Remembered<String>,
    stamps: Remembered<Stamp>,
}

impl Inner {
    fn add_id(&mut self, id: String, now: Instant) {
        self.ids.insert(id, now, REVOKED_MAX, REVOKED_EXPIRES);
    }

    fn add_stamp(&mut self, stamp: Stamp, now: Instant) {
        self.stamps.insert(stamp, now, MAX_STAMPS, REVOKED_EXPIRES);
    }
}

impl Revoked {
    /// Adds ids.
    pub(crate) fn add(&self, ids: impl IntoIterator<Item = String>, now: Instant) {
        self.change(|inner| {
            let added = ids.into_iter().map(|id| inner.add_id(id, now));
            added.count()
        });
    }

    /// Adds a stamp: every task that carries it with one of the values is called off.
    pub(crate) fn add_stamp(&self, name: &str, values: &[Value], now: Instant) {
        self.change(|inner| {
            let stamps = values.iter().map(|value| (name.to_owned(), text(value)));
            stamps.map(|stamp| inner.add_stamp(stamp, now)).count()
        });
    }

    /// Adds what a neighbour remembers and this node does not: what is known does not
    /// become younger, or it would never be forgotten among neighbours that tell each
    /// other. What is too long is left out.
    pub(crate) fn learn(
        &self,
        ids: impl IntoIterator<Item = String>,
        stamps: impl IntoIterator<Item = Stamp>,
        now: Instant,
    ) {
        self.change(|inner| {
            let before = inner.ids.added + inner.stamps.added;
            for id in ids {
                if id.len() <= MAX_TEXT && !inner.ids.contains(&id) {
                    inner.add_id(id, now);
                }
            }
            for stamp in stamps {
                let fits = stamp.0.len() <= MAX_TEXT && stamp.1.len() <= MAX_TEXT;
                if fits && !inner.stamps.contains(&stamp) {
                    inner.add_stamp(stamp, now);
                }
            }
            let added = inner.ids.added + inner.stamps.added - before;
            usize::try_from(added).unwrap_or(usize::MAX)
        });
    }

    /// Makes a change, which returns how much it added. Nothing that is added leaves
    /// tasks their quick answer, and the file as it is.
    fn change(&self, change: impl FnOnce(&mut Inner) -> usize) {
        if change(&mut self.lock()) > 0 {
            self.any.store(true, Ordering::Release);
            self.changes.send_modify(|changes| *changes += 1);
        }
    }

    /// Returns how often something was added, as it goes on.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Returns all with the time on the wall when it was called off, the oldest first:
    /// an [`Instant`] means nothing to another process.
    fn contents(&self, now: Instant, wall: SystemTime) -> Contents {
        let at = |then: Instant| {
            let then = wall.checked_sub(now.duration_since(then));
            let then = then.and_then(|then| then.duration_since(UNIX_EPOCH).ok());
            then.unwrap_or_default().as_secs_f64()
        };
        let inner = self.lock();
        let ids = inner.ids.iter().map(|(id, then)| (id.clone(), at(then)));
        let stamps = inner.stamps.iter();
        let stamps = stamps.map(|((name, value), then)| (name.clone(), value.clone(), at(then)));
        Contents::new(ids.collect(), stamps.collect())
    }

    /// Adds what another process remembered, as old as it is. What is too old is left
    /// out; a clock that was put back makes nothing older or newer than now.
    fn restore(&self, contents: Contents, now: Instant, wall: SystemTime) {
        let wall = wall
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs_f64();
        let then = |at: f64| {
            let age = Duration::try_from_secs_f64((wall - at).max(0.0)).unwrap_or(Duration::MAX);
            // A machine that has just started cannot tell the time before.
            (age <= REVOKED_EXPIRES).then(|| now.checked_sub(age).unwrap_or(now))
        };
        self.change(|inner| {
            let ids = contents.ids.into_iter();
            let ids = ids.filter_map(|(id, at)| Some((id, then(at)?)));
            let ids = ids.map(|(id, then)| inner.add_id(id, then)).count();
            let stamps = contents.stamps.into_iter();
            let stamps = stamps.filter_map(|(name, value, at)| Some(((name, value), then(at)?)));
            let stamps = stamps.map(|(stamp, then)| inner.add_stamp(stamp, then));
            ids + stamps.count()
        });
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
    pub(crate) fn ids(&self, now: Instant) -> Vec<String> {
        self.lock().ids.young(now).cloned().collect()
    }

    /// Returns the stamps, the oldest first.
    pub(crate) fn stamps(&self, now: Instant) -> Vec<Stamp> {
        self.lock().stamps.young(now).cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells whether a task carries one of the stamps.
fn matches(stamps: &Remembered<Stamp>, headers: &TaskHeaders) -> bool {
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

    /// Returns the members with the time they were added, the oldest first.
    fn iter(&self) -> impl Iterator<Item = (&T, Instant)> {
        let members = self.order.values();
        members.filter_map(|member| Some((member, self.members.get(member)?.1)))
    }

    /// Returns the members that are not too old, the oldest first.
    fn young(&self, now: Instant) -> impl Iterator<Item = &T> {
        let members = self.iter();
        let young = members
            .filter(move |(_, added)| now.saturating_duration_since(*added) <= REVOKED_EXPIRES);
        young.map(|(member, _)| member)
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
        assert_eq!(revoked.ids(start + REVOKED_EXPIRES), ["c"]);
    }

    #[test]
    fn what_is_too_old_is_not_told() {
        let (revoked, start) = (Revoked::default(), Instant::now());
        revoked.add(["a".to_owned()], start);
        revoked.add_stamp("customer", &["7".into()], start);
        let later = start + REVOKED_EXPIRES;
        assert_eq!(revoked.ids(later), ["a"]);
        assert_eq!(revoked.stamps(later).len(), 1);
        let later = later + Duration::from_secs(1);
        assert!(revoked.ids(later).is_empty() && revoked.stamps(later).is_empty());
    }

    #[test]
    fn what_is_known_does_not_become_younger_by_hearing_of_it() {
        let (revoked, start) = (Revoked::default(), Instant::now());
        let stamp = || ("customer".to_owned(), "7".to_owned());
        revoked.learn([], [], start);
        // A neighbour that knows nothing costs nothing: no task asks, no file is written.
        assert!(!revoked.any.load(Ordering::Acquire));
        revoked.learn(["a".to_owned()], [stamp()], start);
        assert_eq!(*revoked.changes().borrow(), 1);
        revoked.learn(["a".to_owned()], [stamp()], start + REVOKED_EXPIRES);
        assert_eq!(*revoked.changes().borrow(), 1);
        let later = start + REVOKED_EXPIRES + Duration::from_secs(1);
        assert!(revoked.ids(later).is_empty() && revoked.stamps(later).is_empty());
        let long = || "x".repeat(MAX_TEXT + 1);
        revoked.learn([long()], [(long(), "7".to_owned())], start);
        assert_eq!(*revoked.changes().borrow(), 1);
    }

    #[test]
    fn one_that_is_called_off_again_is_remembered_from_then() {
        let (revoked, start) = (Revoked::default(), Instant::now());
        revoked.add(["a".to_owned(), "b".to_owned()], start);
        revoked.add(["a".to_owned()], start + REVOKED_EXPIRES);
        assert_eq!(revoked.ids(start), ["b", "a"]);
        let later = start + REVOKED_EXPIRES + Duration::from_secs(1);
        revoked.add(["c".to_owned()], later);
        assert!(revoked.contains(&task("a")));
        assert_eq!(revoked.ids(later), ["a", "c"]);
    }

    #[test]
    fn the_oldest_go_first() {
        let (revoked, start) = (Revoked::default(), Instant::now());
        revoked.add((0..=REVOKED_MAX).map(|n| n.to_string()), start);
        assert!(!revoked.contains(&task("0")));
        assert!(revoked.contains(&task("1")));
        assert_eq!(revoked.ids(start).len(), REVOKED_MAX);
    }

    #[test]
    fn another_process_remembers_as_long() {
        let (revoked, start) = (Revoked::default(), Instant::now());
        let hour = Duration::from_secs(3600);
        revoked.add(["old".to_owned()], start);
        revoked.add(["new".to_owned()], start + hour);
        revoked.add_stamp("customer", &[7_i64.into()], start + hour);
        let noon = UNIX_EPOCH + 100_000 * hour;
        let contents = revoked.contents(start + hour, noon);

        let other = Revoked::default();
        other.restore(contents, start + 4 * hour, noon + REVOKED_EXPIRES);
        assert_eq!(other.ids(start + 4 * hour), ["new"]);
        let mut stamps = Table::new();
        stamps.push("customer", "7");
        assert!(other.contains(&TaskHeaders {
            stamps,
            ..task("x")
        }));
        // It is as old as it was.
        let later = start + 4 * hour + Duration::from_secs(1);
        other.add(["c".to_owned()], later);
        assert_eq!(other.ids(later), ["c"]);
    }

    #[test]
    fn a_clock_that_was_put_back_forgets_nothing() {
        let revoked = Revoked::default();
        let ahead = Contents::new(vec![("a".to_owned(), 1e12)], Vec::new());
        revoked.restore(ahead, Instant::now(), UNIX_EPOCH);
        assert_eq!(revoked.ids(Instant::now()), ["a"]);
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
