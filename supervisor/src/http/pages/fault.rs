//! Errors as pages, for those who look with a browser.

use askama::Template;
use axum::extract::{FromRequestParts, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;

use super::shell::{Place, Shell, Visit, page_with};
use crate::access::Identity;
use crate::http::{Desk, Problem};

#[derive(Template)]
#[template(path = "fault.html")]
struct Fault {
    shell: Shell,
    title: &'static str,
    detail: String,
    hint: &'static str,
    back: Option<String>,
}

/// Turns problems into pages where a page was asked for.
pub(in crate::http) async fn dress(
    State(desk): State<Desk>,
    request: Request,
    next: Next,
) -> Response {
    let wants = request
        .headers()
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .any(|value| value.contains("text/html"));
    let path = request.uri().path();
    if !wants || path == "/api" || path.starts_with("/api/") || path.starts_with("/metrics") {
        return next.run(request).await;
    }
    let (mut parts, body) = request.into_parts();
    let Ok(mut visit) = Visit::from_request_parts(&mut parts, &()).await;
    let response = next.run(Request::from_parts(parts, body)).await;
    let Some(problem) = response.extensions().get::<Problem>() else {
        return response;
    };
    if let Some(who) = response.extensions().get::<Identity>() {
        visit.who = who.clone();
    }
    let mut page = fault(&desk, &visit, problem);
    // What else was said to the client: the policy, when to come again, who may pass.
    for (name, value) in response.headers() {
        if !page.headers().contains_key(name) {
            page.headers_mut().append(name, value.clone());
        }
    }
    page
}

fn fault(desk: &Desk, visit: &Visit, problem: &Problem) -> Response {
    let (title, hint) = match problem.status() {
        400 | 415 | 422 => ("That did not fit", "Nothing was changed."),
        403 => (
            "Not with this role",
            "Somebody with the role that it needs can do it. Nothing was changed.",
        ),
        404 => (
            "Not found",
            "It may have been forgotten: the history keeps tasks by age and count, and nodes that are gone for a while are dropped.",
        ),
        405 => ("Not possible here", ""),
        409 => ("Something stands against it", "Nothing was changed."),
        503 | 504 => (
            "Out of reach",
            "The supervisor works; what it needs for this does not answer. Try again in a moment.",
        ),
        _ => ("Something went wrong", "The supervisor's log says more."),
    };
    let section = |prefix: &str| visit.path.starts_with(prefix);
    let (place, back) = match () {
        () if section("/nodes") => (Place::Nodes, Some("/nodes")),
        () if section("/tasks") => (Place::Tasks, Some("/tasks")),
        () if section("/queues") => (Place::Queues, Some("/queues")),
        () if section("/schedules") => (Place::Schedules, Some("/schedules")),
        () if section("/dead-letters") => (Place::Letters, Some("/dead-letters")),
        () if section("/audit") => (Place::Audit, None),
        () => (Place::Elsewhere, None),
    };
    let fault = Fault {
        shell: Shell::new(desk, visit, place, title),
        title,
        detail: problem.detail().to_owned(),
        hint,
        back: back.filter(|back| *back != visit.path).map(str::to_owned),
    };
    let status = StatusCode::from_u16(problem.status());
    let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    page_with(status, &fault.shell, &fault)
}
