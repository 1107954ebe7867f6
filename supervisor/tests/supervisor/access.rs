//! Who may do what, and what is written down of it.

use std::time::Duration;

use celeriac_protocol::event::{EventKind, TaskReceived};
use celeriac_supervisor::{Access, Config, Redaction, Role, Token, TrustedProxy, User};
use serde_json::Value;

use crate::harness::*;

const VIEWER: &str = "Authorization: Bearer viewer-0123456789";
const OPERATOR: &str = "Authorization: Bearer operator-0123456789";
const ADMIN: &str = "Authorization: Bearer admin-0123456789";
const JSON: &str = "Content-Type: application/json";

fn guarded() -> Config {
    let token =
        |name: &str, role| Token::with_secret(name, role, &format!("{name}-0123456789")).unwrap();
    let proxy = TrustedProxy {
        header: "X-Forwarded-User".to_owned(),
        groups_header: Some("X-Forwarded-Groups".to_owned()),
        roles: vec![("ops".to_owned(), Role::Operator)],
        default_role: Some(Role::Viewer),
        peers: vec!["127.0.0.0/8".parse().unwrap()],
    };
    let access = Access {
        users: vec![User::with_password("bob", Role::Viewer, "correct horse").unwrap()],
        tokens: vec![
            token("viewer", Role::Viewer),
            token("operator", Role::Operator),
            token("admin", Role::Admin),
        ],
        proxy: Some(proxy),
        ..Access::default()
    };
    Config {
        access, // Nothing runs here that could end.
        max_wait: Duration::from_millis(100),
        ..config()
    }
}

async fn audit(fixture: &Fixture, query: &str) -> Vec<Value> {
    let path = format!("/api/v1/audit{query}");
    let answer = request(fixture.address, "GET", &path, &[ADMIN], "").await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()["entries"].as_array().unwrap().clone()
}

/// Every route of the API that changes something, with its parameters filled in.
async fn changes(fixture: &Fixture) -> Vec<(String, String)> {
    let document = request(fixture.address, "GET", "/api/v1/openapi.json", &[ADMIN], "").await;
    let document = document.json();
    let paths = document["paths"].as_object().unwrap().iter();
    let api = paths.flat_map(|(path, item)| {
        let methods = item.as_object().unwrap().keys();
        methods.map(move |method| (method.to_uppercase(), path.clone()))
    });
    let flower = FLOWER
        .iter()
        .map(|path| ("POST".to_owned(), (*path).to_owned()));
    api.filter(|(method, _)| method != "GET")
        .chain(flower)
        .map(|(method, path)| {
            let filled = path.replace("{name}", "no-such").replace("{id}", "no-such");
            (method, filled)
        })
        .collect()
}

/// The paths of Flower that change something.
const FLOWER: [&str; 14] = [
    "/api/worker/shutdown/{name}",
    "/api/worker/pool/restart/{name}",
    "/api/worker/pool/grow/{name}",
    "/api/worker/pool/shrink/{name}",
    "/api/worker/pool/autoscale/{name}",
    "/api/worker/queue/add-consumer/{name}",
    "/api/worker/queue/cancel-consumer/{name}",
    "/api/task/apply/{name}",
    "/api/task/async-apply/{name}",
    "/api/task/send-task/{name}",
    "/api/task/abort/{id}",
    "/api/task/timeout/{name}",
    "/api/task/rate-limit/{name}",
    "/api/task/revoke/{id}",
];

// S48: each role may do what it may, on every route.
#[tokio::test]
async fn roles_hold_on_every_route_that_changes_something() {
    let fixture = Fixture::with(guarded()).await;
    let mut refused = 0;
    for (method, path) in changes(&fixture).await {
        let ask =
            async |headers: &[&str]| request(fixture.address, &method, &path, headers, "{}").await;
        assert_eq!(ask(&[JSON]).await.status, 401, "{method} {path}");
        let viewer = ask(&[JSON, VIEWER]).await;
        if path == "/api/v1/schedules/preview" {
            assert_ne!(viewer.status, 403, "{method} {path}");
            continue;
        }
        assert_eq!(viewer.status, 403, "{method} {path}: {}", viewer.body);
        assert!(viewer.body.contains("expected the role"), "{}", viewer.body);
        refused += usize::from(ask(&[JSON, OPERATOR]).await.status == 403);
    }
    assert!(refused >= 2, "some take an admin");
    for (path, viewer) in [
        ("/api/v1/tasks", 200),
        ("/metrics", 200),
        ("/api/v1/audit", 403),
    ] {
        assert_eq!(fixture.get(path).await.status, 401, "{path}");
        let answer = request(fixture.address, "GET", path, &[VIEWER], "").await;
        assert_eq!(answer.status, viewer, "{path}");
    }
    fixture.stop().await;
}

// S49: what anybody tried to change is in the audit log.
#[tokio::test]
async fn every_change_that_is_tried_is_written_down() {
    let fixture = Fixture::with(guarded()).await;
    let mut known = audit(&fixture, "?limit=1000").await.len();
    for (method, path) in changes(&fixture).await {
        let headers = [JSON, ADMIN];
        let answer = request(fixture.address, &method, &path, &headers, "{}").await;
        let entries = audit(&fixture, "?limit=1000").await;
        assert_eq!(
            entries.len(),
            known + 1,
            "{method} {path} {}: {}",
            answer.status,
            answer.body
        );
        known += 1;
        let entry = &entries[0];
        assert_eq!(entry["who"], "admin", "{entry}");
        assert_eq!(entry["peer"], "127.0.0.1", "{entry}");
        assert!(entry["action"].as_str().unwrap().contains('.'), "{entry}");
        let done = answer.status < 400;
        assert_eq!(
            entry["outcome"] == "done",
            done,
            "{method} {path} {}: {entry}",
            answer.status
        );
    }
    let body = r#"{"name": "app.add", "kwargs": {"password": "hush"}}"#;
    let headers = [JSON, VIEWER];
    let answer = request(fixture.address, "POST", "/api/v1/tasks", &headers, body).await;
    assert_eq!(answer.status, 403);
    let refused = audit(&fixture, "?who=viewer&outcome=refused&action=task").await;
    assert_eq!(refused.len(), 1, "{refused:?}");
    assert_eq!(refused[0]["action"], "task.send");
    let answer = request(
        fixture.address,
        "GET",
        "/api/v1/audit?outcome=x",
        &[ADMIN],
        "",
    )
    .await;
    assert_eq!((answer.status, answer.code().as_str()), (400, "invalid"));
    let pages = audit(&fixture, "?limit=1").await;
    assert_eq!(pages.len(), 1);
    fixture.stop().await;
}

#[tokio::test]
async fn people_programs_and_proxies_are_known_by_what_they_show() {
    let fixture = Fixture::with(guarded()).await;
    let who = async |headers: &[&str]| {
        let answer = request(fixture.address, "GET", "/api/v1/whoami", headers, "").await;
        if answer.status != 200 {
            return format!("{}", answer.status);
        }
        let who = answer.json();
        format!("{} {} {}", who["name"], who["role"], who["via"]).replace('"', "")
    };
    assert_eq!(who(&[OPERATOR]).await, "operator operator token");
    // bob:correct horse
    let bob = "Authorization: Basic Ym9iOmNvcnJlY3QgaG9yc2U=";
    assert_eq!(who(&[bob]).await, "bob viewer password");
    assert_eq!(
        who(&["Authorization: Basic Ym9iOndyb25nIGhvcnNl"]).await,
        "401"
    );
    assert_eq!(who(&["X-Forwarded-User: eve"]).await, "eve viewer proxy");
    let ops = ["X-Forwarded-User: eve", "X-Forwarded-Groups: a,ops"];
    assert_eq!(who(&ops).await, "eve operator proxy");
    fixture.stop().await;

    let mut elsewhere = guarded();
    if let Some(proxy) = &mut elsewhere.access.proxy {
        proxy.peers = vec!["10.0.0.0/8".parse().unwrap()];
    }
    let fixture = Fixture::with(elsewhere).await;
    let headers = ["X-Forwarded-User: eve"];
    let answer = request(fixture.address, "GET", "/api/v1/whoami", &headers, "").await;
    assert_eq!(answer.status, 401, "nobody here is a proxy");
    fixture.stop().await;
}

// S48: no page of another site acts in anybody's name.
#[tokio::test]
async fn other_sites_cannot_make_a_browser_act() {
    let fixture = Fixture::start().await;
    let body = r#"{"name": "app.add"}"#;
    let ask = async |headers: &[&str]| {
        let headers: Vec<_> = [JSON].iter().chain(headers).copied().collect();
        request(fixture.address, "POST", "/api/v1/tasks", &headers, body).await
    };
    for headers in [
        &["Sec-Fetch-Site: cross-site"][..],
        &["Sec-Fetch-Site: same-site"],
        &["Origin: https://evil.example.org"],
        &["Origin: null"],
    ] {
        let answer = ask(headers).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (403, "cross_site"),
            "{headers:?}"
        );
    }
    let own = format!("Origin: http://{}", fixture.address);
    for headers in [&["Sec-Fetch-Site: same-origin"][..], &[&own], &[]] {
        assert_eq!(ask(headers).await.status, 202, "{headers:?}");
    }
    let path = "/api/v1/events";
    let headers = ["Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: cors"];
    assert_eq!(
        request(fixture.address, "GET", path, &headers, "")
            .await
            .status,
        403
    );
    fixture.stop().await;
}

// S49: what is hidden is hidden before it is kept.
#[tokio::test]
async fn hidden_arguments_are_nowhere_to_be_seen() {
    let redaction = Redaction::default().results_of("app.secretive").unwrap();
    let fixture = Fixture::with(Config {
        redaction,
        ..config()
    })
    .await;
    let node = "w1@host";
    let called = |clock, id: &str, name: &str| {
        let received = TaskReceived {
            uuid: id.to_owned(),
            name: name.to_owned(),
            args: Some("[{'token': 'hush'}]".to_owned()),
            kwargs: Some("{'user': 'bob', 'password': 'hush'}".to_owned()),
            ..TaskReceived::default()
        };
        event(node, 11, clock, EventKind::TaskReceived(Box::new(received)))
    };
    let ended = |clock, id: &str| {
        let kind = EventKind::TaskSucceeded {
            uuid: id.to_owned(),
            result: "'hush'".to_owned(),
            runtime: 0.1,
        };
        event(node, 11, clock, kind)
    };
    fixture
        .say(&[called(1, "a", "app.secretive"), ended(2, "a")])
        .await;
    fixture.say(&[called(3, "b", "app.open")]).await;
    eventually("both are known", async || {
        let (a, b) = (
            fixture.get("/api/v1/tasks/a").await,
            fixture.get("/api/v1/tasks/b").await,
        );
        (a.body.contains("SUCCESS") && b.status == 200).then_some(())
    })
    .await;
    let body = r#"{"name": "app.send", "args": [{"api_key": "hush"}], "id": "c"}"#;
    assert_eq!(fixture.post("/api/v1/tasks", body).await.status, 202);
    for path in [
        "/",
        "/metrics",
        "/api/v1/tasks",
        "/api/v1/tasks/a",
        "/api/v1/tasks/b",
        "/api/v1/tasks/c",
        "/api/v1/audit",
        "/api/tasks",
        "/api/task/info/a",
    ] {
        let answer = fixture.get(path).await;
        assert!(!answer.body.contains("hush"), "{path}: {}", answer.body);
    }
    assert!(fixture.get("/api/v1/tasks/b").await.body.contains("'bob'"));
    fixture.stop().await;
}

// S49: secrets of the settings are nowhere to be seen.
#[tokio::test]
async fn secrets_of_the_settings_are_not_shown() {
    let mut planted = guarded();
    planted.token = Some("hush-0123456789abcdef".to_owned());
    planted
        .access
        .users
        .push(User::with_password("eve", Role::Admin, "hush horse").unwrap());
    let secret = Token::with_secret("ci", Role::Admin, "hush-ci-0123456789").unwrap();
    planted.access.tokens.push(secret);
    let shown = format!("{planted:?}");
    assert!(
        !shown.contains("hush") && !shown.contains("argon2"),
        "{shown}"
    );
    let fixture = Fixture::with(planted).await;
    let document = request(fixture.address, "GET", "/api/v1/openapi.json", &[ADMIN], "").await;
    let document = document.json();
    let paths = document["paths"].as_object().unwrap().iter();
    let reads = paths.filter(|(_, item)| item.get("get").is_some());
    let reads = reads.map(|(path, _)| path.replace("{name}", "x").replace("{id}", "x"));
    // What never ends is no page to read.
    let reads = reads.filter(|path| !path.ends_with("/events"));
    let more = ["/", "/api/workers", "/api/tasks", "/nowhere"].map(str::to_owned);
    for path in reads.chain(more) {
        for headers in [
            &[ADMIN][..],
            &["Authorization: Bearer hush-wrong-0123456789"],
        ] {
            let answer = request(fixture.address, "GET", &path, headers, "").await;
            assert!(!answer.body.contains("hush"), "{path}: {}", answer.body);
            assert!(!answer.body.contains("argon2"), "{path}: {}", answer.body);
        }
    }
    fixture.stop().await;
}
