//! Which queues are paused, and which nodes were told.

use std::time::SystemTime;

use super::{Statement, Store, StoreError};

/// A row without a node says that the queue is paused; one with a node, that the node
/// consumed the queue and stopped.
pub(super) const SCHEMA: &[&str] = &["CREATE TABLE paused_queues (
    queue {key} NOT NULL,
    node {key} NOT NULL,
    since BIGINT NOT NULL,
    PRIMARY KEY (queue, node)
)"];

/// A paused queue, or a node that stopped consuming one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PauseRow {
    pub(crate) queue: String,
    /// `None` for the queue itself.
    pub(crate) node: Option<String>,
    /// Microseconds since the epoch.
    pub(crate) since: i64,
}

const INSERT: &str = "INSERT INTO paused_queues (queue, node, since) VALUES ($1, $2, $3)
    ON CONFLICT (queue, node) DO NOTHING";

impl Store {
    /// Notes that a queue is paused, and on which nodes.
    pub(crate) async fn pause_queue(
        &self,
        queue: &str,
        nodes: &[String],
        at: SystemTime,
    ) -> Result<(), StoreError> {
        let since = at
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        let since = i64::try_from(since.as_micros()).unwrap_or(i64::MAX);
        let row = |node: &str| Statement::new(INSERT).bind(queue).bind(node).bind(since);
        let rows = std::iter::once("").chain(nodes.iter().map(String::as_str));
        self.write(rows.map(row).collect()).await.map(drop)
    }

    /// Forgets that a queue is paused.
    pub(crate) async fn resume_queue(&self, queue: &str) -> Result<(), StoreError> {
        let sql = "DELETE FROM paused_queues WHERE queue = $1";
        self.write(vec![Statement::new(sql).bind(queue)])
            .await
            .map(drop)
    }

    /// Returns all that is paused.
    pub(crate) async fn paused_queues(&self) -> Result<Vec<PauseRow>, StoreError> {
        let sql = "SELECT queue, node, since FROM paused_queues ORDER BY queue, node";
        let rows = self.read(Statement::new(sql)).await?;
        let read = |row: &super::Row| {
            Ok(PauseRow {
                queue: row.text(0)?,
                node: Some(row.text(1)?).filter(|node| !node.is_empty()),
                since: row.integer(2)?,
            })
        };
        rows.iter().map(read).collect()
    }
}
