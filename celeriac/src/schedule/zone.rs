//! Time zones, and the instants of civil times in them.

use std::fmt;
use std::str::FromStr;
use std::time::SystemTime;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone};

use super::time::{self, SECOND};
use crate::error::{Error, Result};

/// A time zone by its IANA name, such as `Europe/Berlin`; default UTC.
///
/// The rules are the system's, else those that were built in.
#[derive(Clone)]
pub struct Zone(TimeZone);

/// A change of a zone's offset, in seconds since the epoch and seconds east of UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) at: i64,
    pub(super) before: i64,
    pub(super) after: i64,
}

impl Zone {
    /// Universal time, which has no clock changes.
    pub fn utc() -> Self {
        Self(TimeZone::UTC)
    }

    /// Returns the name.
    pub fn name(&self) -> &str {
        self.0.iana_name().unwrap_or("UTC")
    }

    /// Returns the civil time of an instant with its offset, such as
    /// `2026-12-24T18:00:00+01:00`.
    pub fn civil(&self, at: SystemTime) -> String {
        let zoned = time::floor(at)
            .and_then(|micros| Timestamp::from_microsecond(micros).ok())
            .map(|at| at.to_zoned(self.0.clone()));
        zoned.map_or_else(
            || format!("{at:?}"),
            |at| at.strftime("%Y-%m-%dT%H:%M:%S%.f%:z").to_string(),
        )
    }

    /// Returns seconds east of UTC.
    pub(super) fn offset(&self, second: i64) -> Option<i64> {
        let at = Timestamp::from_second(second).ok()?;
        Some(self.0.to_offset(at).seconds().into())
    }

    /// Returns the next change of offset later than `second`.
    pub(super) fn change_after(&self, second: i64) -> Option<Change> {
        let from = Timestamp::from_second(second).ok()?;
        self.0
            .following(from)
            .filter_map(|change| self.change(change.timestamp()))
            .next()
    }

    /// Returns the last change of offset not later than `second`, if it was within two days.
    pub(super) fn change_before(&self, second: i64) -> Option<Change> {
        let from = Timestamp::from_second(second + 1).ok()?;
        self.0
            .preceding(from)
            .take_while(|change| change.timestamp().as_second() > second - 2 * 86_400)
            .filter_map(|change| self.change(change.timestamp()))
            .next()
    }

    /// Zones list changes of name alone, too.
    fn change(&self, at: Timestamp) -> Option<Change> {
        let at = at.as_second();
        let (before, after) = (self.offset(at - 1)?, self.offset(at)?);
        (before != after).then_some(Change { at, before, after })
    }

    /// Returns the microseconds of a civil time: the first of two, and the end of the gap for
    /// one that is skipped.
    pub(super) fn resolve(&self, civil: DateTime) -> Option<i64> {
        let ambiguous = self.0.to_ambiguous_timestamp(civil);
        if let AmbiguousOffset::Gap { before, .. } = ambiguous.offset() {
            // Read with the offset from before the gap it lies behind it, by less than a day.
            let behind = before.to_timestamp(civil).ok()?;
            let change = self.change_before(behind.as_second())?;
            return change.at.checked_mul(SECOND);
        }
        Some(ambiguous.earlier().ok()?.as_microsecond())
    }
}

impl Default for Zone {
    fn default() -> Self {
        Self::utc()
    }
}

impl PartialEq for Zone {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl Eq for Zone {}

impl FromStr for Zone {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        if name.eq_ignore_ascii_case("UTC") {
            return Ok(Self::utc());
        }
        match TimeZone::get(name) {
            Ok(zone) if zone.iana_name().is_some() => Ok(Self(zone)),
            _ => Err(Error::invalid(
                "zone",
                "the IANA name of a time zone such as Europe/Berlin or UTC",
                format!("{name:?}"),
            )),
        }
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Zone({})", self.name())
    }
}
