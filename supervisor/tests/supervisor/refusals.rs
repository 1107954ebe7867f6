use celeriac_supervisor::{Config, Error, Supervisor};

use crate::harness::*;

#[tokio::test]
async fn bad_requests_get_clear_errors() {
    let fixture = Fixture::start().await;
    let long = format!(r#"{{"name":"{}"}}"#, "x".repeat(256));
    let cases = [
        ("{", "invalid"),
        ("[]", "invalid"),
        ("{}", "invalid"),
        (r#"{"name":""}"#, "invalid"),
        (r#"{"name":"a\u0000b"}"#, "invalid"),
        (long.as_str(), "invalid"),
        (r#"{"name":"a","args":{}}"#, "invalid"),
        (r#"{"name":"a","kwargs":[]}"#, "invalid"),
        (r#"{"name":"a","countdown":-1}"#, "invalid"),
        (r#"{"name":"a","countdown":1e300}"#, "invalid"),
        (r#"{"name":"a","expires":-1}"#, "invalid"),
        (r#"{"name":"a","expires":"1m"}"#, "invalid"),
        (r#"{"name":"a","expires":1e300}"#, "invalid"),
        (r#"{"name":"a","priority":256}"#, "invalid"),
        (r#"{"name":"a","priority":-1}"#, "invalid"),
        (r#"{"name":"a","priority":1.5}"#, "invalid"),
        (r#"{"name":"a","wait_ms":99999999}"#, "invalid"),
        (r#"{"name":"a","queue":""}"#, "invalid"),
        (r#"{"name":"a","id":""}"#, "invalid"),
        (r#"{"name":"a","nmae":"b"}"#, "invalid"),
    ];
    for (body, code) in cases {
        let answer = fixture.post("/api/v1/tasks", body).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (400, code),
            "{body}: {}",
            answer.body
        );
    }
    for path in [
        "/api/v1/tasks?limit=0",
        "/api/v1/tasks?limit=1001",
        "/api/v1/tasks?limit=x",
        "/api/v1/tasks?cursor=-1",
        "/api/v1/tasks?stat=SUCCESS",
        "/api/v1/nodes?state=happy",
    ] {
        let answer = fixture.get(path).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (400, "invalid"),
            "{path}"
        );
    }
    assert_eq!(
        fixture.json("/api/v1/tasks").await["known"],
        0,
        "nothing was sent"
    );
    fixture.stop().await;
}

#[tokio::test]
async fn routes_methods_types_and_sizes_are_checked() {
    let fixture = Fixture::start().await;
    assert_eq!(fixture.get("/api/v2/nodes").await.code(), "unknown_route");
    let answer = fixture.post("/api/v1/nodes", "{}").await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (405, "method_not_allowed")
    );
    for headers in [
        &[][..],
        &["Content-Type: text/plain"],
        &["Content-Type: application/jsonx"],
    ] {
        let answer = request(fixture.address, "POST", "/api/v1/tasks", headers, "{}").await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (415, "content_type")
        );
    }
    let large = format!(r#"{{"name":"a","args":["{}"]}}"#, "x".repeat(1024 * 1024));
    let answer = fixture.post("/api/v1/tasks", &large).await;
    assert_eq!((answer.status, answer.code().as_str()), (413, "too_large"));
    fixture.stop().await;
}

#[tokio::test]
async fn a_foreign_host_is_turned_away_but_not_from_the_probes() {
    let fixture = Fixture::start().await;
    let ask = async |path: &str| {
        request(
            fixture.address,
            "GET",
            path,
            &["Host: rebound.example.org"],
            "",
        )
        .await
    };
    let answer = ask("/api/v1/tasks").await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (403, "forbidden_host")
    );
    assert_eq!(ask("/livez").await.status, 200);
    fixture.stop().await;
}

#[tokio::test]
async fn a_token_is_asked_for_everywhere_but_at_the_probes() {
    let token = Some("0123456789abcdef".to_owned());
    let fixture = Fixture::with(Config { token, ..config() }).await;
    let paths = [
        "/",
        "/assets/any/control-room.css",
        "/metrics",
        "/api/v1/nodes",
        "/api/v1/tasks",
        "/nowhere",
    ];
    for path in paths {
        let answer = fixture.get(path).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (401, "unauthorized"),
            "{path}"
        );
        assert!(
            answer.head.contains("www-authenticate: Basic"),
            "{}",
            answer.head
        );
    }
    for probe in ["/livez", "/readyz", "/startupz"] {
        assert_eq!(fixture.get(probe).await.status, 200, "{probe}");
    }
    for (header, status) in [
        ("Authorization: Bearer 0123456789abcdef", 200),
        // Any user name with the token as password: what a browser sends.
        ("Authorization: Basic bWU6MDEyMzQ1Njc4OWFiY2RlZg==", 200),
        ("Authorization: Bearer 0123456789abcdeg", 401),
        ("Authorization: Bearer ", 401),
    ] {
        let headers = [header, "Host: cluster.example.org"];
        let answer = request(fixture.address, "GET", "/api/v1/nodes", &headers, "").await;
        assert_eq!(answer.status, status, "{header}");
    }
    fixture.stop().await;
}

#[tokio::test]
async fn what_cannot_start_says_why_and_starts_nothing() {
    let fixture = Fixture::start().await;
    let run = |config| Supervisor::new(fixture.app.clone(), config).run(std::future::ready(()));
    let taken = Config {
        listen: fixture.address,
        ..config()
    };
    let error = run(taken).await.unwrap_err();
    assert!(matches!(error, Error::Listen { .. }), "{error}");
    let taken = Config {
        scaler_listen: Some(fixture.address),
        ..config()
    };
    let error = run(taken).await.unwrap_err();
    assert!(matches!(error, Error::Listen { .. }), "{error}");
    let open = Config {
        listen: ([0, 0, 0, 0], 0).into(),
        ..config()
    };
    let error = run(open).await.unwrap_err();
    assert!(
        matches!(
            error,
            Error::Config {
                setting: "listen",
                ..
            }
        ),
        "{error}"
    );
    fixture.stop().await;
}
