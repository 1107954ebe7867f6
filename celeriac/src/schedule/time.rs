//! Instants as microseconds since the Unix epoch.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;

pub(super) const SECOND: i64 = 1_000_000;

/// Rounds an instant down to microseconds; `None` beyond the years -9999 to 9999.
pub(super) fn floor(at: SystemTime) -> Option<i64> {
    let micros = match at.duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_micros()).ok()?,
        Err(before) => {
            let before = before.duration().as_nanos().div_ceil(1000);
            -i64::try_from(before).ok()?
        }
    };
    Timestamp::from_microsecond(micros).ok().map(|_| micros)
}

/// Returns the instant of a number of microseconds; `None` beyond the years -9999 to 9999.
pub(super) fn instant(micros: i64) -> Option<SystemTime> {
    Timestamp::from_microsecond(micros).ok()?;
    let distance = Duration::from_micros(micros.unsigned_abs());
    if micros < 0 {
        UNIX_EPOCH.checked_sub(distance)
    } else {
        UNIX_EPOCH.checked_add(distance)
    }
}

/// Writes an instant as RFC 3339 in UTC with microseconds: `2026-12-24T18:00:00.000000Z`.
pub fn text(at: SystemTime) -> String {
    match floor(at).map(Timestamp::from_microsecond) {
        Some(Ok(at)) => format!("{at:.6}"),
        _ => format!("{at:?}"),
    }
}
