//! The page of all schedules.

use std::time::Instant;

use askama::Template;
use axum::extract::State;
use axum::response::Response;

use super::shell::{self, May, Place, Shell, Visit};
use super::text::{self, Markup, grouped};
use crate::access::Role;
use crate::beat::{Line, View};
use crate::http::{Desk, Problem};

#[derive(Template)]
#[template(path = "schedules.html")]
struct Schedules {
    shell: Shell,
    rows: Vec<Row>,
    standing: String,
    trouble: String,
    operate: May,
    administer: May,
}

/// An entry in the list.
pub(super) struct Row {
    pub(super) name: String,
    pub(super) state: &'static str,
    pub(super) enabled: bool,
    pub(super) schedule: String,
    pub(super) zone: String,
    pub(super) task: String,
    pub(super) last: Markup,
    pub(super) last_task: String,
    pub(super) next: Markup,
    pub(super) sent: String,
    pub(super) missed: u64,
}

/// A tick that is this late was not sent in time.
const LATE: std::time::Duration = std::time::Duration::from_secs(5);

pub(super) async fn page(State(desk): State<Desk>, visit: Visit) -> Result<Response, Problem> {
    let view = desk.board.beat.view();
    let shown = Schedules {
        rows: view.lines.iter().map(Row::of).collect(),
        standing: standing(&view),
        trouble: view.trouble.clone().unwrap_or_default(),
        operate: visit.may(Role::Operator),
        administer: visit.may(Role::Admin),
        shell: Shell::new(&desk, &visit, Place::Schedules, "Schedules").live("schedule"),
    };
    Ok(shell::page(&shown.shell, &shown))
}

/// Says who sends the ticks.
pub(super) fn standing(view: &View) -> String {
    match (view.leads, view.leader(Instant::now())) {
        (true, _) => "this supervisor leads and sends them".to_owned(),
        (false, Some(leader)) => format!("{} leads; this supervisor stands by", leader.name),
        (false, None) => "nobody leads: nothing is sent".to_owned(),
    }
}

impl Row {
    pub(super) fn of(line: &Line) -> Self {
        let entry = &line.planned.entry;
        let next = line.next().filter(|_| entry.enabled);
        let now = celeriac::clock::now();
        let late = next
            .and_then(|next| now.duration_since(next).ok())
            .is_some_and(|late| late > LATE);
        let state = match () {
            () if !entry.enabled => "off",
            () if line.trouble.is_some() => "failing",
            () if late => "late",
            () if next.is_none() => "over",
            () => "on",
        };
        let last = line.mark.last.as_ref();
        Self {
            name: entry.name.clone(),
            state,
            enabled: entry.enabled,
            schedule: entry.schedule.to_string(),
            zone: entry
                .schedule
                .zone()
                .map(ToString::to_string)
                .unwrap_or_default(),
            task: entry.task.clone(),
            last: last.map_or_else(|| Markup("never".to_owned()), |last| text::at(last.at)),
            last_task: last.map(|last| last.task_id.clone()).unwrap_or_default(),
            next: next.map_or_else(|| Markup(text::dash()), text::at),
            sent: grouped(line.mark.sent),
            missed: line.mark.missed,
        }
    }
}
