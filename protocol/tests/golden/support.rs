//! Captured cases as messages.

use std::{fs, path::Path};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use celeriac_protocol::{Message, Properties, Value, json, value::Table};

/// One captured file.
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) value: Value,
}

impl Case {
    pub(crate) fn get(&self, key: &str) -> &Value {
        field(&self.value, key)
    }
}

fn field<'a>(value: &'a Value, key: &str) -> &'a Value {
    static NULL: Value = Value::Null;
    value
        .as_map()
        .and_then(|table| table.get(key))
        .unwrap_or(&NULL)
}

/// Reads a folder of cases, in the order of their names.
pub(crate) fn cases(dir: &str) -> Vec<Case> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(dir);
    let mut paths: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    let read = |path: std::path::PathBuf| Case {
        name: format!("{dir}/{}", path.file_stem().unwrap().to_str().unwrap()),
        value: json::from_slice(&fs::read(path).unwrap(), "case").unwrap(),
    };
    paths.into_iter().map(read).collect()
}

/// Returns what a case published of a kind: `task`, `result` or `event`. Cases that
/// only publish tasks do not say so.
pub(crate) fn published(case: &Case, kind: &str) -> Vec<Message> {
    let messages = case.get("messages").as_array().unwrap_or_default().iter();
    let mut found = Vec::new();
    for message in messages {
        let is = match field(message, "kind").as_str() {
            Some(named) => named == kind,
            None => {
                let event = field(message, "exchange").as_str() == Some("celeryev");
                kind == "task" && !event
            }
        };
        if is {
            found.push(message_of(message));
        }
    }
    found
}

/// Returns the first message that a client published in a trace of frames.
pub(crate) fn first_publish(case: &Case) -> Message {
    let trace = case.get("wire_trace").as_array().unwrap();
    let publish = trace
        .iter()
        .find(|frame| field(frame, "method").as_str() == Some("basic.publish"))
        .unwrap();
    message_of(field(publish, "message"))
}

/// Makes a message of a captured one.
pub(crate) fn message_of(value: &Value) -> Message {
    let properties = field(value, "properties");
    let text = |key: &str| field(properties, key).as_str().map(str::to_owned);
    let small = |key: &str| {
        field(properties, key)
            .as_i64()
            .map(|n| u8::try_from(n).unwrap())
    };
    Message {
        properties: Properties {
            content_type: text("content_type"),
            content_encoding: text("content_encoding"),
            delivery_mode: small("delivery_mode"),
            priority: small("priority"),
            correlation_id: text("correlation_id"),
            reply_to: text("reply_to"),
            expiration: text("expiration"),
            message_id: text("message_id"),
            timestamp: field(properties, "timestamp")
                .as_i64()
                .map(|n| u64::try_from(n).unwrap()),
            kind: text("type"),
            user_id: text("user_id"),
            app_id: text("app_id"),
            cluster_id: text("cluster_id"),
        },
        headers: field(value, "headers")
            .as_map()
            .cloned()
            .unwrap_or_else(Table::new),
        body: Bytes::from(bytes_of(value)),
    }
}

/// Returns captured bytes: text as it is, or an object with base64.
pub(crate) fn bytes_of(value: &Value) -> Vec<u8> {
    if let Some(text) = value.as_str() {
        return text.as_bytes().to_vec();
    }
    let digits = ["body_base64", "base64"]
        .into_iter()
        .find_map(|key| field(value, key).as_str());
    STANDARD.decode(digits.unwrap()).unwrap()
}
