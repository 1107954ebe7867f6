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

/// A moment given as seconds from now under `relative`, or as a time under `absolute`. Of
/// both the first is taken, as by Celery, unless it is 0.
pub(super) fn moment(
    options: &mut Options,
    relative: &str,
    absolute: &str,
    now: SystemTime,
) -> Result<Option<Timestamp>> {
    let mut given = options.take(relative);
    if relative != absolute && options.has(absolute) {
        match given.as_ref().and_then(Value::as_f64) {
            Some(0.0) => given = None,
            Some(_) => drop(options.take(absolute)),
            None => {}
        }
    }
    match given {
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::time::UNIX_EPOCH;

    use celeriac_protocol::Table;

    use super::*;

    /// As with Celery, whose clients may send both.
    #[test]
    fn a_countdown_goes_before_an_eta() {
        for (countdown, expected) in [
            (Value::Int(10), "1970-01-01T00:00:10+00:00"),
            (Value::Float(-1.0), "1969-12-31T23:59:59+00:00"),
            (Value::Int(0), "2030-01-01T00:00:00+00:00"),
            (Value::Null, "2030-01-01T00:00:00+00:00"),
        ] {
            let mut options = Options(Table::new());
            options.0.push("countdown", countdown.clone());
            options.0.push("eta", "2030-01-01T00:00:00+00:00");
            let at = moment(&mut options, "countdown", "eta", UNIX_EPOCH).unwrap();
            assert_eq!(
                at,
                Some(Timestamp::parse(expected).unwrap()),
                "{countdown:?}"
            );
            assert!(options.0.is_empty(), "{countdown:?}");
        }
        let mut options = Options(Table::new());
        options.0.push("countdown", "soon");
        options.0.push("eta", "2030-01-01T00:00:00+00:00");
        assert!(moment(&mut options, "countdown", "eta", UNIX_EPOCH).is_err());
    }
}
