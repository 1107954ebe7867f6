//! When tasks run by themselves: intervals, cron lines, the sun, single times.
//!
//! Everything here is a pure function of its arguments; what sends the tasks is the
//! supervisor's beat. All times are whole microseconds.
//!
//! # Example
//!
//! ```
//! use std::time::{Duration, UNIX_EPOCH};
//! use celeriac::Schedule;
//!
//! # fn main() -> celeriac::Result<()> {
//! let nightly = Schedule::crontab("30 3 * * *")?.in_zone(&"Europe/Berlin".parse()?)?;
//! let next = nightly.next_after(UNIX_EPOCH).unwrap();
//! assert_eq!(next, UNIX_EPOCH + Duration::from_secs(2 * 3600 + 30 * 60));
//! # Ok(())
//! # }
//! ```

mod crontab;
mod entry;
mod field;
mod form;
mod interval;
mod misfire;
mod once;
mod solar;
mod span;
mod tick;
mod time;
mod zone;

use std::fmt;
use std::time::{Duration, SystemTime};

pub use self::crontab::Crontab;
pub use self::entry::{Entry, Options};
pub use self::interval::Interval;
pub use self::misfire::Misfire;
pub use self::once::Once;
pub use self::solar::{Solar, SunEvent};
pub use self::tick::{tick_id, tick_name};
pub use self::time::text;
pub use self::zone::Zone;
use crate::error::{Error, Result};

/// When a task runs: a strictly increasing row of instants, its ticks.
///
/// The same schedule has the same ticks whoever asks and from wherever they start, so that
/// two leaders agree. In TOML and JSON it is a table: `{ every = "30s" }`,
/// `{ crontab = "*/5 * * * mon-fri", zone = "Europe/Berlin" }`,
/// `{ solar = { event = "sunset", latitude = 52.5, longitude = 13.4 } }`,
/// `{ once = "2026-12-24T18:00:00" }`.
#[derive(Debug, Clone, PartialEq)]
pub enum Schedule {
    /// Again and again after the same time.
    Interval(Interval),
    /// By minute, hour, day and month, in a time zone.
    Crontab(Crontab),
    /// By the sun over a place.
    Solar(Solar),
    /// One time only.
    Once(Once),
}

impl Schedule {
    /// Runs again and again after `every`, counted from the Unix epoch.
    ///
    /// # Errors
    ///
    /// When `every` is below a millisecond, above 100 years, or no whole number of microseconds.
    pub fn every(every: Duration) -> Result<Self> {
        Interval::new(every).map(Self::Interval)
    }

    /// Reads a cron line of five fields, six with seconds first, or a name such as `@hourly`.
    /// It is in UTC until [`Schedule::in_zone`].
    ///
    /// # Errors
    ///
    /// Names the field, its column, what was expected and what was found.
    pub fn crontab(line: &str) -> Result<Self> {
        Crontab::parse(line).map(Self::Crontab)
    }

    /// Runs when the sun over a place does something.
    ///
    /// # Errors
    ///
    /// When the place, in degrees north and east, is none on Earth.
    pub fn solar(event: SunEvent, latitude: f64, longitude: f64) -> Result<Self> {
        Solar::new(event, latitude, longitude).map(Self::Solar)
    }

    /// Runs once: at a time with an offset (`2026-12-24T18:00:00Z`), or at a civil time in UTC
    /// until [`Schedule::in_zone`] (`2026-12-24T18:00:00`, `2026-12-24 18:00`).
    ///
    /// # Errors
    ///
    /// When the text is no such time.
    pub fn once(at: &str) -> Result<Self> {
        Once::parse(at).map(Self::Once)
    }

    /// Reads its fields in a time zone.
    ///
    /// # Errors
    ///
    /// When it has no civil time that a zone could tell: intervals, the sun, a time with an
    /// offset.
    pub fn in_zone(mut self, zone: &Zone) -> Result<Self> {
        let fits = match &mut self {
            Self::Crontab(crontab) => {
                crontab.zone = zone.clone();
                true
            }
            Self::Once(once) => once.set_zone(zone),
            Self::Interval(_) | Self::Solar(_) => false,
        };
        if fits {
            return Ok(self);
        }
        Err(Error::invalid(
            "zone",
            "none, or a crontab or a once without an offset beside it",
            format!("{zone} beside {self}"),
        ))
    }

    /// Returns the zone of its civil times, if it has any.
    pub fn zone(&self) -> Option<&Zone> {
        match self {
            Self::Crontab(crontab) => Some(&crontab.zone),
            Self::Once(once) => once.zone(),
            Self::Interval(_) | Self::Solar(_) => None,
        }
    }

    /// Writes an instant as the schedule's civil time with its offset, for people:
    /// `2026-12-24T18:00:00+01:00`. UTC where the schedule has no zone.
    pub fn civil(&self, tick: SystemTime) -> String {
        self.zone().unwrap_or(&Zone::utc()).civil(tick)
    }

    /// Returns the first tick strictly later than `after`; `None` when there is none any more.
    ///
    /// Takes microseconds, and never long: what happens seldom is looked for within bounds
    /// that no cron line exceeds; the sun's events within 366 days.
    pub fn next_after(&self, after: SystemTime) -> Option<SystemTime> {
        let after = time::floor(after)?;
        time::instant(match self {
            Self::Interval(interval) => interval.next(after),
            Self::Crontab(crontab) => crontab.next(after),
            Self::Solar(solar) => solar.next(after),
            Self::Once(once) => once.next(after),
        }?)
    }

    /// Returns the next ticks after an instant, `most` at most.
    pub fn upcoming(&self, after: SystemTime, most: usize) -> Vec<SystemTime> {
        let mut ticks = Vec::new();
        let mut at = after;
        while ticks.len() < most {
            let Some(next) = self.next_after(at) else {
                break;
            };
            ticks.push(next);
            at = next;
        }
        ticks
    }

    /// Returns the last tick later than `from` and not later than `to`.
    ///
    /// Asks [`Schedule::next_after`] some fifty times, however many ticks lie between.
    pub fn last_between(&self, from: SystemTime, to: SystemTime) -> Option<SystemTime> {
        let (mut from, to) = (time::floor(from)?, time::floor(to)?);
        let next = |after: i64| time::floor(self.next_after(time::instant(after)?)?);
        let fits = |after: i64| next(after).filter(|tick| *tick <= to);
        // The next tick of `from` is in time, that of `end` is not: close in on the last that is.
        let mut last = fits(from)?;
        let mut end = to;
        while from < end {
            let middle = from + (end - from) / 2;
            match fits(middle) {
                Some(tick) => (from, last) = (tick, tick),
                None => end = middle,
            }
        }
        time::instant(last)
    }

    /// Returns the ticks later than `from` and not later than `to`, the last `most` of them,
    /// oldest first.
    ///
    /// However long the time between, it takes no longer than some fifty times `most` steps of
    /// [`Schedule::next_after`].
    pub fn ticks_between(&self, from: SystemTime, to: SystemTime, most: usize) -> Vec<SystemTime> {
        let mut ticks = self.upcoming(from, most.saturating_add(1));
        ticks.retain(|tick| *tick <= to);
        if ticks.len() <= most {
            return ticks;
        }
        ticks.clear();
        let mut before = to;
        while ticks.len() < most {
            let Some(tick) = self.last_between(from, before) else {
                break;
            };
            ticks.push(tick);
            before = tick - Duration::from_micros(1);
        }
        ticks.reverse();
        ticks
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Interval(interval) => interval.fmt(f),
            Self::Crontab(crontab) => crontab.fmt(f),
            Self::Solar(solar) => solar.fmt(f),
            Self::Once(once) => once.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests;
