//! One connection to a database of SQLite.

mod source;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rusqlite::types::{ToSqlOutput, Value, ValueRef};
use tokio::time::Instant;

use self::source::Identity;
pub(super) use self::source::Source;
use crate::store::error::StoreError;
use crate::store::row::Row;
use crate::store::schema::{self, Dialect, Step};
use crate::store::statement::{Cell, Statement};

/// One connection; its owner is the one thread that uses it.
#[derive(Debug)]
pub(super) struct Connection {
    inner: rusqlite::Connection,
    source: Source,
    /// Which file was opened.
    file: Option<Identity>,
    alarm: Alarm,
}

/// Stops a statement at its deadline: SQLite asks every few thousand steps.
#[derive(Debug, Clone)]
struct Alarm {
    start: Instant,
    /// In microseconds after `start`; 0 when nothing runs.
    at: Arc<AtomicU64>,
}

const DIALECT: Dialect = Dialect {
    bytes: "BLOB",
    serial: "INTEGER PRIMARY KEY AUTOINCREMENT",
    key: "TEXT",
};

/// How long to wait for another process that writes the same file.
const BUSY: Duration = Duration::from_secs(5);
/// How many prepared statements a connection keeps.
const STATEMENTS: usize = 64;
/// How many steps of SQLite's machine pass between two looks at the clock.
const STEPS: i32 = 4_000;
/// Memory for pages: KiB, of the connection that writes and of each that reads.
const WRITER_CACHE: u32 = 8 * 1024;
const READER_CACHE: u32 = 4 * 1024;

impl Connection {
    /// Opens the connection that writes, and makes the file if there is none.
    pub(super) fn writer(source: &Source) -> Result<Self, StoreError> {
        source.prepare()?;
        let connection = Self::open(source, WRITER_CACHE)?;
        connection.configure(
            // FULL: what was acknowledged survives a loss of power, too. The history is
            // written a few times a second whatever the number of tasks, so it can pay.
            "PRAGMA auto_vacuum = INCREMENTAL;
             PRAGMA journal_mode = WAL;
             PRAGMA synchronous = FULL;
             PRAGMA journal_size_limit = 16777216;",
        )?;
        Ok(connection)
    }

    pub(super) fn reader(source: &Source) -> Result<Self, StoreError> {
        let connection = Self::open(source, READER_CACHE)?;
        connection.configure("PRAGMA query_only = ON;")?;
        Ok(connection)
    }

    fn open(source: &Source, cache: u32) -> Result<Self, StoreError> {
        let alarm = Alarm {
            start: Instant::now(),
            at: Arc::default(),
        };
        let connection = Self {
            inner: source.open()?,
            file: source.identity(),
            source: source.clone(),
            alarm: alarm.clone(),
        };
        let fail = |error: rusqlite::Error| source.failure(&error, Duration::ZERO);
        let inner = &connection.inner;
        inner.busy_timeout(BUSY).map_err(fail)?;
        inner.set_prepared_statement_cache_capacity(STATEMENTS);
        connection.configure(&format!(
            "PRAGMA cache_size = -{cache};
             PRAGMA mmap_size = 0;
             PRAGMA temp_store = MEMORY;"
        ))?;
        let mut connection = connection;
        connection
            .inner
            .progress_handler(STEPS, Some(move || alarm.rings()))
            .map_err(fail)?;
        Ok(connection)
    }

    fn configure(&self, pragmas: &str) -> Result<(), StoreError> {
        self.inner
            .execute_batch(pragmas)
            .map_err(|error| self.source.failure(&error, Duration::ZERO))
    }

    /// Brings the schema up to date, all steps in one transaction.
    pub(super) fn migrate(&mut self, steps: &'static [Step]) -> Result<(), StoreError> {
        let source = &self.source;
        let fail = |error: rusqlite::Error| source.failure(&error, Duration::ZERO);
        let transaction = self
            .inner
            .transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)
            .map_err(fail)?;
        transaction
            .execute_batch(schema::VERSION_TABLE)
            .map_err(fail)?;
        let found: Option<i64> = transaction
            .query_row(schema::VERSION, [], |row| row.get(0))
            .map_err(fail)?;
        for (number, step) in schema::due(steps, found.unwrap_or(0))? {
            for sql in step.iter().copied().flatten() {
                transaction
                    .execute_batch(&DIALECT.render(sql))
                    .map_err(fail)?;
            }
            transaction
                .execute(&numbered(schema::TAKEN), [number])
                .map_err(fail)?;
        }
        transaction.commit().map_err(fail)
    }

    /// Runs the statements in one transaction.
    pub(super) fn transaction(
        &mut self,
        statements: &[Statement],
        deadline: Instant,
        within: Duration,
    ) -> Result<Vec<u64>, StoreError> {
        if Instant::now() >= deadline {
            return Err(StoreError::TooLong(within));
        }
        self.source.check(self.file)?;
        let _set = self.alarm.set(deadline);
        let source = &self.source;
        let fail = |error: rusqlite::Error| source.failure(&error, within);
        // Dropped without a commit, it is rolled back.
        let transaction = self
            .inner
            .transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)
            .map_err(fail)?;
        let mut changed = Vec::with_capacity(statements.len());
        let mut last = None;
        for (number, statement) in statements.iter().enumerate() {
            // Batches repeat one statement many times: it is looked up once.
            let prepared = match last.take() {
                Some((sql, prepared)) if sql == &*statement.sql => prepared,
                _ => transaction
                    .prepare_cached(&numbered(&statement.sql))
                    .map_err(fail)?,
            };
            let (_, prepared) = last.insert((&*statement.sql, prepared));
            let values = rusqlite::params_from_iter(&statement.values);
            let count = if prepared.column_count() == 0 {
                prepared.execute(values).map_err(fail)?
            } else {
                // One with RETURNING must be stepped to its end.
                let rows = prepared.query_map(values, |_| Ok(())).map_err(fail)?;
                rows.collect::<Result<Vec<()>, _>>().map_err(fail)?.len()
            };
            if count == 0 && statement.guarded {
                return Err(StoreError::Unmet(number));
            }
            changed.push(count as u64);
        }
        drop(last);
        transaction.commit().map_err(fail)?;
        Ok(changed)
    }

    /// Runs a query.
    pub(super) fn query(
        &mut self,
        statement: &Statement,
        deadline: Instant,
        within: Duration,
    ) -> Result<Vec<Row>, StoreError> {
        if Instant::now() >= deadline {
            return Err(StoreError::TooLong(within));
        }
        let _set = self.alarm.set(deadline);
        let fail = |error: rusqlite::Error| self.source.failure(&error, within);
        let mut prepared = self
            .inner
            .prepare_cached(&numbered(&statement.sql))
            .map_err(fail)?;
        let columns = prepared.column_count();
        let mut rows = prepared
            .query(rusqlite::params_from_iter(&statement.values))
            .map_err(fail)?;
        let mut answer = Vec::new();
        while let Some(row) = rows.next().map_err(fail)? {
            let cells = (0..columns).map(|at| row.get_ref(at).map(cell));
            answer.push(Row(cells.collect::<Result<_, _>>().map_err(fail)?));
        }
        Ok(answer)
    }

    /// Gives free pages back to the disk, some megabytes at a time: writes wait that long.
    pub(super) fn tidy(&mut self) -> Result<(), StoreError> {
        let vacuum = || {
            let mut vacuum = self.inner.prepare("PRAGMA incremental_vacuum(2000)")?;
            let mut rows = vacuum.query([])?;
            while rows.next()?.is_some() {}
            Ok(())
        };
        vacuum().map_err(|error| self.source.failure(&error, Duration::ZERO))
    }

    /// Writes everything back into the file, so that it can be copied alone.
    pub(super) fn finish(self) {
        let tidy = "PRAGMA optimize; PRAGMA wal_checkpoint(TRUNCATE);";
        if let Err(error) = self.inner.execute_batch(tidy) {
            tracing::debug!(%error, "the store was closed untidily");
        }
    }
}

impl Alarm {
    /// Sets the deadline of what runs next, until the guard is dropped.
    fn set(&self, deadline: Instant) -> impl Drop + use<> {
        struct Quiet(Arc<AtomicU64>);
        impl Drop for Quiet {
            fn drop(&mut self) {
                self.0.store(0, Ordering::Relaxed);
            }
        }
        let at = deadline.saturating_duration_since(self.start).as_micros();
        let at = u64::try_from(at).unwrap_or(u64::MAX).max(1);
        self.at.store(at, Ordering::Relaxed);
        Quiet(Arc::clone(&self.at))
    }

    fn rings(&self) -> bool {
        let at = self.at.load(Ordering::Relaxed);
        at != 0 && self.start.elapsed() >= Duration::from_micros(at)
    }
}

/// Turns `$1` into `?1`: SQLite numbers names like `$1` in the order of their appearance.
fn numbered(sql: &str) -> String {
    let mut text = String::with_capacity(sql.len());
    let mut quoted = false;
    let mut rest = sql.chars().peekable();
    while let Some(next) = rest.next() {
        quoted ^= next == '\'';
        let number = rest.peek().is_some_and(char::is_ascii_digit);
        text.push(if next == '$' && number && !quoted {
            '?'
        } else {
            next
        });
    }
    text
}

impl rusqlite::ToSql for Cell {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Self::Null => ToSqlOutput::Owned(Value::Null),
            Self::Integer(number) => ToSqlOutput::Owned(Value::Integer(*number)),
            Self::Real(number) => ToSqlOutput::Owned(Value::Real(*number)),
            Self::Text(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
            Self::Bytes(bytes) => ToSqlOutput::Borrowed(ValueRef::Blob(bytes)),
        })
    }
}

fn cell(value: ValueRef<'_>) -> Cell {
    match value {
        ValueRef::Null => Cell::Null,
        ValueRef::Integer(number) => Cell::Integer(number),
        ValueRef::Real(number) => Cell::Real(number),
        ValueRef::Text(text) => Cell::Text(String::from_utf8_lossy(text).into_owned()),
        ValueRef::Blob(bytes) => Cell::Bytes(bytes.to_vec()),
    }
}
