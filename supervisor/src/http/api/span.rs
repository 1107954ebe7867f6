//! Times of a query, such as `10s` or `1.5m`.

use std::time::Duration;

use serde::{Deserialize, Deserializer};

use crate::cluster::cut;

/// A length of time; a bare number is seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http) struct Span(pub(in crate::http) Duration);

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        read(&text).map(Self).ok_or_else(|| {
            let found = cut(&text, 60);
            let wrong =
                format!("expected a time such as 500ms, 10s, 5m, 2h or 1d, found '{found}'");
            serde::de::Error::custom(wrong)
        })
    }
}

fn read(text: &str) -> Option<Duration> {
    let unit_at = text.find(|c: char| c.is_ascii_alphabetic());
    let (number, unit) = text.split_at(unit_at.unwrap_or(text.len()));
    let scale = match unit {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3_600.0,
        "d" => 86_400.0,
        _ => return None,
    };
    let number: f64 = number.parse().ok()?;
    Duration::try_from_secs_f64(number * scale).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        for (text, millis) in [
            ("30", Some(30_000)),
            ("500ms", Some(500)),
            ("1.5m", Some(90_000)),
            ("1d", Some(86_400_000)),
            ("", None),
            ("s", None),
            ("-1s", None),
            ("1w", None),
            ("1e300d", None),
        ] {
            assert_eq!(read(text).map(|span| span.as_millis()), millis, "{text}");
        }
    }
}
