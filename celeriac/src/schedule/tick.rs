//! Names of ticks, alike for everybody who asks.

use std::time::{Duration, SystemTime};

use uuid::Uuid;

use super::time;

/// The space of tick ids: random once, fixed for ever.
const TICKS: Uuid = Uuid::from_u128(0x6f0b_8d6e_53a4_4c2e_9d0c_1b7a_f3e2_95c4);
/// The space of jitter, so that it tells nothing of ids.
const JITTER: Uuid = Uuid::from_u128(0xa4c1_03f9_7be2_4f6d_8a55_60d9_2ce8_714b);

/// Returns the name of a tick: `<entry>@<RFC 3339 in UTC, with microseconds>`.
pub fn tick_name(entry: &str, tick: SystemTime) -> String {
    format!("{entry}@{}", time::text(tick))
}

/// Returns the task id of a tick: a UUID made of the entry's name and the tick, so that
/// whoever sends it a second time sends the same task.
///
/// # Example
///
/// ```
/// use std::time::UNIX_EPOCH;
/// use celeriac::schedule::tick_id;
///
/// assert_eq!(tick_id("nightly", UNIX_EPOCH), tick_id("nightly", UNIX_EPOCH));
/// ```
pub fn tick_id(entry: &str, tick: SystemTime) -> Uuid {
    Uuid::new_v3(&TICKS, tick_name(entry, tick).as_bytes())
}

/// Returns a delay below `most` that is the same for everybody.
pub(super) fn jitter(entry: &str, tick: SystemTime, most: Duration) -> Duration {
    let (high, low) = Uuid::new_v3(&JITTER, tick_name(entry, tick).as_bytes()).as_u64_pair();
    // The version and variant are fixed bits: fold them away.
    let random = u128::from(high.rotate_left(32) ^ low);
    let micros = (most.as_micros().min(u128::from(u64::MAX)) * random) >> 64;
    Duration::from_micros(u64::try_from(micros).unwrap_or(0))
}
