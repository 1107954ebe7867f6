//! Cron lines: which civil times they mean, and which instants those are.

use std::fmt;

use jiff::civil::Date;

use super::field::{self, Set};
use super::time::SECOND;
use super::zone::{Change, Zone};
use crate::error::{Error, Result};

const DAY: i64 = 86_400;

/// Names for whole lines.
const ALIASES: [(&str, &str); 7] = [
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
    ("@monthly", "0 0 1 * *"),
    ("@weekly", "0 0 * * 0"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@hourly", "0 * * * *"),
];

/// Days of months, February's in leap years.
const DAYS: [u32; 12] = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

/// A leap day falls on each day of the week at least once in 40 years, the longest wait there
/// is.
const HORIZON: i64 = 41 * 366;

/// A cron line in a time zone.
///
/// Fields, lists, ranges and steps are Celery's, and a day must fit month, day of month and
/// day of week alike. With six fields the first is the second.
///
/// Where clocks change:
///
/// - Times that a change skips are made up for by one tick, at the first instant after the gap;
///   but not if the line has every hour: then the next hour's ticks follow as always.
/// - Of times that happen twice, the first are ticks; both are if the line has every hour, or
///   a minute field with `*` or all minutes: then ticks go on in real time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Crontab {
    line: String,
    second: Set,
    minute: Set,
    hour: Set,
    day_of_month: Set,
    month: Set,
    day_of_week: Set,
    /// Whether civil times that happen twice are ticks twice.
    repeats: bool,
    pub(super) zone: Zone,
}

impl Crontab {
    /// Reads a line, in UTC.
    ///
    /// # Errors
    ///
    /// Names the field, its column, what was expected and what was found.
    pub fn parse(line: &str) -> Result<Self> {
        let written = line.split_whitespace().collect::<Vec<_>>().join(" ");
        let alias = ALIASES.iter().find(|(name, _)| *name == written);
        let text = alias.map_or(line, |(_, fields)| fields);
        let fields = split(text);
        let (second, rest) = match fields.as_slice() {
            [_, _, _, _, _] => (Set::one(0), fields.as_slice()),
            [(text, column), rest @ ..] if rest.len() == 5 => {
                (field::SECOND.parse(text, *column)?, rest)
            }
            _ => {
                return Err(Error::invalid(
                    "crontab",
                    "five fields (minute, hour, day of month, month, day of week), six with \
                     the second first, or a name such as @hourly",
                    format!("{line:?}"),
                ));
            }
        };
        let read = |at: usize, kind: &field::Kind| kind.parse(rest[at].0, rest[at].1);
        let minute = read(0, &field::MINUTE)?;
        let hour = read(1, &field::HOUR)?;
        let crontab = Self {
            line: written,
            second,
            minute,
            hour,
            day_of_month: read(2, &field::DAY_OF_MONTH)?,
            month: read(3, &field::MONTH)?,
            day_of_week: read(4, &field::DAY_OF_WEEK)?,
            repeats: hour.len() == 24 || minute.len() == 60 || rest[0].0.contains('*'),
            zone: Zone::utc(),
        };
        let occurs = |(month, days): (u32, &u32)| {
            crontab.month.contains(month) && crontab.day_of_month.first() <= *days
        };
        if !(1..).zip(&DAYS).any(occurs) {
            return Err(Error::invalid(
                format!("crontab, day of month at column {}", rest[2].1),
                format!("a day that month {} has", rest[3].0),
                rest[2].0,
            ));
        }
        Ok(crontab)
    }

    /// Returns the line, with single spaces.
    pub fn line(&self) -> &str {
        &self.line
    }

    /// Returns the first tick after an instant, in microseconds.
    ///
    /// The time line is cut at changes of the offset. In each piece a civil time is an instant
    /// by adding the offset, and what is left to do is to see to gaps and folds at its start.
    pub(super) fn next(&self, after: i64) -> Option<i64> {
        let from = after.div_euclid(SECOND) + 1;
        let mut offset = self.zone.offset(from)?;
        let mut civil = from + offset;
        if let Some(change) = self.zone.change_before(from) {
            if change.at == from && self.is_made_up_at(change) {
                return Some(from * SECOND);
            }
            civil = civil.max(self.start(change));
        }
        let mut found = self.civil_from(civil)?;
        let mut at = from;
        while let Some(change) = self.zone.change_after(at) {
            if found - offset < change.at {
                break;
            }
            if self.is_made_up_at(change) {
                return change.at.checked_mul(SECOND);
            }
            let start = self.start(change);
            // After a gap what was found still holds, unless it lay inside; after a fold that
            // counts twice there may be an earlier one.
            if found < start || change.after < change.before {
                found = self.civil_from(start)?;
            }
            (offset, at) = (change.after, change.at);
        }
        (found - offset).checked_mul(SECOND)
    }

    /// Returns the first civil second that counts after a change.
    const fn start(&self, change: Change) -> i64 {
        let folds = change.after < change.before;
        let offset = if folds && !self.repeats {
            change.before
        } else {
            change.after
        };
        change.at + offset
    }

    /// Tells whether the first instant after a change is a tick for times it skipped.
    fn is_made_up_at(&self, change: Change) -> bool {
        let (from, to) = (change.at + change.before, change.at + change.after);
        from < to && self.hour.len() < 24 && self.civil_from(from).is_some_and(|found| found < to)
    }

    /// Returns the first civil second of the line not before another one; both are counted as
    /// if they were UTC.
    fn civil_from(&self, from: i64) -> Option<i64> {
        let mut day = from.div_euclid(DAY);
        let horizon = day + HORIZON;
        let mut time = u32::try_from(from.rem_euclid(DAY)).ok()?;
        let mut date = Date::constant(1970, 1, 1)
            .checked_add(jiff::SignedDuration::from_hours(24 * day))
            .ok()?;
        while day < horizon {
            if !self.month.contains(month_of(date)) {
                let next = date.last_of_month().tomorrow().ok()?;
                day += i64::from(date.days_in_month() - date.day()) + 1;
                (date, time) = (next, 0);
                continue;
            }
            if self.has_day(date, day)
                && let Some(time) = self.time_from(time)
            {
                return Some(day * DAY + i64::from(time));
            }
            date = date.tomorrow().ok()?;
            (day, time) = (day + 1, 0);
        }
        None
    }

    fn has_day(&self, date: Date, day: i64) -> bool {
        // The first of January 1970 was a Thursday.
        let day_of_week = (day + 4).rem_euclid(7) as u32;
        self.day_of_month.contains(date.day().unsigned_abs().into())
            && self.day_of_week.contains(day_of_week)
    }

    /// Returns the first second of a day not before another one.
    fn time_from(&self, from: u32) -> Option<u32> {
        let (hour, minute, second) = (from / 3600, from / 60 % 60, from % 60);
        let earliest = |hour, minute, second| hour * 3600 + minute * 60 + second;
        if self.hour.contains(hour) {
            if self.minute.contains(minute)
                && let Some(second) = self.second.from(second)
            {
                return Some(earliest(hour, minute, second));
            }
            if let Some(minute) = self.minute.from(minute + 1) {
                return Some(earliest(hour, minute, self.second.first()));
            }
        }
        let hour = self.hour.from(hour + 1)?;
        Some(earliest(hour, self.minute.first(), self.second.first()))
    }
}

fn month_of(date: Date) -> u32 {
    date.month().unsigned_abs().into()
}

/// Returns the fields of a line, each with its column from 1.
fn split(line: &str) -> Vec<(&str, usize)> {
    let columns = line.split_whitespace().map(|field| {
        let at = field.as_ptr() as usize - line.as_ptr() as usize;
        (field, line[..at].chars().count() + 1)
    });
    columns.collect()
}

impl fmt::Display for Crontab {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "crontab {} {}", self.line, self.zone)
    }
}

#[cfg(test)]
mod tests;
