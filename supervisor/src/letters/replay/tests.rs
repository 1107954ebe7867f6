#![allow(clippy::unwrap_used)]

use bytes::Bytes;
use celeriac_protocol::letter::{Cause, Reason};
use celeriac_protocol::{Codec, Signature};

use super::*;
use crate::access::Redaction;
use crate::letters::letter::Rules;

fn letter_of(message: &Message) -> Letter {
    let redaction = Redaction::nothing();
    let rules = Rules {
        max_body: 10_000,
        redaction: &redaction,
    };
    Letter::of(message, "mail.dead", celeriac::clock::now(), rules)
}

fn headers() -> TaskHeaders {
    TaskHeaders {
        lang: Some("py".into()),
        task: "mail.send".into(),
        id: "t1".into(),
        root_id: Some("t1".into()),
        group: Some("g".into()),
        retries: 3,
        eta: Some("2026-01-02T03:04:05".parse().unwrap()),
        expires: Some("2026-01-02T03:04:05".parse().unwrap()),
        stamps: [("customer".to_owned(), Value::from("7"))]
            .into_iter()
            .collect(),
        ..TaskHeaders::default()
    }
}

fn message(compression: Option<Compression>) -> Message {
    let properties = Properties {
        reply_to: Some("caller".into()),
        priority: Some(5),
        expiration: Some("1000".into()),
        user_id: Some("guest".into()),
        ..Properties::default()
    };
    let kwargs = [("to".to_owned(), Value::from("ada"))]
        .into_iter()
        .collect();
    let embed = Embed {
        chord: Some(Box::new(Signature::new("body"))),
        callbacks: Some(vec![Signature::new("next")]),
        ..Embed::default()
    };
    let body = Body::encode(Codec::Json, &[Value::Int(1)], &kwargs, &embed).unwrap();
    let mut message = TaskMessage::encode(headers(), properties, body, compression).unwrap();
    Cause::new(Reason::Failed, "boom").write(&mut message.headers);
    message.headers.insert("x-death", Value::Array(Vec::new()));
    message.headers.insert("x-delivery-count", 4);
    message
        .headers
        .insert("CC", Value::Array(vec!["other".into()]));
    message.headers.insert(naming::header::TICK, "nightly@now");
    message.headers.insert(naming::header::TERM, 3);
    message.headers.insert("mine", "kept");
    message
}

fn sent(edit: &Edit, compression: Option<Compression>) -> (Publication, TaskMessage, Content) {
    let publication = replay(&letter_of(&message(compression)), edit, 7).unwrap();
    let limits = Limits::default();
    let task = TaskMessage::decode(publication.message.clone(), &limits).unwrap();
    let content = Content::read(&task.body(&limits).unwrap()).unwrap();
    (publication, task, content)
}

#[test]
fn a_message_goes_back_as_it_came_with_its_tries_before_it() {
    let before = message(None);
    let (publication, task, content) = sent(&Edit::default(), None);
    assert_eq!(publication.routing_key, "mail");
    assert!(publication.mandatory && publication.confirm && publication.exchange.is_empty());
    assert_eq!(publication.message.body, before.body);
    assert_eq!((task.headers.id.as_str(), task.headers.retries), ("t1", 0));
    assert_eq!((task.headers.eta, task.headers.expires), (None, None));
    assert_eq!(task.headers.stamps, headers().stamps);
    assert_eq!(task.headers.extra("mine"), Some(&"kept".into()));
    assert_eq!(task.properties.reply_to.as_deref(), Some("caller"));
    assert_eq!(task.properties.priority, Some(5));
    assert_eq!(
        (task.properties.expiration, task.properties.user_id),
        (None, None)
    );
    assert!(content.embed.chord.is_some());
    let traces = ["CC", "x-death", "x-delivery-count", "x-celeriac-reason"];
    // A tick that comes again with its own id would be taken for one that was sent twice.
    let ticks = [naming::header::TICK, naming::header::TERM];
    let mut traces = traces.into_iter().chain(ticks);
    let headers = &publication.message.headers;
    assert!(traces.all(|name| headers.get(name).is_none()));
    assert!(headers.get(REPLAY_OF).is_some());
}

#[test]
fn times_and_queue_are_as_asked_for() {
    let edit = Edit {
        queue: Some("other".into()),
        keep_times: true,
        ..Edit::default()
    };
    let (publication, task, _) = sent(&edit, None);
    assert_eq!(publication.routing_key, "other");
    assert_eq!(task.headers.eta, headers().eta);
    assert!(task.headers.expires.is_some());
}

#[test]
fn other_arguments_are_written_as_the_sender_would() {
    let edit = Edit {
        args: Some(vec![Value::Int(2)]),
        ..Edit::default()
    };
    for compression in [None, Some(Compression::Zlib)] {
        let (_, task, content) = sent(&edit, compression);
        assert_eq!(content.args, [Value::Int(2)]);
        assert_eq!(content.kwargs.get("to"), Some(&"ada".into()));
        assert_eq!(content.embed.callbacks.map(|all| all.len()), Some(1));
        assert_eq!(task.headers.argsrepr.as_deref(), Some("(2,)"));
        let header = compression.map(Compression::header);
        assert_eq!(task.headers.compression.as_deref(), header);
        assert_eq!(
            task.properties.content_type.as_deref(),
            Some("application/json")
        );
    }
}

#[test]
fn with_another_id_nobody_waits_and_nothing_counts_it() {
    let edit = Edit {
        new_id: Some("t2".into()),
        ..Edit::default()
    };
    let (_, task, content) = sent(&edit, None);
    assert_eq!(task.headers.id, "t2");
    assert_eq!(task.headers.root_id.as_deref(), Some("t2"));
    assert_eq!((task.headers.group, task.properties.reply_to), (None, None));
    assert_eq!(task.properties.correlation_id.as_deref(), Some("t2"));
    assert!(content.embed.chord.is_none() && content.embed.callbacks.is_some());
}

#[test]
fn what_cannot_be_read_goes_back_as_it_is_or_not_at_all() {
    let garbage = Message {
        body: Bytes::from_static(b"{"),
        ..message(None)
    };
    let letter = letter_of(&garbage);
    let publication = replay(&letter, &Edit::default(), 7).unwrap();
    assert_eq!(publication.message.body, garbage.body);
    let edit = Edit {
        kwargs: Some(Table::new()),
        ..Edit::default()
    };
    assert_eq!(replay(&letter, &edit, 7).unwrap_err().field, "kwargs");

    let nothing = letter_of(&Message::default());
    assert!(replay(&nothing, &Edit::default(), 7).is_ok());
    assert_eq!(replay(&nothing, &edit, 7).unwrap_err().field, "kwargs");

    let gone = Letter {
        body: None,
        ..letter
    };
    assert_eq!(
        replay(&gone, &Edit::default(), 7).unwrap_err().field,
        "letter"
    );
}

#[test]
fn an_old_message_goes_back_as_a_new_one() {
    let body = br#"{"task": "t", "id": "id", "args": [1], "kwargs": {}, "retries": 2}"#;
    let old = Message {
        properties: Properties {
            content_type: Some("application/json".into()),
            content_encoding: Some("utf-8".into()),
            ..Properties::default()
        },
        headers: Table::new(),
        body: Bytes::from_static(body),
    };
    let publication = replay(&letter_of(&old), &Edit::default(), 7).unwrap();
    let headers = &publication.message.headers;
    assert_eq!(headers.get("task"), Some(&"t".into()));
    assert_eq!(headers.get("retries"), Some(&0.into()));
    assert!(publication.message.body.starts_with(b"[[1], {}"));
}
