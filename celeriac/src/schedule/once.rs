//! One time only.

use std::fmt;
use std::time::SystemTime;

use jiff::Timestamp;
use jiff::civil::DateTime;

use super::time;
use super::zone::Zone;
use crate::error::{Error, Result};

/// A single tick: an instant, or a civil time in a zone.
///
/// A civil time that a clock change skips is the first instant after it; of one that happens
/// twice the first counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Once(At);

#[derive(Debug, Clone, PartialEq, Eq)]
enum At {
    Instant(Timestamp),
    Civil(DateTime, Zone),
}

impl Once {
    /// Reads a time with an offset or `Z`, or a civil time, in UTC until told otherwise.
    ///
    /// # Errors
    ///
    /// When the text is neither.
    pub fn parse(text: &str) -> Result<Self> {
        let trimmed = text.trim();
        let whole = |nanos: i32| nanos % 1000 == 0;
        // A civil time reads as well when an offset follows, so that comes first.
        if let Ok(at) = trimmed.parse::<Timestamp>() {
            if whole(at.subsec_nanosecond()) {
                return Ok(Self(At::Instant(at)));
            }
        } else if let Ok(at) = trimmed.parse::<DateTime>() {
            let bare = trimmed.len() > 10 && !trimmed.contains('[');
            if bare && whole(at.subsec_nanosecond()) {
                return Ok(Self(At::Civil(at, Zone::utc())));
            }
        }
        Err(Error::invalid(
            "once",
            "a time such as 2026-12-24T18:00:00, or with an offset 2026-12-24T18:00:00Z, in microseconds at most",
            format!("{text:?}"),
        ))
    }

    pub(super) fn set_zone(&mut self, zone: &Zone) -> bool {
        match &mut self.0 {
            At::Civil(_, own) => {
                *own = zone.clone();
                true
            }
            At::Instant(_) => false,
        }
    }

    pub(super) const fn zone(&self) -> Option<&Zone> {
        match &self.0 {
            At::Civil(_, zone) => Some(zone),
            At::Instant(_) => None,
        }
    }

    /// Returns the instant; `None` at the far ends of the calendar.
    pub fn at(&self) -> Option<SystemTime> {
        time::instant(self.micros()?)
    }

    fn micros(&self) -> Option<i64> {
        match &self.0 {
            At::Instant(at) => Some(at.as_microsecond()),
            At::Civil(civil, zone) => zone.resolve(*civil),
        }
    }

    pub(super) fn next(&self, after: i64) -> Option<i64> {
        self.micros().filter(|at| *at > after)
    }

    /// Returns the time as it is written in a form, without the zone.
    pub(super) fn text(&self) -> String {
        match &self.0 {
            At::Instant(at) => at.to_string(),
            At::Civil(at, _) => at.to_string(),
        }
    }
}

impl fmt::Display for Once {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "once {}", self.text())?;
        match &self.0 {
            At::Civil(_, zone) => write!(f, " {zone}"),
            At::Instant(_) => Ok(()),
        }
    }
}
