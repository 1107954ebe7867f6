//! Which ticks are due: a pure function of entries, marks and the time.

mod due;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant, SystemTime};

use celeriac::Entry;

use self::due::Turn;
use super::plan::Planned;

/// The entries with what became of their ticks.
///
/// One mark per entry says up to which tick everything is decided: sent, or dropped by
/// the entry's rules. What lies after the mark and before now is due. The mark only moves
/// past a tick when the broker has confirmed its message, so that whatever ends this
/// process leaves the tick to the next leader, and never moves back, so that a clock which
/// is set back sends nothing again.
///
/// ```text
///            mark                    now
///   ----x----x-|---x-----x-----x------|------x---->  ticks
///   decided    |   missed    | on time|   to come
///              policy decides  sent
/// ```
#[derive(Debug, Default)]
pub(crate) struct Book {
    lines: BTreeMap<String, Line>,
}

/// An entry with what became of its ticks.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    pub(crate) planned: Planned,
    pub(crate) mark: Mark,
    /// Its ticks are being sent.
    busy: bool,
    /// How often in a row its ticks could not be sent, why, and when to try again.
    pub(crate) trouble: Option<Trouble>,
    /// The mark differs from what the store has.
    dirty: bool,
    /// The store was asked for the mark.
    loaded: bool,
}

/// What became of the ticks of an entry. Kept by the store.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Mark {
    /// Everything up to here is decided.
    pub(crate) upto: SystemTime,
    /// What the entry looked like, as far as its ticks depend on it.
    pub(crate) shape: String,
    /// The last tick that was sent.
    pub(crate) last: Option<Sent>,
    /// How many ticks were sent.
    pub(crate) sent: u64,
    /// How many ticks were dropped by the entry's rules, as far as they were counted.
    pub(crate) missed: u64,
}

/// A tick that was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sent {
    pub(crate) tick: SystemTime,
    /// When the broker had it.
    pub(crate) at: SystemTime,
    pub(crate) task_id: String,
    /// The term of the leader that sent it.
    pub(crate) term: u64,
}

/// Why the ticks of an entry cannot be sent.
#[derive(Debug, Clone)]
pub(crate) struct Trouble {
    pub(crate) failures: u32,
    pub(crate) reason: String,
    pub(crate) again: Instant,
}

/// The time, on both clocks: ticks are on the wall's, waits are not.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Now {
    pub(crate) wall: SystemTime,
    pub(crate) steady: Instant,
}

/// The first and the longest wait after a tick could not be sent.
const RETRY: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(30));

impl Mark {
    /// Makes the mark of an entry that is new, or looks new: its ticks begin now.
    fn fresh(planned: &Planned, now: SystemTime) -> Self {
        Self {
            upto: now,
            shape: planned.shape(),
            last: None,
            sent: 0,
            missed: 0,
        }
    }
}

impl Book {
    /// Takes the entries over; marks of those that stay are kept.
    ///
    /// An entry begins anew when its schedule changed or it was enabled: what was due
    /// before is not due by the new rules.
    pub(crate) fn plan(&mut self, entries: Vec<Planned>, now: SystemTime) {
        let mut before = std::mem::take(&mut self.lines);
        for planned in entries {
            let name = planned.entry.name.clone();
            let line = match before.remove(&name) {
                Some(line) => Line { planned, ..line }.shaped(now),
                None => Line {
                    mark: Mark::fresh(&planned, now),
                    planned,
                    busy: false,
                    trouble: None,
                    dirty: true,
                    loaded: false,
                },
            };
            self.lines.insert(name, line);
        }
    }

    /// Takes over the marks that the store has. Until then no entry is due: what the store
    /// knows may lie before the moment in which this process first saw the entry.
    pub(crate) fn load(&mut self, mut marks: HashMap<String, Mark>) {
        for (name, line) in &mut self.lines {
            let stored = marks.remove(name);
            let first = !std::mem::replace(&mut line.loaded, true);
            let Some(stored) = stored else { continue };
            let same = stored.shape == line.mark.shape;
            if first {
                let heard = line.mark.last.take();
                if same {
                    (line.mark, line.dirty) = (stored, false);
                } else {
                    // It was changed while nobody looked, and begins anew.
                    (line.mark.last, line.mark.sent) = (stored.last, stored.sent);
                    line.mark.missed = stored.missed;
                }
                if let Some(heard) = heard {
                    line.hear(heard);
                }
            } else if same && stored.upto >= line.mark.upto {
                (line.mark, line.dirty) = (stored, false);
            }
        }
    }

    /// Notes a tick that another leader sent.
    pub(crate) fn hear(&mut self, name: &str, sent: Sent) {
        if let Some(line) = self.lines.get_mut(name) {
            line.hear(sent);
        }
    }

    /// Returns what is to be sent now, entry by entry; those are busy until they are
    /// [`Book::sent`] or [`Book::failed`]. Drops what the rules drop.
    pub(crate) fn due(&mut self, now: Now) -> Vec<(Entry, Vec<SystemTime>)> {
        let mut due = Vec::new();
        for line in self.lines.values_mut() {
            if !line.is_active() || line.waits(now.steady) {
                continue;
            }
            let Turn { send, upto, missed } =
                due::turn(&line.planned.entry, line.mark.upto, now.wall);
            if missed > 0 {
                line.mark.missed += missed;
                line.dirty = true;
                // What is dropped is decided, whatever becomes of the others.
                let first = send.first().map(|tick| *tick - Duration::from_micros(1));
                line.mark.upto = line.mark.upto.max(first.unwrap_or(upto));
            }
            if !send.is_empty() {
                line.busy = true;
                due.push((line.planned.entry.clone(), send));
            } else if upto > line.mark.upto {
                line.mark.upto = upto;
                line.dirty = true;
            }
        }
        due
    }

    /// Notes a tick that the broker has.
    pub(crate) fn sent(&mut self, name: &str, sent: Sent) {
        let Some(line) = self.lines.get_mut(name) else {
            return;
        };
        line.trouble = None;
        line.mark.sent += 1;
        line.dirty = true;
        line.mark.upto = line.mark.upto.max(sent.tick);
        line.mark.last = Some(sent);
    }

    /// Notes that an entry's turn is over, with the reason if a tick could not be sent.
    pub(crate) fn over(&mut self, name: &str, failure: Option<String>, now: Instant) {
        let Some(line) = self.lines.get_mut(name) else {
            return;
        };
        line.busy = false;
        line.trouble = failure.map(|reason| {
            let failures = line.trouble.as_ref().map_or(0, |trouble| trouble.failures) + 1;
            let wait = RETRY
                .0
                .saturating_mul(1 << (failures - 1).min(16))
                .min(RETRY.1);
            Trouble {
                failures,
                reason,
                again: now + wait,
            }
        });
    }

    /// Returns how long nothing becomes due, `longest` at most.
    pub(crate) fn idle(&self, now: Now, longest: Duration) -> Duration {
        let mut idle = longest;
        for line in self.lines.values() {
            if !line.is_active() {
                continue;
            }
            if let Some(trouble) = line.trouble.as_ref().filter(|_| line.waits(now.steady)) {
                idle = idle.min(trouble.again.saturating_duration_since(now.steady));
            } else if let Some(at) = line.next() {
                idle = idle.min(at.duration_since(now.wall).unwrap_or_default());
            }
        }
        idle
    }

    /// Returns the longest time that a tick which is not sent yet is late.
    pub(crate) fn lag(&self, now: SystemTime) -> Duration {
        let late = |line: &Line| now.duration_since(line.next()?).ok();
        let enabled = self
            .lines
            .values()
            .filter(|line| line.loaded && line.planned.entry.enabled);
        enabled.filter_map(late).max().unwrap_or_default()
    }

    /// Takes the marks that the store does not have yet.
    pub(crate) fn take_dirty(&mut self) -> Vec<(String, Mark)> {
        let dirty = self.lines.iter_mut().filter(|(_, line)| line.dirty);
        dirty
            .map(|(name, line)| {
                line.dirty = false;
                (name.clone(), line.mark.clone())
            })
            .collect()
    }

    /// Notes that marks which were taken did not reach the store.
    pub(crate) fn still_dirty<'a>(&mut self, names: impl IntoIterator<Item = &'a String>) {
        for name in names {
            if let Some(line) = self.lines.get_mut(name) {
                line.dirty = true;
            }
        }
    }

    /// Returns the entries by name.
    pub(crate) fn lines(&self) -> impl Iterator<Item = &Line> {
        self.lines.values()
    }
}

impl Line {
    /// Begins anew when the entry does not look as it did.
    fn shaped(mut self, now: SystemTime) -> Self {
        let shape = self.planned.shape();
        if shape != self.mark.shape {
            self.mark.upto = now;
            self.mark.shape = shape;
            self.dirty = true;
            self.trouble = None;
        }
        self
    }

    /// Notes a tick that another leader sent.
    fn hear(&mut self, sent: Sent) {
        if self
            .mark
            .last
            .as_ref()
            .is_some_and(|last| last.tick >= sent.tick)
        {
            return;
        }
        if sent.tick > self.mark.upto {
            self.mark.upto = sent.tick;
        }
        self.mark.sent += 1;
        self.mark.last = Some(sent);
        self.dirty = true;
    }

    fn is_active(&self) -> bool {
        self.loaded && !self.busy && self.planned.entry.enabled
    }

    fn waits(&self, now: Instant) -> bool {
        self.trouble
            .as_ref()
            .is_some_and(|trouble| trouble.again > now)
    }

    /// Returns when the next tick is due, or was.
    pub(crate) fn next(&self) -> Option<SystemTime> {
        let entry = &self.planned.entry;
        let tick = entry.schedule.next_after(self.mark.upto)?;
        Some(entry.jittered(tick))
    }
}
