//! Durations as people write them.

use std::time::Duration;

/// Reads `30`, `30s`, `5m`, `2h`, `1d`, `250ms` or `1.5s`; a bare number is seconds.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    let unit_at = text
        .find(|c: char| c.is_ascii_alphabetic())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    let scale = match unit {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3_600.0,
        "d" => 86_400.0,
        _ => {
            return Err(format!(
                "expected a unit among ms, s, m, h, d, found {unit:?}"
            ));
        }
    };
    number
        .trim()
        .parse::<f64>()
        .ok()
        .and_then(|number| Duration::try_from_secs_f64(number * scale).ok())
        .ok_or_else(|| format!("expected a duration such as 30s or 5m, found {text:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_with_their_units() {
        for (text, millis) in [
            ("30", 30_000),
            ("30s", 30_000),
            ("250ms", 250),
            ("1.5s", 1_500),
            ("2h", 7_200_000),
        ] {
            assert_eq!(parse_duration(text).unwrap().as_millis(), millis, "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_is_refused_with_a_reason() {
        for text in ["", "s", "-1s", "5 weeks", "nan", "1e400"] {
            assert!(
                parse_duration(text).unwrap_err().starts_with("expected "),
                "{text}"
            );
        }
    }
}
