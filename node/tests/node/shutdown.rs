//! The two phases of shutdown, and what is left.

use std::time::Duration;

use celeriac::State;
use celeriac_node::{Config, Phase, Reason};

use crate::tasks::*;
use crate::{PATIENCE, Rig, eventually};

fn one_place() -> Config {
    Config {
        concurrency: 1,
        ..Config::default()
    }
}

/// S21.
#[tokio::test]
async fn what_runs_finishes_and_what_was_only_taken_goes_back() {
    let rig = Rig::with(one_place(), |builder| builder).await;
    let door = gate("drain");
    let running = wait.call("drain".to_owned()).send(&rig.app).await.unwrap();
    door.started(1).await;
    for _ in 0..2 {
        add.call(1, 1).send(&rig.app).await.unwrap();
    }
    eventually("two wait", || async { rig.handle.snapshot().waiting == 2 }).await;
    rig.shutdown.drain();
    eventually("they are back", || async { rig.ready("celery").await == 2 }).await;
    assert_eq!(rig.handle.snapshot().phase, Phase::Draining);
    assert!(!rig.handle.is_ready());
    door.open.add_permits(1);
    running.get(PATIENCE).await.unwrap();
    let stopped = rig.stopped().await;
    assert_eq!(stopped.reason, Reason::Drained);
    assert_eq!((stopped.finished, stopped.returned), (1, 2));
    assert!(stopped.unfinished.is_empty());
}

/// S22.
#[tokio::test]
async fn the_second_signal_gives_back_what_runs() {
    let rig = Rig::with(one_place(), |builder| builder).await;
    let door = gate("second signal");
    let running = wait
        .call("second signal".to_owned())
        .send(&rig.app)
        .await
        .unwrap();
    door.started(1).await;
    rig.shutdown.drain();
    eventually("it drains", || async {
        rig.handle.snapshot().phase == Phase::Draining
    })
    .await;
    rig.shutdown.drain();
    let (app, broker) = (rig.app.clone(), rig.broker.clone());
    let stopped = rig.stopped().await;
    assert_eq!(stopped.reason, Reason::Interrupted);
    assert_eq!(stopped.unfinished, [running.id()]);
    let status = celeriac::broker::Broker::queue(&broker, "celery")
        .await
        .unwrap()
        .unwrap();
    assert_eq!(status.ready, 1);
    // Nobody says that a task failed because a signal came.
    assert_eq!(
        app.result::<String>(running.id()).state().await.unwrap(),
        State::Pending
    );
}

/// S21.
#[tokio::test]
async fn the_deadline_asks_tasks_to_stop() {
    let config = Config {
        drain_deadline: Duration::from_millis(100),
        ..Config::default()
    };
    let rig = Rig::with(config, |builder| builder).await;
    let heeds = listens
        .call("deadline".to_owned())
        .send(&rig.app)
        .await
        .unwrap();
    let ignores_it = wait
        .call("deadline".to_owned())
        .send(&rig.app)
        .await
        .unwrap();
    gate("deadline").started(2).await;
    rig.shutdown.drain();
    let broker = rig.broker.clone();
    assert_eq!(heeds.get(PATIENCE).await.unwrap(), "cancelled");
    let stopped = rig.stopped().await;
    assert_eq!(stopped.reason, Reason::Deadline);
    assert_eq!(stopped.unfinished, [ignores_it.id()]);
    let status = celeriac::broker::Broker::queue(&broker, "celery")
        .await
        .unwrap()
        .unwrap();
    assert_eq!(status.ready, 1);
}

/// S2.
#[tokio::test]
async fn an_early_acknowledgement_is_the_task_s_own_risk() {
    let rig = Rig::with(one_place(), |builder| builder).await;
    let running = wait_early
        .call("early".to_owned())
        .send(&rig.app)
        .await
        .unwrap();
    gate("early").started(1).await;
    rig.shutdown.stop_now();
    let broker = rig.broker.clone();
    let stopped = rig.stopped().await;
    assert_eq!(stopped.unfinished, [running.id()]);
    let status = celeriac::broker::Broker::queue(&broker, "celery")
        .await
        .unwrap()
        .unwrap();
    assert_eq!(status.ready, 0);
}

#[tokio::test]
async fn a_dropped_run_ends_the_node() {
    let rig = Rig::start().await;
    let handle = rig.handle.clone();
    let Rig { running, .. } = rig;
    running.abort();
    eventually("it stops", || async {
        handle.snapshot().phase == Phase::Stopped
    })
    .await;
}

// S2, S21.
#[tokio::test]
async fn what_was_acknowledged_early_and_did_not_end_has_failed() {
    let config = Config {
        drain_deadline: Duration::ZERO,
        ..Config::default()
    };
    let rig = Rig::with(config, |builder| builder).await;
    let doors = ["early async", "early blocking"].map(gate);
    let names = ["early async".to_owned(), "early blocking".to_owned()];
    let [async_name, blocking_name] = names;
    let task = wait_early.call(async_name).send(&rig.app).await.unwrap();
    let thread = blocks_early
        .call(blocking_name)
        .send(&rig.app)
        .await
        .unwrap();
    for door in &doors {
        door.started(1).await;
    }
    rig.shutdown.drain();
    for ready in [task.ready(PATIENCE).await, thread.ready(PATIENCE).await] {
        let document = ready.unwrap();
        assert_eq!(document.status, State::Failure);
        let exception = document.exception().unwrap();
        assert_eq!(exception.exc_type, "WorkerLostError");
    }
    doors[1].open.add_permits(1);
    assert_eq!(rig.ready("celery").await, 0);
    assert_eq!(rig.stopped().await.unfinished.len(), 2);
}
