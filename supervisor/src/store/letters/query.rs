//! Which letters a filter means, in SQL.

use std::fmt::Write as _;

use celeriac_protocol::letter::Reason;

use super::plain;
use crate::letters::Filter;
use crate::store::{Cell, Statement};

/// The conditions of a query with their values.
#[derive(Debug, Default)]
pub(super) struct Query {
    conditions: Vec<String>,
    values: Vec<Cell>,
}

impl Query {
    /// Binds a value and returns its placeholder.
    pub(super) fn value(&mut self, value: impl Into<Cell>) -> String {
        self.values.push(value.into());
        format!("${}", self.values.len())
    }

    pub(super) fn and(&mut self, condition: String) {
        self.conditions.push(condition);
    }

    fn equal(&mut self, column: &str, value: Option<&str>) {
        if let Some(value) = value {
            let place = self.value(plain(value));
            self.and(format!("{column} = {place}"));
        }
    }

    /// Binds a pattern and returns the condition that a column matches it.
    fn like(&mut self, column: &str, pattern: &str) -> String {
        let place = self.value(plain(pattern));
        format!("lower({column}) LIKE lower({place}) ESCAPE '!'")
    }

    pub(super) fn filter(&mut self, filter: &Filter) {
        if let Some(ids) = &filter.ids {
            let places: Vec<_> = ids.iter().map(|id| self.value(id.as_str())).collect();
            self.and(match places.is_empty() {
                true => "1 = 0".to_owned(),
                false => format!("id IN ({})", places.join(", ")),
            });
        }
        self.equal("task_id", filter.task_id.as_deref());
        self.equal("reason", filter.reason.map(Reason::as_str));
        self.equal("queue", filter.queue.as_deref());
        self.equal("node", filter.node.as_deref());
        self.equal("state", filter.state);
        if let Some(name) = &filter.name {
            let like = self.like("name", &glob(name));
            self.and(like);
        }
        for (columns, part) in [
            (["error", "error_type"], &filter.error),
            (["args", "kwargs"], &filter.arguments),
        ] {
            if let Some(part) = part {
                let pattern = format!("%{}%", escaped(part));
                let either = columns.map(|column| self.like(column, &pattern));
                self.and(format!("({})", either.join(" OR ")));
            }
        }
        for (compare, moment) in [(">=", filter.since), ("<", filter.until)] {
            if let Some(moment) = moment {
                let place = self.value(moment);
                self.and(format!("died_at {compare} {place}"));
            }
        }
    }

    pub(super) fn clause(&self) -> String {
        let mut clause = String::new();
        for (at, condition) in self.conditions.iter().enumerate() {
            let word = if at == 0 { " WHERE " } else { " AND " };
            // Writing to a string does not fail.
            let _ = write!(clause, "{word}{condition}");
        }
        clause
    }

    pub(super) fn statement(self, sql: String) -> Statement {
        let statement = Statement::new(sql);
        self.values.into_iter().fold(statement, Statement::bind)
    }
}

/// Takes a text for itself in a pattern.
fn escaped(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len());
    for letter in text.chars() {
        if matches!(letter, '%' | '_' | '!') {
            pattern.push('!');
        }
        pattern.push(letter);
    }
    pattern
}

/// Writes a pattern with `*` and `?` as SQL does.
fn glob(pattern: &str) -> String {
    escaped(pattern).replace('*', "%").replace('?', "_")
}
