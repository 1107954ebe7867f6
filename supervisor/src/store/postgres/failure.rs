//! What the server's errors mean.

use std::time::Duration;

use tokio_postgres::error::SqlState;

use super::values::Misfit;
use crate::store::error::StoreError;

/// Says why there is no connection. What the server says about the user or the database
/// may change, so that it is tried again, but not at the start.
pub(super) fn refused(error: tokio_postgres::Error) -> StoreError {
    let text = chain(&error);
    match error.code() {
        Some(code)
            if code != &SqlState::CANNOT_CONNECT_NOW && code.code().starts_with(['2', '3']) =>
        {
            StoreError::Denied(text)
        }
        _ if text.contains("TLS") => {
            StoreError::Unavailable(format!("{text}; ?sslmode=disable connects without"))
        }
        _ => StoreError::Unavailable(text),
    }
}

/// Says why a statement failed.
pub(super) fn failure(error: &tokio_postgres::Error, within: Duration) -> StoreError {
    let text = chain(error);
    let Some(code) = error.code() else {
        // Values that cannot be turned into what the server wants never reach it.
        return match std::error::Error::source(error) {
            Some(source) if source.is::<Misfit>() => StoreError::Refused(text),
            _ => StoreError::Unavailable(text),
        };
    };
    match code {
        code if code == &SqlState::QUERY_CANCELED => StoreError::TooLong(within),
        code if code == &SqlState::READ_ONLY_SQL_TRANSACTION
            || code == &SqlState::INSUFFICIENT_PRIVILEGE =>
        {
            StoreError::ReadOnly(text)
        }
        code if code == &SqlState::DISK_FULL => StoreError::Full(text),
        code if code == &SqlState::UNIQUE_VIOLATION => StoreError::Conflict(text),
        // Operator's hand, resources, connection, lost races between transactions, and
        // tables that are not there because the database was replaced.
        code if ["57", "53", "08", "40", "55", "58", "XX"].contains(&&code.code()[..2])
            || code == &SqlState::UNDEFINED_TABLE =>
        {
            StoreError::Unavailable(text)
        }
        _ => StoreError::Refused(text),
    }
}

/// The error with its causes: alone it says little more than "db error".
fn chain(error: &tokio_postgres::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(next) = cause {
        text = format!("{text}: {next}");
        cause = next.source();
    }
    text
}
