//! The tasks: one row each, and a row for each step of those that ran more than once.

mod record;
mod search;
#[cfg(test)]
pub(super) mod tests;
mod upsert;

pub(crate) use self::record::{Step, TaskRecord};
pub(crate) use self::search::{Position, TaskPage, TaskSearch};
use super::Store;
use super::error::StoreError;
use super::statement::Statement;

/// A row is found by its id, and lists are read along an index from the newest on: each
/// index ends with the order of the lists. Long texts come last, so that a scan does not
/// have to read them.
pub(super) const SCHEMA: &[&str] = &[
    "CREATE TABLE tasks (
        id {key} NOT NULL PRIMARY KEY,
        known BIGINT NOT NULL,
        name {key} NOT NULL,
        state {key} NOT NULL,
        changed BIGINT NOT NULL,
        weight {bytes} NOT NULL,
        call_said {bytes},
        root {key},
        parent {key},
        retries BIGINT NOT NULL,
        eta TEXT,
        expires TEXT,
        route_said {bytes},
        queue {key},
        client {key},
        worker_said {bytes},
        worker {key},
        sent BIGINT,
        received BIGINT,
        started BIGINT,
        runtime DOUBLE PRECISION,
        exception TEXT,
        args TEXT,
        kwargs TEXT,
        result TEXT,
        traceback TEXT
    )",
    "CREATE INDEX tasks_known ON tasks (known, id)",
    "CREATE INDEX tasks_name ON tasks (name, state, known, id)",
    "CREATE INDEX tasks_state ON tasks (state, known, id)",
    "CREATE INDEX tasks_worker ON tasks (worker, known, id) WHERE worker IS NOT NULL",
    "CREATE INDEX tasks_queue ON tasks (queue, known, id) WHERE queue IS NOT NULL",
    "CREATE INDEX tasks_root ON tasks (root, known, id) WHERE root IS NOT NULL",
    "CREATE TABLE task_steps (
        task {key} NOT NULL,
        at BIGINT NOT NULL,
        kind {key} NOT NULL,
        worker TEXT,
        error TEXT,
        PRIMARY KEY (task, at, kind)
    )",
];

/// The tasks in the store.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tasks<'a>(&'a Store);

/// How many members of a workflow are shown.
const MEMBERS: usize = 1_000;

impl Store {
    pub(crate) const fn tasks(&self) -> Tasks<'_> {
        Tasks(self)
    }
}

impl Tasks<'_> {
    /// Returns one task, with its steps and traceback.
    pub(crate) async fn get(&self, id: &str) -> Result<Option<TaskRecord>, StoreError> {
        let sql = format!(
            "SELECT {}, traceback FROM tasks WHERE id = $1",
            record::COLUMNS
        );
        let rows = self.0.read(Statement::new(sql).bind(id)).await?;
        let Some(row) = rows.first() else {
            return Ok(None);
        };
        let mut record = TaskRecord::of_row(row)?;
        record.traceback = row.maybe_text(record::TRACEBACK)?;
        let steps = "SELECT at, kind, worker, error FROM task_steps WHERE task = $1
                     ORDER BY at, kind";
        let steps = self.0.read(Statement::new(steps).bind(id)).await?;
        record.steps = steps.iter().map(Step::of_row).collect::<Result<_, _>>()?;
        Ok(Some(record))
    }

    /// Returns the members of a workflow by the id of its first task, oldest first and
    /// without tracebacks; a thousand at most.
    pub(crate) async fn by_root(&self, root: &str) -> Result<Vec<TaskRecord>, StoreError> {
        // A first task that was sent alone has no root of its own in every client.
        let sql = format!(
            "SELECT {columns} FROM tasks WHERE id = $1 OR root = $1
             ORDER BY known, id LIMIT {MEMBERS}",
            columns = record::COLUMNS
        );
        let rows = self.0.read(Statement::new(sql).bind(root)).await?;
        rows.iter().map(TaskRecord::of_row).collect()
    }

    /// Returns tasks that match, newest first and without tracebacks.
    ///
    /// # Errors
    ///
    /// [`StoreError::TooLong`] when too many tasks had to be looked at: the search is to be
    /// narrowed.
    pub(crate) async fn search(&self, search: &TaskSearch) -> Result<TaskPage, StoreError> {
        search::run(self.0, search).await
    }

    /// Merges what is known of tasks into the store, in one transaction: what the store
    /// knows better stays, whoever wrote it.
    pub(crate) async fn save(&self, records: &[TaskRecord]) -> Result<(), StoreError> {
        self.0.write(upsert::statements(records)).await.map(drop)
    }

    /// Returns how many tasks are kept.
    pub(crate) async fn count(&self) -> Result<u64, StoreError> {
        let rows = self
            .0
            .read(Statement::new("SELECT count(*) FROM tasks"))
            .await?;
        let count = rows.first().map_or(Ok(0), |row| row.integer(0))?;
        Ok(u64::try_from(count).unwrap_or_default())
    }

    /// Deletes the oldest tasks, `most` at most, that became known before `before`; says
    /// how many.
    pub(crate) async fn forget(&self, before: i64, most: usize) -> Result<u64, StoreError> {
        let oldest = "SELECT id FROM tasks WHERE known < $1 ORDER BY known, id LIMIT $2";
        let delete = |table: &str, column: &str| {
            let sql = format!("DELETE FROM {table} WHERE {column} IN ({oldest})");
            Statement::new(sql).bind(before).bind(most)
        };
        let gone = [delete("task_steps", "task"), delete("tasks", "id")];
        let gone = self.0.write(gone.into()).await?;
        Ok(gone.last().copied().unwrap_or_default())
    }
}
