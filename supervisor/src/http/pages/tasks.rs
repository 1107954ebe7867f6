//! The page of all tasks, with its filter.

use askama::Template;
use axum::extract::State;
use axum::response::Response;

use super::filter::Filter;
use super::form::Fields;
use super::row::TaskRow;
use super::shell::{self, May, Place, Shell, Visit};
use super::text;
use crate::access::Role;
use crate::http::api::tasks::TaskQuery;
use crate::http::{Desk, Problem, api};

mod bulk;

pub(super) use self::bulk::{replay, revoke};

#[derive(Template)]
#[template(path = "tasks.html")]
struct Tasks {
    shell: Shell,
    filter: Filter,
    found: String,
    wrong: String,
    states: Vec<Choice>,
    names: Vec<String>,
    nodes: Vec<String>,
    queues: Vec<String>,
    tasks: Vec<TaskRow>,
    paged: bool,
    newest: String,
    next: Option<String>,
    operate: May,
}

struct Choice {
    name: &'static str,
    here: bool,
}

const STATES: [&str; 9] = [
    "PENDING", "RECEIVED", "STARTED", "RETRY", "SUCCESS", "FAILURE", "REVOKED", "REJECTED",
    "IGNORED",
];
pub(super) const HOME: &str = "/tasks";
const FIELDS: [&str; 9] = [
    "name", "state", "node", "queue", "error", "text", "since", "until", "id",
];
/// How many names a field offers.
const OFFERED: usize = 200;

pub(super) async fn page(State(desk): State<Desk>, visit: Visit) -> Result<Response, Problem> {
    let fields = Fields::of_query(&visit.query);
    let filter = Filter::of(HOME, &FIELDS, &fields);
    let mut shell = Shell::new(&desk, &visit, Place::Tasks, "Tasks").live("task");
    // A filter that cannot be read is told beside its field; nothing is searched.
    let (found, wrong) = match query(&desk, &filter, &fields) {
        Ok(query) => match api::tasks::search(&desk, &query).await {
            Ok(page) => (Some(page), String::new()),
            Err(problem) if problem.status() == 400 => (None, problem.detail().to_owned()),
            Err(problem) => {
                shell = shell.trouble(&problem);
                (None, String::new())
            }
        },
        Err(problem) => (None, problem.detail().to_owned()),
    };
    let (tasks, cursor) = found.map_or((Vec::new(), None), |page| (page.tasks, page.next_cursor));
    let paged = fields.get("cursor").is_some();
    let nodes = desk.board.nodes_by_name().into_iter().map(|node| node.name);
    let queues = desk
        .board
        .queues_by_name()
        .into_iter()
        .map(|(name, _)| name);
    let shown = Tasks {
        found: match (tasks.len(), paged || cursor.is_some()) {
            _ if !wrong.is_empty() => String::new(),
            (0, _) => "none found".to_owned(),
            (1, false) => "one task".to_owned(),
            (count, false) => format!("{count} tasks"),
            (count, true) if !paged => format!("the newest {count}"),
            (count, true) => format!("{count} older ones"),
        },
        wrong,
        states: STATES
            .iter()
            .map(|&name| Choice {
                name,
                here: filter.get("state").eq_ignore_ascii_case(name),
            })
            .collect(),
        names: desk
            .board
            .history
            .counts()
            .into_keys()
            .take(OFFERED)
            .collect(),
        nodes: nodes.take(OFFERED).collect(),
        queues: queues.take(OFFERED).collect(),
        tasks: tasks.iter().map(TaskRow::of).collect(),
        paged,
        newest: filter.href(None),
        next: cursor.map(|cursor| filter.href(Some(&cursor))),
        operate: visit.may(Role::Operator),
        filter,
        shell,
    };
    Ok(shell::page(&shown.shell, &shown))
}

/// A name that is known means itself, and any other text a part of names.
fn pattern(desk: &Desk, name: String) -> String {
    let whole = name.contains('*') || desk.board.history.counts().contains_key(&name);
    if whole { name } else { format!("*{name}*") }
}

/// Makes the question to the history.
fn query(desk: &Desk, filter: &Filter, fields: &Fields) -> Result<TaskQuery, Problem> {
    let now = text::now();
    Ok(TaskQuery {
        name: filter.some("name").map(|name| pattern(desk, name)),
        state: filter.some("state"),
        worker: filter.some("node"),
        queue: filter.some("queue"),
        from: filter.moment("since", now)?,
        to: filter.moment("until", now)?,
        error: filter.some("error"),
        argument: filter.some("text"),
        id: filter.some("id"),
        cursor: fields.cursor("cursor")?,
        ..TaskQuery::default()
    })
}
