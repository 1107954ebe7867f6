//! Dead letters: looked at, sent again, discarded.

mod act;
mod bulk;
mod place;
mod view;

use axum::Json;
use axum::extract::State;
use celeriac_protocol::letter::Reason;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(in crate::http) use self::act::{ReplayOrder, discard, replay, replay_task};
pub(in crate::http) use self::bulk::{BulkAnswer, BulkOrder, discard_all, replay_all};
use self::place::{after, cursor};
pub(in crate::http) use self::view::{LetterDetail, LetterPage, LetterView};
use super::check;
use super::page::{Cursor, Limit};
use crate::access::Identity;
use crate::cluster::cut;
use crate::http::extract::{Body, Path, Query};
use crate::http::{Desk, Problem};
use crate::letters::{Fate, Filter, Letter};
use crate::store::StoreError;

/// Which letters to list.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct LetterQuery {
    /// failed, rejected, crashed, undecodable, unknown-task, expired or overflowed.
    pub(in crate::http) reason: Option<String>,
    /// The name of the task, with `*` and `?`.
    pub(in crate::http) name: Option<String>,
    /// The queue that the message came from.
    pub(in crate::http) queue: Option<String>,
    /// The node that put it away.
    pub(in crate::http) node: Option<String>,
    /// The id of the task.
    pub(in crate::http) task: Option<String>,
    /// A part of the error, in either case.
    pub(in crate::http) error: Option<String>,
    /// A part of the arguments, in either case.
    pub(in crate::http) arguments: Option<String>,
    /// Died at this time or later, as RFC 3339.
    pub(in crate::http) since: Option<String>,
    /// Died before this time, as RFC 3339.
    pub(in crate::http) until: Option<String>,
    /// kept, replayed, discarded or all; kept unless told.
    pub(in crate::http) state: Option<String>,
    /// How many: 1 to 1,000, 100 unless told.
    #[param(value_type = Option<u16>, minimum = 1, maximum = 1000)]
    pub(in crate::http) limit: Option<Limit>,
    /// `next_cursor` of the page before.
    #[param(value_type = Option<String>)]
    pub(in crate::http) cursor: Option<Cursor<String>>,
}

/// Which letters are meant: all that match each of these.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct LetterFilter {
    /// failed, rejected, crashed, undecodable, unknown-task, expired or overflowed.
    pub(in crate::http) reason: Option<String>,
    /// The name of the task, with `*` and `?`.
    pub(in crate::http) name: Option<String>,
    /// The queue that the message came from.
    pub(in crate::http) queue: Option<String>,
    /// The node that put it away.
    pub(in crate::http) node: Option<String>,
    /// The id of the task.
    pub(in crate::http) task: Option<String>,
    /// A part of the error, in either case.
    pub(in crate::http) error: Option<String>,
    /// A part of the arguments, in either case.
    pub(in crate::http) arguments: Option<String>,
    /// Died at this time or later, as RFC 3339.
    pub(in crate::http) since: Option<String>,
    /// Died before this time, as RFC 3339.
    pub(in crate::http) until: Option<String>,
}

pub(in crate::http) fn routes() -> OpenApiRouter<Desk> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(one, discard_one))
        .routes(routes!(replay_one))
        .routes(routes!(replay_one_task))
        .routes(routes!(replay_many))
        .routes(routes!(discard_many))
}

impl LetterQuery {
    fn filter(&self) -> Result<Filter, Problem> {
        let Self {
            reason,
            name,
            queue,
            node,
            task,
            error,
            arguments,
            since,
            until,
            state,
            ..
        } = self.clone();
        let state = match state.as_deref() {
            None | Some(Fate::KEPT) => Some(Fate::KEPT),
            Some(Fate::REPLAYED) => Some(Fate::REPLAYED),
            Some(Fate::DISCARDED) => Some(Fate::DISCARDED),
            Some("all") => None,
            Some(other) => {
                let expected = "kept, replayed, discarded or all";
                let found = format!("'{}'", cut(other, 60));
                return Err(Problem::field("state", expected, found));
            }
        };
        let filter = LetterFilter {
            reason,
            name,
            queue,
            node,
            task,
            error,
            arguments,
            since,
            until,
        };
        Ok(Filter {
            state,
            ..filter.read("")?
        })
    }
}

impl LetterFilter {
    /// Reads the filter; `within` is the path to it, for errors.
    fn read(self, within: &str) -> Result<Filter, Problem> {
        let texts = [
            ("name", self.name.as_deref()),
            ("queue", self.queue.as_deref()),
            ("node", self.node.as_deref()),
            ("task", self.task.as_deref()),
            ("error", self.error.as_deref()),
            ("arguments", self.arguments.as_deref()),
        ];
        check::names(within, texts)?;
        let reason = match &self.reason {
            None => None,
            Some(word) => Some(Reason::find(word).ok_or_else(|| {
                let known = Reason::ALL.map(Reason::as_str).join(", ");
                let field = format!("{within}reason");
                Problem::field(
                    field,
                    format!("one of: {known}"),
                    format!("'{}'", cut(word, 60)),
                )
            })?),
        };
        Ok(Filter {
            ids: None,
            since: check::moment(&format!("{within}since"), self.since.as_deref())?,
            until: check::moment(&format!("{within}until"), self.until.as_deref())?,
            task_id: self.task,
            reason,
            name: self.name,
            queue: self.queue,
            node: self.node,
            error: self.error,
            arguments: self.arguments,
            state: Some(Fate::KEPT),
        })
    }
}

fn failed(error: StoreError) -> Problem {
    match error.is_transient() || error == StoreError::Closed {
        true => Problem::unavailable(error.to_string()),
        false => Problem::new(500, "internal", error.to_string()),
    }
}

/// Returns the letters that a query asks for.
pub(in crate::http) async fn search(
    desk: &Desk,
    query: &LetterQuery,
) -> Result<LetterPage, Problem> {
    let filter = query.filter()?;
    let limit = query.limit.unwrap_or_default().0;
    let after = after(query.cursor.as_ref())?;
    // One more tells whether there is a next page.
    let letters = desk.store.letters(&filter, after.as_ref(), limit + 1).await;
    let mut letters = letters.map_err(failed)?;
    let more = letters.len() > limit;
    letters.truncate(limit);
    let matching = desk.store.count_letters(&filter).await.map_err(failed)?;
    Ok(LetterPage {
        next_cursor: letters.last().filter(|_| more).map(cursor),
        letters: letters.iter().map(LetterView::of).collect(),
        matching,
    })
}

/// Returns one letter with its message.
pub(in crate::http) async fn look_up(desk: &Desk, id: &str) -> Result<LetterDetail, Problem> {
    let letter = find(desk, id).await?;
    Ok(LetterDetail::of(&letter, &desk.config.redaction))
}

async fn find(desk: &Desk, id: &str) -> Result<Letter, Problem> {
    check::name("id", id)?;
    let found = desk.store.letter(id).await.map_err(failed)?;
    found.ok_or_else(|| Problem::not_found(format!("no dead letter '{id}'")))
}

#[utoipa::path(
    get,
    path = "/api/v1/letters",
    operation_id = "list_letters",
    tag = "letters",
    summary = "Lists and searches dead letters, those that died last first",
    params(LetterQuery),
    responses((status = 200, body = LetterPage, description = "One page of letters")),
)]
async fn list(
    State(desk): State<Desk>,
    Query(query): Query<LetterQuery>,
) -> Result<Json<LetterPage>, Problem> {
    search(&desk, &query).await.map(Json)
}

#[utoipa::path(
    get,
    path = "/api/v1/letters/{id}",
    operation_id = "get_letter",
    tag = "letters",
    summary = "Shows one dead letter with its message",
    params(("id" = String, Path, description = "The letter's id")),
    responses(
        (status = 200, body = LetterDetail, description = "The letter"),
        (status = 404, description = "No letter has this id"),
    ),
)]
async fn one(
    State(desk): State<Desk>,
    Path(id): Path<String>,
) -> Result<Json<LetterDetail>, Problem> {
    look_up(&desk, &id).await.map(Json)
}

#[utoipa::path(
    delete,
    path = "/api/v1/letters/{id}",
    operation_id = "discard_letter",
    tag = "letters",
    summary = "Discards one dead letter",
    params(("id" = String, Path, description = "The letter's id")),
    responses(
        (status = 200, body = LetterView, description = "The letter, discarded"),
        (status = 404, description = "No letter has this id"),
        (status = 409, description = "It was dealt with already"),
    ),
)]
async fn discard_one(
    State(desk): State<Desk>,
    who: Identity,
    Path(id): Path<String>,
) -> Result<Json<LetterView>, Problem> {
    discard(&desk, &who, &id).await.map(Json)
}

#[utoipa::path(
    post,
    path = "/api/v1/letters/{id}/replay",
    operation_id = "replay_letter",
    tag = "letters",
    summary = "Sends a dead letter's message again, as it was or edited",
    params(("id" = String, Path, description = "The letter's id")),
    request_body = ReplayOrder,
    responses(
        (status = 200, body = LetterView, description = "The letter, replayed"),
        (status = 400, description = "What is to be changed cannot be; nothing was sent"),
        (status = 404, description = "No letter has this id"),
        (status = 409, description = "It was replayed already, or no queue takes it"),
    ),
)]
async fn replay_one(
    State(desk): State<Desk>,
    who: Identity,
    Path(id): Path<String>,
    Body(order): Body<ReplayOrder>,
) -> Result<Json<LetterView>, Problem> {
    replay_letter(&desk, &who, &id, order).await.map(Json)
}

/// Sends a letter's message again.
pub(in crate::http) async fn replay_letter(
    desk: &Desk,
    who: &Identity,
    id: &str,
    order: ReplayOrder,
) -> Result<LetterView, Problem> {
    let letter = find(desk, id).await?;
    replay(desk, who, letter, order).await
}

#[utoipa::path(
    post,
    path = "/api/v1/tasks/{id}/replay",
    operation_id = "replay_task",
    tag = "letters",
    summary = "Sends the message of a task again whose dead letter is kept",
    params(("id" = String, Path, description = "The task's id")),
    request_body = ReplayOrder,
    responses(
        (status = 200, body = LetterView, description = "The letter, replayed"),
        (status = 404, description = "No dead letter is kept of this task"),
    ),
)]
async fn replay_one_task(
    State(desk): State<Desk>,
    who: Identity,
    Path(id): Path<String>,
    Body(order): Body<ReplayOrder>,
) -> Result<Json<LetterView>, Problem> {
    replay_task(&desk, &who, &id, order).await.map(Json)
}

#[utoipa::path(
    post,
    path = "/api/v1/letters/replay",
    operation_id = "replay_letters",
    tag = "letters",
    summary = "Sends many dead letters again; repeat with `next_cursor` until it is null",
    request_body = BulkOrder,
    responses(
        (status = 200, body = BulkAnswer, description = "What was done, as far as time allowed"),
        (status = 409, description = "Another number of letters matches; nothing was sent"),
    ),
)]
async fn replay_many(
    State(desk): State<Desk>,
    who: Identity,
    Body(order): Body<BulkOrder>,
) -> Result<Json<BulkAnswer>, Problem> {
    replay_all(&desk, &who, order).await.map(Json)
}

#[utoipa::path(
    post,
    path = "/api/v1/letters/discard",
    operation_id = "discard_letters",
    tag = "letters",
    summary = "Discards many dead letters; repeat with `next_cursor` until it is null",
    request_body = BulkOrder,
    responses(
        (status = 200, body = BulkAnswer, description = "What was done, as far as time allowed"),
        (status = 409, description = "Another number of letters matches; nothing was changed"),
    ),
)]
async fn discard_many(
    State(desk): State<Desk>,
    who: Identity,
    Body(order): Body<BulkOrder>,
) -> Result<Json<BulkAnswer>, Problem> {
    discard_all(&desk, &who, order).await.map(Json)
}
