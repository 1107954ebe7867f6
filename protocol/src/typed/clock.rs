//! Dates and times of day.

use std::{fmt, str::FromStr};

use serde::{Serialize, Serializer};

use super::{Typed, serialize, text, wrong};
use crate::{DecodeError, Timestamp, Value};

const DAY: i64 = 86_400_000_000;

/// A day of the calendar, Python's `date`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date {
    /// 1 to 9999.
    pub year: u16,
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31.
    pub day: u8,
}

impl FromStr for Date {
    type Err = DecodeError;

    fn from_str(text: &str) -> Result<Self, DecodeError> {
        let fail = || wrong("a date such as 2030-01-02", format!("{text:?}"));
        let mut parts = text.split('-').map(str::parse::<u16>);
        let (Some(Ok(year)), Some(Ok(month)), Some(Ok(day)), None, 10) = (
            parts.next(),
            parts.next(),
            parts.next(),
            parts.next(),
            text.len(),
        ) else {
            return Err(fail());
        };
        // Tells whether the calendar has that day.
        Timestamp::parse(text).map_err(|_| fail())?;
        Ok(Self {
            year,
            month: month as u8,
            day: day as u8,
        })
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

impl Typed for Date {
    const NAMES: &'static [&'static str] = &["date"];

    fn read(_: &str, value: &Value) -> Result<Self, DecodeError> {
        text("a date such as 2030-01-02", value)?.parse()
    }
}

impl Serialize for Date {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize(serializer, "date", &self.to_string())
    }
}

/// A time of day, Python's `time`: with an offset from UTC, or naive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Time {
    /// Microseconds since midnight, by the clock on that wall.
    micros: i64,
    offset: Option<i32>,
}

impl Time {
    /// Makes a time of day from the microseconds since midnight, which wrap around at
    /// 24 hours, and the offset in seconds east of UTC.
    pub fn from_micros(micros: i64, offset: Option<i32>) -> Self {
        Self {
            micros: micros.rem_euclid(DAY),
            offset,
        }
    }

    /// Returns the microseconds since midnight.
    pub fn micros(&self) -> i64 {
        self.micros
    }

    /// Returns the offset in seconds east of UTC; `None` for a naive time.
    pub fn offset(&self) -> Option<i32> {
        self.offset
    }

    fn shift(offset: Option<i32>) -> i64 {
        i64::from(offset.unwrap_or(0)) * 1_000_000
    }
}

/// A day to which times are put so that the one parser and writer of moments serve.
const SOME_DAY: &str = "1970-01-02T";

impl FromStr for Time {
    type Err = DecodeError;

    fn from_str(text: &str) -> Result<Self, DecodeError> {
        let moment = Timestamp::parse(&format!("{SOME_DAY}{text}"))
            .map_err(|_| wrong("a time such as 03:04:05", format!("{text:?}")))?;
        let offset = moment.offset();
        Ok(Self::from_micros(
            moment.micros() + Self::shift(offset),
            offset,
        ))
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = DAY + self.micros - Self::shift(self.offset);
        let moment = Timestamp::with_offset(micros, self.offset).to_string();
        f.write_str(moment.split_once('T').map_or("", |(_, time)| time))
    }
}

impl Typed for Time {
    const NAMES: &'static [&'static str] = &["time"];

    fn read(_: &str, value: &Value) -> Result<Self, DecodeError> {
        text("a time such as 03:04:05", value)?.parse()
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize(serializer, "time", &self.to_string())
    }
}
