//! Checks of single fields; each names the field in its problem.

use crate::cluster::cut;
use crate::http::Problem;

/// Says whether a text can be a name or an id, which nodes and brokers take.
pub(in crate::http) fn is_name(value: &str) -> bool {
    (1..=255).contains(&value.len()) && !value.chars().any(char::is_control)
}

/// A name or id: 1 to 255 bytes without control characters.
pub(in crate::http) fn name(field: &str, value: &str) -> Result<(), Problem> {
    if is_name(value) {
        return Ok(());
    }
    let found = cut(&value.escape_debug().to_string(), 80);
    let expected = "1 to 255 bytes without control characters";
    Err(Problem::field(field, expected, format!("'{found}'")))
}

/// Names, ids and parts of texts of which each may be left out; `within` is the path to
/// them.
pub(in crate::http) fn names<const N: usize>(
    within: &str,
    fields: [(&str, Option<&str>); N],
) -> Result<(), Problem> {
    for (field, value) in fields {
        if let Some(value) = value {
            name(&format!("{within}{field}"), value)?;
        }
    }
    Ok(())
}

/// A time in RFC 3339, if there is one, as microseconds since the epoch.
pub(in crate::http) fn moment(field: &str, value: Option<&str>) -> Result<Option<i64>, Problem> {
    let read = |text: &str| {
        let moment = text.parse::<jiff::Timestamp>();
        moment.map(jiff::Timestamp::as_microsecond).map_err(|_| {
            let expected = "a time such as 2026-01-31T12:00:00Z";
            Problem::field(field, expected, format!("'{}'", cut(text, 60)))
        })
    };
    value.map(read).transpose()
}

/// A rate limit as Celery writes it.
pub(in crate::http) fn rate(field: &str, value: &str) -> Result<(), Problem> {
    let (count, unit) = value.split_once('/').unwrap_or((value, "s"));
    let count: Option<f64> = count.parse().ok();
    let counts = count.is_some_and(|count| count.is_finite() && count >= 0.0);
    if counts && matches!(unit, "s" | "m" | "h") {
        return Ok(());
    }
    let expected = "a rate such as 10/s, 100/m or 1000/h, or 0 for none";
    Err(Problem::field(
        field,
        expected,
        format!("'{}'", cut(value, 60)),
    ))
}

/// The name of a signal, such as SIGTERM.
pub(in crate::http) fn signal(field: &str, value: &str) -> Result<(), Problem> {
    let named = value.strip_prefix("SIG").is_some_and(|rest| {
        (1..=10).contains(&rest.len()) && rest.bytes().all(|b| b.is_ascii_alphanumeric())
    });
    if named {
        return Ok(());
    }
    let found = format!("'{}'", cut(value, 40));
    Err(Problem::field(field, "a name such as SIGTERM", found))
}
