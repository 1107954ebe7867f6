use celeriac::broker::{Broker, Publication, Queue, Topology};
use celeriac_protocol::Message;

use crate::harness::*;

// S55: the figures as JSON, of a Celery worker and of what waits.
#[tokio::test]
async fn figures_are_told_of_sets_of_queues() {
    let fixture = Fixture::start().await;
    let _asked = answer_control(&fixture.broker, "w1@host").await;
    fixture.say(&[beat("w1@host", 5, 2.0)]).await;
    let topology = Topology {
        queues: vec![Queue::new("mail")],
        ..Topology::default()
    };
    fixture.broker.declare(&topology).await.unwrap();
    for _ in 0..3 {
        let publication = Publication::to_queue("mail", Message::default());
        fixture.broker.publish(publication).await.unwrap();
    }
    let told = eventually("the node's places", async || {
        let answer = fixture.get("/api/v1/scale?queues=mail,celery").await;
        let told = (answer.status == 200).then(|| answer.json())?;
        (told["slots"] == 4 && told["ready"] == 3).then_some(told)
    })
    .await;
    assert_eq!(told["queues"], serde_json::json!(["celery", "mail"]));
    assert_eq!(
        (&told["running"], &told["reserved"], &told["tasks"]),
        (&1.into(), &0.into(), &4.into())
    );
    assert_eq!((&told["load"], &told["nodes"]), (&1.0.into(), &1.into()));
    assert_eq!(
        (&told["active"], &told["draining"]),
        (&true.into(), &0.into())
    );
    assert!(told["oldest_age"].is_f64(), "{told}");
    let metrics = fixture.get("/metrics").await.body;
    assert!(
        metrics.contains("celeriac_queue_tasks{queue=\"mail\"} 4\n"),
        "{metrics}"
    );

    // Of a queue that nobody named the broker is asked, and nobody else is shown it.
    let told = fixture.json("/api/v1/scale?queues=new").await;
    assert_eq!(told["missing"], serde_json::json!(["new"]));
    assert_eq!(
        (&told["load"], &told["active"]),
        (&().into(), &false.into())
    );
    assert_eq!(fixture.get("/api/v1/queues/new").await.status, 404);
    fixture.stop().await;
}

#[tokio::test]
async fn too_many_names_are_refused() {
    let fixture = Fixture::start().await;
    let ask = async |from: usize| {
        let names: Vec<_> = (from..from + 32).map(|n| format!("q{n}")).collect();
        let path = format!("/api/v1/scale?queues={}", names.join(","));
        fixture.get(&path).await
    };
    eventually("figures", async || {
        (ask(0).await.status == 200).then_some(())
    })
    .await;
    for turn in 1..6 {
        assert_eq!(ask(turn * 32).await.status, 200);
    }
    let answer = ask(6 * 32).await;
    assert_eq!((answer.status, answer.code()), (429, "too_many".to_owned()));
    fixture.stop().await;
}
