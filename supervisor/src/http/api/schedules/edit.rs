//! Edits of schedules.

use std::time::Duration;

use axum::http::{HeaderMap, header};
use celeriac::Entry;
use serde_json::{Map, Value, json};

use super::{ScheduleView, get, unknown};
use crate::access::Identity;
use crate::beat::{Origin, Stored};
use crate::feed::Change;
use crate::http::extract::wrong;
use crate::http::{Desk, Problem};
use crate::store::schedules::{self, Edit};
use crate::store::{Place, StoreError};

/// What the editor saw of an entry before the edit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http) enum Seen {
    /// That there is none: the entry is new.
    Nothing,
    /// Whatever is there now.
    Anything,
    /// A revision, named in the request.
    Revision(i64),
    /// A revision, named in `If-Match`.
    Match(i64),
}

/// How long an edit waits until the beat shows it.
const SHOWN: Duration = Duration::from_secs(1);
/// Fields that say when; a patch that sets one replaces the others.
const WHEN: [&str; 6] = ["every", "crontab", "solar", "once", "start", "zone"];

impl Seen {
    /// Reads what a request says: the header `If-Match`, or a revision.
    pub(in crate::http) fn read(
        headers: &HeaderMap,
        revision: Option<i64>,
    ) -> Result<Self, Problem> {
        let Some(tag) = headers.get(header::IF_MATCH) else {
            return Ok(revision.map_or(Self::Anything, Self::Revision));
        };
        let tag = tag.to_str().unwrap_or_default().trim();
        if tag == "*" {
            return Ok(Self::Anything);
        }
        let number = tag.trim_matches('"').parse();
        number.map(Self::Match).map_err(|_| {
            Problem::field(
                "If-Match",
                "a revision such as \"7\", or *",
                format!("'{tag}'"),
            )
        })
    }

    /// Returns the revision to compare with, given the present one.
    fn revision(self, present: Option<i64>) -> Result<i64, Problem> {
        let present = present.unwrap_or(0);
        let (said, status) = match self {
            Self::Nothing => (0, 409),
            Self::Anything => (present, 409),
            Self::Revision(said) => (said, 409),
            Self::Match(said) => (said, 412),
        };
        if said == present {
            return Ok(said);
        }
        let found =
            format!("revision: expected {present}, the present one, found {said}; read it again");
        Err(Problem::new(
            status,
            if status == 412 {
                "precondition_failed"
            } else {
                "conflict"
            },
            found,
        ))
    }
}

/// Reads an entry from its form.
pub(super) fn entry(form: Map<String, Value>) -> Result<Entry, Problem> {
    serde_json::from_value(Value::Object(form)).map_err(|error| {
        let text = error.to_string();
        let parts = text.split_once(": expected ");
        let parts = parts.and_then(|(what, rest)| Some((what, rest.rsplit_once(", found ")?)));
        let Some((what, (expected, found))) = parts else {
            return wrong("body", &text, None);
        };
        // The field comes first, then the place in it, such as `crontab, minute at column 1`.
        match what.split_once(", ") {
            Some((field, place)) => Problem::field(field, format!("{expected} ({place})"), found),
            None => Problem::field(what, expected, found),
        }
    })
}

/// Creates an entry, or replaces it whole.
pub(in crate::http) async fn replace(
    desk: &Desk,
    who: &Identity,
    mut entry: Entry,
    seen: Seen,
) -> Result<ScheduleView, Problem> {
    entry.check()?;
    editable_here(desk)?;
    if let Some(line) = desk.board.beat.view().line(&entry.name) {
        super::hidden::restore(&desk.config.redaction, &mut entry, &line.planned.entry);
    }
    if origin(desk, &entry.name) == Some(Origin::Config) {
        let name = &entry.name;
        let why =
            format!("'{name}' comes from the configuration: edit it there, or take another name");
        return Err(Problem::conflict(why));
    }
    if entry.schedule.next_after(celeriac::clock::now()).is_none() {
        let found = entry.schedule.to_string();
        return Err(Problem::field(
            "schedule",
            "a tick that is still to come",
            found,
        ));
    }
    let present = stored(desk, &entry.name).await?;
    if seen == Seen::Nothing && present.is_some() {
        return Err(Problem::conflict(format!(
            "there is a schedule '{}' already",
            entry.name
        )));
    }
    let revision = seen.revision(present.map(|stored| stored.revision))?;
    let edit = edit(&entry.name, revision, who);
    let written = schedules::put(&desk.store, &edit, &entry).await;
    let revision = written.map_err(|error| refused(&error))?;
    let details = json!({ "task": entry.task, "schedule": entry.schedule.to_string() });
    told(desk, who, "schedule.put", &entry.name, details).await;
    shown(desk, &entry.name, revision).await
}

/// Changes some fields of an entry, or its switch.
pub(in crate::http) async fn update(
    desk: &Desk,
    who: &Identity,
    name: &str,
    mut changes: Map<String, Value>,
    seen: Seen,
) -> Result<ScheduleView, Problem> {
    editable_here(desk)?;
    let origin = origin(desk, name).ok_or_else(|| unknown(name))?;
    if changes.keys().all(|field| field == "enabled") {
        return match changes.remove("enabled") {
            Some(Value::Bool(enabled)) => switch(desk, who, name, enabled, seen).await,
            Some(other) => Err(Problem::field(
                "enabled",
                "true or false",
                other.to_string(),
            )),
            None => Err(Problem::invalid(
                "expected at least one field to change, found none",
            )),
        };
    }
    if origin == Origin::Config {
        let field = changes
            .keys()
            .find(|field| *field != "enabled")
            .cloned()
            .unwrap_or_default();
        let expected =
            "no change: the entry comes from the configuration, and only enabled can be set";
        return Err(Problem::field(field, expected, "a change"));
    }
    let present = stored(desk, name).await?.ok_or_else(|| unknown(name))?;
    let revision = seen.revision(Some(present.revision))?;
    let mut old = present.entry.ok_or_else(|| unknown(name))?;
    old.enabled = present.enabled.unwrap_or(old.enabled);
    let Ok(Value::Object(mut form)) = serde_json::to_value(&old) else {
        return Err(Problem::new(
            500,
            "internal",
            "the stored entry has no form",
        ));
    };
    if changes.get("name").is_some_and(|new| new != name) {
        return Err(Problem::field(
            "name",
            format!("'{name}': names do not change"),
            "another",
        ));
    }
    if WHEN[..4]
        .iter()
        .any(|field| changes.get(*field).is_some_and(|value| !value.is_null()))
    {
        WHEN.iter().for_each(|field| drop(form.remove(*field)));
    }
    for (field, value) in changes {
        match value {
            Value::Null => drop(form.remove(&field)),
            value => drop(form.insert(field, value)),
        }
    }
    let entry = entry(form)?;
    replace(desk, who, entry, Seen::Revision(revision)).await
}

/// Enables or disables an entry, wherever it comes from.
pub(in crate::http) async fn switch(
    desk: &Desk,
    who: &Identity,
    name: &str,
    enabled: bool,
    seen: Seen,
) -> Result<ScheduleView, Problem> {
    editable_here(desk)?;
    origin(desk, name).ok_or_else(|| unknown(name))?;
    let present = stored(desk, name).await?;
    let revision = seen.revision(present.map(|stored| stored.revision))?;
    let edit = edit(name, revision, who);
    let written = schedules::switch(&desk.store, &edit, enabled).await;
    let revision = written.map_err(|error| refused(&error))?;
    let action = if enabled {
        "schedule.enable"
    } else {
        "schedule.disable"
    };
    told(desk, who, action, name, json!({})).await;
    shown(desk, name, revision).await
}

/// Deletes an entry that was made here.
pub(in crate::http) async fn remove(
    desk: &Desk,
    who: &Identity,
    name: &str,
    seen: Seen,
) -> Result<(), Problem> {
    editable_here(desk)?;
    if origin(desk, name) == Some(Origin::Config) {
        let why =
            format!("'{name}' comes from the configuration: delete it there, or disable it here");
        return Err(Problem::conflict(why));
    }
    let present = stored(desk, name).await?.ok_or_else(|| unknown(name))?;
    let edit = edit(name, seen.revision(Some(present.revision))?, who);
    schedules::delete(&desk.store, &edit)
        .await
        .map_err(|error| refused(&error))?;
    told(desk, who, "schedule.delete", name, json!({})).await;
    until(desk, |view| view.line(name).is_none()).await;
    Ok(())
}

/// Sends the task of an entry now, beside its ticks, and returns the task's id.
pub(in crate::http) async fn run_now(
    desk: &Desk,
    who: &Identity,
    name: &str,
) -> Result<String, Problem> {
    let view = desk.board.beat.view();
    let line = view.line(name).ok_or_else(|| unknown(name))?;
    let result = line.planned.entry.call().send(&desk.app).await?;
    let id = result.id().to_owned();
    told(desk, who, "schedule.run", name, json!({ "task_id": id })).await;
    Ok(id)
}

/// Refuses an edit that the leader would never see: it is made in a store that the leader
/// does not have.
fn editable_here(desk: &Desk) -> Result<(), Problem> {
    let view = desk.board.beat.view();
    if view.leads || matches!(desk.store.place(), Place::Postgres(_)) {
        return Ok(());
    }
    match view.leader(std::time::Instant::now()) {
        Some(leader) if leader.store.is_some() && leader.store == view.store => Ok(()),
        Some(leader) => {
            let at = leader
                .url
                .as_ref()
                .map_or_else(String::new, |url| format!(" at {url}"));
            Err(Problem::conflict(format!(
                "this supervisor has a store of its own and does not lead: edit schedules on the \
                 leader, {}{at}",
                leader.name
            )))
        }
        None => Err(Problem::unavailable(
            "no leader is known at the moment, and this supervisor may have a store of its own",
        )),
    }
}

fn origin(desk: &Desk, name: &str) -> Option<Origin> {
    let view = desk.board.beat.view();
    view.line(name).map(|line| line.planned.origin)
}

async fn stored(desk: &Desk, name: &str) -> Result<Option<Stored>, Problem> {
    let all = schedules::all(&desk.store)
        .await
        .map_err(|error| refused(&error))?;
    Ok(all.into_iter().find(|stored| stored.name == name))
}

fn edit<'a>(name: &'a str, seen: i64, who: &'a Identity) -> Edit<'a> {
    Edit {
        name,
        seen,
        who: &who.name,
        now: celeriac::clock::now(),
    }
}

fn refused(error: &StoreError) -> Problem {
    match error {
        StoreError::Unmet(_) => {
            Problem::conflict("somebody else edited the schedule at the same moment; read it again")
        }
        error => Problem::unavailable(error.to_string()),
    }
}

async fn told(desk: &Desk, who: &Identity, action: &'static str, name: &str, details: Value) {
    desk.audit(who, action, name, details).await;
    desk.board.feed.publish(Change::Schedule {
        name: name.to_owned(),
        what: action.trim_start_matches("schedule."),
    });
    desk.board.beat.wake();
}

/// Waits until the beat knows an edit, and shows the entry.
async fn shown(desk: &Desk, name: &str, revision: i64) -> Result<ScheduleView, Problem> {
    let known = |view: &crate::beat::View| {
        view.line(name)
            .is_some_and(|line| line.planned.revision >= revision)
    };
    until(desk, known).await;
    get(desk, name)
}

async fn until(desk: &Desk, known: impl Fn(&crate::beat::View) -> bool) {
    let look = async {
        while !known(&desk.board.beat.view()) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    // Later it will be; the edit holds either way.
    let _ = tokio::time::timeout(SHOWN, look).await;
}
