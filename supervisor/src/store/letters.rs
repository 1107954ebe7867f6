//! The table of dead letters.

mod query;

use bytes::Bytes;
use celeriac_protocol::letter::Reason;
use celeriac_protocol::{Table, json};

use self::query::Query;
use super::{Row, Statement, Store, StoreError};
use crate::letters::{Fate, Filter, Letter, pack, unpack};

/// Makes the table.
pub(super) const SCHEMA: &[&str] = &[
    "CREATE TABLE letters (
        id {key} PRIMARY KEY,
        task_id {key},
        name TEXT,
        queue TEXT NOT NULL,
        reason TEXT NOT NULL,
        error TEXT NOT NULL,
        error_type TEXT,
        traceback TEXT,
        node TEXT,
        attempts BIGINT,
        died_at BIGINT NOT NULL,
        kept_at BIGINT NOT NULL,
        root_id TEXT,
        parent_id TEXT,
        args TEXT,
        kwargs TEXT,
        properties TEXT NOT NULL,
        headers {bytes} NOT NULL,
        body {bytes},
        body_size BIGINT NOT NULL,
        state TEXT NOT NULL,
        changed_at BIGINT,
        changed_by TEXT,
        new_task_id TEXT
    )",
    "CREATE INDEX letters_order ON letters (died_at DESC, id DESC)",
    "CREATE INDEX letters_state ON letters (state, died_at DESC, id DESC)",
    "CREATE INDEX letters_task ON letters (task_id)",
];

/// The columns, in the order in which they are written and read.
const COLUMNS: &str = "id, task_id, name, queue, reason, error, error_type, traceback, node, \
     attempts, died_at, root_id, parent_id, args, kwargs, properties, headers, body, body_size, \
     state, changed_at, changed_by, new_task_id";

/// The same for lists, which show no message: bodies may be large.
const LISTED: &str = "id, task_id, name, queue, reason, error, error_type, traceback, node, \
     attempts, died_at, root_id, parent_id, args, kwargs, '{}', NULL, NULL, body_size, \
     state, changed_at, changed_by, new_task_id";

/// Where a page of letters ends: the time of death and the id of its last one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct After {
    pub(crate) died_at: i64,
    pub(crate) id: String,
}

impl Store {
    /// Keeps letters, in one transaction. One that is there already stays as it is,
    /// unless it died again since. Returns which are new, or died again.
    pub(crate) async fn keep_letters(
        &self,
        letters: &[Letter],
        now: i64,
    ) -> Result<Vec<bool>, StoreError> {
        let statements = letters.iter().map(|letter| keep(letter, now));
        let statements = statements.collect::<Result<Vec<_>, _>>()?;
        let changed = self.write(statements).await?;
        Ok(changed.into_iter().map(|rows| rows > 0).collect())
    }

    /// Returns a letter with its message.
    pub(crate) async fn letter(&self, id: &str) -> Result<Option<Letter>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM letters WHERE id = $1");
        let rows = self.read(Statement::new(sql).bind(id)).await?;
        rows.first().map(read).transpose()
    }

    /// Returns the last letter of a task, with its message.
    pub(crate) async fn letter_of_task(&self, task: &str) -> Result<Option<Letter>, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM letters WHERE task_id = $1 ORDER BY died_at DESC, id DESC LIMIT 1"
        );
        let rows = self.read(Statement::new(sql).bind(task)).await?;
        rows.first().map(read).transpose()
    }

    /// Returns letters, those that died last first, without their messages.
    pub(crate) async fn letters(
        &self,
        filter: &Filter,
        after: Option<&After>,
        limit: usize,
    ) -> Result<Vec<Letter>, StoreError> {
        self.page(LISTED, filter, after, limit).await
    }

    /// Returns letters, those that died last first, with their messages.
    pub(crate) async fn whole_letters(
        &self,
        filter: &Filter,
        after: Option<&After>,
        limit: usize,
    ) -> Result<Vec<Letter>, StoreError> {
        self.page(COLUMNS, filter, after, limit).await
    }

    async fn page(
        &self,
        columns: &str,
        filter: &Filter,
        after: Option<&After>,
        limit: usize,
    ) -> Result<Vec<Letter>, StoreError> {
        let mut query = Query::default();
        query.filter(filter);
        if let Some(After { died_at, id }) = after {
            let (at, id) = (query.value(*died_at), query.value(id.as_str()));
            query.and(format!(
                "(died_at < {at} OR (died_at = {at} AND id < {id}))"
            ));
        }
        let limit = query.value(limit);
        let sql = format!(
            "SELECT {columns} FROM letters{} ORDER BY died_at DESC, id DESC LIMIT {limit}",
            query.clause()
        );
        let rows = self.read(query.statement(sql)).await?;
        rows.iter().map(read).collect()
    }

    /// Counts letters.
    pub(crate) async fn count_letters(&self, filter: &Filter) -> Result<u64, StoreError> {
        let mut query = Query::default();
        query.filter(filter);
        let sql = format!("SELECT count(*) FROM letters{}", query.clause());
        let rows = self.read(query.statement(sql)).await?;
        let count = rows.first().map_or(Ok(0), |row| row.integer(0))?;
        Ok(u64::try_from(count).unwrap_or(0))
    }

    /// Finds which letters nobody sent again yet, as far as a note of that could be made
    /// now; in their order.
    pub(crate) async fn letters_to_send(&self, ids: &[&str]) -> Result<Vec<bool>, StoreError> {
        let touch = |id: &&str| {
            let sql = "UPDATE letters SET state = state WHERE id = $1 AND state <> 'replayed'";
            Statement::new(sql).bind(*id)
        };
        let found = self.write(ids.iter().map(touch).collect()).await?;
        Ok(found.into_iter().map(|rows| rows > 0).collect())
    }

    /// Notes what became of letters that nothing had become of, or that were discarded;
    /// returns which of them changed, in their order.
    pub(crate) async fn settle_letters(
        &self,
        fates: &[(String, Fate)],
    ) -> Result<Vec<bool>, StoreError> {
        let statements = fates.iter().map(|(id, fate)| settle(id, fate)).collect();
        let changed = self.write(statements).await?;
        Ok(changed.into_iter().map(|rows| rows > 0).collect())
    }

    /// Drops letters that came before `before`, and the oldest beyond `most`, those that
    /// somebody has dealt with first; returns how many went that nobody had dealt with.
    pub(crate) async fn drop_letters(&self, before: i64, most: u64) -> Result<u64, StoreError> {
        let old = |condition| {
            let sql = format!("DELETE FROM letters WHERE kept_at < $1 AND {condition}");
            Statement::new(sql).bind(before)
        };
        let oldest = |condition, count: u64| {
            let sql = format!(
                "DELETE FROM letters WHERE id IN (SELECT id FROM letters WHERE {condition} \
                 ORDER BY died_at, id LIMIT $1)"
            );
            Statement::new(sql).bind(count)
        };
        let (kept, settled) = ("state = 'kept'", "state <> 'kept'");
        let mut gone = self.write(vec![old(kept), old(settled)]).await?;
        let mut lost = gone.first().copied().unwrap_or(0);
        let count = self.count_letters(&Filter::default()).await?;
        let mut excess = count.saturating_sub(most);
        if excess > 0 {
            gone = self.write(vec![oldest(settled, excess)]).await?;
            excess -= gone.iter().sum::<u64>().min(excess);
        }
        if excess > 0 {
            lost += self
                .write(vec![oldest(kept, excess)])
                .await?
                .iter()
                .sum::<u64>();
        }
        Ok(lost)
    }
}

fn keep(letter: &Letter, now: i64) -> Result<Statement, StoreError> {
    let properties = json::to_string(&letter.properties);
    let properties = properties.map_err(|error| StoreError::Refused(error.to_string()))?;
    let headers = pack(&letter.headers).map_err(StoreError::Refused)?;
    let text = |text: &Option<String>| text.as_deref().map(plain);
    let sql = format!(
        "INSERT INTO letters ({COLUMNS}, kept_at) VALUES \
         ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, \
          'kept', NULL, NULL, NULL, $20) \
         ON CONFLICT (id) DO UPDATE SET \
         reason = excluded.reason, error = excluded.error, error_type = excluded.error_type, \
         traceback = excluded.traceback, node = excluded.node, attempts = excluded.attempts, \
         died_at = excluded.died_at, args = excluded.args, kwargs = excluded.kwargs, \
         properties = excluded.properties, headers = excluded.headers, body = excluded.body, \
         body_size = excluded.body_size, state = 'kept', changed_at = NULL, changed_by = NULL, \
         new_task_id = NULL, kept_at = excluded.kept_at \
         WHERE letters.died_at < excluded.died_at"
    );
    Ok(Statement::new(sql)
        .bind(letter.id.as_str())
        .bind(text(&letter.task_id))
        .bind(text(&letter.name))
        .bind(plain(&letter.queue))
        .bind(letter.reason.as_str())
        .bind(plain(&letter.error))
        .bind(text(&letter.error_type))
        .bind(text(&letter.traceback))
        .bind(text(&letter.node))
        .bind(letter.attempts)
        .bind(letter.died_at)
        .bind(text(&letter.root_id))
        .bind(text(&letter.parent_id))
        .bind(text(&letter.args))
        .bind(text(&letter.kwargs))
        .bind(properties)
        .bind(headers)
        .bind(letter.body.as_ref().map(|body| body.to_vec()))
        .bind(letter.body_size)
        .bind(now))
}

fn settle(id: &str, fate: &Fate) -> Statement {
    let (at, by, task_id) = match fate {
        Fate::Kept => (None, None, None),
        Fate::Replayed { at, by, task_id } => (Some(*at), Some(by), task_id.as_deref()),
        Fate::Discarded { at, by } => (Some(*at), Some(by), None),
    };
    Statement::new(
        "UPDATE letters SET state = $2, changed_at = $3, changed_by = $4, new_task_id = $5 \
         WHERE id = $1 AND state <> 'replayed' AND state <> $2",
    )
    .bind(id)
    .bind(fate.as_str())
    .bind(at)
    .bind(by.map(|by| plain(by)))
    .bind(task_id)
}

fn read(row: &Row) -> Result<Letter, StoreError> {
    let wrong = |column: &str, error: String| StoreError::Refused(format!("{column}: {error}"));
    let reason = row.text(4)?;
    let state = row.text(19)?;
    let at = || row.integer(20);
    let by = || row.text(21);
    let fate = match state.as_str() {
        Fate::REPLAYED => Fate::Replayed {
            at: at()?,
            by: by()?,
            task_id: row.maybe_text(22)?,
        },
        Fate::DISCARDED => Fate::Discarded {
            at: at()?,
            by: by()?,
        },
        _ => Fate::Kept,
    };
    let properties = row.text(15)?;
    let properties = json::from_slice(properties.as_bytes(), "properties");
    let headers = row.maybe_bytes(16)?;
    let headers = headers.map_or(Ok(Table::new()), |packed| unpack(&packed));
    Ok(Letter {
        id: row.text(0)?,
        task_id: row.maybe_text(1)?,
        name: row.maybe_text(2)?,
        queue: row.text(3)?,
        reason: Reason::find(&reason).unwrap_or(Reason::Rejected),
        error: row.text(5)?,
        error_type: row.maybe_text(6)?,
        traceback: row.maybe_text(7)?,
        node: row.maybe_text(8)?,
        attempts: row
            .maybe_integer(9)?
            .and_then(|count| u32::try_from(count).ok()),
        died_at: row.integer(10)?,
        root_id: row.maybe_text(11)?,
        parent_id: row.maybe_text(12)?,
        args: row.maybe_text(13)?,
        kwargs: row.maybe_text(14)?,
        properties: properties.map_err(|error| wrong("properties", error.to_string()))?,
        headers: headers.map_err(|error| wrong("headers", error))?,
        body: row.maybe_bytes(17)?.map(Bytes::from),
        body_size: u64::try_from(row.integer(18)?).unwrap_or(0),
        fate,
    })
}

/// PostgreSQL takes no NUL in a text.
fn plain(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

#[cfg(test)]
pub(super) mod tests;
