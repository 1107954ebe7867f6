use celeriac_protocol::event::Event;
use serde_json::Value;

use crate::harness::*;

async fn task(fixture: &Fixture, id: &str, state: &str) -> Value {
    eventually(&format!("{id} is {state}"), async || {
        let answer = fixture.get(&format!("/api/v1/tasks/{id}")).await;
        let task = (answer.status == 200).then(|| answer.json())?;
        (task["state"] == state).then_some(task)
    })
    .await
}

/// S24.
#[tokio::test]
async fn events_become_a_task_in_whatever_order_they_come() {
    let fixture = Fixture::start().await;
    let node = "w1@host";
    let life = [
        received(node, 1, "t1", "app.add"),
        started(node, 2, "t1"),
        succeeded(node, 3, "t1"),
    ];
    let [first, second, last] = &life;
    fixture.say(&[last.clone(), first.clone()]).await;
    fixture.say(&[second.clone(), last.clone()]).await;
    let task = task(&fixture, "t1", "SUCCESS").await;
    assert_eq!(task["name"], "app.add");
    assert_eq!(
        (&task["args"], &task["worker"]),
        (&"(2, 3)".into(), &node.into())
    );
    assert_eq!(
        (&task["result_text"], &task["runtime_seconds"]),
        (&"5".into(), &0.25.into())
    );
    for at in ["received_at", "finished_at", "changed_at"] {
        assert!(task[at].as_str().unwrap().ends_with("Z"), "{at}: {task}");
    }
    fixture.stop().await;
}

#[tokio::test]
async fn lists_are_filtered_and_paged() {
    let fixture = Fixture::start().await;
    let mut events: Vec<Event> = Vec::new();
    for n in 0..25 {
        let name = if n % 5 == 0 { "app.mail" } else { "app.add" };
        events.push(received("w1@host", n + 1, &format!("t{n}"), name));
    }
    events.push(succeeded("w1@host", 99, "t24"));
    fixture.say(&events).await;
    task(&fixture, "t24", "SUCCESS").await;
    eventually("stored", async || {
        let page = fixture.json("/api/v1/tasks?state=SUCCESS").await;
        let all = fixture.json("/api/v1/tasks").await;
        let stored = all["tasks"].as_array().unwrap().len() == 25;
        (stored && page["tasks"][0]["id"] == "t24").then_some(())
    })
    .await;

    let (mut ids, mut path) = (Vec::new(), "/api/v1/tasks?limit=10".to_owned());
    loop {
        let page = fixture.json(&path).await;
        let tasks = page["tasks"].as_array().unwrap();
        assert!(tasks.len() <= 10);
        ids.extend(
            tasks
                .iter()
                .map(|task| task["id"].as_str().unwrap().to_owned()),
        );
        let Some(cursor) = page["next_cursor"].as_str() else {
            break;
        };
        path = format!("/api/v1/tasks?limit=10&cursor={cursor}");
    }
    let newest_first: Vec<_> = (0..25).rev().map(|n| format!("t{n}")).collect();
    assert_eq!(ids, newest_first);

    let count = async |query: &str| {
        let page = fixture.json(&format!("/api/v1/tasks?{query}")).await;
        page["tasks"].as_array().unwrap().len()
    };
    assert_eq!(count("name=app.mail").await, 5);
    assert_eq!(count("state=success").await, 1);
    assert_eq!(count("state=RECEIVED&name=app.mail").await, 5);
    assert_eq!(count("worker=w1@host").await, 25);
    assert_eq!(count("worker=w2@host").await, 0);
    let page = fixture.json("/api/v1/tasks").await;
    assert_eq!(page["counts"]["app.add"]["SUCCESS"], 1);
    assert_eq!(page["known"], 25);
    fixture.stop().await;
}

/// S12.
#[tokio::test]
async fn the_history_is_bounded() {
    let config = celeriac_supervisor::Config {
        history: 10,
        ..config()
    };
    let fixture = Fixture::with(config).await;
    let events: Vec<_> = (0..50)
        .map(|n| received("w1@host", n + 1, &format!("t{n}"), "app.add"))
        .collect();
    fixture.say(&events).await;
    task(&fixture, "t49", "RECEIVED").await;
    assert_eq!(fixture.json("/api/v1/tasks").await["known"], 10);
    assert_eq!(fixture.get("/api/v1/tasks/t39").await.status, 404);
    assert_eq!(fixture.get("/api/v1/tasks/t40").await.status, 200);
    fixture.stop().await;
}

#[tokio::test]
async fn the_page_shows_what_is_known_and_escapes_it() {
    let fixture = Fixture::start().await;
    fixture.say(&[beat("w1@host", 1, 30.0)]).await;
    fixture
        .say(&[received("w1@host", 2, "t1", "<script>alert(1)</script>")])
        .await;
    task(&fixture, "t1", "RECEIVED").await;
    let overview = fixture.get("/").await;
    assert_eq!(overview.status, 200, "{}", overview.body);
    assert!(overview.body.contains("w1@host"));
    let page = eventually("stored", async || {
        let page = fixture.get("/tasks").await;
        // The row links to the task; its name alone is offered as a filter, too.
        page.body.contains("/tasks/t1").then_some(page)
    })
    .await;
    assert!(page.head.contains("text/html"), "{}", page.head);
    assert!(
        page.head
            .contains("content-security-policy: default-src 'none'"),
        "{}",
        page.head
    );
    assert!(page.body.contains("w1@host"));
    assert!(
        page.body
            .contains("&#60;script&#62;alert(1)&#60;/script&#62;")
    );
    assert!(!page.body.contains("<script>alert"));
    for asset in [
        "/assets/any/control-room.css",
        "/assets/any/control-room.js",
        "/api/v1/openapi.json",
    ] {
        assert_eq!(fixture.get(asset).await.status, 200, "{asset}");
    }
    fixture.stop().await;
}

/// S24.
#[tokio::test]
async fn unreadable_events_are_counted_and_harm_nothing() {
    use celeriac::broker::{Broker, Publication};
    let fixture = Fixture::start().await;
    let bodies = [
        &b"\xff\xfe"[..],
        b"{",
        b"[1,2]",
        br#"{"type":"task-started"}"#,
    ];
    for body in bodies {
        let mut message = received("w", 1, "x", "x").to_message();
        message.body = bytes(body);
        let publication = Publication::to_exchange("celeryev", "task.multi", message);
        fixture.broker.publish(publication).await.unwrap();
    }
    fixture
        .say(&[received("w1@host", 2, "t1", "app.add")])
        .await;
    task(&fixture, "t1", "RECEIVED").await;
    let metrics = fixture.get("/metrics").await.body;
    assert!(
        metrics.contains("celeriac_events_malformed_total 5"),
        "{metrics}"
    );
    fixture.stop().await;
}

fn bytes<T: From<Vec<u8>>>(body: &[u8]) -> T {
    T::from(body.to_vec())
}
