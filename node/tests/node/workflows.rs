//! Callbacks, chains, groups and chords through a node.

use celeriac::canvas::{chain, chord, group};
use celeriac::protocol::Exception;
use celeriac::{Signature, State, Value};

use crate::tasks::*;
use crate::{PATIENCE, Rig, eventually};

fn plus(y: i64) -> Signature {
    Signature::new("add").arg(y)
}

/// S19.
#[tokio::test]
async fn a_chain_hands_results_on() {
    let rig = Rig::start().await;
    let steps = [
        Signature::new("add").arg(1).arg(2),
        plus(10),
        Signature::new("multiply").arg(2),
    ];
    let result = rig.app.send::<i64>(chain(steps), None).await.unwrap();
    assert_eq!(result.get(PATIENCE).await.unwrap(), 26);
}

#[tokio::test]
async fn a_step_that_refuses_the_result_does_not_get_it() {
    let rig = Rig::start().await;
    let alone = Signature::new("add").arg(5).arg(5).immutable();
    let result = rig
        .app
        .send::<i64>(chain([plus(1).arg(1), alone]), None)
        .await
        .unwrap();
    assert_eq!(result.get(PATIENCE).await.unwrap(), 10);
}

/// S20.
#[tokio::test]
async fn a_group_runs_side_by_side_and_a_chord_adds_it_up() {
    let rig = Rig::start().await;
    let header: Vec<_> = (1..=4)
        .map(|n| Signature::new("add").arg(n).arg(n))
        .collect();
    let result = rig
        .app
        .send::<Vec<i64>>(group(header.clone()), None)
        .await
        .unwrap();
    assert_eq!(result.get(PATIENCE).await.unwrap(), [2, 4, 6, 8]);
    let body = Signature::new("total");
    let result = rig
        .app
        .send::<i64>(chord(header, body), None)
        .await
        .unwrap();
    assert_eq!(result.get(PATIENCE).await.unwrap(), 20);
}

#[tokio::test]
async fn a_chain_goes_through_a_group() {
    let rig = Rig::start().await;
    let steps = [
        plus(1).arg(1),
        group([plus(10), plus(20)]),
        Signature::new("total"),
        plus(100),
    ];
    let result = rig.app.send::<i64>(chain(steps), None).await.unwrap();
    assert_eq!(result.get(PATIENCE).await.unwrap(), 134);
}

/// S19.
#[tokio::test]
async fn one_failure_ends_all_that_waited_for_it() {
    let rig = Rig::start().await;
    let failing = Signature::new("fail").arg("boom");
    let result = rig
        .app
        .send::<i64>(chain([failing.clone(), plus(1), plus(2)]), None)
        .await
        .unwrap();
    let document = result.ready(PATIENCE).await.unwrap();
    assert_eq!(document.status, State::Failure);
    assert_eq!(
        Exception::from_value(&document.result).unwrap().repr(),
        "ValueError('boom')"
    );

    let header = [plus(1).arg(1), failing];
    let body = Signature::new("total");
    let result = rig
        .app
        .send::<i64>(chord(header, body), None)
        .await
        .unwrap();
    let document = result.ready(PATIENCE).await.unwrap();
    let exception = Exception::from_value(&document.result).unwrap();
    assert_eq!(exception.exc_type, "ChordError");
    let text = exception.exc_message[0].as_str().unwrap();
    assert!(
        text.starts_with("Dependency ") && text.ends_with(" raised ValueError('boom')"),
        "{text}"
    );
}

#[tokio::test]
async fn callbacks_get_the_result_and_errbacks_the_id() {
    let rig = Rig::start().await;
    let one = gate("link one");
    let two = gate("link two");
    let told = |name: &str| Signature::new("wait").arg(name).immutable();
    add.call(1, 2)
        .link(plus(5))
        .link(told("link one"))
        .send(&rig.app)
        .await
        .unwrap();
    one.started(1).await;

    let seen = rig
        .app
        .call::<Value>("fail")
        .arg("boom")
        .link_error(told("link two"));
    seen.send(&rig.app).await.unwrap();
    two.started(1).await;
    one.open.add_permits(1);
    two.open.add_permits(1);

    let single = add
        .call(1, 2)
        .link(plus(5).with_option("task_id", "single"));
    single.send(&rig.app).await.unwrap();
    assert_eq!(rig.end_of("single").await.result, Value::Int(8));

    // The failed task's id is what an errback is told.
    let errback = Signature::new("wait").with_option("task_id", "errback");
    let failed = rig
        .app
        .call::<Value>("fail")
        .arg("x")
        .id("failed-one")
        .link_error(errback);
    failed.send(&rig.app).await.unwrap();
    gate("failed-one").started(1).await;
    gate("failed-one").open.add_permits(1);
    let document = rig.end_of("errback").await;
    assert_eq!(document.result.as_str(), Some("failed-one"));
    assert_eq!(document.parent_id.as_deref(), Some("failed-one"));
}

#[tokio::test]
async fn a_broken_link_fails_the_task_with_the_reason() {
    let rig = Rig::start().await;
    let broken = Signature {
        subtask_type: Some("chain".into()),
        ..Signature::new("celery.chain")
    };
    let result = add.call(1, 2).link(broken).send(&rig.app).await.unwrap();
    let document = result.ready(PATIENCE).await.unwrap();
    assert_eq!(document.status, State::Failure);
    assert_eq!(
        Exception::from_value(&document.result).unwrap().exc_type,
        "InvalidTaskError"
    );
}

#[tokio::test]
async fn a_result_names_its_children() {
    let rig = Rig::start().await;
    let result = add
        .call(1, 2)
        .link(plus(1).with_option("task_id", "kid"))
        .send(&rig.app);
    let document = result.await.unwrap().ready(PATIENCE).await.unwrap();
    let itself = Value::Array(vec!["kid".into(), Value::Null]);
    assert_eq!(
        document.children.unwrap(),
        [Value::Array(vec![itself, Value::Null])]
    );
    eventually("the callback has run", || async {
        rig.count("succeeded") == 2
    })
    .await;
}

/// A chord as a client sends it whose result backend only stores: S30.
#[tokio::test]
async fn a_chord_that_nobody_counts_is_unlocked() {
    let rig = Rig::start().await;
    for (second, sum) in [
        (plus(2).arg(2), Some(6)),
        (Signature::new("fail").arg("boom"), None),
    ] {
        let members = [plus(1).arg(1), second];
        let header = rig
            .app
            .send::<Vec<i64>>(group(members), None)
            .await
            .unwrap();
        let header = header.tuple();
        let body = format!("body of {sum:?}");
        let unlock = Signature::new("celery.chord_unlock")
            .arg(header.id.as_str())
            .arg(Value::from(
                Signature::new("total").with_option("task_id", body.as_str()),
            ))
            .kwarg("interval", 0.05)
            .kwarg("max_retries", Value::Null)
            .kwarg(
                "result",
                header
                    .children
                    .into_iter()
                    .flatten()
                    .map(Value::from)
                    .collect::<Vec<_>>(),
            )
            .kwarg("_chord_unlock_exchange_type", "direct");
        rig.app.send::<Value>(unlock, None).await.unwrap();
        let end = rig.end_of(&body).await;
        match sum {
            Some(sum) => assert_eq!(end.result, Value::Int(sum)),
            None => {
                let error = end.exception().unwrap();
                assert_eq!(error.exc_type, "ChordError");
                assert!(error.repr().contains("boom"), "{error:?}");
            }
        }
    }

    // One that is told to stop looking fails its body.
    let unlock = Signature::new("celery.chord_unlock")
        .arg("nobody's")
        .arg(Value::from(
            Signature::new("total").with_option("task_id", "late"),
        ))
        .kwarg("interval", 0)
        .kwarg("max_retries", 2)
        .kwarg(
            "result",
            vec![Value::from(celeriac::protocol::ResultTuple::new("never"))],
        );
    rig.app.send::<Value>(unlock, None).await.unwrap();
    let error = rig.end_of("late").await.exception().unwrap();
    assert!(error.repr().contains("could not be retried"), "{error:?}");
}
