//! Storing, fetching, forgetting.

use std::time::Duration;

use celeriac::Error;
use celeriac::backend::{Store, Stored};
use celeriac::protocol::{Exception, ResultDocument, State, Table, Value};

use super::{Bench, state, success, task_id};
use crate::eventually::{eventually, within};

/// What a node stores a client fetches, all of it, any number of times.
pub async fn what_is_stored_can_be_fetched(bench: &dyn Bench) {
    let ends = bench.open().await;
    if !ends.capabilities().fetch {
        return;
    }
    let id = task_id();
    assert_eq!(ends.fetch(&id).await, None);
    let exception = Exception {
        exc_type: "ValueError".to_owned(),
        exc_message: vec![Value::from("boom"), Value::Int(42)],
        exc_module: Some("builtins".to_owned()),
    };
    let traceback = Some("Traceback (most recent call last):\nValueError: boom\n".to_owned());
    let mut document = ResultDocument::failure(&*id, exception, traceback, celeriac::clock::now());
    document.group_id = Some("a group".to_owned());
    document.parent_id = Some("a parent".to_owned());
    assert_eq!(ends.store([document.clone()]).await, [Stored::Written]);
    for _ in 0..2 {
        let fetched = ends.fetch(&id).await.unwrap();
        assert_eq!(fetched.exception(), document.exception());
        assert_eq!(fetched.traceback, document.traceback);
        assert_eq!(
            (&fetched.group_id, &fetched.parent_id),
            (&document.group_id, &document.parent_id)
        );
        assert_eq!(fetched.task_id, id);
        assert!(fetched.date_done.is_some());
    }
    let other = task_id();
    let ids = [other, id.clone()];
    let several = within("fetching", ends.client.fetch(&ids)).await.unwrap();
    assert!(several[0].is_none());
    assert_eq!(several[1].as_ref().unwrap().task_id, id);
    assert!(
        within("fetching", ends.client.fetch(&[]))
            .await
            .unwrap()
            .is_empty()
    );
}

/// A success stays, whatever is stored later: each task has one outcome.
pub async fn a_success_is_never_replaced(bench: &dyn Bench) {
    let ends = bench.open().await;
    if !ends.capabilities().fetch {
        return;
    }
    let id = task_id();
    assert_eq!(ends.store([success(&id, 1)]).await, [Stored::Written]);
    for late in [
        state(&id, State::Failure),
        success(&id, 2),
        state(&id, State::Started),
    ] {
        assert_eq!(ends.store([late]).await, [Stored::AlreadyDone]);
        let kept = ends.fetch(&id).await.unwrap();
        assert_eq!((kept.status, kept.result), (State::Success, Value::Int(1)));
    }
}

/// Any other state is replaced, a failure too: a later run may succeed.
pub async fn states_follow_each_other(bench: &dyn Bench) {
    let ends = bench.open().await;
    if !ends.capabilities().fetch {
        return;
    }
    let id = task_id();
    let progress = State::Custom("PROGRESS".to_owned());
    for next in [
        State::Started,
        progress,
        State::Retry,
        State::Failure,
        State::Success,
    ] {
        assert_eq!(
            ends.store([state(&id, next.clone())]).await,
            [Stored::Written]
        );
        assert_eq!(ends.fetch(&id).await.unwrap().status, next);
    }
}

/// A batch of 1000 is stored in its order, also when it names a task more than once.
pub async fn a_batch_is_stored_in_its_order(bench: &dyn Bench) {
    let ends = bench.open().await;
    if !ends.capabilities().fetch {
        return;
    }
    let ids: Vec<String> = (0..1000).map(|_| task_id()).collect();
    let documents = ids.iter().enumerate().map(|(n, id)| success(id, n as i64));
    assert!(
        ends.store(documents)
            .await
            .iter()
            .all(|answer| *answer == Stored::Written)
    );
    let fetched = within("fetching", ends.client.fetch(&ids)).await.unwrap();
    for (n, document) in fetched.into_iter().enumerate() {
        assert_eq!(document.unwrap().result, Value::Int(n as i64));
    }
    let id = task_id();
    let batch = [
        state(&id, State::Started),
        success(&id, 1),
        state(&id, State::Failure),
    ];
    let answers = ends.store(batch).await;
    assert_eq!(
        answers,
        [Stored::Written, Stored::Written, Stored::AlreadyDone]
    );
}

/// Values of all kinds that JSON has come back as they were.
pub async fn values_of_all_kinds_come_back(bench: &dyn Bench) {
    let ends = bench.open().await;
    if !ends.capabilities().fetch {
        return;
    }
    let mut table = Table::new();
    table.push("status", "SUCCESS");
    table.push(
        "naïve ✓ \u{1f600}",
        vec![Value::Null, Value::Bool(true), Value::Float(0.1)],
    );
    table.push("", Value::Int(i64::MIN));
    let values = [
        Value::Map(table),
        Value::from("x".repeat(1 << 20)),
        Value::from("\u{0}\"\\\n"),
        Value::Float(1e300),
        Value::Array(Vec::new()),
        Value::BigInt("123456789012345678901234567890".to_owned()),
    ];
    for value in values {
        let id = task_id();
        // Not a success: what looks like one inside must not be taken for one.
        let document = ResultDocument::new(&*id, State::Retry, value.clone());
        ends.store([document]).await;
        assert_eq!(
            ends.store([success(&id, value.clone())]).await,
            [Stored::Written]
        );
        assert_eq!(ends.fetch(&id).await.unwrap().result, value);
    }
}

/// What is forgotten is gone, and only that.
pub async fn what_is_forgotten_is_gone(bench: &dyn Bench) {
    let ends = bench.open().await;
    if !ends.capabilities().fetch {
        return;
    }
    let ids = [task_id(), task_id()];
    ends.store([success(&ids[0], 1), success(&ids[1], 2)]).await;
    within("forgetting", ends.client.forget(&ids[..1]))
        .await
        .unwrap();
    assert_eq!(ends.fetch(&ids[0]).await, None);
    assert_eq!(ends.fetch(&ids[1]).await.unwrap().result, Value::Int(2));
    assert_eq!(ends.store([success(&ids[0], 3)]).await, [Stored::Written]);
}

/// A result is gone when its time is over.
pub async fn a_result_expires(bench: &dyn Bench) {
    let Some(backend) = bench.open_with_ttl(Duration::from_secs(1)).await else {
        return;
    };
    let ids = [task_id()];
    let store = Store {
        document: success(&ids[0], 1),
        reply_to: None,
        correlation_id: None,
    };
    assert!(matches!(
        within("storing", backend.store(vec![store])).await[..],
        [Ok(Stored::Written)]
    ));
    assert!(within("fetching", backend.fetch(&ids)).await.unwrap()[0].is_some());
    eventually("the result is gone", || async {
        backend.fetch(&ids).await.unwrap()[0]
            .is_none()
            .then_some(())
    })
    .await;
}

/// After closing every call says so.
pub async fn closing_ends_everything(bench: &dyn Bench) {
    let ends = bench.open().await;
    let ids = [task_id()];
    within("closing", ends.client.close()).await;
    let store = Store {
        document: success(&ids[0], 1),
        reply_to: Some("a-queue".to_owned()),
        correlation_id: None,
    };
    let errors = [
        (
            "store",
            within("storing", ends.client.store(vec![store]))
                .await
                .remove(0)
                .err(),
        ),
        (
            "fetch",
            within("fetching", ends.client.fetch(&ids)).await.err(),
        ),
        (
            "watch",
            within("watching", ends.client.watch(&ids[0])).await.err(),
        ),
        (
            "forget",
            within("forgetting", ends.client.forget(&ids)).await.err(),
        ),
    ];
    for (call, error) in errors {
        assert!(matches!(error, Some(Error::Closed(_))), "{call}: {error:?}");
    }
}
