//! The schema, as numbered steps.

use super::error::StoreError;
use super::{audit, letters, pauses, schedules, series, tasks, terms};

/// One step of the schema: the statements of each table that it makes or changes.
pub(super) type Step = &'static [&'static [&'static str]];

/// The steps, the first being number 1. A step that was released never changes: a change
/// of the schema is a further step.
pub(super) const MIGRATIONS: &[Step] = &[&[
    audit::SCHEMA,
    letters::SCHEMA,
    pauses::SCHEMA,
    schedules::SCHEMA,
    series::SCHEMA,
    tasks::SCHEMA,
    terms::SCHEMA,
]];

/// What the two servers call the same type.
#[derive(Debug)]
pub(super) struct Dialect {
    pub(super) bytes: &'static str,
    /// A number that the server counts up: the table's primary key.
    pub(super) serial: &'static str,
    /// A text that is compared byte by byte.
    pub(super) key: &'static str,
}

impl Dialect {
    /// Puts the server's own words for types into a statement.
    pub(super) fn render(&self, sql: &str) -> String {
        sql.replace("{bytes}", self.bytes)
            .replace("{serial}", self.serial)
            .replace("{key}", self.key)
    }
}

/// Makes the table that says how far the schema is.
pub(super) const VERSION_TABLE: &str =
    "CREATE TABLE IF NOT EXISTS schema_version (version BIGINT NOT NULL)";
/// Reads how far the schema is: no row for a new store.
pub(super) const VERSION: &str = "SELECT max(version) FROM schema_version";
/// Notes a step that was taken.
pub(super) const TAKEN: &str = "INSERT INTO schema_version (version) VALUES ($1)";

/// Returns the steps that a store still needs, with their numbers.
///
/// # Errors
///
/// [`StoreError::Newer`] when the store knows steps that are not known here.
pub(super) fn due(
    steps: &'static [Step],
    found: i64,
) -> Result<impl Iterator<Item = (i64, Step)>, StoreError> {
    let known = i64::try_from(steps.len()).unwrap_or(i64::MAX);
    if found > known {
        return Err(StoreError::Newer { found, known });
    }
    let numbered = (1..).zip(steps.iter().copied());
    Ok(numbered.filter(move |(number, _)| *number > found))
}
