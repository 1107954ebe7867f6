//! Durations as people write them in entries.

use std::time::Duration;

use crate::error::{Error, Result};

/// Units and their microseconds, the largest first.
const UNITS: [(&str, u64); 6] = [
    ("d", 86_400_000_000),
    ("h", 3_600_000_000),
    ("m", 60_000_000),
    ("s", 1_000_000),
    ("ms", 1_000),
    ("us", 1),
];

/// Reads `30`, `30s`, `1.5h`, `250ms`; a bare number is seconds. `what` is the field.
pub(super) fn parse(what: &str, text: &str) -> Result<Duration> {
    let wrong = || {
        let expected = "a number with a unit among us, ms, s, m, h, d, such as 30s or 1.5h";
        Error::invalid(what, expected, format!("{text:?}"))
    };
    let written = text.trim();
    let unit_at = written
        .find(|c: char| c.is_ascii_alphabetic())
        .unwrap_or(written.len());
    let (number, unit) = written.split_at(unit_at);
    let unit = if unit.is_empty() { "s" } else { unit };
    let (_, scale) = UNITS
        .iter()
        .find(|(name, _)| *name == unit)
        .ok_or_else(wrong)?;
    let number = number.trim_end();
    let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(part) {
        return Err(wrong());
    }
    let whole: u64 = whole.parse().map_err(|_| wrong())?;
    // Digits beyond the twelfth are below a microsecond in every unit.
    let part = &part[..part.len().min(12)];
    let fraction: u64 = part.parse().map_err(|_| wrong())?;
    let fraction = u128::from(fraction) * u128::from(*scale) / 10u128.pow(part.len() as u32);
    let micros = whole
        .checked_mul(*scale)
        .and_then(|micros| micros.checked_add(u64::try_from(fraction).ok()?))
        .ok_or_else(wrong)?;
    Ok(Duration::from_micros(micros))
}

/// Writes a duration in the largest unit that it is a whole number of.
pub(super) fn text(span: Duration) -> String {
    let micros = span.as_micros();
    let unit = |(_, scale): &&(&str, u64)| micros.is_multiple_of(u128::from(*scale));
    match UNITS.iter().find(unit) {
        Some(("d", _)) | None if micros == 0 => "0s".to_owned(),
        Some((unit, scale)) => format!("{}{unit}", micros / u128::from(*scale)),
        None => format!("{micros}us"),
    }
}
