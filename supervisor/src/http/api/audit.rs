//! The audit log: who did what.

use axum::Json;
use axum::extract::State;
use celeriac_protocol::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::check;
use super::page::{Cursor, Limit};
use crate::access::Identity;
use crate::http::access::Outcome;
use crate::http::extract::Query;
use crate::http::{Desk, Problem, view};
use crate::store::audit::{Entry, Filter};

/// Which entries to list.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct AuditQuery {
    /// The name of who asked.
    pub(in crate::http) who: Option<String>,
    /// An action such as `queue.purge`, or the first part of actions, such as `queue`.
    pub(in crate::http) action: Option<String>,
    /// A part of the target.
    pub(in crate::http) target: Option<String>,
    /// `done`, `refused` or `failed`.
    pub(in crate::http) outcome: Option<String>,
    /// From this time on, in RFC 3339.
    pub(in crate::http) since: Option<String>,
    /// Before this time, in RFC 3339.
    pub(in crate::http) until: Option<String>,
    /// How many entries, 1 to 1,000. Default 100.
    #[param(value_type = Option<u64>)]
    pub(in crate::http) limit: Option<Limit>,
    /// `next_cursor` of the page before.
    #[param(value_type = Option<String>)]
    pub(in crate::http) cursor: Option<Cursor<i64>>,
}

/// One control.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(in crate::http) struct AuditView {
    pub(in crate::http) id: i64,
    /// When, in RFC 3339.
    pub(in crate::http) at: String,
    pub(in crate::http) who: String,
    /// `viewer`, `operator` or `admin`.
    pub(in crate::http) role: String,
    /// How they proved it: `password`, `token`, `proxy`, `local` or `anonymous`.
    pub(in crate::http) via: String,
    /// The address that the connection came from.
    pub(in crate::http) peer: Option<String>,
    /// What they did, such as `task.revoke`.
    pub(in crate::http) action: String,
    /// To what.
    pub(in crate::http) target: String,
    /// What else there is to say, secrets hidden.
    pub(in crate::http) details: Value,
    /// `done`, `refused` or `failed`.
    pub(in crate::http) outcome: String,
}

/// A part of the audit log, newest first.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(in crate::http) struct AuditPage {
    pub(in crate::http) entries: Vec<AuditView>,
    /// Where the next page starts; nothing at the end.
    pub(in crate::http) next_cursor: Option<String>,
}

/// Who asks.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(in crate::http) struct WhoView {
    pub(in crate::http) name: String,
    /// `viewer`, `operator` or `admin`.
    pub(in crate::http) role: &'static str,
    /// How that is known: `password`, `token`, `proxy`, `local` or `anonymous`.
    pub(in crate::http) via: &'static str,
}

pub(in crate::http) fn routes() -> OpenApiRouter<Desk> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(whoami))
}

/// Returns the entries that a query asks for.
pub(in crate::http) async fn search(desk: &Desk, query: &AuditQuery) -> Result<AuditPage, Problem> {
    let texts = [
        ("who", query.who.as_deref()),
        ("action", query.action.as_deref()),
        ("target", query.target.as_deref()),
        ("outcome", query.outcome.as_deref()),
    ];
    check::names("", texts)?;
    let outcome = query.outcome.as_deref();
    if let Some(outcome) =
        outcome.filter(|o| !Outcome::ALL.iter().any(|known| known.as_str() == *o))
    {
        return Err(Problem::field(
            "outcome",
            "done, refused or failed",
            format!("'{outcome}'"),
        ));
    }
    let limit = query.limit.unwrap_or_default().0;
    let filter = Filter {
        who: query.who.clone(),
        action: query.action.clone(),
        target: query.target.clone(),
        outcome: query.outcome.clone(),
        since: check::moment("since", query.since.as_deref())?,
        until: check::moment("until", query.until.as_deref())?,
        before: query.cursor.map(|Cursor(id)| id),
    };
    // One more tells whether there is a next page.
    let mut entries = desk.store.audit(&filter, limit + 1).await?;
    let more = entries.len() > limit;
    entries.truncate(limit);
    let last = entries.last().filter(|_| more);
    Ok(AuditPage {
        next_cursor: last.map(|entry| Cursor(entry.id).text()),
        entries: entries.into_iter().map(AuditView::of).collect(),
    })
}

/// List what was done
///
/// Every request to change something is here, those that were refused included, newest
/// first.
#[utoipa::path(
    get,
    path = "/api/v1/audit",
    tag = "access",
    operation_id = "list_audit",
    params(AuditQuery),
    responses((status = 200, description = "The entries", body = AuditPage)),
)]
async fn list(
    State(desk): State<Desk>,
    Query(query): Query<AuditQuery>,
) -> Result<Json<AuditPage>, Problem> {
    search(&desk, &query).await.map(Json)
}

/// Say who asks
#[utoipa::path(
    get,
    path = "/api/v1/whoami",
    tag = "access",
    operation_id = "get_whoami",
    responses((status = 200, description = "Who asks, with which role", body = WhoView)),
)]
async fn whoami(who: Identity) -> Json<WhoView> {
    Json(WhoView {
        name: who.name.to_string(),
        role: who.role.as_str(),
        via: who.via.as_str(),
    })
}

impl AuditView {
    fn of(entry: Entry) -> Self {
        Self {
            id: entry.id,
            at: view::moment::of(Timestamp::from_micros(entry.at)),
            who: entry.who,
            role: entry.role,
            via: entry.via,
            peer: entry.peer,
            action: entry.action,
            target: entry.target,
            details: serde_json::from_str(&entry.details).unwrap_or_default(),
            outcome: entry.outcome,
        }
    }
}
