//! What becomes of the ticks between a mark and now.

use std::time::{Duration, SystemTime};

use celeriac::Entry;

/// How late a tick may be without counting as missed: longer than it takes to find a new
/// leader, so that under every policy a leader's end costs no tick.
pub(crate) const GRACE: Duration = Duration::from_secs(5);

/// How many ticks of one entry are looked at one by one in one turn.
const MOST: usize = 1000;

/// What becomes of the ticks between a mark and now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Turn {
    /// To be sent, in this order.
    pub(crate) send: Vec<SystemTime>,
    /// Everything up to here is decided once those are sent.
    pub(crate) upto: SystemTime,
    /// How many are dropped. Of those that are left out without a look at each, because
    /// there are too many, one counts.
    pub(crate) missed: u64,
}

/// Decides about the ticks of an entry later than `mark` and not later than `now`.
///
/// A tick is due at its time, or later by its jitter, and never before the one before it.
/// Those that are late by more than the [`GRACE`] were missed: the entry's policy says how
/// many of them, the last ones, are sent. What is older than the entry's deadline is not
/// sent in any case.
pub(super) fn turn(entry: &Entry, mark: SystemTime, now: SystemTime) -> Turn {
    let back = |span: Duration| now.checked_sub(span).unwrap_or(SystemTime::UNIX_EPOCH);
    let late = back(GRACE);
    let stale = back(GRACE + entry.jitter + Duration::from_micros(1));
    let most = entry.misfire.most();
    let (mut missed, mut fresh) = (Vec::new(), Vec::new());
    let (mut at, mut due) = (mark, mark);
    // Whatever its jitter, each tick up to here was missed, and there may be millions.
    if mark < stale {
        missed = entry.schedule.ticks_between(mark, stale, most + 1);
        at = missed.last().copied().unwrap_or(stale);
    }
    for _ in 0..MOST {
        let Some(tick) = entry.schedule.next_after(at) else {
            break;
        };
        due = due.max(entry.jittered(tick));
        if due > now {
            break;
        }
        let list = if due < late { &mut missed } else { &mut fresh };
        list.push(tick);
        at = tick;
    }
    let any = !missed.is_empty() || !fresh.is_empty();
    let before = missed.len() + fresh.len();
    let mut send = missed.split_off(missed.len().saturating_sub(most));
    send.append(&mut fresh);
    if let Some(deadline) = entry.deadline {
        send.retain(|tick| *tick >= back(deadline));
    }
    Turn {
        upto: if any { at } else { mark },
        missed: (before - send.len()) as u64,
        send,
    }
}
