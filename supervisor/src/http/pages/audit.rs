//! The page of the audit log.

use askama::Template;
use axum::extract::State;
use axum::response::Response;

use super::filter::Filter;
use super::form::Fields;
use super::shell::{self, Place, Shell, Visit};
use super::text::{self, Markup};
use crate::http::api::audit::{self, AuditPage, AuditQuery, AuditView};
use crate::http::{Desk, Problem};

#[derive(Template)]
#[template(path = "audit.html")]
struct Audit {
    shell: Shell,
    filter: Filter,
    wrong: String,
    outcomes: [&'static str; 3],
    entries: Vec<Row>,
    paged: bool,
    newest: String,
    next: Option<String>,
}

struct Row {
    id: i64,
    when: Markup,
    who: String,
    how: String,
    action: String,
    target: String,
    outcome: String,
    details: String,
}

const HOME: &str = "/audit";
const FIELDS: [&str; 6] = ["who", "action", "target", "outcome", "since", "until"];

pub(super) async fn page(State(desk): State<Desk>, visit: Visit) -> Result<Response, Problem> {
    let fields = Fields::of_query(&visit.query);
    let filter = Filter::of(HOME, &FIELDS, &fields);
    let mut shell = Shell::new(&desk, &visit, Place::Audit, "Audit").live("audit");
    let (page, wrong) = match find(&desk, &filter, &fields).await {
        Ok(page) => (Some(page), String::new()),
        Err(problem) if problem.status() == 400 => (None, problem.detail().to_owned()),
        Err(problem) => {
            shell = shell.trouble(&problem);
            (None, String::new())
        }
    };
    let (entries, cursor) =
        page.map_or((Vec::new(), None), |page| (page.entries, page.next_cursor));
    let shown = Audit {
        paged: fields.get("cursor").is_some(),
        newest: filter.href(None),
        next: cursor.map(|cursor| filter.href(Some(&cursor))),
        outcomes: ["done", "refused", "failed"],
        entries: entries.into_iter().map(Row::of).collect(),
        wrong,
        filter,
        shell,
    };
    Ok(shell::page(&shown.shell, &shown))
}

async fn find(desk: &Desk, filter: &Filter, fields: &Fields) -> Result<AuditPage, Problem> {
    let now = text::now();
    let query = AuditQuery {
        who: filter.some("who"),
        action: filter.some("action"),
        target: filter.some("target"),
        outcome: filter.some("outcome"),
        since: filter.moment("since", now)?,
        until: filter.moment("until", now)?,
        limit: None,
        cursor: fields.cursor("cursor")?,
    };
    audit::search(desk, &query).await
}

impl Row {
    fn of(entry: AuditView) -> Self {
        let peer = entry
            .peer
            .map(|peer| format!(" from {peer}"))
            .unwrap_or_default();
        let details = match &entry.details {
            serde_json::Value::Null => String::new(),
            details => text::line(&details.to_string()),
        };
        Self {
            id: entry.id,
            when: text::when(Some(&entry.at)),
            how: format!("{} by {}{peer}", entry.role, entry.via),
            who: entry.who,
            action: entry.action,
            target: entry.target,
            outcome: entry.outcome,
            details,
        }
    }
}
