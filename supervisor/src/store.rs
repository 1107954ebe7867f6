//! The durable store: SQLite in a file or in memory, or PostgreSQL.
//!
//! SQL is written once, in the subset that both servers share:
//!
//! - placeholders are `$1`, `$2`, in any order and as often as needed; where no column
//!   tells the type, say it: `CAST($1 AS BIGINT)`
//! - types are `BIGINT`, `DOUBLE PRECISION`, `TEXT`, and in the schema `{key}` (a text that
//!   is compared byte by byte on both), `{bytes}` and `{serial}`
//! - `INSERT … ON CONFLICT (…) DO UPDATE SET x = excluded.x`; `CASE`, never `GREATEST`
//! - sums of integers are `CAST(sum(x) AS BIGINT)`
//! - texts are looked into with `lower(x) LIKE lower($1) ESCAPE '!'`
//!
//! Times are microseconds since the epoch. Each table has a file of its own, with the
//! statements that make it and those that use it; `schema` lists the tables.

pub(crate) mod audit;
mod error;
mod letters;
mod pauses;
mod place;
mod postgres;
mod row;
pub(crate) mod schedules;
mod schema;
mod series;
mod sqlite;
mod statement;
mod tasks;
pub(crate) mod terms;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub(crate) use self::error::StoreError;
pub(crate) use self::letters::After;
pub(crate) use self::pauses::PauseRow;
pub(crate) use self::place::Place;
use self::postgres::Postgres;
pub(crate) use self::row::Row;
pub(crate) use self::series::{HOUR, MINUTE, MINUTES_KEPT, Point, Span, States, Tally};
use self::sqlite::Sqlite;
pub(crate) use self::statement::{Cell, Statement};
pub(crate) use self::tasks::{Position, Step, TaskPage, TaskRecord, TaskSearch};

/// The durable store of one cluster.
///
/// Cloning shares it. A store that is down or read-only never stops the supervisor: each
/// call says so with an error, and the next call tries again.
#[derive(Debug, Clone)]
pub(crate) struct Store(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    place: Place,
    driver: Driver,
    /// Why the last write failed, until one succeeds.
    trouble: Mutex<Option<StoreError>>,
}

#[derive(Debug)]
enum Driver {
    Sqlite(Sqlite),
    Postgres(Postgres),
}

/// How long a write may wait for its turn and take.
const WRITE: Duration = Duration::from_secs(10);
/// How long a read may wait for its turn and take.
const READ: Duration = Duration::from_secs(3);

impl Store {
    /// Opens the store and brings its schema up to date.
    ///
    /// # Errors
    ///
    /// Any [`StoreError`]: a place that cannot be used is found here and not later.
    pub(crate) async fn open(place: &Place) -> Result<Self, StoreError> {
        let driver = match place {
            Place::Memory | Place::Sqlite(_) => {
                Driver::Sqlite(Sqlite::open(place, schema::MIGRATIONS).await?)
            }
            Place::Postgres(url) => {
                Driver::Postgres(Postgres::open(url, schema::MIGRATIONS).await?)
            }
        };
        Ok(Self(Arc::new(Inner {
            place: place.clone(),
            driver,
            trouble: Mutex::default(),
        })))
    }

    /// Returns where the store is; a password in it is masked when shown.
    pub(crate) fn place(&self) -> &Place {
        &self.0.place
    }

    /// Runs the statements in one transaction, which is durable when this returns, and
    /// returns how many rows each one changed.
    ///
    /// # Errors
    ///
    /// Any [`StoreError`]. Nothing is changed then, with one exception:
    /// [`StoreError::Unknown`] says that the answer of the commit was lost.
    ///
    /// # Cancel safety
    ///
    /// What was handed over is done, whether or not anybody still waits.
    pub(crate) async fn write(&self, statements: Vec<Statement>) -> Result<Vec<u64>, StoreError> {
        if statements.is_empty() {
            return Ok(Vec::new());
        }
        let written = match &self.0.driver {
            Driver::Sqlite(sqlite) => sqlite.write(statements, WRITE).await,
            Driver::Postgres(postgres) => postgres.write(statements, WRITE).await,
        };
        self.note(written.as_ref().err());
        written
    }

    /// Returns why the store cannot be written now, when it cannot.
    pub(crate) fn trouble(&self) -> Option<StoreError> {
        self.known().clone()
    }

    fn note(&self, error: Option<&StoreError>) {
        let mut known = self.known();
        match error {
            Some(error) if error.is_transient() => {
                if known.is_none() {
                    tracing::error!(place = %self.0.place, %error, "the store cannot be written");
                }
                *known = Some(error.clone());
            }
            // One that refuses a statement works.
            _ if known.take().is_some() => {
                tracing::info!(place = %self.0.place, "the store can be written again");
            }
            _ => {}
        }
    }

    fn known(&self) -> MutexGuard<'_, Option<StoreError>> {
        self.0
            .trouble
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs one query, beside the writes, and returns its rows.
    ///
    /// # Errors
    ///
    /// Any [`StoreError`]; [`StoreError::TooLong`] when the query was stopped because it
    /// took longer than a query may.
    pub(crate) async fn read(&self, statement: Statement) -> Result<Vec<Row>, StoreError> {
        match &self.0.driver {
            Driver::Sqlite(sqlite) => sqlite.read(statement, READ).await,
            Driver::Postgres(postgres) => postgres.read(statement, READ).await,
        }
    }

    /// Gives the room of deleted rows back to the disk, a bounded piece of it.
    pub(crate) async fn tidy(&self) -> Result<(), StoreError> {
        match &self.0.driver {
            Driver::Sqlite(sqlite) => sqlite.tidy().await,
            // It tidies up by itself.
            Driver::Postgres(_) => Ok(()),
        }
    }

    /// Finishes what was handed over, then closes the store; later calls fail.
    pub(crate) async fn close(&self) {
        match &self.0.driver {
            Driver::Sqlite(sqlite) => sqlite.close().await,
            Driver::Postgres(postgres) => postgres.close().await,
        }
    }
}
