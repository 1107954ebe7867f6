//! Calling tasks off, and changing a node that runs, by remote control.

use celeriac::State;
use celeriac::control::Command;
use celeriac::protocol::{Exception, Value};
use celeriac_node::{Autoscale, Config, Node, Prefetch, Reason};

use crate::tasks::*;
use crate::{PATIENCE, Rig, eventually};

fn error(document: &celeriac::protocol::ResultDocument) -> String {
    Exception::from_value(&document.result).unwrap().repr()
}

fn one_place() -> Config {
    Config {
        concurrency: 1,
        ..Config::default()
    }
}

/// S18.
#[tokio::test]
async fn a_task_that_waits_is_called_off() {
    let rig = Rig::with(one_place(), |builder| builder).await;
    rig.hears().await;
    let door = gate("call off");
    let running = wait
        .call("call off".to_owned())
        .send(&rig.app)
        .await
        .unwrap();
    door.started(1).await;
    let waiting = wait
        .call("call off".to_owned())
        .send(&rig.app)
        .await
        .unwrap();
    eventually("it waits", || async { rig.handle.snapshot().waiting == 1 }).await;
    // Without terminate a running task goes on.
    running.revoke(false).await.unwrap();
    waiting.revoke(false).await.unwrap();
    let document = waiting.ready(PATIENCE).await.unwrap();
    assert_eq!(document.status, State::Revoked);
    assert_eq!(error(&document), "TaskRevokedError('revoked')");
    door.open.add_permits(1);
    assert_eq!(running.get(PATIENCE).await.unwrap(), "call off");
    rig.settled().await;
    assert_eq!(door.starts(), 1);
}

/// S18.
#[tokio::test]
async fn a_task_that_runs_is_terminated() {
    let rig = Rig::start().await;
    rig.hears().await;
    let stubborn = wait
        .call("terminate".to_owned())
        .send(&rig.app)
        .await
        .unwrap();
    let polite = listens
        .call("terminate".to_owned())
        .send(&rig.app)
        .await
        .unwrap();
    gate("terminate").started(2).await;
    stubborn.revoke(true).await.unwrap();
    polite.revoke(true).await.unwrap();
    let document = stubborn.ready(PATIENCE).await.unwrap();
    assert_eq!(error(&document), "TaskRevokedError('terminated')");
    // What a task has done before it was stopped is done.
    assert_eq!(polite.get(PATIENCE).await.unwrap(), "cancelled");
}

#[tokio::test]
async fn a_task_that_is_called_off_before_it_has_a_thread_never_starts() {
    let config = Config {
        concurrency: 2,
        blocking_threads: Some(1),
        ..Config::default()
    };
    let rig = Rig::with(config, |builder| builder).await;
    rig.hears().await;
    let door = gate("no thread");
    let call = || blocks.call("no thread".to_owned()).send(&rig.app);
    let first = call().await.unwrap();
    door.started(1).await;
    let second = call().await.unwrap();
    eventually("it waits for the thread", || async {
        rig.handle.snapshot().running == 2
    })
    .await;
    second.revoke(true).await.unwrap();
    let document = second.ready(PATIENCE).await.unwrap();
    assert_eq!(error(&document), "TaskRevokedError('terminated')");
    assert_eq!(rig.handle.snapshot().lost_threads, 0);
    door.open.add_permits(2);
    first.get(PATIENCE).await.unwrap();
    call().await.unwrap().get(PATIENCE).await.unwrap();
    assert_eq!(door.starts(), 2);
}

#[tokio::test]
async fn places_come_and_go() {
    let rig = Rig::with(one_place(), |builder| builder).await;
    rig.hears().await;
    let door = gate("grow");
    for _ in 0..2 {
        wait.call("grow".to_owned()).send(&rig.app).await.unwrap();
    }
    door.started(1).await;
    let control = rig.app.control();
    control.cast(Command::pool_grow(1)).await.unwrap();
    door.started(2).await;
    assert_eq!(rig.handle.snapshot().slots, 2);
    control.cast(Command::pool_shrink(1)).await.unwrap();
    eventually("it shrinks", || async { rig.handle.snapshot().slots == 1 }).await;
    door.open.add_permits(2);
    rig.settled().await;
}

#[tokio::test]
async fn queues_come_and_go() {
    let rig = Rig::start().await;
    rig.hears().await;
    let control = rig.app.control();
    control.cast(Command::add_consumer("extra")).await.unwrap();
    let sum = add.call(1, 2).queue("extra").send(&rig.app).await.unwrap();
    assert_eq!(sum.get(PATIENCE).await.unwrap(), 3);
    assert!(rig.handle.snapshot().queues["extra"].consuming);
    let cancel = Command::cancel_consumer("extra");
    control.cast(cancel).await.unwrap();
    eventually("the queue is gone", || async {
        !rig.handle.snapshot().queues.contains_key("extra")
    })
    .await;
    eventually("its consumer is gone", || async {
        rig.broker_status("extra").await.consumers == 0
    })
    .await;
    assert!(rig.handle.snapshot().restarts.is_empty());
}

#[tokio::test]
async fn a_node_stops_by_remote_control() {
    let rig = Rig::start().await;
    rig.hears().await;
    rig.app.control().cast(Command::shutdown()).await.unwrap();
    assert_eq!(rig.stopped().await.reason, Reason::Drained);
}

/// S33.
#[tokio::test]
async fn what_is_called_off_outlives_a_node() {
    let file = std::env::temp_dir().join(format!("celeriac-called-off-{}", std::process::id()));
    let config = || Config {
        name: "last@test".to_owned(),
        state_db: Some(file.clone()),
        ..Config::default()
    };
    let rig = Rig::with(config(), |builder| builder).await;
    rig.hears().await;
    let control = rig.app.control().limit(1);
    control.ask(Command::revoke(["one", "two"])).await.unwrap();
    // Another node cannot take the file meanwhile.
    let error = Node::new(rig.app.clone(), config()).unwrap_err();
    assert!(error.to_string().contains("another node"), "{error}");
    rig.stop().await;

    let rig = Rig::with(config(), |builder| builder).await;
    rig.hears().await;
    let control = rig.app.control().limit(1);
    let replies = control.ask(Command::revoked()).await.unwrap();
    let ids = Value::Array(vec!["one".into(), "two".into()]);
    assert_eq!(replies["last@test"], ids);
    rig.stop().await;
    for name in ["", ".lock"] {
        let mut path = file.clone().into_os_string();
        path.push(name);
        std::fs::remove_file(path).unwrap();
    }
}

/// S34.
#[tokio::test]
async fn places_follow_the_load() {
    let config = Config {
        autoscale: Some(Autoscale { max: 3, min: 1 }),
        ..Config::default()
    };
    let rig = Rig::with(config, |builder| builder).await;
    assert_eq!(rig.handle.snapshot().slots, 1);
    let door = gate("scale");
    for _ in 0..5 {
        wait.call("scale".to_owned()).send(&rig.app).await.unwrap();
    }
    door.started(3).await;
    assert_eq!(rig.handle.snapshot().slots, 3);
    door.open.add_permits(5);
    rig.settled().await;
}

/// S34. Nothing but the maximum says how many messages are looked at.
#[tokio::test]
async fn places_follow_the_load_also_when_nothing_is_taken_ahead() {
    let config = Config {
        autoscale: Some(Autoscale { max: 3, min: 1 }),
        prefetch: Prefetch::Multiplier(1),
        queues: ["celery", "b", "c", "d"].map(str::to_owned).into(),
        ..Config::default()
    };
    let rig = Rig::with(config, |builder| builder).await;
    rig.hears().await;
    let door = gate("scale one");
    for _ in 0..5 {
        wait.call("scale one".to_owned())
            .send(&rig.app)
            .await
            .unwrap();
    }
    door.started(3).await;
    assert_eq!(rig.handle.snapshot().slots, 3);
    let bounds = Command::autoscale(4, 1);
    assert_eq!(rig.app.control().ask(bounds).await.unwrap().len(), 1);
    eventually("the new maximum is used", || async { door.starts() == 4 }).await;
    door.open.add_permits(5);
    rig.settled().await;
}
