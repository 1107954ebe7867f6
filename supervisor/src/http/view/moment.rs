//! Times as the API writes them: RFC 3339 in UTC, with microseconds and `Z`.

use celeriac_protocol::Timestamp;

/// Writes a time.
pub(in crate::http) fn of(time: impl Into<Timestamp>) -> String {
    let micros = time.into().micros();
    let time = jiff::Timestamp::from_microsecond(micros).unwrap_or_default();
    time.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()
}

/// Writes seconds since the epoch.
pub(in crate::http) fn of_seconds(seconds: f64) -> String {
    // The model holds times to the years that the format can write.
    of(Timestamp::from_micros((seconds * 1e6) as i64))
}

/// Writes a time that somebody else wrote; what is none stays as it is.
pub(in crate::http) fn of_text(text: &str) -> String {
    Timestamp::parse(text).map_or_else(|_| text.to_owned(), of)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_one_form() {
        assert_eq!(of_seconds(0.0), "1970-01-01T00:00:00.000000Z");
        assert_eq!(of_seconds(1.5), "1970-01-01T00:00:01.500000Z");
        let text = "2030-01-02T03:04:05+05:30";
        assert_eq!(of_text(text), "2030-01-01T21:34:05.000000Z");
        assert_eq!(of_text("soon"), "soon");
    }
}
