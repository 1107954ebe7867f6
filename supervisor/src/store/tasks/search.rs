//! Searching tasks, newest first.

use std::fmt;
use std::str::FromStr;

use super::record::{COLUMNS, TaskRecord, micros};
use crate::cluster::{History, Task};
use crate::store::Store;
use crate::store::error::StoreError;
use crate::store::statement::{Cell, Statement};

/// Which tasks to find; what is not said does not matter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct TaskSearch {
    /// A name, or with `*` a pattern of one.
    pub(crate) name: Option<String>,
    /// Any of these states.
    pub(crate) states: Vec<String>,
    pub(crate) worker: Option<String>,
    pub(crate) queue: Option<String>,
    /// Became known at this time or later, in microseconds since the epoch.
    pub(crate) from: Option<i64>,
    /// Became known before this time.
    pub(crate) to: Option<i64>,
    /// A part of the exception or the traceback, in any case.
    pub(crate) error: Option<String>,
    /// A part of the arguments, in any case.
    pub(crate) argument: Option<String>,
    /// How the id starts.
    pub(crate) id: Option<String>,
    /// The id of the first task of the workflow.
    pub(crate) root: Option<String>,
    /// Where the page before ended.
    pub(crate) after: Option<Position>,
    /// How many to return at most.
    pub(crate) limit: usize,
}

/// A part of the tasks that were found.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TaskPage {
    pub(crate) tasks: Vec<TaskRecord>,
    /// Where the next page starts; `None` on the last one.
    pub(crate) next: Option<Position>,
}

/// A place in the list; it stays where it is while tasks come and go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Position {
    known: i64,
    id: String,
}

impl TaskSearch {
    /// Finds the same among the tasks in memory, for who keeps no others.
    pub(crate) fn in_memory(&self, history: &History) -> TaskPage {
        let number = |after: &Position| u64::try_from(after.known).unwrap_or_default();
        let before = self.after.as_ref().map(number);
        let page = history.list(|task| self.takes(&recent(task)), before, self.limit);
        let next = page.next.map(|number| Position {
            known: i64::try_from(number).unwrap_or(i64::MAX),
            id: String::new(),
        });
        let tasks = page.tasks.iter().map(recent).collect();
        TaskPage { tasks, next }
    }

    fn takes(&self, task: &TaskRecord) -> bool {
        let is =
            |wanted: &Option<String>, found: &Option<String>| wanted.is_none() || wanted == found;
        let has = |wanted: &Option<String>, found: [&Option<String>; 2]| {
            let part = |wanted: &String| {
                let wanted = wanted.to_lowercase();
                let mut found = found.into_iter().flatten();
                found.any(|text| text.to_lowercase().contains(&wanted))
            };
            wanted.as_ref().is_none_or(part)
        };
        let named = |pattern: &String| glob(pattern, task.name.as_deref().unwrap_or_default());
        self.name.as_ref().is_none_or(named)
            && (self.states.is_empty() || self.states.iter().any(|s| *s == task.state.as_str()))
            && is(&self.worker, &task.worker)
            && is(&self.queue, &task.queue)
            && is(&self.root, &task.root)
            && self.from.is_none_or(|from| task.known >= from)
            && self.to.is_none_or(|to| task.known < to)
            && self
                .id
                .as_ref()
                .is_none_or(|start| task.id.starts_with(&**start))
            && has(&self.error, [&task.exception, &task.traceback])
            && has(&self.argument, [&task.args, &task.kwargs])
    }
}

/// A task that was never stored became known when it was first heard of.
fn recent(task: &Task) -> TaskRecord {
    let times = [task.sent_at(), task.received_at(), task.started_at()];
    let first = times.into_iter().flatten().reduce(f64::min);
    let known = first.or_else(|| task.changed_at()).unwrap_or_default();
    TaskRecord::of_task(task, micros(known))
}

/// How many pieces of an index one search reads side by side.
const ARMS: usize = 48;
/// How many names a pattern is resolved to.
const NAMES: usize = 2_000;

pub(super) async fn run(store: &Store, search: &TaskSearch) -> Result<TaskPage, StoreError> {
    let names = match &search.name {
        None => None,
        Some(name) if !name.contains('*') => Some(vec![name.clone()]),
        Some(pattern) => {
            let names = distinct(store, "name").await?;
            let matching = names.into_iter().filter(|name| glob(pattern, name));
            Some(matching.collect())
        }
    };
    if names.as_ref().is_some_and(Vec::is_empty) {
        return Ok(TaskPage {
            tasks: Vec::new(),
            next: None,
        });
    }
    let states = match &names {
        Some(_) if search.states.is_empty() => distinct(store, "state").await?,
        _ => search.states.clone(),
    };
    let rows = store
        .read(statement(search, names.as_deref(), &states))
        .await?;
    let tasks = rows.iter().take(search.limit).map(TaskRecord::of_row);
    let tasks = tasks.collect::<Result<Vec<_>, _>>()?;
    let more = rows.len() > search.limit;
    let next = tasks.last().filter(|_| more).map(|last| Position {
        known: last.known,
        id: last.id.clone(),
    });
    Ok(TaskPage { tasks, next })
}

/// Returns the values of a column by hopping from one to the next along its index.
async fn distinct(store: &Store, column: &str) -> Result<Vec<String>, StoreError> {
    let sql = format!(
        "WITH RECURSIVE hop(value) AS (
            SELECT min({column}) FROM tasks
            UNION ALL
            SELECT (SELECT min({column}) FROM tasks WHERE {column} > hop.value)
            FROM hop WHERE hop.value IS NOT NULL
        ) SELECT value FROM hop WHERE value IS NOT NULL LIMIT {NAMES}"
    );
    let rows = store.read(Statement::new(sql)).await?;
    rows.iter().map(|row| row.text(0)).collect()
}

/// Builds the query: some arms, each of which follows one index from the newest task on,
/// and the newest tasks of all arms together.
///
/// Which index is decided here and not by the server's planner, that knows nothing of how
/// the values spread: conditions that the index does not serve are hidden from it.
pub(super) fn statement(
    search: &TaskSearch,
    names: Option<&[String]>,
    states: &[String],
) -> Statement {
    let mut query = Query::default();
    let mut arms: Vec<String> = Vec::new();
    let mut rest: Vec<String> = Vec::new();
    let by_names = names.filter(|names| names.len() * states.len().max(1) <= ARMS);

    if let Some(root) = &search.root {
        arms.push(format!("root = {}", query.put(&**root)));
    } else if let Some(prefix) = search.id.as_ref().filter(|prefix| !prefix.is_empty()) {
        let from = query.put(&**prefix);
        // Above every text that starts so.
        let to = query.put(format!("{prefix}\u{10ffff}"));
        arms.push(format!("id >= {from} AND id < {to}"));
    } else if let Some(names) = by_names {
        for name in names {
            let name = query.put(&**name);
            for state in states {
                let state = query.put(&**state);
                arms.push(format!("name = {name} AND state = {state}"));
            }
        }
    } else if let Some(worker) = &search.worker {
        arms.push(format!("worker = {}", query.put(&**worker)));
    } else if let Some(queue) = &search.queue {
        arms.push(format!("queue = {}", query.put(&**queue)));
    } else if !search.states.is_empty() && states.len() <= ARMS {
        for state in states {
            arms.push(format!("state = {}", query.put(&**state)));
        }
    }
    if arms.is_empty() {
        arms.push("known IS NOT NULL".to_owned());
    }

    // Said to every arm, also when it says so itself: a condition more costs little, one
    // forgotten would be a wrong answer.
    let any_of = |column: &str, values: &[String], query: &mut Query| {
        let values: Vec<_> = values.iter().map(|value| query.put(&**value)).collect();
        format!("{column} || '' IN ({})", values.join(", "))
    };
    if let Some(names) =
        names.filter(|_| by_names.is_none() || search.root.is_some() || search.id.is_some())
    {
        rest.push(any_of("name", names, &mut query));
    }
    if !search.states.is_empty() {
        rest.push(any_of("state", &search.states, &mut query));
    }
    for (column, value) in [("worker", &search.worker), ("queue", &search.queue)] {
        if let Some(value) = value {
            rest.push(any_of(column, std::slice::from_ref(value), &mut query));
        }
    }
    if let Some(prefix) = search.id.as_ref().filter(|_| search.root.is_some()) {
        let pattern = query.put(format!("{}%", escaped(prefix)));
        rest.push(format!("id || '' LIKE {pattern} ESCAPE '!'"));
    }
    for (columns, text) in [
        (["exception", "traceback"], &search.error),
        (["args", "kwargs"], &search.argument),
    ] {
        if let Some(text) = text {
            let pattern = query.put(format!("%{}%", escaped(text)));
            let like = |column| format!("lower({column}) LIKE lower({pattern}) ESCAPE '!'");
            rest.push(format!("({})", columns.map(like).join(" OR ")));
        }
    }
    if let Some(from) = search.from {
        rest.push(format!("known >= {}", query.put(from)));
    }
    if let Some(to) = search.to {
        rest.push(format!("known < {}", query.put(to)));
    }
    if let Some(after) = &search.after {
        let (known, id) = (query.put(after.known), query.put(&*after.id));
        rest.push(format!("(known, id) < ({known}, {id})"));
    }

    // One more than asked for tells whether there is a next page.
    let limit = search.limit + 1;
    let order = format!("ORDER BY known DESC, id DESC LIMIT {limit}");
    let arm = |(number, arm): (usize, String)| {
        let all = std::iter::once(arm).chain(rest.iter().cloned());
        let all = all.collect::<Vec<_>>().join(" AND ");
        format!("SELECT * FROM (SELECT known, id FROM tasks WHERE {all} {order}) AS arm{number}")
    };
    let found: Vec<_> = arms.into_iter().enumerate().map(arm).collect();
    query.sql = format!(
        "SELECT {COLUMNS} FROM tasks WHERE id IN (
            SELECT id FROM ({}) AS found {order}
        ) ORDER BY known DESC, id DESC",
        found.join(" UNION ALL ")
    );
    let statement = Statement::new(query.sql);
    query.values.into_iter().fold(statement, Statement::bind)
}

#[derive(Default)]
struct Query {
    sql: String,
    values: Vec<Cell>,
}

impl Query {
    /// Takes a value; returns how the statement calls it.
    fn put(&mut self, value: impl Into<Cell>) -> String {
        self.values.push(value.into());
        format!("${}", self.values.len())
    }
}

/// Takes away what `LIKE` would read into a text.
fn escaped(text: &str) -> String {
    text.replace('!', "!!")
        .replace('%', "!%")
        .replace('_', "!_")
}

/// Whether a name matches a pattern, in which `*` stands for any text.
fn glob(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| name.strip_prefix(first)) else {
        return false;
    };
    let mut parts: Vec<_> = parts.collect();
    let last = parts.pop().unwrap_or_default();
    for part in parts {
        let Some(at) = rest.find(part) else {
            return false;
        };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.known, self.id)
    }
}

impl FromStr for Position {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (known, id) = text.split_once('.').ok_or(())?;
        Ok(Self {
            known: known.parse().map_err(drop)?,
            id: id.to_owned(),
        })
    }
}
