//! Checks of single fields; each names the field in its problem.

use crate::cluster::cut;
use crate::http::Problem;

/// A name or id: 1 to 255 bytes without control characters.
pub(in crate::http) fn name(field: &str, value: &str) -> Result<(), Problem> {
    if value.is_empty() || value.len() > 255 || value.chars().any(char::is_control) {
        let found = cut(&value.escape_debug().to_string(), 80);
        let expected = "1 to 255 bytes without control characters";
        return Err(Problem::field(field, expected, format!("'{found}'")));
    }
    Ok(())
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
