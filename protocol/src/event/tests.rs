#![allow(clippy::unwrap_used)]

use std::time::Duration;

use super::*;

fn event(kind: EventKind) -> Event {
    Event::new(
        "w1@vm",
        7,
        3,
        UNIX_EPOCH + Duration::from_millis(1500),
        kind,
    )
}

fn error(body: &str) -> String {
    Event::decode_batch(body.as_bytes())
        .unwrap_err()
        .to_string()
}

#[test]
fn a_message_is_what_celery_sends() {
    let event = event(EventKind::TaskStarted { uuid: "id".into() });
    let message = event.to_message();
    assert_eq!(
        message.body,
        r#"{"hostname": "w1@vm", "utcoffset": 0.0, "pid": 7, "clock": 3, "uuid": "id", "timestamp": 1.5, "type": "task-started"}"#
    );
    assert_eq!(message.properties.delivery_mode, Some(1));
    assert_eq!(
        message.headers.get("hostname").unwrap().as_str(),
        Some("w1@vm")
    );
    assert_eq!(event.routing_key(), "task.started");

    let batch = Event::batch_to_message("w1@vm", &[event.clone(), event.clone()]);
    assert_eq!(
        Event::decode_batch(&batch.body).unwrap(),
        [event.clone(), event]
    );
}

#[test]
fn absent_fields_have_a_meaning() {
    let body =
        br#"{"type": "task-received", "hostname": "h", "timestamp": 1, "uuid": "u", "new": 1}"#;
    let events = Event::decode_batch(body).unwrap();
    let received = TaskReceived {
        uuid: "u".into(),
        ..TaskReceived::default()
    };
    assert_eq!(events[0].kind, EventKind::TaskReceived(Box::new(received)));
    assert_eq!((events[0].pid, events[0].clock), (0, 0));

    let body = br#"{"type": "worker-heartbeat", "hostname": "h", "timestamp": 1.0}"#;
    let events = Event::decode_batch(body).unwrap();
    assert_eq!(
        events[0].kind,
        EventKind::WorkerHeartbeat(WorkerStatus::default())
    );
}

#[test]
fn display_fields_may_be_anything() {
    let body = br#"{"type": "task-failed", "hostname": "h", "timestamp": 1, "uuid": "u", "exception": ["a", null]}"#;
    let events = Event::decode_batch(body).unwrap();
    let failed = EventKind::TaskFailed {
        uuid: "u".into(),
        exception: "['a', None]".into(),
        traceback: None,
    };
    assert_eq!(events[0].kind, failed);
}

#[test]
fn bad_events_say_where() {
    assert_eq!(error("7"), "event: expected a map, found 7");
    assert_eq!(error("{}"), "type: expected a string, found nothing");
    assert_eq!(
        error(
            r#"[{"type": "my-event", "hostname": "h", "timestamp": 0}, {"type": "task-started", "hostname": "h", "timestamp": 0}]"#
        ),
        "event 1, task-started, uuid: expected a string, found nothing"
    );
    assert_eq!(
        error(r#"{"type": "worker-online", "hostname": "h", "timestamp": "now"}"#),
        "worker-online, timestamp: expected a number, found 'now'"
    );
    assert_eq!(
        error(r#"{"type": "worker-online", "hostname": "h", "timestamp": 0, "pid": -1}"#),
        "worker-online, pid: expected an integer of type u32, found -1"
    );
    assert!(Event::decode_batch(b"[[").is_err());
    assert_eq!(Event::decode_batch(b"[]").unwrap(), []);
}

#[test]
fn an_event_knows_its_task() {
    let mut fields = Table::new();
    fields.push("uuid", "u");
    let other = EventKind::Other {
        kind: "task-progress".into(),
        fields: fields.clone(),
    };
    assert_eq!(other.task_id(), Some("u"));
    assert_eq!(other.task_state(), None);
    assert_eq!(
        EventKind::Other {
            kind: "my-event".into(),
            fields
        }
        .task_id(),
        None
    );
    let started = EventKind::TaskStarted { uuid: "v".into() };
    assert_eq!(
        (started.task_id(), started.task_state()),
        (Some("v"), Some(State::Started))
    );
}
