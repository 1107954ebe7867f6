//! Schedules: the entries whose tasks are sent by themselves, and who sends them.

mod edit;
mod hidden;
mod view;

use std::time::Instant;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(in crate::http) use self::edit::{Seen, remove, replace, run_now, switch, update};
pub(in crate::http) use self::hidden::hidden;
pub(in crate::http) use self::view::{LeaderView, Preview, ScheduleView, next};
use super::page::{Cursor, Limit, cut_page};
use crate::access::Identity;
use crate::http::extract::{Body, Path, Query};
use crate::http::{Desk, Problem};

/// Which entries to list.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct ScheduleQuery {
    /// How many entries, 1 to 1,000. Default 100.
    #[param(value_type = Option<u64>)]
    limit: Option<Limit>,
    /// `next_cursor` of the page before.
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor<String>>,
}

/// How many ticks to show.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct NextQuery {
    /// How many, 1 to 1,000. Default 10.
    #[param(value_type = Option<u64>)]
    count: Option<Limit>,
}

/// The revision that an editor saw.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct RevisionQuery {
    /// The entry's `revision` as it was read; the header `If-Match` says the same. Without
    /// either, the entry is changed as it is now.
    revision: Option<i64>,
}

/// A part of the entries, by name.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(in crate::http) struct SchedulePage {
    pub(in crate::http) schedules: Vec<ScheduleView>,
    /// Where the next page starts; nothing at the end.
    pub(in crate::http) next_cursor: Option<String>,
}

/// A task that was sent beside the schedule.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(in crate::http) struct RunView {
    /// The id of the task.
    pub(in crate::http) id: String,
    /// Where to look for it.
    pub(in crate::http) href: String,
}

pub(in crate::http) fn routes() -> OpenApiRouter<Desk> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(one, put, patch, delete))
        .routes(routes!(run))
        .routes(routes!(upcoming))
        .routes(routes!(preview))
        .routes(routes!(leader))
}

/// Returns all entries, by name.
pub(in crate::http) fn all(desk: &Desk) -> Vec<ScheduleView> {
    let view = desk.board.beat.view();
    let now = celeriac::clock::now();
    let lines = view.lines.iter();
    lines
        .map(|line| ScheduleView::of(desk, line, now))
        .collect()
}

/// Returns an entry.
pub(in crate::http) fn get(desk: &Desk, name: &str) -> Result<ScheduleView, Problem> {
    let view = desk.board.beat.view();
    let line = view.line(name).ok_or_else(|| unknown(name))?;
    Ok(ScheduleView::of(desk, line, celeriac::clock::now()))
}

/// Returns who leads, and sends the ticks.
pub(in crate::http) fn who_leads(desk: &Desk) -> LeaderView {
    LeaderView::of(&desk.board.beat.view(), Instant::now())
}

fn unknown(name: &str) -> Problem {
    let name: String = name.chars().take(200).collect();
    Problem::not_found(format!("expected the name of a schedule, found '{name}'"))
}

#[utoipa::path(
    get,
    path = "/api/v1/schedules",
    operation_id = "list_schedules",
    tag = "schedules",
    summary = "Lists the schedules with their next and last runs",
    params(ScheduleQuery),
    responses((status = 200, body = SchedulePage, description = "One page of schedules")),
)]
async fn list(
    State(desk): State<Desk>,
    Query(query): Query<ScheduleQuery>,
) -> Result<Json<SchedulePage>, Problem> {
    let after = query.cursor.map(|Cursor(name)| name);
    let rest = all(&desk).into_iter();
    let rest = rest.filter(|view| after.as_ref().is_none_or(|after| view.name > *after));
    let (schedules, next_cursor) = cut_page(rest, query.limit, |view| view.name.clone());
    Ok(Json(SchedulePage {
        schedules,
        next_cursor,
    }))
}

#[utoipa::path(
    get,
    path = "/api/v1/schedules/{name}",
    operation_id = "get_schedule",
    tag = "schedules",
    summary = "Shows a schedule",
    params(("name" = String, Path, description = "The entry's name")),
    responses((status = 200, body = ScheduleView, description = "The schedule")),
)]
async fn one(
    State(desk): State<Desk>,
    Path(name): Path<String>,
) -> Result<Json<ScheduleView>, Problem> {
    get(&desk, &name).map(Json)
}

#[utoipa::path(
    post,
    path = "/api/v1/schedules",
    operation_id = "create_schedule",
    tag = "schedules",
    summary = "Creates a schedule",
    description = "The body is an entry as in the settings file: `name`, `task`, one of `every`, \
        `crontab`, `solar` and `once`, and what else an entry has.",
    request_body(content = Object),
    responses(
        (status = 201, body = ScheduleView, description = "The schedule, stored"),
        (status = 409, description = "The name is taken, or another supervisor must be asked"),
    ),
)]
async fn create(
    State(desk): State<Desk>,
    who: Identity,
    Body(form): Body<serde_json::Map<String, serde_json::Value>>,
) -> Result<(StatusCode, Json<ScheduleView>), Problem> {
    let view = replace(&desk, &who, edit::entry(form)?, Seen::Nothing).await?;
    Ok((StatusCode::CREATED, Json(view)))
}

#[utoipa::path(
    put,
    path = "/api/v1/schedules/{name}",
    operation_id = "put_schedule",
    tag = "schedules",
    summary = "Creates a schedule, or replaces it whole",
    params(("name" = String, Path, description = "The entry's name"), RevisionQuery),
    request_body(content = Object),
    responses(
        (status = 200, body = ScheduleView, description = "The schedule"),
        (status = 409, description = "The revision is not the present one"),
        (status = 412, description = "If-Match is not the present revision"),
    ),
)]
async fn put(
    State(desk): State<Desk>,
    who: Identity,
    Path(name): Path<String>,
    Query(query): Query<RevisionQuery>,
    headers: HeaderMap,
    Body(form): Body<serde_json::Map<String, serde_json::Value>>,
) -> Result<Json<ScheduleView>, Problem> {
    let mut entry = edit::entry(form)?;
    // An entry without a name of its own has that of its task.
    if entry.name != name && entry.name != entry.task {
        return Err(Problem::field(
            "name",
            format!("'{name}', as in the path"),
            entry.name,
        ));
    }
    entry.name = name;
    let seen = Seen::read(&headers, query.revision)?;
    replace(&desk, &who, entry, seen).await.map(Json)
}

#[utoipa::path(
    patch,
    path = "/api/v1/schedules/{name}",
    operation_id = "patch_schedule",
    tag = "schedules",
    summary = "Changes fields of a schedule, or switches it",
    description = "`null` takes a field away. Of an entry of the configuration only `enabled` can \
        be changed.",
    params(("name" = String, Path, description = "The entry's name"), RevisionQuery),
    request_body(content = Object),
    responses(
        (status = 200, body = ScheduleView, description = "The schedule"),
        (status = 409, description = "The revision is not the present one"),
        (status = 412, description = "If-Match is not the present revision"),
    ),
)]
async fn patch(
    State(desk): State<Desk>,
    who: Identity,
    Path(name): Path<String>,
    Query(query): Query<RevisionQuery>,
    headers: HeaderMap,
    Body(changes): Body<serde_json::Map<String, serde_json::Value>>,
) -> Result<Json<ScheduleView>, Problem> {
    let seen = Seen::read(&headers, query.revision)?;
    update(&desk, &who, &name, changes, seen).await.map(Json)
}

#[utoipa::path(
    delete,
    path = "/api/v1/schedules/{name}",
    operation_id = "delete_schedule",
    tag = "schedules",
    summary = "Deletes a schedule that was made here",
    params(("name" = String, Path, description = "The entry's name"), RevisionQuery),
    responses((status = 204, description = "The schedule is gone")),
)]
async fn delete(
    State(desk): State<Desk>,
    who: Identity,
    Path(name): Path<String>,
    Query(query): Query<RevisionQuery>,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    let seen = Seen::read(&headers, query.revision)?;
    remove(&desk, &who, &name, seen).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[utoipa::path(
    post,
    path = "/api/v1/schedules/{name}/run",
    operation_id = "run_schedule",
    tag = "schedules",
    summary = "Sends the task of a schedule now, beside its ticks",
    params(("name" = String, Path, description = "The entry's name")),
    responses((status = 202, body = RunView, description = "The task was sent")),
)]
async fn run(
    State(desk): State<Desk>,
    who: Identity,
    Path(name): Path<String>,
) -> Result<(StatusCode, Json<RunView>), Problem> {
    let id = run_now(&desk, &who, &name).await?;
    let href = format!("/api/v1/tasks/{id}");
    Ok((StatusCode::ACCEPTED, Json(RunView { id, href })))
}

#[utoipa::path(
    get,
    path = "/api/v1/schedules/{name}/next",
    operation_id = "next_of_schedule",
    tag = "schedules",
    summary = "Shows when a schedule runs next",
    params(("name" = String, Path, description = "The entry's name"), NextQuery),
    responses((status = 200, body = Preview, description = "The next runs")),
)]
async fn upcoming(
    State(desk): State<Desk>,
    Path(name): Path<String>,
    Query(query): Query<NextQuery>,
) -> Result<Json<Preview>, Problem> {
    let view = desk.board.beat.view();
    let line = view.line(&name).ok_or_else(|| unknown(&name))?;
    let now = celeriac::clock::now().max(line.mark.upto);
    Ok(Json(next(&line.planned.entry, now, count(query.count))))
}

#[utoipa::path(
    post,
    path = "/api/v1/schedules/preview",
    operation_id = "preview_schedule",
    tag = "schedules",
    summary = "Shows when an entry would run, without storing it",
    params(NextQuery),
    request_body(content = Object),
    responses((status = 200, body = Preview, description = "The next runs")),
)]
async fn preview(
    Query(query): Query<NextQuery>,
    Body(mut form): Body<serde_json::Map<String, serde_json::Value>>,
) -> Result<Json<Preview>, Problem> {
    // When something runs does not depend on what.
    form.entry("task").or_insert(json!("preview"));
    let entry = edit::entry(form)?;
    Ok(Json(next(
        &entry,
        celeriac::clock::now(),
        count(query.count),
    )))
}

#[utoipa::path(
    get,
    path = "/api/v1/leader",
    operation_id = "get_leader",
    tag = "schedules",
    summary = "Shows which supervisor leads, and sends the ticks of schedules",
    responses((status = 200, body = LeaderView, description = "Who leads, if anybody does")),
)]
async fn leader(State(desk): State<Desk>) -> Json<LeaderView> {
    Json(who_leads(&desk))
}

fn count(count: Option<Limit>) -> usize {
    count.map_or(10, |Limit(count)| count)
}
