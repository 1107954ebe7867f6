//! What is done to schedules.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use super::form::EntryForm;
use super::{read, show, unknown};
use crate::access::Identity;
use crate::http::api::schedules::{self, Seen};
use crate::http::extract::Path;
use crate::http::pages::form::Fields;
use crate::http::pages::shell::{Visit, done};
use crate::http::pages::text;
use crate::http::{Desk, Problem};

const HOME: &str = "/schedules";

pub(in crate::http::pages) async fn create(
    State(desk): State<Desk>,
    visit: Visit,
    fields: Fields,
) -> Result<Response, Problem> {
    keep(&desk, &visit, &fields, None).await
}

pub(in crate::http::pages) async fn save(
    State(desk): State<Desk>,
    visit: Visit,
    Path(name): Path<String>,
    fields: Fields,
) -> Result<Response, Problem> {
    if desk.board.beat.view().line(&name).is_none() {
        return Err(unknown(&name));
    }
    keep(&desk, &visit, &fields, Some(name)).await
}

/// Stores what a form says; `name` is that of the entry which is edited.
async fn keep(
    desk: &Desk,
    visit: &Visit,
    fields: &Fields,
    name: Option<String>,
) -> Result<Response, Problem> {
    let mut form = EntryForm::sent(fields);
    let kept = match read(&form, fields) {
        Ok(mut entry) => {
            let seen = match (&name, fields.number::<i64>("revision")?) {
                (None, _) => Seen::Nothing,
                (Some(_), Some(revision)) => Seen::Revision(revision),
                (Some(_), None) => Seen::Anything,
            };
            if let Some(name) = &name {
                entry.name.clone_from(name);
            }
            schedules::replace(desk, &visit.who, entry, seen).await
        }
        Err(problem) => Err(problem),
    };
    match kept {
        Ok(kept) => {
            let text = match name {
                None => format!("{} was made.", kept.name),
                Some(_) => format!("{} was saved.", kept.name),
            };
            Ok(done(&address(&kept.name), text))
        }
        // What was typed stays, with what is wrong about it.
        Err(problem) if matches!(problem.status(), 400 | 409 | 412 | 422) => {
            form.refuse(&problem);
            let view = desk.board.beat.view();
            let line = name.as_deref().and_then(|name| view.line(name));
            let status = StatusCode::from_u16(problem.status()).unwrap_or(StatusCode::BAD_REQUEST);
            Ok(show(desk, visit, line, form, None, status))
        }
        Err(problem) => Err(problem),
    }
}

pub(in crate::http::pages) async fn delete(
    State(desk): State<Desk>,
    who: Identity,
    Path(name): Path<String>,
    fields: Fields,
) -> Result<Response, Problem> {
    fields.confirm(&name)?;
    schedules::remove(&desk, &who, &name, Seen::Anything).await?;
    Ok(done(HOME, format!("{name} was deleted.")))
}

pub(in crate::http::pages) async fn enable(
    State(desk): State<Desk>,
    who: Identity,
    Path(name): Path<String>,
) -> Result<Response, Problem> {
    schedules::switch(&desk, &who, &name, true, Seen::Anything).await?;
    Ok(done(HOME, format!("{name} is enabled.")))
}

pub(in crate::http::pages) async fn disable(
    State(desk): State<Desk>,
    who: Identity,
    Path(name): Path<String>,
) -> Result<Response, Problem> {
    schedules::switch(&desk, &who, &name, false, Seen::Anything).await?;
    Ok(done(HOME, format!("{name} is disabled.")))
}

pub(in crate::http::pages) async fn run(
    State(desk): State<Desk>,
    who: Identity,
    Path(name): Path<String>,
) -> Result<Response, Problem> {
    let id = schedules::run_now(&desk, &who, &name).await?;
    let task = format!("/tasks/{}", text::url(&id.to_string()));
    Ok(done(&task, format!("{name} was sent; this is its task.")))
}

fn address(name: &str) -> String {
    format!("{HOME}/{}", text::url(name))
}
