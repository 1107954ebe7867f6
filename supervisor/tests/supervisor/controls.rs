use celeriac::broker::{Broker, Publication, Topology};
use celeriac_protocol::control::Request;
use celeriac_protocol::event::{EventKind, WorkerStatus};
use celeriac_protocol::{Table, Value as WireValue, json as wire};
use serde_json::{Value, json};
use tokio::sync::mpsc::UnboundedReceiver;

use crate::harness::*;

const NODE: &str = "w1@host";

/// A node that is known with its queues, and what it is asked from then on.
async fn node(fixture: &Fixture) -> UnboundedReceiver<Request> {
    let asked = answer_control(&fixture.broker, NODE).await;
    fixture.say(&[beat(NODE, 5, 2.0)]).await;
    knows(fixture, NODE, &["celery", "mail"]).await;
    asked
}

async fn knows(fixture: &Fixture, node: &str, queues: &[&str]) {
    eventually("the node's queues", async || {
        let answer = fixture.get(&format!("/api/v1/nodes/{node}")).await;
        (answer.status == 200 && answer.json()["queues"] == json!(queues)).then_some(())
    })
    .await;
}

async fn next(asked: &mut UnboundedReceiver<Request>, method: &str) -> (Vec<String>, Value) {
    loop {
        let request = asked.recv().await.unwrap();
        if request.method == method {
            let arguments = serde_json::to_value(&request.arguments).unwrap();
            return (request.destination.unwrap(), arguments);
        }
    }
}

async fn queue(fixture: &Fixture, name: &str) -> Value {
    fixture.json(&format!("/api/v1/queues/{name}")).await
}

#[tokio::test]
async fn a_control_reaches_its_node_and_its_answer_comes_back() {
    let fixture = Fixture::start().await;
    let mut asked = node(&fixture).await;
    let path = format!("/api/v1/nodes/{NODE}/control");
    let body = r#"{"command":"pool_grow","arguments":{"n":2}}"#;
    let answer = fixture.post(&path, body).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(answer.json(), json!({ "node": NODE, "reply": "pong" }));
    let (to, arguments) = next(&mut asked, "pool_grow").await;
    assert_eq!((to, arguments), (vec![NODE.to_owned()], json!({ "n": 2 })));
    let refused = r#"{"command":"pool_shrink","arguments":{}}"#;
    let answer = fixture.post(&path, refused).await;
    assert_eq!((answer.status, answer.code().as_str()), (409, "refused"));
    assert!(answer.body.contains("autoscale"), "{}", answer.body);
    let nobody = fixture.post("/api/v1/nodes/x@y/control", body).await;
    assert_eq!((nobody.status, nobody.code().as_str()), (404, "not_found"));
    fixture.stop().await;
}

#[tokio::test]
async fn a_node_that_does_not_answer_is_a_problem_of_its_own() {
    let fixture = Fixture::start().await;
    fixture.say(&[beat(NODE, 5, 60.0)]).await;
    eventually("the node", async || {
        let answer = fixture.get("/api/v1/nodes?state=online").await;
        answer.body.contains(NODE).then_some(())
    })
    .await;
    let body = r#"{"command":"enable_events","arguments":{}}"#;
    let answer = fixture
        .post(&format!("/api/v1/nodes/{NODE}/control"), body)
        .await;
    assert_eq!((answer.status, answer.code().as_str()), (504, "no_answer"));
    let node = fixture.json(&format!("/api/v1/nodes/{NODE}")).await;
    assert_eq!(node["running"], Value::Null);
    fixture.stop().await;
}

#[tokio::test]
async fn one_node_is_shown_with_what_it_runs() {
    let fixture = Fixture::start().await;
    let _asked = node(&fixture).await;
    let node = fixture.json(&format!("/api/v1/nodes/{NODE}")).await;
    assert_eq!(
        (&node["load"], &node["concurrency"]),
        (&0.25.into(), &4.into())
    );
    let running = json!([{
        "id": "t1", "name": "app.add", "args": "[2, 3]", "kwargs": "{}", "queue": "celery",
        "started_at": "1970-01-01T00:00:01.500000Z", "pid": 7,
    }]);
    assert_eq!(node["running"], running);
    fixture.stop().await;
}

#[tokio::test]
async fn workers_of_celery_shut_down_and_nodes_drain() {
    let fixture = Fixture::start().await;
    let mut asked = node(&fixture).await;
    let answer = fixture
        .post(&format!("/api/v1/nodes/{NODE}/drain"), "{}")
        .await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (422, "unsupported")
    );
    assert!(answer.body.contains("shutdown is the nearest"));
    let answer = fixture
        .post(&format!("/api/v1/nodes/{NODE}/shutdown"), "{}")
        .await;
    assert_eq!(answer.status, 202, "{}", answer.body);
    next(&mut asked, "shutdown").await;

    let status = WorkerStatus {
        freq: 60.0,
        load: None,
        sw_ident: Some("celeriac".to_owned()),
        sw_ver: Some("0.1.0".to_owned()),
        sw_sys: Some("Linux".to_owned()),
        extra: Table::new(),
    };
    let mut asked = answer_control(&fixture.broker, "n1@host").await;
    let online = event("n1@host", 12, 9, EventKind::WorkerOnline(status));
    fixture.say(&[online]).await;
    knows(&fixture, "n1@host", &["celery", "mail"]).await;
    let answer = fixture.post("/api/v1/nodes/n1@host/drain", "{}").await;
    assert_eq!(answer.status, 202, "{}", answer.body);
    let (to, _) = next(&mut asked, "drain").await;
    assert_eq!(to, ["n1@host"]);
    fixture.stop().await;
}

#[tokio::test]
async fn a_paused_queue_stays_paused_for_nodes_that_join_later() {
    let fixture = Fixture::start().await;
    let mut asked = node(&fixture).await;
    let answer = fixture.post("/api/v1/queues/mail/pause", "{}").await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(
        answer.json(),
        json!({
            "queue": "mail", "paused": true,
            "nodes": [{ "node": NODE, "done": true, "reply": "pong" }],
        })
    );
    let (to, arguments) = next(&mut asked, "cancel_consumer").await;
    assert_eq!(
        (to, arguments),
        (vec![NODE.to_owned()], json!({ "queue": "mail" }))
    );
    let shown = queue(&fixture, "mail").await;
    assert_eq!(
        (&shown["paused"], &shown["nodes"]),
        (&true.into(), &json!([]))
    );
    assert_eq!(
        fixture.json("/api/v1/overview").await["backlog"]["paused"],
        1
    );

    let mut later = answer_control(&fixture.broker, "w2@host").await;
    fixture.say(&[beat("w2@host", 5, 2.0)]).await;
    let (to, arguments) = next(&mut later, "cancel_consumer").await;
    assert_eq!(
        (to, arguments),
        (vec!["w2@host".to_owned()], json!({ "queue": "mail" }))
    );
    knows(&fixture, "w2@host", &["celery"]).await;

    let answer = fixture.post("/api/v1/queues/mail/resume", "{}").await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let (to, arguments) = next(&mut later, "add_consumer").await;
    assert_eq!(to, [NODE, "w2@host"]);
    assert_eq!(arguments, json!({ "queue": "mail" }));
    let shown = queue(&fixture, "mail").await;
    assert_eq!(shown["nodes"], json!([NODE, "w2@host"]));
    assert_eq!(shown["paused"], false);
    let answer = fixture.post("/api/v1/queues/mail/resume", "{}").await;
    assert_eq!((answer.status, answer.code().as_str()), (409, "conflict"));
    let answer = fixture.post("/api/v1/queues/mial/pause", "{}").await;
    assert_eq!((answer.status, answer.code().as_str()), (404, "not_found"));
    fixture.stop().await;
}

#[tokio::test]
async fn a_purge_must_be_meant() {
    let fixture = Fixture::start().await;
    fixture
        .broker
        .declare(&Topology::task_queue("mail"))
        .await
        .unwrap();
    let message = || {
        let body = wire::to_vec(&WireValue::Null).unwrap();
        celeriac_protocol::Message {
            body: body.into(),
            ..celeriac_protocol::Message::default()
        }
    };
    for _ in 0..3 {
        let publication = Publication::to_queue("mail", message());
        fixture.broker.publish(publication).await.unwrap();
    }
    let purge = async |body: &str| fixture.post("/api/v1/queues/mail/purge", body).await;
    for (body, status) in [
        ("{}", 400),
        (r#"{"confirm":true}"#, 400),
        (r#"{"confirm":"mial"}"#, 400),
        (r#"{"confirm":2}"#, 409),
    ] {
        assert_eq!(purge(body).await.status, status, "{body}");
    }
    let ready = async || fixture.broker.queue("mail").await.unwrap().unwrap().ready;
    assert_eq!(ready().await, 3, "nothing was dropped");
    let answer = purge(r#"{"confirm":3}"#).await;
    assert_eq!(answer.json(), json!({ "queue": "mail", "purged": 3 }));
    assert_eq!(ready().await, 0);
    assert_eq!(purge(r#"{"confirm":"mail"}"#).await.status, 200);
    let answer = fixture
        .post("/api/v1/queues/none/purge", r#"{"confirm":0}"#)
        .await;
    assert_eq!((answer.status, answer.code().as_str()), (404, "not_found"));
    fixture.stop().await;
}
