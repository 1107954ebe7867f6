//! One test for each way a task can end.

use celeriac::State;
use celeriac::protocol::Exception;
use celeriac_node::Config;

use crate::tasks::*;
use crate::{PATIENCE, Rig, eventually};

fn exception(document: &celeriac::protocol::ResultDocument) -> Exception {
    Exception::from_value(&document.result).unwrap()
}

#[tokio::test]
async fn a_value_comes_back_from_async_and_blocking_tasks() {
    let rig = Rig::start().await;
    let sum = add.call(2, 3).send(&rig.app).await.unwrap();
    let product = multiply.call(2, 3).send(&rig.app).await.unwrap();
    assert_eq!(sum.get(PATIENCE).await.unwrap(), 5);
    assert_eq!(product.get(PATIENCE).await.unwrap(), 6);
    let stopped = rig.stop().await;
    assert_eq!((stopped.finished, stopped.returned), (2, 0));
    assert_eq!(stopped.reason, celeriac_node::Reason::Drained);
}

#[tokio::test]
async fn an_error_is_an_exception_with_a_traceback() {
    let rig = Rig::start().await;
    let result = parse.call("x".to_owned()).send(&rig.app).await.unwrap();
    let document = result.ready(PATIENCE).await.unwrap();
    assert_eq!(document.status, State::Failure);
    assert_eq!(exception(&document).exc_type, "ParseIntError");
    assert_eq!(
        document.traceback.unwrap(),
        "Traceback (most recent call last):\n  File \"parse\", line 0, in run\n\
         core.num.error.ParseIntError: invalid digit found in string\n"
    );
}

/// S13.
#[tokio::test]
async fn a_panic_fails_its_task_and_nothing_else() {
    let rig = Rig::start().await;
    let one = panics.call().send(&rig.app).await.unwrap();
    let two = panics_on_a_thread.call().send(&rig.app).await.unwrap();
    let one = one.ready(PATIENCE).await.unwrap();
    assert_eq!(
        exception(&one).repr(),
        "RuntimeError('task panicked: at the disco')"
    );
    let two = two.ready(PATIENCE).await.unwrap();
    assert_eq!(
        exception(&two).repr(),
        "RuntimeError('task panicked: on a thread')"
    );
    let sum = add.call(1, 1).send(&rig.app).await.unwrap();
    assert_eq!(sum.get(PATIENCE).await.unwrap(), 2);
    assert!(rig.handle.snapshot().restarts.is_empty());
}

/// S17.
#[tokio::test]
async fn a_task_that_asks_for_it_runs_again() {
    let rig = Rig::start().await;
    let done = retries.call(2).send(&rig.app).await.unwrap();
    assert_eq!(done.get(PATIENCE).await.unwrap(), 2);
    assert_eq!(rig.count("retried"), 2);
    assert_eq!(rig.count("succeeded"), 1);
}

/// S17.
#[tokio::test]
async fn no_try_left_raises_what_went_wrong() {
    let rig = Rig::start().await;
    let asked = retries.call(99).send(&rig.app).await.unwrap();
    let by_itself = flaky.call().send(&rig.app).await.unwrap();
    assert_eq!(
        exception(&asked.ready(PATIENCE).await.unwrap()).repr(),
        "OSError('not yet')"
    );
    let document = by_itself.ready(PATIENCE).await.unwrap();
    assert_eq!(exception(&document).repr(), "ConnectionError('reset')");
    // A next try is a child of the one before.
    assert_eq!(document.parent_id.as_deref(), Some(by_itself.id()));
    assert_eq!(rig.count("retried"), 3);
}

#[tokio::test]
async fn a_rejected_message_is_dead_lettered_with_the_reason() {
    let rig = Rig::start().await;
    let result = rejects.call().send(&rig.app).await.unwrap();
    let document = result.ready(PATIENCE).await.unwrap();
    assert_eq!(exception(&document).repr(), "Reject('not mine', False)");
    let dead = rig.take("celery.dead").await;
    let header = |name| {
        dead.message
            .headers
            .get(name)
            .and_then(|value| value.as_str())
            .unwrap()
    };
    assert_eq!(header("x-celeriac-error"), "not mine");
    assert_eq!(header("x-celeriac-node"), rig.handle.name());
    assert_eq!(header("task"), "rejects");
}

#[tokio::test]
async fn a_failure_may_keep_its_message() {
    let rig = Rig::start().await;
    let result = buried.call().send(&rig.app).await.unwrap();
    assert_eq!(result.ready(PATIENCE).await.unwrap().status, State::Failure);
    let dead = rig.take("celery.dead").await;
    let reason = dead.message.headers.get("x-celeriac-error").unwrap();
    assert_eq!(reason.as_str(), Some("RuntimeError('bury me')"));
}

#[tokio::test]
async fn ignored_results_are_not_stored() {
    let rig = Rig::start().await;
    let ignored = ignores.call().send(&rig.app).await.unwrap();
    let unwanted = add.call(1, 2).ignore_result().send(&rig.app).await.unwrap();
    eventually("both have run", || async { rig.count("processed") == 2 }).await;
    rig.settled().await;
    assert_eq!(rig.state_of(ignored.id()).await, State::Pending);
    assert_eq!(rig.state_of(unwanted.id()).await, State::Pending);
}

/// S12.
#[tokio::test]
async fn no_more_run_than_there_are_places() {
    let config = Config {
        concurrency: 2,
        ..Config::default()
    };
    let rig = Rig::with(config, |builder| builder).await;
    let door = gate("places");
    let mut results = Vec::new();
    for _ in 0..5 {
        results.push(wait.call("places".to_owned()).send(&rig.app).await.unwrap());
    }
    eventually("two run and three wait", || async {
        door.starts() == 2 && rig.handle.snapshot().waiting == 3
    })
    .await;
    assert_eq!(rig.handle.snapshot().running, 2);
    door.open.add_permits(5);
    for result in results {
        result.get(PATIENCE).await.unwrap();
    }
    assert_eq!(door.starts(), 5);
}

#[tokio::test]
async fn states_on_the_way_are_stored() {
    let rig = Rig::start().await;
    let door = gate("tracked");
    let call = wait_tracked.call("tracked".to_owned());
    let result = call.send(&rig.app).await.unwrap();
    let id = result.id();
    eventually("it has started", || async {
        rig.state_of(id).await == State::Started
    })
    .await;
    door.open.add_permits(1);
    door.started(2).await;
    assert_eq!(rig.state_of(id).await, State::from("PROGRESS"));
    door.open.add_permits(1);
    result.get(PATIENCE).await.unwrap();
    assert_eq!(rig.state_of(id).await, State::Success);
}
