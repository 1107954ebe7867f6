//! Durations as people write them.

use std::time::Duration;

const EXPECTED: &str =
    "expected a duration with units, such as \"500ms\", \"10s\", \"1m30s\", \"2h\" or \"1d\"";

/// Reads whole numbers with units, one after another.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{EXPECTED}, found \"{text}\"");
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(wrong());
    }
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(rest.len());
        let (number, tail) = rest.split_at(digits);
        let letters = tail
            .find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(letters);
        let millis: u64 = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return Err(wrong()),
        };
        let part = number
            .parse::<u64>()
            .ok()
            .and_then(|number| number.checked_mul(millis));
        total = part
            .and_then(|part| total.checked_add(Duration::from_millis(part)))
            .ok_or_else(wrong)?;
        rest = tail;
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_add_up() {
        for (text, millis) in [
            ("500ms", 500),
            ("10s", 10_000),
            ("1m30s", 90_000),
            ("2h", 7_200_000),
            ("1d", 86_400_000),
            ("0s", 0),
            (" 1s ", 1_000),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_is_told_so() {
        for text in [
            "",
            "10",
            "s",
            "1.5s",
            "-1s",
            "1y",
            "1s 2",
            "99999999999999999999s",
            "1S",
        ] {
            let error = parse(text).err();
            assert_eq!(
                error,
                Some(format!("{EXPECTED}, found \"{text}\"")),
                "{text}"
            );
        }
    }
}
