//! Schedule entries that were made or switched in the API, and the marks of all.

use std::collections::HashMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use celeriac::Entry;

use super::terms;
use super::{Row, Statement, Store, StoreError};
use crate::beat::{BEAT, Mark, Sent, Stored};

/// The statements that make the tables.
pub(super) const SCHEMA: &[&str] = &[
    // Without a body it is the switch of an entry that comes from elsewhere.
    "CREATE TABLE schedule (
        name {key} PRIMARY KEY,
        body TEXT,
        enabled BIGINT,
        revision BIGINT NOT NULL,
        changed_at BIGINT NOT NULL,
        changed_by TEXT NOT NULL
    )",
    "CREATE TABLE schedule_mark (
        name {key} PRIMARY KEY,
        upto BIGINT NOT NULL,
        shape TEXT NOT NULL,
        last_tick BIGINT,
        last_at BIGINT,
        last_id TEXT,
        last_term BIGINT,
        sent BIGINT NOT NULL,
        missed BIGINT NOT NULL
    )",
    // One row: counts the edits, so that others notice them, and names this store.
    "CREATE TABLE schedule_revision (one BIGINT PRIMARY KEY, revision BIGINT NOT NULL, store TEXT NOT NULL)",
];

/// An edit of one entry.
#[derive(Debug)]
pub(crate) struct Edit<'a> {
    pub(crate) name: &'a str,
    /// The revision that the editor saw; 0 for none.
    pub(crate) seen: i64,
    pub(crate) who: &'a str,
    pub(crate) now: SystemTime,
}

/// Returns how many edits there were, and the id of this store, the same for all that
/// share it.
///
/// # Errors
///
/// Any [`StoreError`].
pub(crate) async fn revision(store: &Store) -> Result<(i64, String), StoreError> {
    let read = || Statement::new("SELECT revision, store FROM schedule_revision WHERE one = 1");
    let rows = store.read(read()).await?;
    let rows = if rows.is_empty() {
        let make = "INSERT INTO schedule_revision (one, revision, store) VALUES (1, 0, $1)
                    ON CONFLICT (one) DO NOTHING";
        let id = uuid::Uuid::new_v4().to_string();
        store.write(vec![Statement::new(make).bind(id)]).await?;
        store.read(read()).await?
    } else {
        rows
    };
    let row = rows.first().ok_or(StoreError::Unmet(0))?;
    Ok((row.integer(0)?, row.text(1)?))
}

/// Returns everything that is stored of entries. One that cannot be read any more is left
/// out, with an error in the log.
///
/// # Errors
///
/// Any [`StoreError`].
pub(crate) async fn all(store: &Store) -> Result<Vec<Stored>, StoreError> {
    let read = "SELECT name, body, enabled, revision FROM schedule ORDER BY name LIMIT 10000";
    let rows = store.read(Statement::new(read)).await?;
    let mut all = Vec::with_capacity(rows.len());
    for row in rows {
        let name = row.text(0)?;
        let entry = row
            .maybe_text(1)?
            .map(|body| serde_json::from_str::<Entry>(&body));
        match entry.transpose() {
            Ok(entry) => all.push(Stored {
                entry,
                enabled: row.maybe_integer(2)?.map(|enabled| enabled != 0),
                revision: row.integer(3)?,
                name,
            }),
            Err(error) => tracing::error!(name, %error, "a stored schedule cannot be read"),
        }
    }
    Ok(all)
}

/// Returns the marks of all entries, by name.
///
/// # Errors
///
/// Any [`StoreError`].
pub(crate) async fn marks(store: &Store) -> Result<HashMap<String, Mark>, StoreError> {
    let read = "SELECT name, upto, shape, last_tick, last_at, last_id, last_term, sent, missed
                FROM schedule_mark";
    let rows = store.read(Statement::new(read)).await?;
    rows.iter().map(mark).collect()
}

fn mark(row: &Row) -> Result<(String, Mark), StoreError> {
    let number = |at| {
        row.integer(at)
            .map(|n| u64::try_from(n).unwrap_or_default())
    };
    let last = match (
        row.maybe_integer(3)?,
        row.maybe_integer(4)?,
        row.maybe_text(5)?,
    ) {
        (Some(tick), Some(at), Some(task_id)) => Some(Sent {
            tick: instant(tick),
            at: instant(at),
            task_id,
            term: u64::try_from(row.maybe_integer(6)?.unwrap_or_default()).unwrap_or_default(),
        }),
        _ => None,
    };
    let mark = Mark {
        upto: instant(row.integer(1)?),
        shape: row.text(2)?,
        last,
        sent: number(7)?,
        missed: number(8)?,
    };
    Ok((row.text(0)?, mark))
}

/// Writes marks, as the leader of a term.
///
/// # Errors
///
/// Any [`StoreError`]; [`StoreError::Unmet`] when there is a later term: nothing is
/// written then.
pub(crate) async fn record(
    store: &Store,
    term: u64,
    marks: &[(String, Mark)],
) -> Result<(), StoreError> {
    let writes = marks.iter().map(|(name, mark)| write(name, mark, ""));
    let all = std::iter::once(terms::guard(BEAT, term)).chain(writes);
    store.write(all.collect()).await.map(drop)
}

/// Writes what was heard of another leader's ticks, as far as it is news here.
///
/// # Errors
///
/// Any [`StoreError`].
pub(crate) async fn hear(store: &Store, marks: &[(String, Mark)]) -> Result<(), StoreError> {
    let later = " WHERE schedule_mark.upto < excluded.upto";
    let writes = marks.iter().map(|(name, mark)| write(name, mark, later));
    store.write(writes.collect()).await.map(drop)
}

fn write(name: &str, mark: &Mark, only: &str) -> Statement {
    let sql = format!(
        "INSERT INTO schedule_mark
             (name, upto, shape, last_tick, last_at, last_id, last_term, sent, missed)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
         ON CONFLICT (name) DO UPDATE SET
             upto = excluded.upto, shape = excluded.shape, last_tick = excluded.last_tick,
             last_at = excluded.last_at, last_id = excluded.last_id,
             last_term = excluded.last_term, sent = excluded.sent,
             missed = excluded.missed{only}"
    );
    let last = mark.last.as_ref();
    Statement::new(sql)
        .bind(name)
        .bind(micros(mark.upto))
        .bind(mark.shape.as_str())
        .bind(last.map(|sent| micros(sent.tick)))
        .bind(last.map(|sent| micros(sent.at)))
        .bind(last.map(|sent| sent.task_id.clone()))
        .bind(last.map(|sent| sent.term))
        .bind(mark.sent)
        .bind(mark.missed)
}

/// Stores a whole entry, new or edited, and returns its revision.
///
/// # Errors
///
/// Any [`StoreError`]; [`StoreError::Unmet`] when the entry is not at the revision that
/// the editor saw.
pub(crate) async fn put(store: &Store, edit: &Edit<'_>, entry: &Entry) -> Result<i64, StoreError> {
    let body =
        serde_json::to_string(entry).map_err(|error| StoreError::Refused(error.to_string()))?;
    change(store, edit, Some(body), None).await
}

/// Stores the switch of an entry, and returns its revision.
///
/// # Errors
///
/// As [`put`].
pub(crate) async fn switch(
    store: &Store,
    edit: &Edit<'_>,
    enabled: bool,
) -> Result<i64, StoreError> {
    change(store, edit, None, Some(enabled)).await
}

async fn change(
    store: &Store,
    edit: &Edit<'_>,
    body: Option<String>,
    enabled: Option<bool>,
) -> Result<i64, StoreError> {
    revision(store).await?;
    let next = "(SELECT revision FROM schedule_revision WHERE one = 1)";
    let set = match body.is_some() {
        true => "body = excluded.body, enabled = NULL",
        false => "enabled = excluded.enabled",
    };
    // A new one must not be there yet; an old one must be as the editor saw it. The switch of
    // an entry of the configuration may have no row yet, which is revision 0.
    let sql = format!(
        "INSERT INTO schedule (name, body, enabled, revision, changed_at, changed_by)
         VALUES ($1, $2, $3, {next}, $4, $5)
         ON CONFLICT (name) DO UPDATE SET {set}, revision = excluded.revision,
             changed_at = excluded.changed_at, changed_by = excluded.changed_by
         WHERE schedule.revision = $6"
    );
    let sql = match edit.seen {
        0 => sql,
        // Without a row there is nothing that the editor could have seen.
        _ => sql.replace(
            &format!("VALUES ($1, $2, $3, {next}, $4, $5)"),
            &format!(
                "SELECT CAST($1 AS TEXT), CAST($2 AS TEXT), CAST($3 AS BIGINT), {next},
                        CAST($4 AS BIGINT), CAST($5 AS TEXT)
                 WHERE EXISTS (SELECT 1 FROM schedule WHERE name = $1)"
            ),
        ),
    };
    let write = Statement::new(sql)
        .bind(edit.name)
        .bind(body)
        .bind(enabled)
        .bind(micros(edit.now))
        .bind(edit.who)
        .bind(edit.seen)
        .guarded();
    store.write(vec![count(), write]).await?;
    let read = Statement::new("SELECT revision FROM schedule WHERE name = $1").bind(edit.name);
    let rows = store.read(read).await?;
    rows.first()
        .map_or(Err(StoreError::Unmet(1)), |row| row.integer(0))
}

/// Deletes a stored entry with its mark.
///
/// # Errors
///
/// As [`put`].
pub(crate) async fn delete(store: &Store, edit: &Edit<'_>) -> Result<(), StoreError> {
    let gone = Statement::new("DELETE FROM schedule WHERE name = $1 AND revision = $2");
    let mark = Statement::new("DELETE FROM schedule_mark WHERE name = $1").bind(edit.name);
    let all = vec![
        count(),
        gone.bind(edit.name).bind(edit.seen).guarded(),
        mark,
    ];
    store.write(all).await.map(drop)
}

fn count() -> Statement {
    Statement::new("UPDATE schedule_revision SET revision = revision + 1 WHERE one = 1")
}

fn micros(at: SystemTime) -> i64 {
    let span = |span: Duration| i64::try_from(span.as_micros()).unwrap_or(i64::MAX);
    match at.duration_since(UNIX_EPOCH) {
        Ok(since) => span(since),
        Err(before) => -span(before.duration()),
    }
}

fn instant(micros: i64) -> SystemTime {
    let distance = Duration::from_micros(micros.unsigned_abs());
    let at = match micros < 0 {
        true => UNIX_EPOCH.checked_sub(distance),
        false => UNIX_EPOCH.checked_add(distance),
    };
    at.unwrap_or(UNIX_EPOCH)
}

#[cfg(test)]
pub(super) mod tests;
