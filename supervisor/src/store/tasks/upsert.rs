//! Merging records into the table.

use std::fmt::Write as _;
use std::sync::LazyLock;

use super::record::TaskRecord;
use crate::store::statement::Statement;

/// Parts that are one word: the later word of the same part wins.
const PARTS: [(&str, &[&str]); 4] = [
    (
        "weight",
        &[
            "state",
            "changed",
            "runtime",
            "exception",
            "result",
            "traceback",
        ],
    ),
    (
        "call_said",
        &[
            "name", "root", "parent", "retries", "eta", "expires", "args", "kwargs",
        ],
    ),
    ("route_said", &["queue", "client"]),
    ("worker_said", &["worker"]),
];
/// Times of which the latest counts.
const TIMES: [&str; 3] = ["sent", "received", "started"];

/// How many steps of one task are kept.
const STEPS: usize = 200;

/// The same merge as that of the events in memory, so that the row is the same whoever
/// writes, in whatever order, and however often.
static UPSERT: LazyLock<&'static str> = LazyLock::new(|| upsert().leak());

fn upsert() -> String {
    let mut columns = vec!["id", "known"];
    for (word, part) in PARTS {
        columns.push(word);
        columns.extend(part);
    }
    columns.extend(TIMES);
    let values: Vec<_> = (1..=columns.len()).map(|n| format!("${n}")).collect();
    let mut sql = format!(
        "INSERT INTO tasks ({}) VALUES ({}) ON CONFLICT (id) DO UPDATE SET known = \
         CASE WHEN excluded.known < tasks.known THEN excluded.known ELSE tasks.known END",
        columns.join(", "),
        values.join(", ")
    );
    let later = |column: &str| {
        format!(
            "(excluded.{column} > tasks.{column} OR (tasks.{column} IS NULL AND excluded.{column} IS NOT NULL))"
        )
    };
    let mut set = |column: &str, word: &str| {
        // Writing to a string cannot fail.
        let _ = write!(
            sql,
            ", {column} = CASE WHEN {} THEN excluded.{column} ELSE tasks.{column} END",
            later(word)
        );
    };
    let mut words = Vec::new();
    for (word, part) in PARTS {
        set(word, word);
        part.iter().for_each(|column| set(column, word));
        words.push(later(word));
    }
    for time in TIMES {
        set(time, time);
        words.push(later(time));
    }
    // A row that would stay the same is not written again: replicas say the same twice.
    let _ = write!(sql, " WHERE {}", words.join(" OR "));
    sql
}

/// Returns the statements that merge records in, in the order of ids: two replicas that
/// write the same tasks at once must not wait for each other in a circle.
pub(super) fn statements(records: &[TaskRecord]) -> Vec<Statement> {
    let mut sorted: Vec<_> = records.iter().collect();
    sorted.sort_by(|a, b| a.id.cmp(&b.id));
    let mut statements = Vec::with_capacity(sorted.len());
    for record in sorted {
        if record.ran_again() {
            earlier_steps(record, &mut statements);
            steps(record, "TRUE", &mut statements);
        } else if record.received.is_none() {
            // Its start was not heard here, so it may have run before.
            let known = "EXISTS (SELECT 1 FROM task_steps WHERE task = $1)";
            steps(record, known, &mut statements);
        }
        statements.push(upsert_of(record));
    }
    statements
}

fn upsert_of(record: &TaskRecord) -> Statement {
    let text = |text: &Option<String>| text.clone();
    Statement::new(*UPSERT)
        .bind(&*record.id)
        .bind(record.known)
        .bind(record.words.weight.clone())
        .bind(record.state.as_str())
        .bind(record.changed)
        .bind(record.runtime)
        .bind(text(&record.exception))
        .bind(text(&record.result))
        .bind(text(&record.traceback))
        .bind(record.words.call.clone())
        .bind(record.name.clone().unwrap_or_default())
        .bind(text(&record.root))
        .bind(text(&record.parent))
        .bind(record.retries)
        .bind(text(&record.eta))
        .bind(text(&record.expires))
        .bind(text(&record.args))
        .bind(text(&record.kwargs))
        .bind(record.words.route.clone())
        .bind(text(&record.queue))
        .bind(text(&record.client))
        .bind(record.words.worker.clone())
        .bind(text(&record.worker))
        .bind(record.sent)
        .bind(record.received)
        .bind(record.started)
}

/// Takes the steps of the run before from the row of a task that ran again: this process
/// may have been restarted in between.
fn earlier_steps(record: &TaskRecord, statements: &mut Vec<Statement>) {
    for (sql, column) in [
        (
            "INSERT INTO task_steps (task, at, kind, worker)
          SELECT id, received, 'received', worker FROM tasks
          WHERE id = $1 AND received IS NOT NULL ON CONFLICT (task, at, kind) DO NOTHING",
            record.received,
        ),
        (
            "INSERT INTO task_steps (task, at, kind, worker)
          SELECT id, started, 'started', worker FROM tasks
          WHERE id = $1 AND started IS NOT NULL ON CONFLICT (task, at, kind) DO NOTHING",
            record.started,
        ),
    ] {
        if column.is_some() {
            statements.push(Statement::new(sql).bind(&*record.id));
        }
    }
}

fn steps(record: &TaskRecord, condition: &str, statements: &mut Vec<Statement>) {
    for step in &record.steps {
        let sql = format!(
            "INSERT INTO task_steps (task, at, kind, worker, error)
             SELECT $1, CAST($2 AS BIGINT), $3, $4, $5
             WHERE {condition} AND (SELECT count(*) FROM task_steps WHERE task = $1) < {STEPS}
             ON CONFLICT (task, at, kind) DO NOTHING"
        );
        statements.push(
            Statement::new(sql)
                .bind(&*record.id)
                .bind(step.at)
                .bind(step.kind.as_str())
                .bind(step.worker.clone())
                .bind(step.error.clone()),
        );
    }
}
