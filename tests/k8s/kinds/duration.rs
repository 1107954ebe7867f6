//! A duration as Prometheus' operator takes it.

use serde::Deserialize;

/// Units from long to short; each may be there once, in this order.
const UNITS: [&str; 7] = ["y", "w", "d", "h", "m", "s", "ms"];

/// A checked duration, such as `30s` or `1h30m`.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Duration;

impl TryFrom<String> for Duration {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if is_duration(&text) {
            Ok(Self)
        } else {
            Err(format!("expected a duration such as 30s, found {text:?}"))
        }
    }
}

fn is_duration(text: &str) -> bool {
    if text == "0" {
        return true;
    }
    let mut rest = text;
    let mut units = UNITS.iter();
    while !rest.is_empty() {
        let digits = rest.find(|letter: char| !letter.is_ascii_digit());
        let Some(digits) = digits.filter(|count| *count > 0) else {
            return false;
        };
        rest = &rest[digits..];
        let end = rest
            .find(|letter: char| letter.is_ascii_digit())
            .unwrap_or(rest.len());
        let unit = &rest[..end];
        if !units.any(|known| *known == unit) {
            return false;
        }
        rest = &rest[end..];
    }
    !text.is_empty()
}

#[test]
fn a_duration_is_numbers_with_units_from_long_to_short() {
    for good in ["0", "30s", "1h30m", "2d", "500ms", "1m500ms"] {
        assert!(is_duration(good), "{good}");
    }
    for bad in ["", "30", "s", "30 s", "30sec", "30m1h", "1.5h", "-1s"] {
        assert!(!is_duration(bad), "{bad}");
    }
}
