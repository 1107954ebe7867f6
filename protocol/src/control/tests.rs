#![allow(clippy::unwrap_used)]

use bytes::Bytes;

use super::*;
use crate::{Message, error::Fault};

fn request(body: &'static str) -> Message {
    Message {
        body: Bytes::from_static(body.as_bytes()),
        ..Message::default()
    }
}

fn refused(body: &'static str) -> String {
    Request::from_message(&request(body))
        .unwrap_err()
        .to_string()
}

#[test]
fn a_destination_goes_before_a_pattern() {
    let all = Request::default();
    assert!(all.addresses("w1@vm"));

    let some = Request {
        destination: Some(vec!["w2@vm".into()]),
        ..Request::default()
    };
    assert!(some.addresses("w2@vm"));
    assert!(!some.addresses("w1@vm"));

    let both = Request {
        pattern: Some("w1*".into()),
        matcher: Some(Matcher::Glob),
        ..some
    };
    assert!(!both.addresses("w1@vm"));

    let none = Request {
        destination: Some(Vec::new()),
        ..both
    };
    assert!(none.addresses("w1@vm"));
    assert!(!none.addresses("w2@vm"));

    let without_matcher = Request {
        matcher: None,
        ..none
    };
    assert!(without_matcher.addresses("w2@vm"));
}

#[test]
fn expressions_are_understood() {
    let request = Request {
        pattern: Some("^w.@".into()),
        matcher: Some(Matcher::Pcre),
        ..Request::default()
    };
    assert!(request.addresses("w1@vm"));
    assert!(!request.addresses("x1@vm"));
}

#[test]
fn a_request_is_good_until_it_expires() {
    let request = Request {
        expires: Some(10.0),
        ..Request::default()
    };
    assert!(!request.is_expired(10.0));
    assert!(request.is_expired(10.1));
    assert!(!Request::default().is_expired(f64::MAX));
}

#[test]
fn a_request_may_be_bare() {
    let bare = Request::from_message(&request(r#"{"method": "ping"}"#)).unwrap();
    assert_eq!(
        bare,
        Request {
            method: "ping".into(),
            ..Request::default()
        }
    );
    let zero = Request::default().to_message();
    assert_eq!(zero.headers.get("expires"), Some(&Value::Int(0)));
}

#[test]
fn bad_requests_say_where() {
    assert_eq!(refused("{}"), "method: expected a string, found nothing");
    assert_eq!(
        refused(r#"{"method": "ping", "arguments": [1]}"#),
        "arguments: expected a map, found a list"
    );
    assert_eq!(
        refused(r#"{"method": "ping", "destination": [1]}"#),
        "destination: expected a list of node names, found 1"
    );
    assert_eq!(
        refused(r#"{"method": "ping", "matcher": "sql"}"#),
        "matcher: expected glob or pcre, found 'sql'"
    );
    assert_eq!(
        refused(r#"{"method": "ping", "reply_to": {"exchange": "e"}}"#),
        "reply_to, routing_key: expected a string, found nothing"
    );
    let mut yaml = request("method: ping");
    yaml.properties.content_type = Some("application/x-yaml".into());
    assert_eq!(
        Request::from_message(&yaml).unwrap_err().fault,
        Fault::Content
    );
}

#[test]
fn a_reply_is_of_one_node() {
    let reply = Reply {
        node: "w1@vm".into(),
        payload: ok("pong"),
        ticket: None,
        clock: 3,
    };
    let message = reply.to_message();
    assert_eq!(message.body, r#"{"w1@vm": {"ok": "pong"}}"#);
    assert_eq!(Reply::from_message(&message).unwrap(), reply);
    for body in ["{}", r#"{"a": 1, "b": 2}"#, "[]", ""] {
        assert!(Reply::from_message(&request(body)).is_err(), "{body}");
    }
}

#[test]
fn infos_come_back() {
    let task = TaskInfo {
        id: "id".into(),
        name: "demo.add".into(),
        args: Value::Array(vec![Value::Int(1)]),
        kwargs: Value::Map(Table::new()),
        hostname: "w1@vm".into(),
        time_start: Some(1.5),
        acknowledged: true,
        delivery_info: DeliveryInfo {
            routing_key: "celery".into(),
            ..DeliveryInfo::default()
        },
        worker_pid: Some(7),
    };
    assert_eq!(TaskInfo::from_value(task.to_value()).unwrap(), task);
    let queue = QueueInfo {
        name: "celery".into(),
        no_declare: Some(true),
        ..QueueInfo::default()
    };
    assert_eq!(QueueInfo::from_value(queue.to_value()).unwrap(), queue);
    assert!(QueueInfo::from_value(Value::Null).is_err());
}
