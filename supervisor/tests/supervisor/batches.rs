use celeriac::broker::Broker;
use celeriac_protocol::event::{EventKind, TaskReceived};
use serde_json::{Value, json};

use crate::harness::*;

async fn ready(fixture: &Fixture, queue: &str) -> u64 {
    let queue = fixture.broker.queue(queue).await.unwrap();
    queue.map_or(0, |queue| queue.ready)
}

async fn send(fixture: &Fixture, key: &str, body: &str) -> Answer {
    let key = format!("Idempotency-Key: {key}");
    let headers = ["Content-Type: application/json", &key];
    request(fixture.address, "POST", "/api/v1/tasks", &headers, body).await
}

#[tokio::test]
async fn a_batch_is_checked_whole_and_then_sent() {
    let fixture = Fixture::start().await;
    let tasks: Vec<_> = (0..100)
        .map(|n| json!({ "name": "app.add", "args": [n, 1], "id": format!("b{n}") }))
        .collect();
    let wrong = json!({ "tasks": [tasks[0], { "name": "a", "expires": -1 }] });
    let answer = fixture
        .post("/api/v1/tasks/batch", &wrong.to_string())
        .await;
    assert_eq!(answer.json()["errors"][0]["field"], "tasks[1].expires");
    assert_eq!(ready(&fixture, "celery").await, 0, "nothing was sent");
    let batch = json!({ "tasks": tasks });
    let answer = fixture
        .post("/api/v1/tasks/batch", &batch.to_string())
        .await;
    assert_eq!(answer.status, 202, "{}", answer.body);
    let report = answer.json();
    assert_eq!(
        (&report["sent"], &report["failed"]),
        (&100.into(), &0.into())
    );
    assert_eq!(report["tasks"][99], json!({ "id": "b99", "error": null }));
    assert_eq!(ready(&fixture, "celery").await, 100);
    fixture.stop().await;
}

/// S47: a repeated request with the same key sends nothing.
#[tokio::test]
async fn a_key_makes_a_repeated_request_send_nothing() {
    let fixture = Fixture::start().await;
    let body = r#"{"name":"app.add","args":[2,3]}"#;
    let first = send(&fixture, "order-17", body).await;
    assert_eq!(first.status, 202, "{}", first.body);
    let again = send(&fixture, "order-17", body).await;
    assert_eq!((again.status, again.json()), (202, first.json()));
    assert!(
        again.head.contains("idempotency-replayed: true"),
        "{}",
        again.head
    );
    assert!(!first.head.contains("idempotency-replayed"));
    let other = send(&fixture, "order-17", r#"{"name":"app.mul"}"#).await;
    assert_eq!((other.status, other.code().as_str()), (422, "key_reused"));
    let both = send(&fixture, "order-18", r#"{"name":"a","id":"mine"}"#).await;
    assert_eq!(
        (both.status, &both.json()["errors"][0]["field"]),
        (400, &"id".into())
    );
    assert_eq!(ready(&fixture, "celery").await, 1);
    fixture.stop().await;
}

#[tokio::test]
async fn many_tasks_are_called_off_by_a_filter_that_is_confirmed() {
    let fixture = Fixture::start().await;
    let mut asked = answer_control(&fixture.broker, "w1@host").await;
    for (clock, id) in ["t1", "t2", "t3"].into_iter().enumerate() {
        let name = if id == "t3" { "app.mail" } else { "app.add" };
        fixture
            .say(&[received("w1@host", clock as u64 + 1, id, name)])
            .await;
    }
    eventually("stored", async || {
        let page = fixture
            .json("/api/v1/tasks?name=app.*&state=received")
            .await;
        (page["tasks"].as_array().unwrap().len() == 3).then_some(())
    })
    .await;
    let revoke = async |confirm: u64| {
        let body =
            json!({ "filter": { "name": "app.add" }, "confirm": confirm, "terminate": true });
        fixture
            .post("/api/v1/tasks/revoke", &body.to_string())
            .await
    };
    let answer = revoke(3).await;
    assert_eq!((answer.status, answer.code().as_str()), (409, "conflict"));
    let answer = revoke(2).await;
    assert_eq!(answer.status, 202, "{}", answer.body);
    let told = loop {
        let request = asked.recv().await.unwrap();
        if request.method == "revoke" {
            break serde_json::to_value(&request.arguments).unwrap();
        }
    };
    let mut ids: Vec<_> = told["task_id"].as_array().unwrap().clone();
    ids.sort_by_key(Value::to_string);
    assert_eq!(ids, ["t1", "t2"]);
    assert_eq!(told["terminate"], true);
    fixture.stop().await;
}

#[tokio::test]
async fn a_workflow_is_a_graph_and_a_task_has_its_steps() {
    let fixture = Fixture::start().await;
    let member = |clock: u64, id: &str, parent: Option<&str>| {
        let received = TaskReceived {
            uuid: id.to_owned(),
            name: "app.add".to_owned(),
            root_id: Some("a".to_owned()),
            parent_id: parent.map(str::to_owned),
            ..TaskReceived::default()
        };
        event(
            "w1@host",
            11,
            clock,
            EventKind::TaskReceived(Box::new(received)),
        )
    };
    fixture
        .say(&[
            member(1, "a", None),
            started("w1@host", 2, "a"),
            succeeded("w1@host", 3, "a"),
            member(4, "b", Some("a")),
            member(5, "c", Some("a")),
        ])
        .await;
    let graph = eventually("the workflow", async || {
        let answer = fixture.get("/api/v1/tasks/c/graph").await;
        let graph = (answer.status == 200).then(|| answer.json())?;
        (graph["tasks"].as_array().unwrap().len() == 3).then_some(graph)
    })
    .await;
    assert_eq!(
        (&graph["root_id"], &graph["truncated"]),
        (&"a".into(), &false.into())
    );
    let edges = graph["edges"].as_array().unwrap();
    assert!(
        edges.contains(&json!({ "from": "a", "to": "b" })),
        "{graph}"
    );
    assert!(
        edges.contains(&json!({ "from": "a", "to": "c" })),
        "{graph}"
    );
    assert_eq!(graph["tasks"][0]["state"], "SUCCESS");
    let task = fixture.json("/api/v1/tasks/a").await;
    let steps = task["timeline"].as_array().unwrap().iter();
    let steps: Vec<_> = steps.map(|step| step["what"].as_str().unwrap()).collect();
    assert_eq!(steps, ["received", "started", "succeeded"]);
    assert_eq!(fixture.get("/api/v1/tasks/none/graph").await.status, 404);
    fixture.stop().await;
}
