//! A whole message: the first line is the header table as JSON, the rest the body; the
//! header `content-type` in it becomes the property.
#![no_main]

use bytes::Bytes;
use celeriac_protocol::{Message, Properties, Table, TaskMessage, json, task::Limits};
use libfuzzer_sys::fuzz_target;

const LIMITS: Limits = Limits { body: 64 << 10 };

fuzz_target!(|input: &[u8]| {
    let at = input
        .iter()
        .position(|byte| *byte == b'\n')
        .unwrap_or(input.len());
    let (headers, body) = input.split_at(at);
    let mut headers: Table = json::from_slice(headers, "headers").unwrap_or_default();
    let mut property = |name| {
        headers
            .remove(name)
            .and_then(|value| value.as_str().map(str::to_owned))
    };
    let properties = Properties {
        content_type: property("content-type").or_else(|| Some("application/json".to_owned())),
        content_encoding: property("content-encoding"),
        ..Properties::default()
    };
    let body = Bytes::copy_from_slice(body.get(1..).unwrap_or_default());
    let Ok(task) = TaskMessage::decode(
        Message {
            properties,
            headers,
            body,
        },
        &LIMITS,
    ) else {
        return;
    };
    let Ok(body) = task.body(&LIMITS) else { return };
    // Latin-1 becomes up to twice as long as UTF-8.
    assert!(body.bytes.len() <= 2 * LIMITS.body);
    let Ok(parts) = body.parts() else { return };
    for raw in parts
        .args
        .iter()
        .chain(parts.kwargs.iter().map(|(_, raw)| raw))
    {
        let _ = raw.to_value();
    }
});
