//! Lists of tasks, and what is known of one.

use std::cmp::Ordering;

use axum::extract::State;
use celeriac_protocol::State as TaskState;
use serde_json::{Map, Value, json};

use super::input::Arguments;
use super::search::Search;
use super::{Answer, Failure, json as answer, task};
use crate::cluster::{Filter, Task, UNNAMED};
use crate::http::Desk;
use crate::http::extract::Path;

/// How many tasks are listed at most.
const MOST: usize = 10_000;

/// By what tasks are sorted.
const KEYS: [&str; 4] = ["name", "received", "started", "state"];

pub(super) async fn list(State(desk): State<Desk>, arguments: Arguments) -> Answer {
    let limit = arguments.number::<i64>("limit", "int")?;
    let limit = limit.map_or(MOST, |limit| usize::try_from(limit).unwrap_or(0).min(MOST));
    let offset = arguments.number::<i64>("offset", "int")?.unwrap_or(0);
    let offset = usize::try_from(offset).unwrap_or(0);
    let given = |name| {
        arguments
            .text(name)
            .filter(|text| !text.is_empty() && *text != "All")
    };
    let filter = Filter {
        state: given("state").map(|state| TaskState::from(state.to_uppercase().as_str())),
        name: given("taskname").map(Into::into),
        worker: given("workername").map(Into::into),
    };
    let sort = given("sort_by");
    let key = sort.map(|sort| sort.trim_start_matches('-'));
    if let (Some(sort), Some(key)) = (sort, key)
        && !KEYS.contains(&key)
    {
        let keys = KEYS.join(", ");
        return Err(Failure::new(
            400,
            format!("Invalid sort_by '{sort}', expected one of {keys}"),
        ));
    }
    let after = moment(given("received_start"))?;
    let before = moment(given("received_end"))?;
    let search = match Search::read(arguments.text("search").unwrap_or_default()) {
        Ok(search) => search,
        Err(error) => {
            let mut response = answer(&json!({ "error": error }));
            *response.status_mut() = axum::http::StatusCode::BAD_REQUEST;
            return Ok(response);
        }
    };
    let found = desk
        .board
        .history
        .list(|task| filter.takes(task), None, MOST);
    let mut tasks = found.tasks;
    tasks.retain(|task| within(task.received_at(), after, before) && search.finds(task));
    match key {
        Some(key) => {
            tasks.sort_by(|a, b| order(key, a, b).then_with(|| a.id.cmp(&b.id)));
            if sort.is_some_and(|sort| sort.starts_with('-')) {
                tasks.reverse();
            }
        }
        None => tasks.sort_by(|a, b| latest(b.changed_at(), a.changed_at())),
    }
    let page = tasks.iter().skip(offset).take(limit);
    let page: Vec<_> = page
        .map(|one| (one.id.to_string(), task::map(one)))
        .collect();
    Ok(answer_in_order(&page))
}

pub(super) async fn types(State(desk): State<Desk>) -> Answer {
    let names = desk.board.history.counts().into_keys();
    let names: Vec<_> = names.filter(|name| name != UNNAMED).collect();
    Ok(answer(&json!({ "task-types": names })))
}

pub(super) async fn info(State(desk): State<Desk>, Path(id): Path<String>) -> Answer {
    match desk.board.history.get(&id) {
        Some(found) => Ok(answer(&task::map(&found))),
        None => Err(Failure::new(404, format!("Unknown task '{id}'"))),
    }
}

/// Writes an object whose entries keep their order, which is what was asked for.
fn answer_in_order(entries: &[(String, Value)]) -> axum::response::Response {
    use axum::response::IntoResponse;
    let mut text = String::from("{");
    for (at, (id, task)) in entries.iter().enumerate() {
        text.push_str(if at > 0 { ", " } else { "" });
        text.push_str(&Value::from(id.as_str()).to_string());
        text.push_str(": ");
        text.push_str(&task.to_string());
    }
    text.push('}');
    debug_assert!(serde_json::from_str::<Map<String, Value>>(&text).is_ok());
    ([(axum::http::header::CONTENT_TYPE, super::JSON)], text).into_response()
}

fn order(key: &str, a: &Task, b: &Task) -> Ordering {
    match key {
        "name" => a.name().cmp(&b.name()),
        "state" => a.state().as_str().cmp(b.state().as_str()),
        "received" => latest(a.received_at(), b.received_at()),
        _ => latest(a.started_at(), b.started_at()),
    }
}

fn latest(a: Option<f64>, b: Option<f64>) -> Ordering {
    a.unwrap_or(0.0).total_cmp(&b.unwrap_or(0.0))
}

fn within(at: Option<f64>, after: Option<f64>, before: Option<f64>) -> bool {
    let at = at.unwrap_or(0.0);
    after.is_none_or(|after| at >= after) && before.is_none_or(|before| at <= before)
}

/// Reads `2026-11-22 08:00`, in UTC, as seconds since the epoch.
fn moment(text: Option<&str>) -> Result<Option<f64>, Failure> {
    let parse =
        |text: &str| {
            let parsed = jiff::civil::DateTime::strptime("%Y-%m-%d %H:%M", text).ok();
            let zoned = parsed.and_then(|civil| civil.to_zoned(jiff::tz::TimeZone::UTC).ok());
            zoned.map(|zoned| zoned.timestamp().as_second() as f64).ok_or_else(|| {
            let text = "Invalid received_start or received_end, expected format 'YYYY-MM-DD HH:MM'";
            Failure::new(400, text)
        })
        };
    text.map(parse).transpose()
}
