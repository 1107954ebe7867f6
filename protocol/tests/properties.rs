//! Laws that hold for every message: what is encoded decodes to the same, and no bytes
//! whatever make a decoder panic or exceed its limits.

#![allow(clippy::unwrap_used)]

use bytes::Bytes;
use celeriac_protocol::{
    Body, Codec, Embed, Message, Properties, ResultDocument, Signature, State, Table, TaskHeaders,
    TaskMessage, Timestamp, Value,
    compression::Compression,
    control::{Matcher, Reply, ReplyTo, Request},
    event::{Event, EventKind, Load, TaskReceived, TaskSent, WorkerStatus},
    headers::TimeLimits,
    json, msgpack, naming, repr,
    result::Extended,
    task::Limits,
};
use proptest::{collection::vec, option, prelude::*, sample::select};

const LIMITS: Limits = Limits { body: 4096 };

/// Text with what is easily mistaken: quotes, escapes, signs, several planes.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z.@-]{0,12}",
        vec(any::<char>(), 0..8).prop_map(String::from_iter),
        vec(
            select(
                &[
                    '\'', '"', '\\', '\n', '\0', ' ', 'é', '😀', '\u{7f}', '*', '[', ']'
                ][..]
            ),
            0..8
        )
        .prop_map(String::from_iter),
    ]
}

fn float() -> impl Strategy<Value = f64> {
    any::<f64>().prop_filter("a number", |number| number.is_finite())
}

/// Values that both formats can tell apart.
fn plain() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        (1 << 63..=u64::MAX).prop_map(|number: u64| Value::BigInt(number.to_string())),
        float().prop_map(Value::Float),
        text().prop_map(Value::Str),
    ]
}

fn nested(leaf: impl Strategy<Value = Value> + 'static) -> impl Strategy<Value = Value> {
    leaf.prop_recursive(4, 24, 5, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..5).prop_map(Value::Array),
            entries("", inner).prop_map(Value::Map),
        ]
    })
}

/// Values of JSON: integers of any length, and infinities.
fn value() -> impl Strategy<Value = Value> {
    nested(prop_oneof![
        6 => plain(),
        1 => "-?[1-9][0-9]{19,40}".prop_map(Value::BigInt),
        1 => select(&[f64::INFINITY, f64::NEG_INFINITY][..]).prop_map(Value::Float),
    ])
}

/// A map whose keys are unique and begin with `prefix`.
fn entries(
    prefix: &'static str,
    value: impl Strategy<Value = Value>,
) -> impl Strategy<Value = Table> {
    vec((text(), value), 0..5).prop_map(move |entries| {
        let mut table = Table::new();
        for (key, value) in entries {
            table.insert(format!("{prefix}{key}"), value);
        }
        table
    })
}

fn table(prefix: &'static str) -> impl Strategy<Value = Table> {
    entries(prefix, value())
}

fn some_text() -> impl Strategy<Value = Option<String>> {
    option::of(text())
}

/// Moments whose local time has a text form in every offset.
fn timestamp() -> impl Strategy<Value = Timestamp> {
    (
        -62_135_500_000_000_000..253_402_200_000_000_000_i64,
        option::of(-86_399..86_400),
    )
        .prop_map(|(micros, offset)| Timestamp::with_offset(micros, offset))
}

fn signature() -> impl Strategy<Value = Signature> {
    let leaf = (
        (text(), vec(value(), 0..3), table(""), table("x-")),
        (some_text(), any::<bool>(), option::of(any::<u32>())),
    );
    let leaf = leaf.prop_map(
        |((task, args, kwargs, options), (subtask_type, immutable, size))| Signature {
            task,
            args,
            kwargs,
            options,
            subtask_type,
            immutable,
            chord_size: size,
            extra: Table::new(),
        },
    );
    leaf.prop_recursive(2, 4, 2, |inner| {
        (
            inner.clone(),
            select(&["link", "link_error", "chain"][..]),
            vec(inner, 0..3),
        )
            .prop_map(|(outer, key, inner)| {
                outer.with_option(key, inner.into_iter().map(Value::from).collect::<Vec<_>>())
            })
    })
}

fn embed() -> impl Strategy<Value = Embed> {
    let list = || option::of(vec(signature(), 0..2));
    (
        list(),
        list(),
        list(),
        option::of(signature().prop_map(Box::new)),
    )
        .prop_map(|(callbacks, errbacks, chain, chord)| Embed {
            callbacks,
            errbacks,
            chain,
            chord,
        })
}

fn headers() -> impl Strategy<Value = TaskHeaders> {
    let limit = || option::of((0.0..1e18).prop_map(|limit: f64| limit));
    let names = (
        some_text(),
        text(),
        text(),
        some_text(),
        some_text(),
        some_text(),
    );
    let times = (
        option::of(timestamp()),
        option::of(timestamp()),
        limit(),
        limit(),
    );
    let counts = (
        option::of(any::<u32>()),
        any::<u32>(),
        any::<u32>(),
        option::of(any::<bool>()),
    );
    let texts = (some_text(), some_text(), some_text(), some_text());
    let stamps = (option::of(vec(text(), 0..3)), table(""), table("x-"));
    (names, times, counts, texts, stamps).prop_map(|(names, times, counts, texts, stamps)| {
        let (lang, task, id, shadow, root_id, parent_id) = names;
        let (eta, expires, hard, soft) = times;
        let (group_index, retries, replaced_task_nesting, ignore_result) = counts;
        let (group, argsrepr, kwargsrepr, origin) = texts;
        let (stamped_headers, stamps, extra) = stamps;
        TaskHeaders {
            lang,
            task,
            id,
            shadow,
            eta,
            expires,
            group,
            group_index,
            retries,
            timelimit: TimeLimits { hard, soft },
            root_id,
            parent_id,
            argsrepr,
            kwargsrepr,
            origin,
            ignore_result,
            replaced_task_nesting,
            stamped_headers,
            stamps,
            compression: None,
            extra,
        }
    })
}

fn method() -> impl Strategy<Value = Compression> {
    select(&[Compression::Zlib, Compression::Bzip2, Compression::Zstd][..])
}

fn result_document() -> impl Strategy<Value = ResultDocument> {
    let state = prop_oneof![
        select(
            &[
                "PENDING", "STARTED", "SUCCESS", "FAILURE", "RETRY", "REVOKED"
            ][..]
        )
        .prop_map(State::from),
        text().prop_map(|name| State::from(name.as_str())),
    ];
    let names = (some_text(), value(), value(), some_text());
    let extended = (names, option::of(any::<u32>()), some_text(), table("x-"));
    let extended =
        extended.prop_map(
            |((name, args, kwargs, worker), retries, queue, stamps)| Extended {
                name,
                args,
                kwargs,
                worker,
                retries,
                queue,
                stamps,
            },
        );
    let texts = (text(), some_text(), some_text(), some_text());
    let children = option::of(vec(value(), 0..3));
    (
        texts,
        state,
        value(),
        children,
        option::of(timestamp()),
        option::of(extended),
    )
        .prop_map(
            |(
                (task_id, traceback, group_id, parent_id),
                status,
                result,
                children,
                date_done,
                extended,
            )| {
                ResultDocument {
                    task_id,
                    status,
                    result,
                    traceback,
                    children,
                    date_done,
                    group_id,
                    parent_id,
                    extended,
                }
            },
        )
}

fn worker_status() -> impl Strategy<Value = WorkerStatus> {
    let load = (any::<u64>(), any::<u64>(), [float(), float(), float()]).prop_map(
        |(active, processed, loadavg)| Load {
            active,
            processed,
            loadavg,
        },
    );
    // Whole frequencies go as integers when there is no load, which ends at 2^63.
    let numbers = (0.0..1e15_f64, option::of(load));
    (numbers, some_text(), some_text(), some_text(), table("x-")).prop_map(
        |((freq, load), sw_ident, sw_ver, sw_sys, extra)| WorkerStatus {
            freq,
            load,
            sw_ident,
            sw_ver,
            sw_sys,
            extra,
        },
    )
}

fn event_kind() -> impl Strategy<Value = EventKind> {
    let names = || {
        (
            text(),
            text(),
            some_text(),
            some_text(),
            some_text(),
            some_text(),
        )
    };
    let rest = (
        any::<u32>(),
        some_text(),
        some_text(),
        some_text(),
        some_text(),
        some_text(),
    );
    let sent = (names(), rest).prop_map(|(names, rest)| {
        let (uuid, name, root_id, parent_id, args, kwargs) = names;
        let (retries, eta, expires, queue, exchange, routing_key) = rest;
        EventKind::TaskSent(Box::new(TaskSent {
            uuid,
            root_id,
            parent_id,
            name,
            args,
            kwargs,
            retries,
            eta,
            expires,
            queue,
            exchange,
            routing_key,
        }))
    });
    let received = (names(), any::<u32>(), some_text(), some_text());
    let received = received.prop_map(|(names, retries, eta, expires)| {
        let (uuid, name, root_id, parent_id, args, kwargs) = names;
        EventKind::TaskReceived(Box::new(TaskReceived {
            uuid,
            name,
            args,
            kwargs,
            root_id,
            parent_id,
            retries,
            eta,
            expires,
        }))
    });
    prop_oneof![
        sent,
        received,
        text().prop_map(|uuid| EventKind::TaskStarted { uuid }),
        (text(), text(), float()).prop_map(|(uuid, result, runtime)| EventKind::TaskSucceeded {
            uuid,
            result,
            runtime
        }),
        (text(), text(), some_text()).prop_map(|(uuid, exception, traceback)| {
            EventKind::TaskFailed {
                uuid,
                exception,
                traceback,
            }
        }),
        (text(), text(), some_text()).prop_map(|(uuid, exception, traceback)| {
            EventKind::TaskRetried {
                uuid,
                exception,
                traceback,
            }
        }),
        (
            text(),
            any::<bool>(),
            option::of(any::<i32>()),
            any::<bool>()
        )
            .prop_map(
                |(uuid, terminated, signum, expired)| EventKind::TaskRevoked {
                    uuid,
                    terminated,
                    signum,
                    expired,
                }
            ),
        (text(), any::<bool>())
            .prop_map(|(uuid, requeue)| EventKind::TaskRejected { uuid, requeue }),
        worker_status().prop_map(EventKind::WorkerOnline),
        worker_status().prop_map(EventKind::WorkerHeartbeat),
        worker_status().prop_map(EventKind::WorkerOffline),
        (text(), text(), value(), any::<i64>()).prop_map(|(id, topic, action, cver)| {
            EventKind::WorkerElect {
                id,
                topic,
                action,
                cver,
            }
        }),
        text().prop_map(|id| EventKind::WorkerElectAck { id }),
        ("my-[a-z-]{0,8}", table("x-"))
            .prop_map(|(kind, fields)| EventKind::Other { kind, fields }),
    ]
}

fn event() -> impl Strategy<Value = Event> {
    (
        text(),
        float(),
        any::<u32>(),
        any::<u64>(),
        float(),
        event_kind(),
    )
        .prop_map(|(hostname, utcoffset, pid, clock, timestamp, kind)| Event {
            hostname,
            utcoffset,
            pid,
            clock,
            timestamp,
            kind,
        })
}

fn request() -> impl Strategy<Value = Request> {
    let reply_to = (text(), text()).prop_map(|(exchange, routing_key)| ReplyTo {
        exchange,
        routing_key,
    });
    let whom = (
        option::of(vec(text(), 0..3)),
        some_text(),
        option::of(select(&[Matcher::Glob, Matcher::Pcre][..])),
    );
    let expires = option::of(1.0..1e12_f64);
    let reply = (some_text(), option::of(reply_to));
    (text(), table(""), whom, reply, any::<u64>(), expires).prop_map(
        |(method, arguments, whom, (ticket, reply_to), clock, expires)| {
            let (destination, pattern, matcher) = whom;
            Request {
                method,
                arguments,
                destination,
                pattern,
                matcher,
                ticket,
                reply_to,
                clock,
                expires,
            }
        },
    )
}

/// Bytes of any kind: noise, and good texts with damage.
fn noise() -> impl Strategy<Value = Vec<u8>> {
    let good = prop_oneof![
        value().prop_map(|value| json::to_vec(&value).unwrap()),
        nested(plain()).prop_map(|value| msgpack::to_vec(&value).unwrap()),
        event().prop_map(|event| event.encode()),
        request().prop_map(|request| request.to_message().body.to_vec()),
        signature().prop_map(|signature| json::to_vec(&signature).unwrap()),
        result_document().prop_map(|document| document.encode(Codec::Json).unwrap()),
        (vec(any::<u8>(), 0..64), method())
            .prop_map(|(plain, method)| method.compress(&plain).unwrap()),
    ];
    let damaged = (
        good,
        vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        any::<bool>(),
    );
    let damaged = damaged.prop_map(|(mut bytes, changes, cut)| {
        for (at, byte) in changes {
            if !bytes.is_empty() {
                let at = at.index(bytes.len());
                bytes[at] = byte;
                if cut {
                    bytes.truncate(at);
                }
            }
        }
        bytes
    });
    prop_oneof![vec(any::<u8>(), 0..200), damaged]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(768))]

    #[test]
    fn values_come_back_from_json(value in value()) {
        let bytes = json::to_vec(&value).unwrap();
        prop_assert!(bytes.is_ascii());
        prop_assert_eq!(json::from_slice::<Value>(&bytes, "value").unwrap(), value);
    }

    #[test]
    fn values_come_back_from_msgpack(
        value in nested(prop_oneof![
            6 => plain(),
            1 => vec(any::<u8>(), 0..8).prop_map(|bytes| Value::Bytes(bytes.into())),
        ]),
    ) {
        let bytes = msgpack::to_vec(&value).unwrap();
        prop_assert_eq!(msgpack::from_slice::<Value>(&bytes, "value").unwrap(), value);
    }

    #[test]
    fn task_messages_come_back(
        headers in headers(),
        args in vec(nested(plain()), 0..3),
        kwargs in entries("", nested(plain())),
        embed in embed(),
        codec in select(&[Codec::Json, Codec::Msgpack][..]),
        method in option::of(method()),
    ) {
        let limits = Limits::default();
        // Signatures of these tests hold integers that MessagePack has no place for.
        let embed = if codec == Codec::Json { embed } else { Embed::default() };
        let body = Body::encode(codec, &args, &kwargs, &embed).unwrap();
        let properties = Properties { priority: Some(3), ..Properties::default() };
        let message =
            TaskMessage::encode(headers.clone(), properties, body.clone(), method).unwrap();
        let decoded = TaskMessage::decode(message, &limits).unwrap();
        let compression = method.map(|method| method.header().to_owned());
        prop_assert_eq!(&decoded.headers, &TaskHeaders { compression, ..headers });
        prop_assert_eq!(decoded.properties.priority, Some(3));
        let decoded = decoded.body(&limits).unwrap();
        prop_assert_eq!(&decoded, &body);
        let parts = decoded.parts().unwrap();
        let values: Vec<_> = parts.args.iter().map(|raw| raw.to_value().unwrap()).collect();
        prop_assert_eq!(values, args);
        let entries = parts.kwargs.iter();
        let table: Table =
            entries.map(|(key, raw)| (key.to_string(), raw.to_value().unwrap())).collect();
        prop_assert_eq!(table, kwargs);
        prop_assert_eq!(parts.embed, embed);
    }

    #[test]
    fn signatures_come_back(signature in signature()) {
        let bytes = json::to_vec(&signature).unwrap();
        let value = json::from_slice(&bytes, "signature").unwrap();
        prop_assert_eq!(Signature::from_value(value).unwrap(), signature);
    }

    #[test]
    fn result_documents_come_back(document in result_document()) {
        let bytes = document.encode(Codec::Json).unwrap();
        prop_assert_eq!(ResultDocument::decode(Codec::Json, &bytes).unwrap(), document);
    }

    #[test]
    fn events_come_back(events in vec(event(), 0..4)) {
        let decoded = Event::decode_batch(&Event::encode_batch(&events)).unwrap();
        prop_assert_eq!(&decoded, &events);
        for event in events {
            prop_assert_eq!(Event::decode_batch(&event.encode()).unwrap(), [event]);
        }
    }

    #[test]
    fn control_comes_back(
        request in request(),
        (node, payload) in (text(), value()),
        (ticket, clock) in (some_text(), any::<u64>()),
    ) {
        prop_assert_eq!(Request::from_message(&request.to_message()).unwrap(), request);
        let reply = Reply { node, payload, ticket, clock };
        prop_assert_eq!(Reply::from_message(&reply.to_message()).unwrap(), reply);
    }

    #[test]
    fn a_destination_or_an_equal_pattern_is_met(request in request(), node in "[a-z]{1,8}@[a-z.]{1,8}") {
        // Whatever the pattern is, looking at it ends.
        let _ = request.addresses(&node);
        let by_pattern = Request {
            destination: None,
            pattern: Some(node.clone()),
            matcher: Some(Matcher::Glob),
            ..request.clone()
        };
        prop_assert!(by_pattern.addresses(&node));
        let other = format!("{node}2");
        prop_assert!(!by_pattern.addresses(&other));
        let by_name = Request { destination: Some(vec![node.clone()]), ..request };
        prop_assert!(by_name.addresses(&node));
    }

    #[test]
    fn compressed_bytes_come_back(plain in vec(any::<u8>(), 0..2000), method in method()) {
        let packed = method.compress(&plain).unwrap();
        prop_assert_eq!(method.decompress(&packed, plain.len()).unwrap(), plain.clone());
        if let Some(less) = plain.len().checked_sub(1) {
            prop_assert!(method.decompress(&packed, less).is_err());
        }
    }

    #[test]
    fn timestamps_come_back(timestamp in timestamp()) {
        prop_assert_eq!(Timestamp::parse(&timestamp.to_text()).unwrap(), timestamp);
    }

    #[test]
    fn timestamps_of_any_text_or_number(text in text(), micros: i64, offset in option::of(any::<i32>())) {
        let _ = Timestamp::parse(&text);
        let shown = Timestamp::with_offset(micros, offset).to_text();
        prop_assert!(shown.len() < 64);
    }

    #[test]
    fn almost_timestamps(text in "[0-9]{4}-?[01][0-9]-?[0-3][0-9][T ]?[0-9:.]{0,12}[-+Z]?[0-9:]{0,6}") {
        if let Ok(timestamp) = Timestamp::parse(&text) {
            prop_assert_eq!(Timestamp::parse(&timestamp.to_text()).unwrap(), timestamp);
        }
    }

    #[test]
    fn display_texts_stay_near_their_limit(value in value(), max in 0_usize..200) {
        let whole = repr::python(&value);
        let shown = repr::value(&value, max);
        // A quote doubles when it is escaped; the mark and the brackets come on top.
        prop_assert!(shown.chars().count() <= 2 * max + 16, "{}", shown);
        let short = !shown.contains("...") && !whole.contains('\\') && !whole.contains('"');
        if short && !shown.contains('\\') && !shown.contains('"') {
            prop_assert_eq!(shown, whole);
        }
        let args = [value];
        let start = if max == 0 { ", ..." } else { "(" };
        prop_assert!(repr::args(&args, max).starts_with(start));
    }

    #[test]
    fn a_delay_comes_off_the_routing_key(seconds: u32, key in text()) {
        let delayed = naming::delay_routing_key(seconds, &key);
        prop_assert_eq!(naming::strip_delay(&delayed), &key);
        let _ = naming::strip_delay(&key);
    }

    #[test]
    fn no_bytes_break_a_decoder(bytes in noise(), method in method(), value in value()) {
        let _ = json::from_slice::<Value>(&bytes, "noise").map(|value| use_value(&value));
        let _ = msgpack::from_slice::<Value>(&bytes, "noise").map(|value| use_value(&value));
        let _ = Event::decode_batch(&bytes).map(|events| Event::encode_batch(&events));
        use_value(&value);
        if let Ok(plain) = method.decompress(&bytes, LIMITS.body) {
            prop_assert!(plain.len() <= LIMITS.body);
        }
        for codec in [Codec::Json, Codec::Msgpack] {
            let _ = ResultDocument::decode(codec, &bytes).map(|document| document.exception());
            let body = Body::new(codec, bytes.clone());
            if let Ok(parts) = body.parts() {
                parts.args.iter().for_each(|raw| drop(raw.to_value()));
            }
        }
    }

    #[test]
    fn no_message_breaks_a_decoder(
        bytes in noise(),
        mut headers in headers().prop_map(TaskHeaders::into_table),
        changes in vec((any::<prop::sample::Index>(), value()), 0..4),
        content_type in option::of(select(
            &["application/json", "application/x-msgpack", "application/x-python-serialize"][..],
        )),
        content_encoding in option::of(select(&["utf-8", "latin-1", "binary", "x"][..])),
        compression in option::of(select(&["zlib", "application/zstd", "bzip2", "xz"][..])),
        task in any::<bool>(),
    ) {
        for (at, value) in changes {
            let name = headers.iter().nth(at.index(headers.len())).unwrap().0.to_owned();
            headers.insert(name, value);
        }
        if !task {
            headers.remove("task");
        }
        if let Some(compression) = compression {
            headers.insert("compression", compression);
        }
        let properties = Properties {
            content_type: content_type.map(str::to_owned),
            content_encoding: content_encoding.map(str::to_owned),
            ..Properties::default()
        };
        let message = Message { properties, headers, body: Bytes::from(bytes) };
        let _ = Request::from_message(&message);
        let _ = Reply::from_message(&message);
        let kept = TaskMessage::decode_ref(&message, &LIMITS);
        let decoded = TaskMessage::decode(message, &LIMITS);
        prop_assert_eq!(&kept, &decoded);
        if let Ok(task) = decoded
            && let Ok(body) = task.body(&LIMITS)
        {
            // Latin-1 becomes up to twice as long as UTF-8.
            prop_assert!(body.bytes.len() <= 2 * LIMITS.body);
            let _ = body.parts().map(|parts| parts.embed.is_empty());
        }
    }
}

/// Reads a value by every reader of values.
fn use_value(value: &Value) {
    let _ = Signature::from_value(value.clone());
    let _ = Embed::from_value(value.clone());
    let _ = ResultDocument::from_value(value.clone());
    let _ = Event::from_value(value.clone());
    let _ = celeriac_protocol::control::TaskInfo::from_value(value.clone());
    let _ = celeriac_protocol::control::QueueInfo::from_value(value.clone());
    if let Value::Map(table) = value {
        let _ = TaskHeaders::from_table(table.clone());
    }
    let _ = repr::python(value);
}
