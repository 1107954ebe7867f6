//! Tasks and their time: eta, expiry, limits, rates, revocation.

use std::time::{Duration, Instant, SystemTime};

use celeriac::State;
use celeriac::protocol::{Exception, Table, Value};
use celeriac_node::Config;

use crate::tasks::*;
use crate::{PATIENCE, Rig, eventually};

fn error(document: &celeriac::protocol::ResultDocument) -> String {
    Exception::from_value(&document.result).unwrap().repr()
}

const SHORT: Duration = Duration::from_millis(150);

/// Publishes a call straight to the queue, as clients do that know no delay.
async fn send_with_eta(rig: &Rig, id: &str, eta: SystemTime) {
    let mut headers = Table::new();
    headers.push("task", "add");
    headers.push("id", id);
    headers.push("eta", celeriac::protocol::Timestamp::from(eta).to_string());
    let properties = celeriac::protocol::Properties {
        content_type: Some("application/json".to_owned()),
        ..Default::default()
    };
    let body = "[[2, 3], {}, null]".to_owned().into();
    rig.publish(celeriac::protocol::Message {
        properties,
        headers,
        body,
    })
    .await;
}

/// S15.
#[tokio::test]
async fn a_short_wait_is_held_and_a_long_one_is_parked() {
    let rig = Rig::start().await;
    let start = Instant::now();
    send_with_eta(
        &rig,
        "short",
        celeriac::clock::now() + Duration::from_millis(300),
    )
    .await;
    send_with_eta(
        &rig,
        "long",
        celeriac::clock::now() + Duration::from_millis(1300),
    )
    .await;
    eventually("one is held", || async { rig.handle.snapshot().held == 1 }).await;
    assert_eq!(rig.end_of("short").await.result, Value::Int(5));
    assert!(start.elapsed() >= Duration::from_millis(300));
    assert_eq!(rig.count("parked"), 1);
    assert_eq!(rig.end_of("long").await.result, Value::Int(5));
    assert!(start.elapsed() >= Duration::from_millis(1300));
}

/// S16.
#[tokio::test]
async fn a_task_that_comes_too_late_does_not_run() {
    let rig = Rig::start().await;
    let mut headers = Table::new();
    headers.push("task", "add");
    headers.push("id", "late");
    headers.push("expires", "2020-01-01T00:00:00+00:00");
    let message = celeriac::protocol::Message {
        headers,
        ..Default::default()
    };
    rig.publish(message).await;
    let document = rig.end_of("late").await;
    assert_eq!(document.status, State::Revoked);
    assert_eq!(error(&document), "TaskRevokedError('expired')");
}

/// S14.
#[tokio::test]
async fn the_soft_limit_is_a_signal_and_then_an_end() {
    let rig = Rig::start().await;
    let heeds = listens
        .call("soft".to_owned())
        .soft_time_limit(SHORT)
        .send(&rig.app);
    assert_eq!(
        heeds.await.unwrap().get(PATIENCE).await.unwrap(),
        "soft limit"
    );
    let ignores_it = wait
        .call("soft".to_owned())
        .soft_time_limit(SHORT)
        .send(&rig.app);
    let document = ignores_it.await.unwrap().ready(PATIENCE).await.unwrap();
    assert_eq!(error(&document), "SoftTimeLimitExceeded()");
}

#[tokio::test]
async fn the_soft_limit_is_only_a_signal_when_there_is_a_hard_one() {
    let rig = Rig::start().await;
    // Far beyond the grace, which is 200 ms here.
    let result = wait
        .call("soft and hard".to_owned())
        .soft_time_limit(Duration::from_millis(10))
        .time_limit(Duration::from_millis(800))
        .send(&rig.app)
        .await
        .unwrap();
    let document = result.ready(PATIENCE).await.unwrap();
    assert_eq!(error(&document), "TimeLimitExceeded(0.8)");
}

/// S14.
#[tokio::test]
async fn the_hard_limit_is_an_end() {
    let rig = Rig::start().await;
    let result = wait
        .call("hard".to_owned())
        .time_limit(SHORT)
        .send(&rig.app)
        .await
        .unwrap();
    let document = result.ready(PATIENCE).await.unwrap();
    assert_eq!(error(&document), "TimeLimitExceeded(0.15)");
    assert_eq!(document.traceback, None);
}

#[tokio::test]
async fn a_task_that_panics_when_it_is_dropped_has_ended() {
    let rig = Rig::start().await;
    let result = drops_badly
        .call("dropped".to_owned())
        .time_limit(SHORT)
        .send(&rig.app)
        .await
        .unwrap();
    let document = result.ready(PATIENCE).await.unwrap();
    assert_eq!(error(&document), "TimeLimitExceeded(0.15)");
    rig.settled().await;
    assert_eq!(gate("dropped").starts(), 1);
}

/// S14.
#[tokio::test]
async fn a_thread_past_its_limit_keeps_its_place_until_it_ends() {
    let config = Config {
        concurrency: 1,
        ..Config::default()
    };
    let rig = Rig::with(config, |builder| builder).await;
    let door = gate("blocking");
    let stuck = blocks
        .call("blocking".to_owned())
        .time_limit(SHORT)
        .send(&rig.app)
        .await
        .unwrap();
    assert_eq!(
        error(&stuck.ready(PATIENCE).await.unwrap()),
        "TimeLimitExceeded(0.15)"
    );
    assert_eq!(rig.handle.snapshot().lost_threads, 1);
    let next = add.call(1, 1).send(&rig.app).await.unwrap();
    eventually("the next one waits", || async {
        rig.handle.snapshot().waiting == 1
    })
    .await;
    door.open.add_permits(1);
    assert_eq!(next.get(PATIENCE).await.unwrap(), 2);
    eventually("the thread is back", || async {
        rig.handle.snapshot().lost_threads == 0
    })
    .await;
}

#[tokio::test]
async fn a_limit_counts_from_when_a_task_has_a_thread() {
    let config = Config {
        concurrency: 3,
        blocking_threads: Some(1),
        ..Config::default()
    };
    let rig = Rig::with(config, |builder| builder).await;
    let door = gate("one thread");
    let first = blocks.call("one thread".to_owned()).send(&rig.app);
    let first = first.await.unwrap();
    door.started(1).await;
    let second = blocks
        .call("one thread".to_owned())
        .time_limit(SHORT)
        .send(&rig.app)
        .await
        .unwrap();
    eventually("it waits for the thread", || async {
        rig.handle.snapshot().running == 2
    })
    .await;
    // Measures a time that is longer than the limit.
    let timer = wait
        .call("one thread's timer".to_owned())
        .time_limit(2 * SHORT)
        .send(&rig.app);
    timer.await.unwrap().ready(PATIENCE).await.unwrap();
    assert_eq!(door.starts(), 1);
    door.open.add_permits(2);
    assert!(!first.get(PATIENCE).await.unwrap());
    assert!(!second.get(PATIENCE).await.unwrap());
}

#[tokio::test]
async fn blocking_tasks_leave_threads_for_what_else_blocks() {
    #[celeriac::task]
    async fn looks_up() -> i64 {
        tokio::task::spawn_blocking(|| 7).await.unwrap()
    }
    let config = Config {
        concurrency: 2,
        blocking_threads: Some(1),
        ..Config::default()
    };
    let rig = Rig::with(config, |builder| builder.task(looks_up)).await;
    let door = gate("every thread");
    let busy = blocks.call("every thread".to_owned()).send(&rig.app);
    let busy = busy.await.unwrap();
    door.started(1).await;
    let result = looks_up.call().send(&rig.app).await.unwrap();
    assert_eq!(result.get(PATIENCE).await.unwrap(), 7);
    door.open.add_permits(1);
    busy.get(PATIENCE).await.unwrap();
}

/// S12.
#[tokio::test]
async fn a_rate_spreads_starts_without_taking_places() {
    #[celeriac::task(rate_limit = "10/s")]
    async fn limited() -> i64 {
        1
    }
    let config = Config {
        concurrency: 1,
        ..Config::default()
    };
    let rig = Rig::with(config, |builder| builder.task(limited)).await;
    let start = Instant::now();
    let mut results = Vec::new();
    for _ in 0..3 {
        results.push(limited.call().send(&rig.app).await.unwrap());
    }
    let free = add.call(1, 1).send(&rig.app).await.unwrap();
    assert_eq!(free.get(PATIENCE).await.unwrap(), 2);
    assert!(
        rig.count("succeeded") < 4,
        "the limited ones do not hold up others"
    );
    for result in results {
        result.get(PATIENCE).await.unwrap();
    }
    assert!(start.elapsed() >= Duration::from_millis(200));
}
