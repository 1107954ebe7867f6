//! Waiting for results.

use celeriac::protocol::{ResultDocument, State, Value};
use futures_util::future::join_all;

use super::{Bench, state, success, task_id};
use crate::eventually::{eventually, within};

/// Who waits before the task is sent hears of its states and its result.
pub async fn who_waits_hears(bench: &dyn Bench) {
    let ends = bench.open().await;
    if !ends.capabilities().stores {
        return;
    }
    let id = task_id();
    let mut waiter = within("watching", ends.client.watch(&id)).await.unwrap();
    assert_eq!(waiter.id(), id);
    assert!(waiter.last().is_none());
    let progress = State::Custom("PROGRESS".to_owned());
    ends.store([ResultDocument::new(&*id, progress.clone(), 50_i64)])
        .await;
    let seen = within("progress", waiter.changed()).await;
    assert_eq!((&seen.status, &seen.result), (&progress, &Value::Int(50)));
    ends.store([success(&id, 5)]).await;
    let done = within("the result", waiter.ready()).await;
    assert_eq!(
        (&done.status, &done.result),
        (&State::Success, &Value::Int(5))
    );
    // Asked again it is still there.
    assert_eq!(
        within("the result", waiter.ready()).await.result,
        Value::Int(5)
    );
}

/// Who comes after the result was stored hears at once.
pub async fn who_comes_late_hears_at_once(bench: &dyn Bench) {
    let ends = bench.open().await;
    if !ends.capabilities().fetch {
        return;
    }
    let id = task_id();
    ends.store([success(&id, 5)]).await;
    let mut waiter = within("watching", ends.client.watch(&id)).await.unwrap();
    assert_eq!(
        within("the result", waiter.ready()).await.result,
        Value::Int(5)
    );
}

/// Any number may wait for one task, and give up one by one.
pub async fn many_wait_for_one_task(bench: &dyn Bench) {
    let ends = bench.open().await;
    if !ends.capabilities().stores {
        return;
    }
    let id = task_id();
    let waiters = join_all((0..50).map(|_| ends.client.watch(&id)));
    let mut waiters = within("watching", waiters).await;
    waiters.truncate(40);
    ends.store([success(&id, 5)]).await;
    for waiter in waiters {
        let done = within("the result", async { waiter.unwrap().ready().await }).await;
        assert_eq!(done.result, Value::Int(5));
    }
}

/// 1000 results of one batch are all heard.
pub async fn a_thousand_results_are_heard(bench: &dyn Bench) {
    let ends = bench.open().await;
    if !ends.capabilities().stores {
        return;
    }
    let ids: Vec<String> = (0..1000).map(|_| task_id()).collect();
    let waiters = within(
        "watching",
        join_all(ids.iter().map(|id| ends.client.watch(id))),
    )
    .await;
    ends.store(ids.iter().enumerate().map(|(n, id)| success(id, n as i64)))
        .await;
    for (n, waiter) in waiters.into_iter().enumerate() {
        let done = within("a result", async { waiter.unwrap().ready().await }).await;
        assert_eq!(done.result, Value::Int(n as i64));
    }
}

/// A state that comes after the result, from a second run, does not hide it.
pub async fn a_late_state_does_not_hide_the_result(bench: &dyn Bench) {
    let ends = bench.open().await;
    if !ends.capabilities().stores {
        return;
    }
    let (id, other) = (task_id(), task_id());
    let mut waiter = within("watching", ends.client.watch(&id)).await.unwrap();
    let mut last = within("watching", ends.client.watch(&other)).await.unwrap();
    ends.store([success(&id, 5)]).await;
    ends.store([state(&id, State::Started), state(&id, State::Failure)])
        .await;
    // When this is here, so is all that was sent before.
    ends.store([success(&other, 6)]).await;
    within("the last one", last.ready()).await;
    let done = within("the result", waiter.ready()).await;
    assert_eq!(
        (&done.status, &done.result),
        (&State::Success, &Value::Int(5))
    );
}

/// Large results are heard, and small ones after them.
pub async fn large_results_are_heard(bench: &dyn Bench) {
    let ends = bench.open().await;
    if !ends.capabilities().stores {
        return;
    }
    let text = "✓".repeat(1 << 20);
    for result in [Value::from(&*text), Value::Int(1)] {
        let id = task_id();
        let mut waiter = within("watching", ends.client.watch(&id)).await.unwrap();
        ends.store([success(&id, result.clone())]).await;
        eventually("the result", || async {
            waiter
                .last()
                .filter(|document| document.result == result)
                .map(drop)
        })
        .await;
        assert_eq!(within("the result", waiter.ready()).await.result, result);
    }
}
