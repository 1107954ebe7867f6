//! Messages that are no plain calls of known tasks.

use celeriac::State;
use celeriac::protocol::{Exception, Message, Properties, Table, Value};

use crate::tasks::*;
use crate::{PATIENCE, Rig};

const GOOD: &str =
    r#"[[2, 3], {}, {"callbacks": null, "errbacks": null, "chain": null, "chord": null}]"#;

fn message(headers: &[(&str, Value)], content_type: Option<&str>, body: &str) -> Message {
    Message {
        properties: Properties {
            content_type: content_type.map(str::to_owned),
            content_encoding: Some("utf-8".to_owned()),
            ..Properties::default()
        },
        headers: headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.clone()))
            .collect(),
        body: body.to_owned().into(),
    }
}

fn call(id: &str, more: &[(&str, Value)]) -> Vec<(&'static str, Value)> {
    let mut headers = vec![("task", Value::from("add")), ("id", Value::from(id))];
    for (name, value) in more {
        headers.push((
            Box::leak((*name).to_owned().into_boxed_str()),
            value.clone(),
        ));
    }
    headers
}

/// S10, S11.
#[tokio::test]
async fn poison_goes_to_the_dead_letter_queue_and_the_node_goes_on() {
    let rig = Rig::start().await;
    let json = Some("application/json");
    let gzip = Value::from("application/x-gzip");
    let odd = Value::from("application/x-lzma");
    let table = Value::Map(Table::new());
    let big = "x".repeat(17 << 20);
    // What comes in, the exception stored, and a part of the reason.
    let cases: Vec<(&str, Message, Option<&str>, &str)> = vec![
        (
            "no headers",
            message(&[], json, GOOD),
            None,
            "message: expected a header task",
        ),
        (
            "no id",
            message(&call("", &[])[..1], json, GOOD),
            None,
            "header id",
        ),
        (
            "garbage",
            message(&[], None, "\u{1}\u{2}garbage"),
            None,
            "content type",
        ),
        (
            "eta",
            message(&call("p1", &[("eta", "soon".into())]), json, GOOD),
            None,
            "header eta",
        ),
        (
            "number",
            message(&call("p2", &[("expires", Value::Int(5))]), json, GOOD),
            None,
            "header expires",
        ),
        (
            "id table",
            message(&[("task", "add".into()), ("id", table)], json, GOOD),
            None,
            "header id",
        ),
        (
            "no type",
            message(&call("p3", &[]), None, GOOD),
            Some("ContentDisallowed"),
            "content type",
        ),
        (
            "pickle",
            message(
                &call("p4", &[]),
                Some("application/x-python-serialize"),
                GOOD,
            ),
            Some("ContentDisallowed"),
            "pickle",
        ),
        (
            "text",
            message(&call("p5", &[]), Some("text/plain"), GOOD),
            Some("ContentDisallowed"),
            "text/plain",
        ),
        (
            "json",
            message(&call("p6", &[]), json, "[[2, 3"),
            Some("DecodeError"),
            "body",
        ),
        (
            "empty",
            message(&call("p7", &[]), json, ""),
            Some("DecodeError"),
            "body",
        ),
        (
            "two",
            message(&call("p8", &[]), json, "[[2, 3], {}]"),
            Some("DecodeError"),
            "3 elements",
        ),
        (
            "not compressed",
            message(&call("p9", &[("compression", gzip)]), json, GOOD),
            Some("DecodeError"),
            "body",
        ),
        (
            "unknown compression",
            message(&call("p10", &[("compression", odd)]), json, GOOD),
            Some("ContentDisallowed"),
            "compression",
        ),
        (
            "too large",
            message(&call("p11", &[]), json, &big),
            Some("DecodeError"),
            "at most",
        ),
        (
            "unknown task",
            message(
                &[("task", "nobody".into()), ("id", "p12".into())],
                json,
                GOOD,
            ),
            Some("NotRegistered"),
            "unknown task nobody",
        ),
    ];
    for (name, message, exc_type, reason) in cases {
        let id = message
            .headers
            .get("id")
            .and_then(Value::as_str)
            .map(str::to_owned);
        let body = message.body.clone();
        rig.publish(message).await;
        let dead = rig.take("celery.dead").await;
        let found = dead
            .message
            .headers
            .get("x-celeriac-error")
            .and_then(Value::as_str)
            .unwrap();
        assert!(found.contains(reason), "{name}: {found}");
        assert_eq!(dead.message.body, body, "{name}");
        if let Some(exc_type) = exc_type {
            let document = rig.end_of(&id.unwrap()).await;
            let exception = Exception::from_value(&document.result).unwrap();
            assert_eq!(
                (document.status, exception.exc_type.as_str()),
                (State::Failure, exc_type)
            );
            assert_eq!(document.traceback, None, "{name}");
        }
    }
    let sum = add.call(2, 3).send(&rig.app).await.unwrap();
    assert_eq!(sum.get(PATIENCE).await.unwrap(), 5);
    assert!(rig.handle.snapshot().restarts.is_empty());
}

/// S10.
#[tokio::test]
async fn wrong_arguments_are_the_caller_s_failure() {
    let rig = Rig::start().await;
    for (id, body) in [
        ("w1", r#"[[2], {}, null]"#),
        ("w2", r#"[[2, "three"], {}, null]"#),
        ("w3", r#"[[1, 2, 3], {}, null]"#),
        ("w4", r#"[[1], {"z": 2}, null]"#),
        ("w5", r#"[{"a": 1}, {}, null]"#),
        ("w6", r#"[[1, 2], [], null]"#),
    ] {
        rig.publish(message(&call(id, &[]), Some("application/json"), body))
            .await;
        let document = rig.end_of(id).await;
        let exception = Exception::from_value(&document.result).unwrap();
        assert_eq!(exception.exc_type, "TypeError", "{id}");
        assert!(document.traceback.unwrap().ends_with('\n'));
    }
    rig.settled().await;
    // They may be given others, and another chance.
    assert_eq!(rig.ready("celery.dead").await, 6);
    let dead = rig.take("celery.dead").await;
    let reason = dead.message.headers.get("x-celeriac-reason").unwrap();
    assert_eq!(reason.as_str(), Some("failed"));
}

/// S9.
#[tokio::test]
async fn what_other_clients_leave_out_is_no_fault() {
    let rig = Rig::start().await;
    let json = Some("application/json");
    let late = r#"{"task": "add", "id": "v1", "args": [2, 3], "kwargs": {}, "retries": 0}"#;
    for (id, message) in [
        (
            "m1",
            message(&call("m1", &[]), json, r#"[[2, 3], {}, null]"#),
        ),
        (
            "m2",
            message(&call("m2", &[("timelimit", Value::Null)]), json, GOOD),
        ),
        (
            "m3",
            message(
                &call("m3", &[("eta", "0001-01-01T00:00:00".into())]),
                json,
                GOOD,
            ),
        ),
        ("v1", message(&[], json, late)),
    ] {
        rig.publish(message).await;
        assert_eq!(rig.end_of(id).await.result, Value::Int(5), "{id}");
    }
}

/// S11.
#[tokio::test]
async fn without_dead_letters_a_message_is_rejected() {
    let config = celeriac_node::Config {
        dead_letters: celeriac_node::DeadLetters::None,
        ..celeriac_node::Config::default()
    };
    let rig = Rig::with(config, |builder| builder).await;
    rig.publish(message(
        &[("task", "nobody".into()), ("id", "r1".into())],
        Some("application/json"),
        GOOD,
    ))
    .await;
    assert_eq!(rig.end_of("r1").await.status, State::Failure);
    rig.settled().await;
    assert_eq!(rig.ready("celery.dead").await, 0);
}
