//! The page of one schedule: its next runs, and the form that makes and edits it.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use celeriac::Entry;
use serde_json::Value;

use self::form::{EVENTS, EntryForm, KINDS};
use super::form::Fields;
use super::schedules::Row;
use super::shell::{self, May, Place, Shell, Visit};
use super::task::Fact;
use super::text::{self, Markup};
use crate::access::Role;
use crate::beat::{Line, Origin};
use crate::http::api::schedules::hidden;
use crate::http::extract::Path;
use crate::http::{Desk, Problem};

mod act;
mod form;

pub(super) use self::act::{create, delete, disable, enable, run, save};

#[derive(Template)]
#[template(path = "schedule.html")]
struct Page {
    shell: Shell,
    title: String,
    /// `None` for a new one.
    row: Option<Row>,
    editable: bool,
    form: EntryForm,
    action: String,
    kinds: [(&'static str, &'static str); 4],
    events: [&'static str; 9],
    tasks: Vec<String>,
    next: Vec<Run>,
    next_note: String,
    next_empty: &'static str,
    facts: Vec<Fact>,
    operate: May,
    administer: May,
}

/// A run to come.
struct Run {
    at: Markup,
    when: Markup,
}

/// How many runs to come are shown.
const RUNS: usize = 10;
/// How many names of tasks the field offers.
const OFFERED: usize = 500;

pub(super) async fn page(
    State(desk): State<Desk>,
    visit: Visit,
    Path(name): Path<String>,
) -> Result<Response, Problem> {
    let view = desk.board.beat.view();
    let line = view.line(&name).ok_or_else(|| unknown(&name))?;
    let planned = &line.planned;
    let shown = hidden(&desk.config.redaction, &planned.entry);
    let form = EntryForm::of(&shown, planned.revision);
    Ok(show(
        &desk,
        &visit,
        Some(line),
        form,
        Some(&planned.entry),
        StatusCode::OK,
    ))
}

pub(super) async fn fresh(State(desk): State<Desk>, visit: Visit) -> Response {
    show(
        &desk,
        &visit,
        None,
        EntryForm::fresh(),
        None,
        StatusCode::OK,
    )
}

/// Shows the next runs of what a form says; nothing is stored.
pub(super) async fn preview(State(desk): State<Desk>, visit: Visit, fields: Fields) -> Response {
    let mut form = EntryForm::sent(&fields);
    let entry = match read(&form, &fields) {
        Ok(entry) => Some(entry),
        Err(problem) => {
            form.refuse(&problem);
            None
        }
    };
    let view = desk.board.beat.view();
    let line = view
        .line(form.get("name"))
        .filter(|_| !form.get("revision").is_empty());
    show(&desk, &visit, line, form, entry.as_ref(), StatusCode::OK)
}

fn unknown(name: &str) -> Problem {
    let name = crate::cluster::cut(name, 100);
    Problem::not_found(format!("no schedule is called '{name}'"))
}

/// Makes the entry that a form describes.
fn read(form: &EntryForm, fields: &Fields) -> Result<Entry, Problem> {
    let table = form.table(fields)?;
    let entry: Entry = serde_json::from_value(Value::Object(table))
        .map_err(|error| Problem::invalid(error.to_string()))?;
    entry.check()?;
    Ok(entry)
}

fn show(
    desk: &Desk,
    visit: &Visit,
    line: Option<&Line>,
    form: EntryForm,
    entry: Option<&Entry>,
    status: StatusCode,
) -> Response {
    let row = line.map(Row::of);
    let title = row
        .as_ref()
        .map_or_else(|| "New schedule".to_owned(), |row| row.name.clone());
    let now = celeriac::clock::now();
    let runs = entry
        .map(|entry| entry.schedule.upcoming(now, RUNS))
        .unwrap_or_default();
    let zone = entry
        .and_then(|entry| entry.schedule.zone())
        .map(ToString::to_string);
    let shell = Shell::new(desk, visit, Place::Schedules, title.as_str());
    let shown = Page {
        editable: line.is_none_or(|line| line.planned.origin == Origin::Api),
        action: row.as_ref().map_or_else(
            || "/schedules".to_owned(),
            |row| format!("/schedules/{}", text::url(&row.name)),
        ),
        kinds: KINDS,
        events: EVENTS,
        tasks: desk
            .board
            .history
            .counts()
            .into_keys()
            .take(OFFERED)
            .collect(),
        next: runs
            .into_iter()
            .map(|at| Run {
                at: text::civil(at, zone.as_deref()),
                when: text::at(at),
            })
            .collect(),
        next_note: zone.unwrap_or_else(|| "UTC".to_owned()),
        next_empty: match entry {
            Some(_) => "It never runs again.",
            None => "They show when what is written can be read.",
        },
        facts: line.map(facts).unwrap_or_default(),
        operate: visit.may(Role::Operator),
        administer: visit.may(Role::Admin),
        title,
        row,
        form,
        shell,
    };
    shell::page_with(status, &shown.shell, &shown)
}

fn facts(line: &Line) -> Vec<Fact> {
    let entry = &line.planned.entry;
    let mut facts = vec![Fact::link(
        "Task",
        &entry.task,
        format!("/tasks?name={}", text::url(&entry.task)),
    )];
    let from = match line.planned.origin {
        Origin::Api => "this control room",
        Origin::Config => "the settings or the program",
    };
    facts.push(Fact::text("Comes from", from));
    if let Some(last) = &line.mark.last {
        facts.push(Fact::markup("Last tick", text::at(last.tick)));
        facts.push(Fact::link(
            "Sent as",
            &last.task_id,
            format!("/tasks/{}", text::url(&last.task_id)),
        ));
        facts.push(Fact::text("In term", &last.term.to_string()));
    }
    facts.push(Fact::text("Sent", &text::grouped(line.mark.sent)));
    facts.push(Fact::text(
        "Dropped by its rules",
        &text::grouped(line.mark.missed),
    ));
    if let Some(trouble) = &line.trouble {
        let text = format!("{} times in a row: {}", trouble.failures, trouble.reason);
        facts.push(Fact::text("Could not be sent", &text));
    }
    facts.push(Fact::link(
        "As JSON",
        "API",
        format!("/api/v1/schedules/{}", text::url(&entry.name)),
    ));
    facts
}
