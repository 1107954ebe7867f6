use serde_json::Value;

use crate::harness::*;

/// The field that a problem names, of a request that must be refused with 400.
fn field(answer: &Answer, asked: &str) -> String {
    assert_eq!(answer.status, 400, "{asked}: {}", answer.body);
    assert_eq!(answer.code(), "invalid", "{asked}");
    let problem = answer.json();
    let error = &problem["errors"][0];
    for part in ["expected", "found"] {
        let text = error[part].as_str().unwrap_or_default();
        assert!(!text.is_empty(), "{asked}: {problem}");
    }
    error["field"].as_str().unwrap().to_owned()
}

/// S47: what is wrong is named, and nothing is changed.
#[tokio::test]
async fn every_wrong_field_is_named_and_nothing_is_changed() {
    let fixture = Fixture::start().await;
    let mut asked = answer_control(&fixture.broker, "w1@host").await;
    fixture.say(&[beat("w1@host", 5, 2.0)]).await;
    eventually("the node's queues", async || {
        let answer = fixture.get("/api/v1/queues/mail").await;
        (answer.status == 200).then_some(())
    })
    .await;
    while asked.recv().await.unwrap().method != "registered" {}
    for (path, expected) in [
        ("/api/v1/tasks?limit=0", "limit"),
        ("/api/v1/tasks?limit=many", "limit"),
        ("/api/v1/tasks?cursor=x", "cursor"),
        ("/api/v1/tasks?from=yesterday", "from"),
        ("/api/v1/tasks?to=2026-13-01T00:00:00Z", "to"),
        ("/api/v1/tasks?state=", "state"),
        ("/api/v1/tasks?name=", "name"),
        ("/api/v1/tasks?nmae=a", "nmae"),
        ("/api/v1/tasks?name=a&name=b", "name"),
        ("/api/v1/nodes?state=happy", "state"),
        ("/api/v1/nodes?cursor=%21", "cursor"),
        ("/api/v1/queues?limit=1001", "limit"),
        ("/api/v1/scale", "queues"),
        ("/api/v1/scale?queues=", "queues"),
        ("/api/v1/scale?queues=a,,b", "queues"),
        ("/api/v1/scale?queues=a%0Ab", "queues"),
        ("/api/v1/scale?queues=a&metric=load", "metric"),
        ("/api/v1/series?window=0s", "window"),
        ("/api/v1/series?window=31d", "window"),
        ("/api/v1/series?window=soon", "window"),
        ("/api/v1/series?step=7s", "step"),
        ("/api/v1/events?types=tasks", "types"),
        ("/api/v1/events?type=task", "type"),
    ] {
        assert_eq!(field(&fixture.get(path).await, path), expected, "{path}");
    }
    let control = "/api/v1/nodes/w1@host/control";
    for (path, body, expected) in [
        ("/api/v1/tasks", "{", "body"),
        ("/api/v1/tasks", "{}", "name"),
        ("/api/v1/tasks", r#"{"name":7}"#, "name"),
        ("/api/v1/tasks", r#"{"name":"a","args":{}}"#, "args"),
        (
            "/api/v1/tasks",
            r#"{"name":"a","priority":256}"#,
            "priority",
        ),
        (
            "/api/v1/tasks",
            r#"{"name":"a","countdown":-1}"#,
            "countdown",
        ),
        ("/api/v1/tasks", r#"{"name":"a","nmae":"b"}"#, "nmae"),
        ("/api/v1/tasks?wait=soon", r#"{"name":"a"}"#, "wait"),
        ("/api/v1/tasks?wait=1d", r#"{"name":"a"}"#, "wait_ms"),
        (
            "/api/v1/tasks?wait=1s",
            r#"{"name":"a","wait_ms":1}"#,
            "wait",
        ),
        ("/api/v1/tasks/batch", r#"{"tasks":[]}"#, "tasks"),
        (
            "/api/v1/tasks/batch",
            r#"{"tasks":[{"name":"a"},{"name":""}]}"#,
            "tasks[1].name",
        ),
        (
            "/api/v1/tasks/batch",
            r#"{"tasks":[{"name":"a"},{"nme":"b"}]}"#,
            "nme",
        ),
        ("/api/v1/tasks/revoke", "{}", "ids"),
        ("/api/v1/tasks/revoke", r#"{"ids":[]}"#, "ids"),
        ("/api/v1/tasks/revoke", r#"{"ids":["a",""]}"#, "ids[1]"),
        (
            "/api/v1/tasks/revoke",
            r#"{"ids":["a"],"signal":"; rm"}"#,
            "signal",
        ),
        (
            "/api/v1/tasks/revoke",
            r#"{"filter":{"name":"a"}}"#,
            "confirm",
        ),
        (
            "/api/v1/tasks/revoke",
            r#"{"filter":{"state":"SUCCESS"},"confirm":1}"#,
            "filter.state",
        ),
        (
            "/api/v1/tasks/revoke",
            r#"{"filter":{"from":"x"},"confirm":1}"#,
            "filter.from",
        ),
        (
            control,
            r#"{"command":"explode","arguments":{}}"#,
            "command",
        ),
        (
            control,
            r#"{"command":"pool_grow","arguments":{"n":-1}}"#,
            "arguments.n",
        ),
        (
            control,
            r#"{"command":"pool_grow","arguments":{"n":0}}"#,
            "arguments.n",
        ),
        ("/api/v1/queues/mail/purge", r#"{"confirm":[]}"#, "confirm"),
        ("/api/v1/queues/mail/pause", r#"{"for":"ever"}"#, "for"),
    ] {
        let answer = fixture.post(path, body).await;
        assert_eq!(
            field(&answer, body),
            expected,
            "{path} {body}: {}",
            answer.body
        );
    }
    assert_eq!(fixture.json("/api/v1/tasks").await["known"], 0);
    let queues = fixture.json("/api/v1/queues").await;
    let paused = queues["queues"].as_array().unwrap().iter();
    assert_eq!(paused.filter(|queue| queue["paused"] == true).count(), 0);
    while let Ok(request) = asked.try_recv() {
        let questions = [
            "ping",
            "stats",
            "enable_events",
            "active_queues",
            "registered",
        ];
        assert!(questions.contains(&&*request.method), "{}", request.method);
    }
    fixture.stop().await;
}

/// S47: the document and what is served are one.
#[tokio::test]
async fn what_the_document_lists_is_served() {
    let fixture = Fixture::start().await;
    let document = fixture.json("/api/v1/openapi.json").await;
    let paths = document["paths"].as_object().unwrap();
    assert!(paths.len() > 20);
    for (path, item) in paths {
        let concrete: String = path
            .split('/')
            .map(|part| if part.starts_with('{') { "x" } else { part })
            .collect::<Vec<_>>()
            .join("/");
        // A method that no route has: 405 tells that the path is served, 404 that it is not.
        let answer = request(fixture.address, "TRACE", &concrete, &[], "").await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (405, "method_not_allowed"),
            "{path}"
        );
        let _: &Value = item;
    }
    fixture.stop().await;
}
