//! The table of what people and programs did.

use std::fmt::Write as _;

use super::{Cell, Row, Statement, Store, StoreError};

/// Makes the table.
pub(super) const SCHEMA: &[&str] = &[
    "CREATE TABLE audit (
        id {serial},
        at BIGINT NOT NULL,
        who {key} NOT NULL,
        role TEXT NOT NULL,
        via TEXT NOT NULL,
        peer TEXT,
        action {key} NOT NULL,
        target TEXT NOT NULL,
        details TEXT NOT NULL,
        outcome TEXT NOT NULL
    )",
    "CREATE INDEX audit_at ON audit (at)",
    "CREATE INDEX audit_who ON audit (who, id)",
];

/// One control, as it was written down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// 0 until it is stored.
    pub(crate) id: i64,
    /// Microseconds since the epoch.
    pub(crate) at: i64,
    pub(crate) who: String,
    pub(crate) role: String,
    pub(crate) via: String,
    pub(crate) peer: Option<String>,
    pub(crate) action: String,
    pub(crate) target: String,
    /// JSON.
    pub(crate) details: String,
    pub(crate) outcome: String,
}

/// Which entries to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Filter {
    pub(crate) who: Option<String>,
    /// An action, or the first part of actions: `queue` for `queue.purge`.
    pub(crate) action: Option<String>,
    /// A part of the target, in either case.
    pub(crate) target: Option<String>,
    pub(crate) outcome: Option<String>,
    /// From this time on, in microseconds since the epoch.
    pub(crate) since: Option<i64>,
    /// Before this time.
    pub(crate) until: Option<i64>,
    /// Before this entry.
    pub(crate) before: Option<i64>,
}

impl Store {
    /// Writes entries down, all or none, and drops those that are too many or too old.
    pub(crate) async fn add_audit(
        &self,
        entries: &[Entry],
        most: u64,
        oldest: i64,
    ) -> Result<(), StoreError> {
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let mut statements: Vec<_> = entries.iter().map(insert).collect();
        statements.push(
            Statement::new(
                "DELETE FROM audit WHERE at < $1 OR id <= (SELECT max(id) FROM audit) - $2",
            )
            .bind(oldest)
            .bind(most),
        );
        self.write(statements).await.map(drop)
    }

    /// Lists entries, newest first.
    pub(crate) async fn audit(
        &self,
        filter: &Filter,
        limit: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        let rows = self.read(select(filter, limit)).await?;
        rows.iter().map(entry).collect()
    }
}

fn insert(entry: &Entry) -> Statement {
    Statement::new(
        "INSERT INTO audit (at, who, role, via, peer, action, target, details, outcome)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(entry.at)
    .bind(entry.who.as_str())
    .bind(entry.role.as_str())
    .bind(entry.via.as_str())
    .bind(entry.peer.clone().map_or(Cell::Null, Cell::Text))
    .bind(entry.action.as_str())
    .bind(entry.target.as_str())
    .bind(entry.details.as_str())
    .bind(entry.outcome.as_str())
}

fn select(filter: &Filter, limit: usize) -> Statement {
    let mut sql = "SELECT id, at, who, role, via, peer, action, target, details, outcome FROM \
                   audit WHERE 1 = 1"
        .to_owned();
    let mut values: Vec<Cell> = Vec::new();
    let mut and = |condition: &str, value: Cell| {
        values.push(value);
        let place = format!("${}", values.len());
        // Writing to a string cannot fail.
        let _ = write!(sql, " AND {}", condition.replace("$n", &place));
    };
    if let Some(who) = &filter.who {
        and("who = $n", who.clone().into());
    }
    if let Some(action) = &filter.action {
        and(
            "(action = $n OR action LIKE CAST($n AS TEXT) || '.%')",
            action.clone().into(),
        );
    }
    if let Some(target) = &filter.target {
        let pattern = format!("%{}%", escape(target));
        and("lower(target) LIKE lower($n) ESCAPE '!'", pattern.into());
    }
    if let Some(outcome) = &filter.outcome {
        and("outcome = $n", outcome.clone().into());
    }
    if let Some(since) = filter.since {
        and("at >= $n", since.into());
    }
    if let Some(until) = filter.until {
        and("at < $n", until.into());
    }
    if let Some(before) = filter.before {
        and("id < $n", before.into());
    }
    let _ = write!(sql, " ORDER BY id DESC LIMIT ${}", values.len() + 1);
    let statement = values
        .into_iter()
        .fold(Statement::new(sql), Statement::bind);
    statement.bind(limit)
}

fn escape(text: &str) -> String {
    let special = |c| matches!(c, '%' | '_' | '!');
    text.chars().fold(String::new(), |mut out, c| {
        if special(c) {
            out.push('!');
        }
        out.push(c);
        out
    })
}

fn entry(row: &Row) -> Result<Entry, StoreError> {
    Ok(Entry {
        id: row.integer(0)?,
        at: row.integer(1)?,
        who: row.text(2)?,
        role: row.text(3)?,
        via: row.text(4)?,
        peer: row.maybe_text(5)?,
        action: row.text(6)?,
        target: row.text(7)?,
        details: row.text(8)?,
        outcome: row.text(9)?,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::super::Place;
    use super::*;

    fn entry(at: i64, who: &str, action: &str, target: &str) -> Entry {
        Entry {
            id: 0,
            at,
            who: who.to_owned(),
            role: "admin".to_owned(),
            via: "token".to_owned(),
            peer: (at % 2 == 0).then(|| "127.0.0.1".to_owned()),
            action: action.to_owned(),
            target: target.to_owned(),
            details: "{}".to_owned(),
            outcome: "done".to_owned(),
        }
    }

    #[tokio::test]
    async fn entries_are_found_newest_first() {
        let store = Store::open(&Place::Memory).await.unwrap();
        let entries = [
            entry(1, "bob", "queue.purge", "a_b"),
            entry(2, "eve", "queue.pause", "aXb"),
            entry(3, "bob", "queues", "a%b"),
        ];
        store.add_audit(&entries, 100, 0).await.unwrap();
        let found = async |filter: Filter| -> Vec<i64> {
            let entries = store.audit(&filter, 10).await.unwrap();
            entries.iter().map(|entry| entry.at).collect()
        };
        let all = Filter::default;
        assert_eq!(found(all()).await, [3, 2, 1]);
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(
            found(Filter {
                who: text("bob"),
                ..all()
            })
            .await,
            [3, 1]
        );
        assert_eq!(
            found(Filter {
                action: text("queue"),
                ..all()
            })
            .await,
            [2, 1]
        );
        assert_eq!(
            found(Filter {
                action: text("queue.purge"),
                ..all()
            })
            .await,
            [1]
        );
        assert_eq!(
            found(Filter {
                target: text("A_B"),
                ..all()
            })
            .await,
            [1]
        );
        assert_eq!(
            found(Filter {
                target: text("%"),
                ..all()
            })
            .await,
            [3]
        );
        assert_eq!(
            found(Filter {
                outcome: text("failed"),
                ..all()
            })
            .await,
            [0_i64; 0]
        );
        assert_eq!(
            found(Filter {
                since: Some(2),
                until: Some(3),
                ..all()
            })
            .await,
            [2]
        );
        let two = store.audit(&all(), 2).await.unwrap();
        assert_eq!(
            found(Filter {
                before: Some(two[1].id),
                ..all()
            })
            .await,
            [1]
        );
        assert_eq!(two[1].peer.as_deref(), Some("127.0.0.1"));
    }

    #[tokio::test]
    async fn the_oldest_go_when_there_are_too_many_or_they_are_too_old() {
        let store = Store::open(&Place::Memory).await.unwrap();
        let entries: Vec<_> = (0..10)
            .map(|at| entry(at, "bob", "task.send", "x"))
            .collect();
        store.add_audit(&entries, 4, 0).await.unwrap();
        assert_eq!(store.audit(&Filter::default(), 99).await.unwrap().len(), 4);
        store
            .add_audit(&[entry(20, "bob", "task.send", "x")], 4, 9)
            .await
            .unwrap();
        let kept = store.audit(&Filter::default(), 99).await.unwrap();
        assert_eq!(
            kept.iter().map(|entry| entry.at).collect::<Vec<_>>(),
            [20, 9]
        );
    }
}
