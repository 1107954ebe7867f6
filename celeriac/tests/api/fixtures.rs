//! Messages captured from Celery 5.7, and what is compared of them.

use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, SystemTime};

use celeriac::canvas::plan::plan;
use celeriac::producer::{Defaults, Lineage, publication};
use celeriac::protocol::{Codec, Message, Signature, Table, Value, json};
use celeriac::routing::Routing;
use celeriac::task::Registry;

/// When everything here is sent.
pub(crate) fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

pub(crate) fn defaults() -> Defaults {
    Defaults {
        queue: "celery".into(),
        serializer: Codec::Json,
        compression: None,
        persistent: true,
        origin: "gen1@here".into(),
        reply_to: "00000000-0000-3000-8000-00000000cafe".into(),
    }
}

/// Makes a signature of a task with positional arguments.
pub(crate) fn sig<const N: usize>(task: &str, args: [i64; N]) -> Signature {
    Signature {
        args: args.map(Value::from).to_vec(),
        ..Signature::new(task)
    }
}

/// Returns the task messages of a captured case, in order.
pub(crate) fn captured(case: &str) -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../protocol/tests/golden")
        .join(format!("{case}.json"));
    let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let case: Value = json::from_slice(&bytes, "case").unwrap();
    let messages = get(&case, "messages").as_array().unwrap();
    let to_worker = |message: &&Value| get(message, "exchange").as_str() != Some("celeryev");
    messages
        .iter()
        .filter(to_worker)
        .map(shape_of_capture)
        .collect()
}

pub(crate) fn get<'a>(value: &'a Value, key: &str) -> &'a Value {
    static NULL: Value = Value::Null;
    value
        .as_map()
        .and_then(|table| table.get(key))
        .unwrap_or(&NULL)
}

/// Sends a workflow and returns what Celery's capture would have of it.
pub(crate) fn sent(signature: Signature) -> Vec<Value> {
    sent_knowing(signature, &Registry::default())
}

/// As [`sent`], by a caller that knows some tasks.
pub(crate) fn sent_knowing(signature: Signature, registry: &Registry) -> Vec<Value> {
    let mut next = 0_u32;
    let mut new_id = || {
        next += 1;
        format!("00000000-0000-4000-8000-{next:012}")
    };
    let defaults = defaults();
    let plan = plan(signature, None, Some(&defaults.reply_to), &mut new_id).unwrap();
    plan.sends
        .into_iter()
        .map(|send| {
            let publication = publication(
                send.signature,
                &send.embed,
                &Lineage::default(),
                &defaults,
                &Routing::default(),
                registry,
                now(),
            )
            .unwrap();
            shape(
                &publication.exchange,
                &publication.routing_key,
                &publication.message,
            )
        })
        .collect()
}

fn shape(exchange: &str, routing_key: &str, message: &Message) -> Value {
    let properties = &message.properties;
    let mut table = Table::new();
    for (key, value) in [
        ("content_type", Value::from(properties.content_type.clone())),
        (
            "content_encoding",
            properties.content_encoding.clone().into(),
        ),
        (
            "delivery_mode",
            properties.delivery_mode.map(i64::from).into(),
        ),
        ("priority", properties.priority.map(i64::from).into()),
        ("correlation_id", properties.correlation_id.clone().into()),
        ("reply_to", properties.reply_to.clone().into()),
        ("expiration", properties.expiration.clone().into()),
        ("message_id", properties.message_id.clone().into()),
        ("timestamp", properties.timestamp.into()),
        ("type", properties.kind.clone().into()),
        ("user_id", properties.user_id.clone().into()),
        ("app_id", properties.app_id.clone().into()),
    ] {
        table.insert(key, value);
    }
    let mut whole = Table::new();
    whole.insert("exchange", exchange);
    whole.insert("routing_key", routing_key);
    whole.insert("properties", table);
    whole.insert("headers", message.headers.clone());
    // Compressed and binary bodies are compared where they are made.
    if let Ok(body) = std::str::from_utf8(&message.body) {
        whole.insert("body", body);
    }
    Value::Map(whole)
}

fn shape_of_capture(message: &Value) -> Value {
    let mut whole = Table::new();
    for (key, from) in [
        ("exchange", "exchange"),
        ("routing_key", "routing_key"),
        ("properties", "properties"),
        ("headers", "headers"),
        ("body", "body_utf8"),
    ] {
        whole.insert(key, get(message, from).clone());
    }
    Value::Map(whole)
}

/// Brings messages into a form in which only differences that mean something differ:
/// ids are numbered, null is absent, keys are sorted, and what depends on the sender or
/// the moment is gone.
pub(crate) fn comparable(messages: &[Value]) -> String {
    let mut ids = HashMap::new();
    let mut text = String::new();
    for message in messages {
        let mut message = message.as_map().unwrap().clone();
        if let Some(Value::Str(body)) = message.remove("body")
            && let Ok(body) = json::from_slice::<Value>(body.as_bytes(), "body")
        {
            message.insert("body", body);
        }
        write(&Value::Map(message), 0, &mut ids, &mut text);
        text.push('\n');
    }
    text
}

fn write(value: &Value, depth: usize, ids: &mut HashMap<String, usize>, text: &mut String) {
    let line = |text: &mut String| {
        text.push('\n');
        text.push_str(&" ".repeat(depth));
    };
    match value {
        Value::Map(table) => {
            let mut entries: Vec<_> = table.iter().filter(|(_, value)| !value.is_null()).collect();
            entries.sort_by_key(|(key, _)| *key);
            for (key, value) in entries {
                match key {
                    // The sender; junk that Celery itself does not read; display text, in
                    // which only Python can tell a tuple from a list.
                    "origin" | "add_to_parent" | "kwargsrepr" => {}
                    "eta" | "expires" | "countdown" => text.push_str(&format!(" {key}=some")),
                    // Celery knows the task and says false; null leaves it open.
                    "ignore_result" if value.as_bool() == Some(false) => {}
                    _ => {
                        line(text);
                        text.push_str(key);
                        text.push_str(": ");
                        write(value, depth + 1, ids, text);
                    }
                }
            }
        }
        Value::Array(items) => {
            text.push('[');
            for item in items {
                line(text);
                text.push_str("- ");
                write(item, depth + 1, ids, text);
            }
            text.push(']');
        }
        Value::Str(id) if is_uuid(id) => {
            let next = ids.len();
            let number = ids.entry(id.clone()).or_insert(next);
            text.push_str(&format!("#{number}"));
        }
        other => text.push_str(&json::to_string(other).unwrap()),
    }
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}
