//! The text form: what Celery's parser accepts, what Python's `isoformat` writes.

use std::fmt;

use jiff::{SignedDuration, civil::DateTime};

use super::Timestamp;
use crate::error::{DecodeError, Fault};

const SECOND: i64 = 1_000_000;
const EPOCH: DateTime = DateTime::constant(1970, 1, 1, 0, 0, 0, 0);
const FIRST: DateTime = DateTime::constant(1, 1, 1, 0, 0, 0, 0);
const LAST: DateTime = DateTime::constant(9999, 12, 31, 23, 59, 59, 999_999_000);

/// No text form is longer, so nothing longer is looked at.
const LONGEST: usize = 64;

impl Timestamp {
    /// Parses an ISO 8601 text in any form that Celery accepts.
    ///
    /// `2030-01-02T03:04:05.678901+05:30`, `Z` or no offset, a space instead of `T`,
    /// the date alone (also `2030` and `2030-01`), the compact `20300102T030405Z`,
    /// and fractions of any length, of which microseconds are kept. An offset may
    /// have seconds, as Python writes those of old times. Week dates are not read.
    ///
    /// # Errors
    /// `Fault::Malformed` for any other text, for days and hours that do not exist,
    /// and for years outside 1 to 9999.
    pub fn parse(text: &str) -> Result<Self, DecodeError> {
        let parsed = (text.len() <= LONGEST)
            .then(|| Cursor(text.as_bytes()).timestamp())
            .flatten();
        parsed.ok_or_else(|| {
            let expected = "an ISO 8601 time such as 2030-01-02T03:04:05+00:00";
            DecodeError::new(Fault::Malformed, "timestamp", expected, format!("'{text}'"))
        })
    }

    /// Returns the text form, as [`Display`](fmt::Display) writes it.
    pub fn to_text(&self) -> String {
        self.to_string()
    }
}

/// Writes what Python's `isoformat` writes: no fraction when it is zero, `+05:30`,
/// nothing for a naive time. A moment outside the years 1 to 9999, which the format
/// cannot hold, is written as the nearest one inside.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shift = i64::from(self.offset.unwrap_or(0)) * SECOND;
        let local = SignedDuration::from_micros(self.micros.saturating_add(shift));
        let nearest = if local.is_negative() { FIRST } else { LAST };
        let local = EPOCH
            .checked_add(local)
            .unwrap_or(nearest)
            .clamp(FIRST, LAST);
        write!(
            f,
            "{:04}-{:02}-{:02}T",
            local.year(),
            local.month(),
            local.day()
        )?;
        write!(
            f,
            "{:02}:{:02}:{:02}",
            local.hour(),
            local.minute(),
            local.second()
        )?;
        let micros = local.subsec_nanosecond() / 1000;
        if micros != 0 {
            write!(f, ".{micros:06}")?;
        }
        let Some(offset) = self.offset else {
            return Ok(());
        };
        let (sign, east) = (if offset < 0 { '-' } else { '+' }, offset.unsigned_abs());
        write!(f, "{sign}{:02}:{:02}", east / 3600, east / 60 % 60)?;
        if east % 60 != 0 {
            write!(f, ":{:02}", east % 60)?;
        }
        Ok(())
    }
}

impl std::str::FromStr for Timestamp {
    type Err = DecodeError;

    fn from_str(text: &str) -> Result<Self, DecodeError> {
        Self::parse(text)
    }
}

impl serde::Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Timestamp {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;

        impl serde::de::Visitor<'_> for Text {
            type Value = Timestamp;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an ISO 8601 time")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Timestamp, E> {
                Timestamp::parse(text).map_err(E::custom)
            }
        }

        deserializer.deserialize_str(Text)
    }
}

/// What is left to read.
struct Cursor<'a>(&'a [u8]);

impl Cursor<'_> {
    fn timestamp(mut self) -> Option<Timestamp> {
        let (year, month, day) = self.date()?;
        let time = match self.0 {
            [] => Time::default(),
            // Celery's parser takes any separator; only these two are ever sent.
            [b'T' | b't' | b' ', rest @ ..] => {
                self.0 = rest;
                self.time()?
            }
            _ => return None,
        };
        if !self.0.is_empty() || year == 0 {
            return None;
        }
        let midnight = DateTime::new(year, month, day, 0, 0, 0, 0).ok()?;
        let local = midnight.duration_since(EPOCH).as_secs() * SECOND + time.micros;
        // `24:00` of the last day is the first moment of a year that has no text.
        EPOCH
            .checked_add(SignedDuration::from_micros(local))
            .ok()
            .filter(|at| *at <= LAST)?;
        let offset = i64::from(time.offset.unwrap_or(0)) * SECOND;
        Some(Timestamp::with_offset(local - offset, time.offset))
    }

    fn date(&mut self) -> Option<(i16, i8, i8)> {
        let year = i16::try_from(self.digits(4)?).ok()?;
        let compact = !self.eat(b'-');
        if compact && self.0.first().is_none_or(|b| !b.is_ascii_digit()) {
            return Some((year, 1, 1));
        }
        let month = i8::try_from(self.digits(2)?).ok()?;
        // `202001` could be a month or a short date, so that form does not exist.
        if !compact && self.0.first() != Some(&b'-') {
            return Some((year, month, 1));
        }
        if !compact {
            self.eat(b'-');
        }
        Some((year, month, i8::try_from(self.digits(2)?).ok()?))
    }

    fn time(&mut self) -> Option<Time> {
        let hour = self.digits(2)?;
        let (mut minute, mut second, mut micros) = (0, 0, 0);
        let colons = self.eat(b':');
        if colons || self.digit_follows() {
            minute = self.digits(2)?;
            if (colons && self.eat(b':')) || (!colons && self.digit_follows()) {
                second = self.digits(2)?;
                micros = self.fraction()?;
            }
        }
        let seconds = hour * 3600 + minute * 60 + second;
        let whole_day = hour == 24 && seconds == 86_400 && micros == 0;
        if (hour > 23 && !whole_day) || minute > 59 || second > 59 {
            return None;
        }
        Some(Time {
            micros: i64::from(seconds) * SECOND + micros,
            offset: self.offset()?,
        })
    }

    /// Reads an optional fraction of a second in microseconds; more digits are cut.
    fn fraction(&mut self) -> Option<i64> {
        if !(self.eat(b'.') || self.eat(b',')) {
            return Some(0);
        }
        let (mut micros, mut place) = (0, SECOND / 10);
        if !self.digit_follows() {
            return None;
        }
        while self.digit_follows() {
            micros += i64::from(self.digits(1)?) * place;
            place /= 10;
        }
        Some(micros)
    }

    fn offset(&mut self) -> Option<Option<i32>> {
        let sign = match self.0.first() {
            None => return Some(None),
            Some(b'Z' | b'z') => {
                self.0 = &self.0[1..];
                return Some(Some(0));
            }
            Some(b'+') => 1,
            Some(b'-') => -1,
            Some(_) => return None,
        };
        self.0 = &self.0[1..];
        let hours = self.digits(2)?;
        let (mut minutes, mut seconds) = (0, 0);
        let colons = self.eat(b':');
        if colons || self.digit_follows() {
            minutes = self.digits(2)?;
            if (colons && self.eat(b':')) || (!colons && self.digit_follows()) {
                seconds = self.digits(2)?;
            }
        }
        let valid = hours < 24 && minutes < 60 && seconds < 60;
        let east = i32::try_from(hours * 3600 + minutes * 60 + seconds).ok()?;
        valid.then_some(Some(sign * east))
    }

    fn eat(&mut self, byte: u8) -> bool {
        match self.0 {
            [first, rest @ ..] if *first == byte => {
                self.0 = rest;
                true
            }
            _ => false,
        }
    }

    fn digit_follows(&self) -> bool {
        self.0.first().is_some_and(u8::is_ascii_digit)
    }

    fn digits(&mut self, count: usize) -> Option<u32> {
        let (digits, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        digits.iter().try_fold(0, |number, byte| {
            byte.is_ascii_digit()
                .then(|| number * 10 + u32::from(byte - b'0'))
        })
    }
}

#[derive(Default)]
struct Time {
    /// Since midnight, local.
    micros: i64,
    offset: Option<i32>,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn text(text: &str) -> String {
        Timestamp::parse(text).map_or_else(|error| error.to_string(), |time| time.to_text())
    }

    #[test]
    fn what_python_writes_comes_back_unchanged() {
        for same in [
            "2026-11-22T08:21:15.573274+00:00",
            "2030-01-02T03:04:05",
            "2030-01-02T03:04:05.000007",
            "2030-01-02T03:04:05+05:30",
            "2030-01-02T03:04:05-03:30",
            "1880-01-01T00:00:00+05:53:28",
            "0001-01-01T00:00:00+00:00",
            "9999-12-31T23:59:59.999999+00:00",
            "9999-12-31T23:59:59.999999-12:00",
            "0001-01-01T00:00:00+14:00",
            "2024-02-29T00:00:00-23:59:59",
        ] {
            assert_eq!(text(same), same);
        }
    }

    #[test]
    fn other_forms_are_read() {
        for (form, same) in [
            ("2020-01-01T00:00:00Z", "2020-01-01T00:00:00+00:00"),
            ("20200101T000000Z", "2020-01-01T00:00:00+00:00"),
            ("20200101", "2020-01-01T00:00:00"),
            ("2020-01-01", "2020-01-01T00:00:00"),
            ("2020-02", "2020-02-01T00:00:00"),
            ("2020", "2020-01-01T00:00:00"),
            ("2020-01-01 12:30", "2020-01-01T12:30:00"),
            ("2020-01-01T12", "2020-01-01T12:00:00"),
            ("2020-01-01T1230+0530", "2020-01-01T12:30:00+05:30"),
            (
                "2020-01-01T12:30:01.5-03",
                "2020-01-01T12:30:01.500000-03:00",
            ),
            (
                "2020-01-01T12:30:01,123456789Z",
                "2020-01-01T12:30:01.123456+00:00",
            ),
            ("2020-01-01T24:00", "2020-01-02T00:00:00"),
        ] {
            assert_eq!(text(form), same, "{form}");
        }
    }

    #[test]
    fn the_moment_is_right() {
        let micros = |text: &str| Timestamp::parse(text).unwrap().micros();
        assert_eq!(micros("1970-01-01"), 0);
        assert_eq!(micros("1970-01-01T00:00:01.000001+00:00"), 1_000_001);
        assert_eq!(micros("1970-01-01T05:30:00+05:30"), 0);
        assert_eq!(micros("1969-12-31T23:59:59.999999Z"), -1);
        assert_eq!(
            micros("2026-11-22T08:21:15.573274+00:00"),
            1_795_335_675_573_274
        );
    }

    #[test]
    fn everything_else_is_an_error() {
        for bad in [
            "",
            "x",
            "0000-01-01",
            "10000-01-01",
            "2020-13-01",
            "2020-02-30",
            "2021-02-29",
            "2020-01-01T",
            "2020-01-01T25:00",
            "2020-01-01T24:00:01",
            "2020-01-01T12:60",
            "2020-01-01T12:00:60",
            "2020-01-01T12:00:00.",
            "2020-01-01T12:00:00+24:00",
            "2020-01-01T12:00:00+0",
            "2020-01-01T12:00:00 Z",
            "2020-01-01_12:00",
            "202001",
            "2020-01-01T12:00:00ZZ",
            "-020-01-01",
            "9999-12-31T24:00",
            "tomorrow",
            "1795335675",
            "２０２０-01-01",
        ] {
            assert!(Timestamp::parse(bad).is_err(), "{bad}");
        }
        assert_eq!(
            text("soon"),
            "timestamp: expected an ISO 8601 time such as 2030-01-02T03:04:05+00:00, found 'soon'"
        );
        assert!(
            Timestamp::parse(&"2".repeat(1 << 20))
                .unwrap_err()
                .found
                .len()
                < 300
        );
    }

    #[test]
    fn a_moment_without_text_is_written_as_the_nearest() {
        assert_eq!(
            Timestamp::from_micros(i64::MAX).to_text(),
            "9999-12-31T23:59:59.999999+00:00"
        );
        assert_eq!(
            Timestamp::from_micros(i64::MIN).to_text(),
            "0001-01-01T00:00:00+00:00"
        );
    }
}
