//! Times of a call.

use std::time::{Duration, SystemTime};

use celeriac_protocol::{Timestamp, Value};

use super::options::Options;
use crate::error::{Error, Result};

/// Returns for how long the broker is to keep a message, in its milliseconds of 32 bits.
///
/// `None` beyond these 49 days: the broker would refuse the message, and the worker
/// drops by the header whatever expired meanwhile.
pub(super) fn expiration(left: Duration) -> Option<String> {
    let millis = u32::try_from(left.as_millis()).ok()?;
    Some(millis.to_string())
}

/// A moment given as seconds from now under `relative`, or as a time under `absolute`.
pub(super) fn moment(
    options: &mut Options,
    relative: &str,
    absolute: &str,
    now: SystemTime,
) -> Result<Option<Timestamp>> {
    match options.take(relative) {
        Some(Value::Int(_) | Value::Float(_)) if relative != absolute && options.has(absolute) => {
            Err(Error::invalid(
                relative,
                format!("either {relative} or {absolute}"),
                "both",
            ))
        }
        Some(value @ (Value::Int(_) | Value::Float(_))) => {
            let seconds = value.as_f64().unwrap_or_default();
            let distance = Duration::try_from_secs_f64(seconds.abs()).map_err(|_| {
                Error::invalid(relative, "a number of seconds", seconds.to_string())
            })?;
            let at = if seconds < 0.0 {
                now.checked_sub(distance)
            } else {
                now.checked_add(distance)
            };
            at.map(|at| Some(at.into())).ok_or_else(|| {
                Error::invalid(
                    relative,
                    "a time before the year 10000",
                    seconds.to_string(),
                )
            })
        }
        Some(value) if relative == absolute => timestamp(&value).map(Some),
        Some(other) => Err(Error::invalid(
            relative,
            "a number of seconds",
            other.kind(),
        )),
        None if relative == absolute => Ok(None),
        None => options
            .take(absolute)
            .map(|value| timestamp(&value))
            .transpose(),
    }
}

/// A time as text, or as the typed value that kombu makes of a datetime.
fn timestamp(value: &Value) -> Result<Timestamp> {
    let text = match value {
        Value::Map(typed) => typed.get("__value__").and_then(Value::as_str),
        other => other.as_str(),
    };
    match text {
        Some(text) => Ok(Timestamp::parse(text)?),
        None => Err(Error::invalid(
            "eta or expires",
            "a time in ISO 8601",
            value.kind(),
        )),
    }
}
