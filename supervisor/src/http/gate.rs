//! What every request passes: host, token, time limit, counters, headers.

use std::panic::AssertUnwindSafe;
use std::time::Instant;

use axum::extract::{ConnectInfo, MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::FutureExt;

use super::access::Outcome;
use super::listener::Peer;
use super::{Desk, Problem};
use crate::access::{Identity, Role, Via};

/// What every request passes.
pub(super) async fn gate(State(desk): State<Desk>, mut request: Request, next: Next) -> Response {
    let start = Instant::now();
    let method = name(request.method());
    let matched = request.extensions().get::<MatchedPath>();
    // Only known routes become series; what people try is without bound.
    let route = matched.map_or_else(|| "(unknown)".to_owned(), |path| path.as_str().to_owned());
    // A request may ask to wait for a result; the handler holds it to `max_wait`.
    let limit = desk.config.request_timeout
        + if route == "/api/v1/tasks" && method == "POST" {
            desk.config.max_wait
        } else {
            std::time::Duration::ZERO
        };
    let peer = request.extensions().get::<ConnectInfo<Peer>>();
    let peer = peer.map(|ConnectInfo(peer)| peer.0.ip());
    let mut response = match admit(&desk, &route, request.headers()) {
        Err(problem) => problem.into_response(),
        Ok(who) => {
            let who = who.from_peer(peer);
            let changes = !request.method().is_safe();
            let target = request.uri().path().to_owned();
            request.extensions_mut().insert(who.clone());
            // A handler that panics costs its own request alone.
            let run = AssertUnwindSafe(next.run(request)).catch_unwind();
            let response = match tokio::time::timeout(limit, run).await {
                Ok(Ok(response)) => response,
                Ok(Err(_)) => {
                    let message = "the request met a fault of the supervisor; its log says more";
                    Problem::new(500, "internal", message).into_response()
                }
                Err(_) => {
                    let message = format!("the request took longer than {} ms", limit.as_millis());
                    Problem::new(504, "timeout", message).into_response()
                }
            };
            if changes && !who.is_told() {
                let outcome = match response.status().as_u16() {
                    ..400 => Outcome::Done,
                    400..500 => Outcome::Refused,
                    _ => Outcome::Failed,
                };
                let action = format!("{method} {route}");
                desk.audit_as(&who, &action, &target, serde_json::Value::Null, outcome)
                    .await;
            }
            response
        }
    };
    harden(response.headers_mut());
    let status = response.status().as_u16();
    desk.board
        .metrics
        .request(method, &route, status, start.elapsed().as_secs_f64());
    response
}

fn admit(desk: &Desk, route: &str, headers: &HeaderMap) -> Result<Identity, Problem> {
    // The probes say nothing worth hiding, and kubelets have no token.
    if matches!(route, "/livez" | "/readyz" | "/startupz") {
        return Ok(Identity::new("probe", Role::Viewer, Via::Anonymous));
    }
    if let Some(token) = &desk.config.token {
        if shown(headers).is_some_and(|shown| same(&shown, token)) {
            return Ok(Identity::new("token", Role::Admin, Via::Token));
        }
        let message = "expected the token as bearer token or as password, found none or another";
        return Err(Problem::new(401, "unauthorized", message));
    }
    // Without a token only this machine may ask. A page of some site in a browser here
    // could too, by a name of its own that it points to 127.0.0.1; its Host gives it away.
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    if !desk.config.allow_anonymous && !host.is_none_or(is_local) {
        let message = "expected a local host name in Host, found another; set a token or \
                       allow_anonymous to serve other names";
        return Err(Problem::new(403, "forbidden_host", message));
    }
    Ok(if desk.config.allow_anonymous {
        Identity::new("anonymous", Role::Admin, Via::Anonymous)
    } else {
        Identity::new("local", Role::Admin, Via::Local)
    })
}

/// Returns the secret that the client shows, as bearer token or as password.
fn shown(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, secret) = value.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(secret.trim().to_owned());
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(secret.trim()).ok()?).ok()?;
    decoded
        .split_once(':')
        .map(|(_, password)| password.to_owned())
}

/// Compares in a time that does not tell how much was right.
fn same(shown: &str, token: &str) -> bool {
    let pairs = shown.bytes().zip(token.bytes());
    shown.len() == token.len() && pairs.fold(0, |differs, (a, b)| differs | (a ^ b)) == 0
}

fn is_local(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    let loopback = name
        .parse::<std::net::IpAddr>()
        .is_ok_and(|ip| ip.is_loopback());
    loopback || name.eq_ignore_ascii_case("localhost")
}

fn harden(headers: &mut HeaderMap) {
    let policy = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; \
                  base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_secret_is_read_from_either_scheme() {
        let cases = [
            ("Bearer secret", Some("secret")),
            ("bearer  secret ", Some("secret")),
            ("Basic dXNlcjpzZWNyZXQ=", Some("secret")),
            ("Basic OnNlOmNyZXQ=", Some("se:cret")),
            ("Basic !!!", None),
            ("Digest secret", None),
            ("secret", None),
        ];
        for (value, expected) in cases {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, value.parse().unwrap());
            assert_eq!(shown(&headers).as_deref(), expected, "{value}");
        }
    }

    #[test]
    fn secrets_are_compared_whole() {
        assert!(same("abc", "abc"));
        for wrong in ["", "ab", "abcd", "abd", "ABC"] {
            assert!(!same(wrong, "abc"), "{wrong}");
        }
    }

    #[test]
    fn local_names_are_told_from_others() {
        for local in [
            "localhost",
            "LocalHost:9595",
            "127.0.0.1:1",
            "127.8.8.8",
            "[::1]:9595",
        ] {
            assert!(is_local(local), "{local}");
        }
        for other in [
            "",
            "example.org",
            "127.0.0.1.example.org",
            "localhost.org:80",
            "10.0.0.1",
        ] {
            assert!(!is_local(other), "{other}");
        }
    }
}
