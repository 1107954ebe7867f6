//! What every request passes: host, token, time limit, counters, headers.

use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

use axum::extract::{ConnectInfo, MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use serde_json::json;

use super::access::Outcome;
use super::listener::Peer;
use super::{Desk, Problem, flower};
use crate::access::rules::{self, Rule};
use crate::access::{Identity, Provenance, Role, Via};

/// What every request passes.
pub(super) async fn gate(State(desk): State<Desk>, request: Request, next: Next) -> Response {
    let start = Instant::now();
    let method = name(request.method());
    let matched = request.extensions().get::<MatchedPath>();
    // Only known routes become series; what people try is without bound.
    let route = matched.map_or_else(|| "(unknown)".to_owned(), |path| path.as_str().to_owned());
    // A request may ask to wait for a result; the handler holds it to `max_wait`.
    let limit = desk.config.request_timeout
        + if (route == "/api/v1/tasks" && method == "POST") || flower::may_wait(&route) {
            desk.config.max_wait
        } else {
            Duration::ZERO
        };
    let peer = request.extensions().get::<ConnectInfo<Peer>>();
    let peer = peer.map(|ConnectInfo(peer)| peer.0.ip());
    let rule = rules::rule(request.method().as_str(), &route);
    let changes = !request.method().is_safe();
    let admitted = admit(&desk, &route, request.headers(), rule, changes, peer).await;
    let errand = Errand {
        desk: desk.clone(),
        rule,
        changes,
        target: request.uri().path().to_owned(),
        limit,
    };
    let done = errand.run(admitted, request, next);
    let mut response = if changes {
        // In a task of its own: a client that goes away in the middle must neither part
        // what belongs together nor spare itself the audit log.
        let done = tokio::spawn(done).await;
        done.unwrap_or_else(|_| fault().into_response())
    } else {
        done.await
    };
    harden(response.headers_mut());
    let status = response.status().as_u16();
    desk.board
        .metrics
        .request(method, &route, status, start.elapsed().as_secs_f64());
    response
}

/// What is to be done for one request.
struct Errand {
    desk: Desk,
    rule: Rule,
    /// Whether it may change something, and is written to the audit log.
    changes: bool,
    target: String,
    limit: Duration,
}

impl Errand {
    /// Answers a request, and writes down how it ended unless its handler did.
    async fn run(
        self,
        admitted: Result<Identity, Refusal>,
        mut request: Request,
        next: Next,
    ) -> Response {
        let who = match admitted {
            Ok(who) => who,
            Err(Refusal { who, problem }) => {
                if let Some(who) = who.as_ref().filter(|_| self.changes) {
                    let details = json!({ "reason": problem.detail() });
                    self.note(who, details, Outcome::Refused).await;
                }
                return refused(problem, who);
            }
        };
        request.extensions_mut().insert(who.clone());
        // A handler that panics costs its own request alone.
        let run = AssertUnwindSafe(next.run(request)).catch_unwind();
        let response = match tokio::time::timeout(self.limit, run).await {
            Ok(Ok(response)) => response,
            Ok(Err(_)) => fault().into_response(),
            Err(_) => {
                let limit = self.limit.as_millis();
                let message = format!("the request took longer than {limit} ms");
                Problem::new(504, "timeout", message).into_response()
            }
        };
        if self.changes && !who.is_told() {
            let status = response.status().as_u16();
            let outcome = match status {
                ..400 => Outcome::Done,
                400..500 => Outcome::Refused,
                _ => Outcome::Failed,
            };
            self.note(&who, json!({ "status": status }), outcome).await;
        }
        response
    }

    async fn note(&self, who: &Identity, details: serde_json::Value, outcome: Outcome) {
        let Self {
            desk, rule, target, ..
        } = self;
        desk.audit_as(who, rule.action, target, details, outcome)
            .await;
    }
}

fn fault() -> Problem {
    let message = "the request met a fault of the supervisor; its log says more";
    Problem::new(500, "internal", message)
}

/// Answers who is not let in; the page about it says who that is.
fn refused(problem: Problem, who: Option<Identity>) -> Response {
    let mut response = problem.into_response();
    if let Some(who) = who {
        response.extensions_mut().insert(who);
    }
    response
}

/// A request that is not let in.
struct Refusal {
    /// Who asked, if that is known.
    who: Option<Identity>,
    problem: Problem,
}

/// Says who asks, if they may.
async fn admit(
    desk: &Desk,
    route: &str,
    headers: &HeaderMap,
    rule: Rule,
    changes: bool,
    peer: Option<IpAddr>,
) -> Result<Identity, Refusal> {
    let shown_to_all = route == "/metrics" && desk.doorman.shows_metrics_to_all();
    let Some(role) = rule.role.filter(|_| !shown_to_all) else {
        return Ok(Identity::new("anybody", Role::Viewer, Via::Anonymous).at_peer(peer));
    };
    let identified = desk.doorman.identify(headers, peer, Instant::now()).await;
    let who = identified
        .map_err(|problem| Refusal { who: None, problem })?
        .at_peer(peer);
    let refuse = |problem| Refusal {
        who: Some(who.clone()),
        problem,
    };
    // No page of another site can make a browser bear a token, so whoever does knows it.
    let bears = who.via == Via::Token && text(headers, "authorization").is_some_and(is_bearer);
    let provenance = Provenance {
        site: text(headers, "sec-fetch-site"),
        mode: text(headers, "sec-fetch-mode"),
        origin: text(headers, "origin"),
        host: desk.doorman.host(headers, peer),
        changes,
    };
    if !bears && provenance.is_foreign() {
        let message = "expected a request from a page of this supervisor, or with a bearer token, \
                       found one that another site made a browser send";
        return Err(refuse(Problem::new(403, "cross_site", message)));
    }
    if who.role < role {
        let message = format!(
            "expected the role {role} or a higher one, found {} ({})",
            who.role, who.name
        );
        return Err(refuse(Problem::forbidden(message)));
    }
    Ok(who)
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn is_bearer(authorization: &str) -> bool {
    let scheme = authorization.split(' ').next().unwrap_or_default();
    scheme.eq_ignore_ascii_case("bearer")
}

fn harden(headers: &mut HeaderMap) {
    let policy = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; \
                  base-uri 'none'; form-action 'self'; frame-ancestors 'none'";
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CONTENT_SECURITY_POLICY, policy),
        (header::CACHE_CONTROL, "no-store"),
    ] {
        headers
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    }
}

/// Methods become labels, so there are few.
fn name(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        _ => "(other)",
    }
}
