//! Moments as people write them into fields. Pure.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::cluster::cut;
use crate::http::Problem;

/// Reads a moment: RFC 3339; a date, with or without a time of day, in UTC; `now`; or
/// how long ago, such as `30m`, `2 h ago`, `1d`.
pub(super) fn read(field: &str, text: &str, now: Timestamp) -> Result<Option<Timestamp>, Problem> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    let found = parse(text, now);
    found.map(Some).ok_or_else(|| {
        let expected =
            "a moment such as 2026-01-31 12:00 (UTC), or how long ago, such as 30m, 2h or 1d";
        Problem::field(field, expected, format!("'{}'", cut(text, 60)))
    })
}

fn parse(text: &str, now: Timestamp) -> Option<Timestamp> {
    if text == "now" {
        return Some(now);
    }
    if let Ok(moment) = text.parse::<Timestamp>() {
        return Some(moment);
    }
    if let Ok(civil) = text.parse::<DateTime>() {
        return civil
            .to_zoned(TimeZone::UTC)
            .ok()
            .map(|zoned| zoned.timestamp());
    }
    ago(text).and_then(|past| now.checked_sub(past).ok())
}

fn ago(text: &str) -> Option<SignedDuration> {
    let text = text.strip_suffix("ago").unwrap_or(text).trim();
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let count: i64 = text[..digits].parse().ok()?;
    let seconds = match text[digits..].trim() {
        "s" | "sec" | "second" | "seconds" => 1,
        "m" | "min" | "minute" | "minutes" => 60,
        "h" | "hour" | "hours" => 3_600,
        "d" | "day" | "days" => 86_400,
        "w" | "week" | "weeks" => 604_800,
        _ => return None,
    };
    count.checked_mul(seconds).map(SignedDuration::from_secs)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn now() -> Timestamp {
        "2026-01-31T12:00:00Z".parse().unwrap()
    }

    #[test]
    fn moments_are_read_as_people_write_them() {
        let cases = [
            ("2026-01-30T10:00:00Z", "2026-01-30T10:00:00Z"),
            ("2026-01-30T10:00:00+02:00", "2026-01-30T08:00:00Z"),
            ("2026-01-30 10:00", "2026-01-30T10:00:00Z"),
            ("2026-01-30", "2026-01-30T00:00:00Z"),
            ("now", "2026-01-31T12:00:00Z"),
            ("30m", "2026-01-31T11:30:00Z"),
            ("2 h ago", "2026-01-31T10:00:00Z"),
            ("1d", "2026-01-30T12:00:00Z"),
            ("1 week", "2026-01-24T12:00:00Z"),
        ];
        for (text, expected) in cases {
            let moment = read("since", text, now()).unwrap().unwrap();
            assert_eq!(moment.to_string(), expected, "{text}");
        }
        assert_eq!(read("since", " ", now()).unwrap(), None);
    }

    #[test]
    fn what_is_no_moment_is_named() {
        for text in [
            "soon",
            "5",
            "h",
            "9999999999999999999d",
            "2026-13-01",
            "-5m",
        ] {
            let problem = read("since", text, now()).unwrap_err();
            assert!(
                problem.detail().starts_with("since: expected a moment"),
                "{text}"
            );
        }
    }
}
