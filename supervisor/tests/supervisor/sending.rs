use std::sync::Arc;
use std::time::Duration;

use celeriac::App;
use celeriac::backend::Store;
use celeriac::broker::{Broker, MemoryBroker, Subscription, Topology};
use celeriac_protocol::{ResultDocument, State, Value as WireValue};

use crate::harness::*;

/// A worker that adds what it gets and stores the sum.
async fn adder(fixture: &Fixture) {
    fixture
        .broker
        .declare(&Topology::task_queue("celery"))
        .await
        .unwrap();
    let mut consumer = fixture
        .broker
        .consume(Subscription::new("celery", 10))
        .await
        .unwrap();
    let app = fixture.app.clone();
    tokio::spawn(async move {
        while let Some(deliveries) = consumer.next(10).await {
            for delivery in deliveries {
                let id = delivery
                    .message
                    .headers
                    .get("id")
                    .unwrap()
                    .as_str()
                    .unwrap();
                let document = ResultDocument {
                    task_id: id.to_owned(),
                    status: State::Success,
                    result: WireValue::Int(5),
                    traceback: None,
                    children: None,
                    date_done: Some(celeriac::clock::now().into()),
                    group_id: None,
                    parent_id: None,
                    extended: None,
                };
                let store = Store {
                    document,
                    reply_to: None,
                    correlation_id: None,
                };
                app.backend().store(vec![store]).await.remove(0).unwrap();
                delivery.receipt.acknowledge();
            }
        }
    });
}

#[tokio::test]
async fn a_task_is_sent_and_its_result_waited_for() {
    let fixture = Fixture::start().await;
    adder(&fixture).await;
    let order = r#"{"name":"app.add","args":[2,3],"wait_ms":5000,"id":"my-id"}"#;
    let answer = fixture.post("/api/v1/tasks", order).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let task = answer.json();
    assert_eq!(
        (&task["id"], &task["state"]),
        (&"my-id".into(), &"SUCCESS".into())
    );
    assert_eq!(
        (&task["result"], &task["name"]),
        (&5.into(), &"app.add".into())
    );
    assert!(
        task["sent_at"].as_str() <= task["finished_at"].as_str(),
        "{task}"
    );
    eventually("listed", async || {
        let listed = fixture.json("/api/v1/tasks?state=SUCCESS").await;
        (listed["tasks"][0]["id"] == "my-id").then_some(())
    })
    .await;
    fixture.stop().await;
}

#[tokio::test]
async fn a_task_nobody_runs_yet_is_accepted_and_its_result_comes_later() {
    let fixture = Fixture::start().await;
    let answer = fixture
        .post("/api/v1/tasks", r#"{"name":"app.add","wait_ms":50}"#)
        .await;
    assert_eq!(answer.status, 202, "{}", answer.body);
    let told = answer.json();
    let href = told["href"].as_str().unwrap().to_owned();
    assert!(
        answer.head.contains(&format!("location: {href}")),
        "{}",
        answer.head
    );
    assert_eq!(fixture.json(&href).await["state"], "PENDING");
    eventually("depth", async || {
        let queues = fixture.json("/api/v1/queues").await;
        (queues["queues"][0]["ready"] == 1).then_some(())
    })
    .await;
    adder(&fixture).await;
    // Nobody asks the backend in a list: the Backend actor waited on.
    eventually("listed as done", async || {
        let page = fixture.json("/api/v1/tasks?state=SUCCESS").await;
        (page["tasks"].as_array().unwrap().len() == 1).then_some(())
    })
    .await;
    assert_eq!(fixture.json(&href).await["result"], 5);
    fixture.stop().await;
}

#[tokio::test]
async fn the_options_of_a_task_are_in_its_message() {
    let fixture = Fixture::start().await;
    let order = r#"{"name":"app.add","queue":"own","priority":7,"expires":90.5}"#;
    let answer = fixture.post("/api/v1/tasks", order).await;
    assert_eq!(answer.status, 202, "{}", answer.body);
    let subscription = Subscription::unacknowledged("own");
    let mut consumer = fixture.broker.consume(subscription).await.unwrap();
    let message = &consumer.next(1).await.unwrap()[0].message;
    assert_eq!(message.properties.priority, Some(7));
    let expiration = message.properties.expiration.as_deref();
    let millis: u32 = expiration.unwrap().parse().unwrap();
    assert!((90_000..=90_500).contains(&millis), "{millis}");
    assert!(message.headers.get("expires").unwrap().as_str().is_some());
    fixture.stop().await;
}

#[tokio::test]
async fn a_revocation_reaches_the_nodes() {
    let fixture = Fixture::start().await;
    let mut asked = answer_control(&fixture.broker, "w1@host").await;
    let body = r#"{"terminate":true,"signal":"SIGKILL"}"#;
    let answer = fixture.post("/api/v1/tasks/t%2F1/revoke", body).await;
    assert_eq!((answer.status, &answer.json()["id"]), (202, &"t/1".into()));
    let request = loop {
        let request = asked.recv().await.unwrap();
        if request.method == "revoke" {
            break request;
        }
    };
    assert_eq!(request.destination, None);
    let arguments = serde_json::to_value(&request.arguments).unwrap();
    let expected =
        serde_json::json!({ "task_id": ["t/1"], "terminate": true, "signal": "SIGKILL" });
    assert_eq!(arguments, expected);
    assert_eq!(
        fixture.post("/api/v1/tasks/t1/revoke", "").await.status,
        202
    );
    let answer = fixture
        .post("/api/v1/tasks/t1/revoke", r#"{"signal":"; rm"}"#)
        .await;
    assert_eq!((answer.status, answer.code().as_str()), (400, "invalid"));
    fixture.stop().await;
}

#[tokio::test]
async fn waiting_without_a_backend_is_refused_before_anything_is_sent() {
    let broker = MemoryBroker::new();
    let app = App::builder("test")
        .broker_value(Arc::new(broker.clone()))
        .backend("disabled://");
    let fixture = Fixture::of(broker, app.build().unwrap(), config()).await;
    let answer = fixture
        .post("/api/v1/tasks", r#"{"name":"a","wait_ms":10}"#)
        .await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (422, "unsupported")
    );
    assert!(
        fixture.json("/api/v1/tasks").await["tasks"]
            .as_array()
            .unwrap()
            .is_empty()
    );
    assert_eq!(
        fixture
            .post("/api/v1/tasks", r#"{"name":"a"}"#)
            .await
            .status,
        202
    );
    fixture.stop().await;
}

#[tokio::test]
async fn a_stop_lets_an_open_request_finish() {
    let fixture = Fixture::start().await;
    let address = fixture.address;
    let waiting = tokio::spawn(async move {
        let body = r#"{"name":"app.add","wait_ms":600}"#;
        request(
            address,
            "POST",
            "/api/v1/tasks",
            &["Content-Type: application/json"],
            body,
        )
        .await
    });
    eventually("sent", async || {
        let queue = fixture.broker.queue("celery").await.unwrap();
        queue.is_some_and(|queue| queue.ready == 1).then_some(())
    })
    .await;
    let stopped = fixture.stop().await;
    assert!(stopped.clean, "{stopped:?}");
    assert_eq!(waiting.await.unwrap().status, 202);
    let refused = tokio::net::TcpStream::connect(address).await;
    assert!(refused.is_err(), "nobody listens any more");
    assert!(stopped.uptime > Duration::ZERO);
}
