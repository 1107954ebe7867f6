#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use celeriac::App;
use celeriac::broker::Receipt;
use celeriac::protocol::{Table, Value};
use celeriac::task::{Context, DeliveryInfo, Request};

use super::*;

/// Makes the job of a message as the consumer does.
fn job(message: Message) -> Job {
    let app = App::builder("test").build().unwrap();
    let original = Arc::new(message.clone());
    let task = TaskMessage::decode(message, &Limits::default()).unwrap();
    let request = Request {
        headers: task.headers,
        properties: task.properties,
        delivery: DeliveryInfo::default(),
        hostname: "n@h".into(),
    };
    let context = Context::new(app, request);
    let mut job = Job::new(1, context, "mail".into(), None, Receipt::settled());
    job.body = task.body;
    job.protocol = task.protocol;
    job.original = (task.protocol == Protocol::V1).then_some(original);
    job
}

fn message(headers: &[(&str, Value)], body: &str) -> Message {
    Message {
        properties: Properties {
            content_type: Some("application/json".into()),
            content_encoding: Some("utf-8".into()),
            correlation_id: Some("id".into()),
            reply_to: Some("reply".into()),
            expiration: Some("60000".into()),
            priority: Some(7),
            ..Properties::default()
        },
        headers: headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.clone()))
            .collect(),
        body: body.to_owned().into(),
    }
}

fn v2(body: &str) -> Job {
    job(message(
        &[
            ("task", "t".into()),
            ("id", "id".into()),
            ("retries", 1.into()),
            ("origin", "gen1@h".into()),
            ("x-death", Value::Array(Vec::new())),
            ("x-first-death-queue", "q".into()),
            ("mine", "kept".into()),
        ],
        body,
    ))
}

fn next() -> Again {
    let at = UNIX_EPOCH + Duration::from_secs(5);
    Again {
        at,
        exception: None,
        causes: Vec::new(),
        args: None,
        kwargs: None,
        options: Table::new(),
    }
}

const BODY: &str = r#"[[1],  {"a":2}, null]"#;

#[tokio::test]
async fn a_next_try_is_the_same_message_with_another_number() {
    let publication = again(&v2(BODY), &next(), &Limits::default()).unwrap();
    assert_eq!(
        (
            publication.exchange.as_str(),
            publication.routing_key.as_str()
        ),
        ("", "mail")
    );
    assert!(publication.confirm && publication.mandatory);
    assert_eq!(publication.not_before, Some(next().at));
    let Message {
        properties,
        headers,
        body,
    } = publication.message;
    // Not one byte of the arguments changes.
    assert_eq!(body, BODY);
    let text = |name: &str| headers.get(name).and_then(Value::as_str);
    assert_eq!(headers.get("retries"), Some(&Value::Int(2)));
    assert_eq!(text("eta"), Some("1970-01-01T00:00:05+00:00"));
    assert_eq!(
        (text("parent_id"), text("root_id")),
        (Some("id"), Some("id"))
    );
    assert_eq!(
        (text("origin"), text("mine")),
        (Some("gen1@h"), Some("kept"))
    );
    assert_eq!(
        (headers.get("x-death"), headers.get("x-first-death-queue")),
        (None, None)
    );
    assert_eq!(properties.reply_to.as_deref(), Some("reply"));
    assert_eq!(
        (properties.priority, properties.expiration),
        (Some(7), None)
    );
}

#[tokio::test]
async fn a_task_keeps_its_parent_when_it_runs_again() {
    let headers = ["task", "id", "parent_id"].map(|name| (name, name.into()));
    let child = job(message(&headers, BODY));
    let publication = again(&child, &next(), &Limits::default()).unwrap();
    let parent = publication.message.headers.get("parent_id");
    assert_eq!(parent.and_then(Value::as_str), Some("parent_id"));
}

#[tokio::test]
async fn other_arguments_are_written_and_shown() {
    let changed = Again {
        args: Some(vec![Value::Int(9)]),
        ..next()
    };
    let publication = again(&v2(BODY), &changed, &Limits::default()).unwrap();
    let text = std::str::from_utf8(&publication.message.body).unwrap();
    assert!(
        text.starts_with(r#"[[9], {"a": 2}, {"callbacks": null"#),
        "{text}"
    );
    let shown = publication
        .message
        .headers
        .get("argsrepr")
        .and_then(Value::as_str);
    assert_eq!(shown, Some("(9,)"));
}

#[tokio::test]
async fn an_old_message_goes_on_as_a_new_one() {
    let old = r#"{"task": "t", "id": "id", "args": [1], "kwargs": {}, "retries": 0}"#;
    let old = job(message(&[], old));
    let publication = later(&old, next().at, &Limits::default()).unwrap();
    assert_eq!(publication.message.headers.get("task"), Some(&"t".into()));
    let text = std::str::from_utf8(&publication.message.body).unwrap();
    assert!(text.starts_with("[[1], {}, "), "{text}");

    // A dead letter is what came.
    let cause = Cause {
        node: Some("n@h".into()),
        ..Cause::new(letter::Reason::Failed, "because")
    };
    let dead = dead(&old, "mail", &cause);
    assert_eq!(dead.exchange, "celeriac.dead");
    assert_eq!(dead.routing_key, "mail");
    assert!(dead.message.body.starts_with(b"{\"task\""));
    assert_eq!(Cause::read(&dead.message.headers), Some(cause));
}

#[tokio::test]
async fn a_body_that_cannot_be_read_cannot_be_changed() {
    let changed = Again {
        args: Some(Vec::new()),
        ..next()
    };
    assert!(again(&v2("[[1"), &changed, &Limits::default()).is_err());
    assert!(again(&v2("[[1"), &next(), &Limits::default()).is_ok());
}
