//! Events, remote control and argument texts, byte for byte as Celery 5.7 sent them.
//!
//! The captured messages lie in `golden/`; each must decode to its own type and encode
//! to the same bytes again.

#![allow(clippy::unwrap_used)]

use std::{fs, path::Path};

use bytes::Bytes;
use celeriac_protocol::{
    Message, Properties, Table, Value,
    control::{QueueInfo, Reply, Request, ScheduledInfo, TaskInfo},
    event::{Event, EventKind},
    json, repr,
};

const DIRECTORIES: [&str; 3] = ["events", "control", "control2"];

/// A captured message and the case that it belongs to.
struct Captured {
    case: String,
    routing_key: String,
    message: Message,
}

/// Returns every captured message of an exchange.
fn captured(exchange: &str) -> Vec<Captured> {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut captured = Vec::new();
    for directory in DIRECTORIES {
        let mut files: Vec<_> = fs::read_dir(golden.join(directory))
            .unwrap()
            .map(|file| file.unwrap().path())
            .collect();
        files.sort();
        for file in files {
            let document: Table = json::from_slice(&fs::read(&file).unwrap(), "golden").unwrap();
            for message in document.get("messages").unwrap().as_array().unwrap() {
                let message = message.as_map().unwrap();
                if text(message, "exchange").as_deref() != Some(exchange) {
                    continue;
                }
                captured.push(Captured {
                    case: text(&document, "case").unwrap(),
                    routing_key: text(message, "routing_key").unwrap(),
                    message: Message {
                        properties: properties(message.get("properties").unwrap()),
                        headers: message.get("headers").unwrap().as_map().unwrap().clone(),
                        body: Bytes::from(text(message, "body_utf8").unwrap()),
                    },
                });
            }
        }
    }
    captured
}

fn text(table: &Table, key: &str) -> Option<String> {
    table.get(key).and_then(Value::as_str).map(str::to_owned)
}

fn properties(value: &Value) -> Properties {
    let table = value.as_map().unwrap();
    let small = |key| {
        table
            .get(key)
            .map(|value| value.as_i64().unwrap().try_into().unwrap())
    };
    assert_eq!(
        table.len(),
        4,
        "a control or event message has four properties"
    );
    Properties {
        content_type: text(table, "content_type"),
        content_encoding: text(table, "content_encoding"),
        delivery_mode: small("delivery_mode"),
        priority: small("priority"),
        ..Properties::default()
    }
}

fn same(expected: &Message, found: &Message, case: &str) {
    let body = |message: &Message| String::from_utf8(message.body.to_vec()).unwrap();
    assert_eq!(body(expected), body(found), "{case}");
    assert_eq!(expected, found, "{case}");
}

#[test]
fn events_come_back_byte_for_byte() {
    let captured = captured("celeryev");
    assert_eq!(captured.len(), 192);
    let mut events_seen = 0;
    for Captured {
        case,
        routing_key,
        message,
    } in &captured
    {
        let events = Event::decode_batch(&message.body).unwrap();
        let again = match routing_key.as_str() {
            "task.multi" => Event::batch_to_message(&events[0].hostname, &events),
            _ => {
                assert_eq!(events.len(), 1, "{case}");
                assert_eq!(events[0].routing_key(), *routing_key, "{case}");
                events[0].to_message()
            }
        };
        same(message, &again, case);
        events_seen += events.len();
        for event in &events {
            let own = matches!(event.type_name(), "my-custom-event" | "task-mything");
            assert_eq!(
                matches!(event.kind, EventKind::Other { .. }),
                own,
                "{case}: {event:?}"
            );
        }
    }
    assert_eq!(events_seen, 236);
}

#[test]
fn requests_come_back_byte_for_byte() {
    let captured = captured("celery.pidbox");
    assert_eq!(captured.len(), 77);
    for Captured {
        case,
        routing_key,
        message,
    } in &captured
    {
        let request = Request::from_message(message).unwrap();
        assert_eq!(routing_key, "", "{case}");
        same(message, &request.to_message(), case);
    }
}

#[test]
fn requests_address_the_workers_that_answered() {
    let requests: Vec<Request> = captured("celery.pidbox")
        .iter()
        .map(|captured| Request::from_message(&captured.message).unwrap())
        .collect();
    for Captured { case, message, .. } in captured("reply.celery.pidbox") {
        let reply = Reply::from_message(&message).unwrap();
        let request = requests
            .iter()
            .find(|request| request.ticket == reply.ticket)
            .unwrap();
        assert!(request.addresses(&reply.node), "{case}");
    }
    let selective = requests
        .iter()
        .filter(|request| !request.addresses("nobody@nowhere"));
    assert_eq!(selective.count(), 21);
}

#[test]
fn replies_come_back_byte_for_byte() {
    let captured = captured("reply.celery.pidbox");
    assert_eq!(captured.len(), 73);
    for Captured { case, message, .. } in &captured {
        same(
            message,
            &Reply::from_message(message).unwrap().to_message(),
            case,
        );
    }
}

/// Calls `check` on every map anywhere inside that has `key`.
fn each(value: &Value, key: &str, check: &mut impl FnMut(&Value)) {
    match value {
        Value::Map(table) => {
            if table.get(key).is_some() {
                check(value);
            }
            table.iter().for_each(|(_, inner)| each(inner, key, check));
        }
        Value::Array(items) => items.iter().for_each(|inner| each(inner, key, check)),
        _ => {}
    }
}

#[test]
fn what_nodes_tell_comes_back() {
    let (mut tasks, mut scheduled, mut queues) = (0, 0, 0);
    for Captured { message, .. } in captured("reply.celery.pidbox") {
        let payload = Reply::from_message(&message).unwrap().payload;
        each(&payload, "worker_pid", &mut |task| {
            tasks += 1;
            assert_eq!(
                TaskInfo::from_value(task.clone()).unwrap().to_value(),
                *task
            );
        });
        each(&payload, "request", &mut |task| {
            scheduled += 1;
            assert_eq!(
                ScheduledInfo::from_value(task.clone()).unwrap().to_value(),
                *task
            );
        });
        each(&payload, "consumer_arguments", &mut |queue| {
            queues += 1;
            assert_eq!(
                QueueInfo::from_value(queue.clone()).unwrap().to_value(),
                *queue
            );
        });
    }
    assert_eq!((tasks, scheduled, queues), (20, 2, 4));
}

#[test]
fn arguments_are_shown_as_celery_shows_them() {
    let file = include_bytes!("golden/repr/messages.json");
    let cases: Vec<Table> = json::from_slice(file, "golden").unwrap();
    let mut compared = 0;
    for case in &cases {
        let name = text(case, "case").unwrap();
        // The caller wrote the text, or Python's objects show more than their JSON.
        if matches!(
            name.as_str(),
            "tasks/argsrepr_override" | "tasks/json_special_types"
        ) {
            continue;
        }
        let body: Vec<Value> =
            json::from_slice(text(case, "body").unwrap().as_bytes(), "body").unwrap();
        let expected = text(case, "argsrepr").unwrap();
        // A list of arguments is shown as a list; most callers pass a tuple.
        let args = match expected.starts_with('[') {
            true => repr::value(&body[0], 1024),
            false => repr::args(body[0].as_array().unwrap(), 1024),
        };
        assert_eq!(args, expected, "{name}");
        assert_eq!(
            repr::kwargs(body[1].as_map().unwrap(), 1024),
            text(case, "kwargsrepr").unwrap()
        );
        compared += 1;
    }
    assert_eq!(compared, 43);
}
