//! Messages that come again.

use std::sync::Arc;

use celeriac::App;
use celeriac::backend::{Backend, MemoryBackend, Store};
use celeriac::broker::{Broker, MemoryBroker, Subscription};
use celeriac::protocol::{ResultDocument, Signature, Value};
use celeriac_node::Config;

use crate::tasks::*;
use crate::{PATIENCE, Rig, eventually};

/// S3.
#[tokio::test]
async fn a_task_that_still_runs_is_not_run_twice() {
    let rig = Rig::start().await;
    let door = gate("interrupted");
    let result = wait
        .call("interrupted".to_owned())
        .send(&rig.app)
        .await
        .unwrap();
    door.started(1).await;
    for duplicates in 1..=2 {
        rig.link.interrupt();
        eventually("it came again", || async {
            rig.count("duplicates") == duplicates
        })
        .await;
    }
    door.open.add_permits(1);
    result.get(PATIENCE).await.unwrap();
    rig.settled().await;
    // The acknowledgement counted: nothing comes a third time.
    rig.link.interrupt();
    let sum = add.call(1, 1).send(&rig.app).await.unwrap();
    sum.get(PATIENCE).await.unwrap();
    rig.settled().await;
    assert_eq!((door.starts(), rig.count("duplicates")), (1, 2));
    assert_eq!(rig.handle.snapshot().restarts.len(), 0);
}

/// S3.
#[tokio::test]
async fn messages_that_wait_are_not_run_twice() {
    let config = Config {
        concurrency: 1,
        ..Config::default()
    };
    let rig = Rig::with(config, |builder| builder).await;
    let door = gate("waiting");
    let mut results = Vec::new();
    for _ in 0..3 {
        results.push(
            wait.call("waiting".to_owned())
                .send(&rig.app)
                .await
                .unwrap(),
        );
    }
    eventually("two wait", || async { rig.handle.snapshot().waiting == 2 }).await;
    rig.link.interrupt();
    eventually("all came again", || async { rig.count("received") == 6 }).await;
    door.open.add_permits(9);
    for result in results {
        result.get(PATIENCE).await.unwrap();
    }
    rig.settled().await;
    assert_eq!(door.starts(), 3);
}

/// S5.
#[tokio::test]
async fn a_success_that_is_stored_is_not_run_again_and_what_follows_is_sent() {
    let (broker, backend) = (MemoryBroker::new(), MemoryBackend::new());
    let app = App::builder("client")
        .broker_value(Arc::new(broker.clone()))
        .backend_value(Arc::new(backend.clone()))
        .build()
        .unwrap();
    let follower = Signature::new("add")
        .arg(10)
        .with_option("task_id", "follower");
    let call = app
        .call::<Value>("add")
        .arg(2)
        .arg(3)
        .id("done")
        .link(follower);
    call.send(&app).await.unwrap();
    // A node took it, stored a result that tells itself from a second run, and died.
    let mut died = broker
        .consume(Subscription::new("celery", 1))
        .await
        .unwrap();
    drop(died.next(1).await.unwrap());
    drop(died);
    let store = Store {
        document: ResultDocument::success("done", 42, celeriac::clock::now()),
        reply_to: None,
        correlation_id: None,
    };
    backend.store(vec![store]).await.remove(0).unwrap();

    let rig = Rig::on(&broker, &backend, Config::default(), |builder| builder).await;
    assert_eq!(rig.end_of("follower").await.result, Value::Int(52));
    rig.settled().await;
    assert_eq!((rig.count("duplicates"), rig.count("succeeded")), (1, 1));
    assert_eq!(rig.end_of("done").await.result, Value::Int(42));
}

/// S4, S7.
#[tokio::test]
async fn outcomes_wait_for_the_backend() {
    let rig = Rig::start().await;
    let door = gate("outage");
    let result = wait.call("outage".to_owned()).send(&rig.app).await.unwrap();
    door.started(1).await;
    rig.app.backend().close().await;
    door.open.add_permits(1);
    eventually("it is tried again", || async {
        rig.count("delivery_retries") > 1
    })
    .await;
    assert_eq!(rig.handle.snapshot().delivering, 1);
    // What cannot be delivered is given back, not lost.
    let (id, broker) = (result.id().to_owned(), rig.broker.clone());
    rig.shutdown.stop_now();
    let stopped = rig.stopped().await;
    assert_eq!(stopped.undelivered, [id]);
    assert_eq!(broker.queue("celery").await.unwrap().unwrap().ready, 1);
}
