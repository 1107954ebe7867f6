use celeriac_protocol::event::{EventKind, WorkerStatus};
use celeriac_protocol::{Table, Value as WireValue};

use crate::harness::*;

async fn state_of(fixture: &Fixture, node: &str) -> Option<String> {
    let answer = fixture.get(&format!("/api/v1/nodes/{node}")).await;
    (answer.status == 200).then(|| answer.json()["state"].as_str().unwrap().to_owned())
}

async fn becomes(fixture: &Fixture, node: &str, state: &str) {
    eventually(&format!("{node} is {state}"), async || {
        (state_of(fixture, node).await.as_deref() == Some(state)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_heartbeat_makes_a_node_and_questions_fill_it() {
    let fixture = Fixture::start().await;
    let mut asked = answer_control(&fixture.broker, "w1@host").await;
    fixture.say(&[beat("w1@host", 5, 2.0)]).await;
    let node = eventually("facts", async || {
        let answer = fixture.get("/api/v1/nodes/w1@host").await;
        let node = (answer.status == 200).then(|| answer.json())?;
        (!node["concurrency"].is_null()).then_some(node)
    })
    .await;
    assert_eq!(node["state"], "online");
    assert_eq!(
        (&node["software"], &node["version"]),
        (&"py-celery".into(), &"5.7.0".into())
    );
    assert_eq!(
        (&node["active"], &node["processed"]),
        (&1.into(), &7.into())
    );
    assert_eq!(
        (&node["concurrency"], &node["prefetch"]),
        (&4.into(), &16.into())
    );
    assert_eq!(node["tasks"], serde_json::json!(["app.add", "app.mail"]));
    // Looking at the node asks it what it runs, meanwhile or before.
    let stats = loop {
        let request = asked.recv().await.unwrap();
        if request.method == "stats" {
            break request;
        }
    };
    assert_eq!(stats.destination.unwrap(), ["w1@host"]);
    while asked.recv().await.unwrap().method != "enable_events" {}
    // What the node consumes is watched from now on.
    eventually("queue", async || {
        let queues = fixture.json("/api/v1/queues").await;
        queues["queues"]
            .as_array()
            .unwrap()
            .iter()
            .any(|q| q["name"] == "mail")
            .then_some(())
    })
    .await;
    let list = fixture.json("/api/v1/nodes?state=online").await;
    assert_eq!(list["nodes"][0]["name"], "w1@host");
    assert_eq!(list["nodes"][0].get("tasks"), None);
    assert!(
        fixture.json("/api/v1/nodes?state=lost").await["nodes"]
            .as_array()
            .unwrap()
            .is_empty()
    );
    fixture.stop().await;
}

#[tokio::test]
async fn silence_makes_a_node_suspect_then_lost_and_a_heartbeat_brings_it_back() {
    let fixture = Fixture::start().await;
    fixture.say(&[beat("w1@host", 1, 0.5)]).await;
    becomes(&fixture, "w1@host", "online").await;
    becomes(&fixture, "w1@host", "suspect").await;
    becomes(&fixture, "w1@host", "lost").await;
    fixture.say(&[beat("w1@host", 2, 30.0)]).await;
    becomes(&fixture, "w1@host", "online").await;
    let metrics = fixture.get("/metrics").await.body;
    assert!(
        metrics.contains("celeriac_nodes{state=\"online\"} 1"),
        "{metrics}"
    );
    fixture.stop().await;
}

#[tokio::test]
async fn a_silent_node_that_answers_a_ping_is_not_lost() {
    let fixture = Fixture::start().await;
    let mut asked = answer_control(&fixture.broker, "w1@host").await;
    fixture.say(&[beat("w1@host", 1, 0.5)]).await;
    let mut pings = 0;
    while pings < 3 {
        pings += usize::from(asked.recv().await.unwrap().method == "ping");
    }
    assert_ne!(state_of(&fixture, "w1@host").await.unwrap(), "lost");
    fixture.stop().await;
}

#[tokio::test]
async fn a_node_says_that_it_drains_and_goes() {
    let fixture = Fixture::start().await;
    let mut extra = Table::new();
    extra.push("draining", WireValue::Bool(true));
    let status = WorkerStatus {
        freq: 30.0,
        extra,
        ..WorkerStatus::default()
    };
    fixture
        .say(&[event("w1@host", 1, 1, EventKind::WorkerHeartbeat(status))])
        .await;
    becomes(&fixture, "w1@host", "draining").await;
    let status = WorkerStatus {
        freq: 30.0,
        ..WorkerStatus::default()
    };
    fixture
        .say(&[event("w1@host", 1, 2, EventKind::WorkerOffline(status))])
        .await;
    becomes(&fixture, "w1@host", "offline").await;
    assert_eq!(
        fixture.get("/api/v1/nodes/nobody").await.code(),
        "not_found"
    );
    fixture.stop().await;
}
