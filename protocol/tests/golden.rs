//! Bytes captured from Celery 5.7 must read, and write again the same.
//!
//! Every case is one file of `golden/`, taken as it was captured; each test says how
//! many cases it must have seen, so that a missing folder fails.
#![allow(clippy::unwrap_used)]

#[path = "golden/support.rs"]
mod support;

use celeriac_protocol::{
    Body, Codec, Message, ResultDocument, Signature, TaskMessage, Value,
    compression::Compression,
    error::Fault,
    json,
    task::{Limits, Protocol},
    value::Table,
};
use support::{Case, bytes_of, cases, published};

/// Decodes, takes apart, and encodes again as it was read.
fn round_trip(message: &Message) -> (TaskMessage, Message) {
    let limits = Limits::default();
    let task = TaskMessage::decode(message.clone(), &limits).unwrap();
    let body = task.body(&limits).unwrap();
    let parts = body.parts().unwrap();
    let args: Vec<Value> = parts
        .args
        .iter()
        .map(|raw| raw.to_value().unwrap())
        .collect();
    let kwargs: Table = parts
        .kwargs
        .iter()
        .map(|(name, raw)| (name.to_string(), raw.to_value().unwrap()))
        .collect();
    let again = Body::encode(body.codec, &args, &kwargs, &parts.embed).unwrap();
    let (headers, properties) = (task.headers.clone(), task.properties.clone());
    let again = TaskMessage::encode(headers, properties, again, None).unwrap();
    (task, again)
}

/// Returns for a message that cannot come out to the letter what reading it gives.
fn exception(message: &Message) -> Option<Option<Fault>> {
    let compression = message.headers.get("compression").and_then(Value::as_str);
    match (message.properties.content_type.as_deref(), compression) {
        // Compressions that this crate does not speak.
        (_, Some("application/x-brotli" | "application/x-lzma")) => Some(Some(Fault::Content)),
        // YAML has many ways to write a value, and is a feature.
        (Some("application/x-yaml"), _) if cfg!(feature = "yaml") => Some(None),
        (Some("application/x-yaml"), _) => Some(Some(Fault::Content)),
        _ => None,
    }
}

#[test]
fn task_messages_of_protocol_2_round_trip() {
    let dirs = [
        "tasks",
        "canvas",
        "canvas_redis_backend",
        "results_rpc",
        "results_redis",
    ];
    let (mut count, mut excepted) = (0, 0);
    for case in dirs.into_iter().flat_map(cases) {
        for message in published(&case, "task") {
            if let Some(fault) = exception(&message) {
                assert_eq!(
                    outcome(message).err().map(|error| error.fault),
                    fault,
                    "{}",
                    case.name
                );
                excepted += 1;
                continue;
            }
            let (task, again) = round_trip(&message);
            assert_eq!(task.protocol, Protocol::V2, "{}", case.name);
            let mut headers = message.headers.clone();
            let plain = match headers.remove("compression") {
                None => message.body.clone(),
                Some(name) => {
                    let method = Compression::from_header(name.as_str().unwrap()).unwrap();
                    method.decompress(&message.body, 1 << 20).unwrap().into()
                }
            };
            assert_eq!(again.headers, headers, "{}", case.name);
            assert_eq!(again.body, plain, "{}", case.name);
            assert_eq!(again.properties, message.properties, "{}", case.name);
            count += 1;
        }
    }
    assert_eq!((count, excepted), (239, 4));
}

#[test]
fn task_messages_of_protocol_1_are_read() {
    let mut count = 0;
    for case in cases("proto1") {
        for message in published(&case, "task") {
            let object: Value = json::from_slice(&message.body, "body").unwrap();
            let object = object.as_map().unwrap();
            let limits = Limits::default();
            let task = TaskMessage::decode(message.clone(), &limits).unwrap();
            assert_eq!(task.protocol, Protocol::V1, "{}", case.name);
            let table = task.headers.clone().into_table();
            let shared = [
                "task",
                "id",
                "group",
                "group_index",
                "retries",
                "eta",
                "expires",
                "timelimit",
            ];
            for key in shared {
                assert_eq!(table.get(key), object.get(key), "{}: {key}", case.name);
            }
            let body = task.body(&limits).unwrap();
            let parts = body.parts().unwrap();
            let args: Vec<Value> = parts
                .args
                .iter()
                .map(|raw| raw.to_value().unwrap())
                .collect();
            assert_eq!(
                Some(&Value::Array(args)),
                object.get("args"),
                "{}",
                case.name
            );
            let embed = Value::from_serialize(&parts.embed).unwrap();
            for key in ["callbacks", "errbacks", "chord"] {
                assert_eq!(
                    embed.as_map().unwrap().get(key),
                    object.get(key),
                    "{}",
                    case.name
                );
            }
            let extra = message.headers.get("h");
            assert_eq!(task.headers.extra("h"), extra, "{}", case.name);
            count += 1;
        }
    }
    assert_eq!(count, 9);
}

#[test]
fn signatures_round_trip() {
    let mut count = 0;
    for case in cases("signatures") {
        let value = case.get("signature_json").clone();
        let text = json::to_string(&value).unwrap();
        let signature: Signature = json::from_slice(text.as_bytes(), "signature").unwrap();
        assert_eq!(json::to_string(&signature).unwrap(), text, "{}", case.name);
        assert_eq!(Value::from(signature), value, "{}", case.name);
        count += 1;
    }
    assert_eq!(count, 11);
}

/// The stored and sent result documents of a case, each with the name of where it was.
fn documents(case: &Case) -> Vec<Vec<u8>> {
    let mut found: Vec<Vec<u8>> = published(case, "result")
        .into_iter()
        .map(|message| message.body.into())
        .collect();
    let commands = case.value.as_map().unwrap().get("redis_commands");
    for command in commands.and_then(Value::as_array).unwrap_or_default() {
        let words = command
            .as_map()
            .unwrap()
            .get("cmd")
            .unwrap()
            .as_array()
            .unwrap();
        let key = words.get(1).and_then(Value::as_str).unwrap_or_default();
        let name = words[0].as_str().unwrap();
        if key.contains("celery-task-meta-") && ["SET", "SETEX", "PUBLISH"].contains(&name) {
            found.push(bytes_of(words.last().unwrap()));
        }
    }
    found
}

#[test]
fn result_documents_round_trip() {
    let json = [
        "results_rpc",
        "results_redis",
        "results_redis_extended",
        "results_redis_var_expires0",
        "results_redis_var_failexp",
        "results_redis_var_gzip",
        "results_redis_var_keyprefix",
        "results_redis_var_unordered",
    ];
    let dirs = json.map(|dir| (dir, Codec::Json)).into_iter();
    let mut count = 0;
    for (dir, codec) in dirs.chain([("results_redis_var_msgpack", Codec::Msgpack)]) {
        for case in cases(dir) {
            for bytes in documents(&case) {
                let bytes = uncompressed(bytes);
                if case.name == "results_redis_var_msgpack/failure" {
                    // Paths in its traceback were shortened when it was captured, so the
                    // text is shorter than the length before it says.
                    let error = ResultDocument::decode(codec, &bytes).unwrap_err();
                    assert_eq!(error.fault, Fault::Malformed);
                    continue;
                }
                let document = ResultDocument::decode(codec, &bytes).unwrap();
                let again = document.encode(codec).unwrap();
                let (again, bytes) = (
                    String::from_utf8_lossy(&again),
                    String::from_utf8_lossy(&bytes),
                );
                assert_eq!(again, bytes, "{}", case.name);
                count += 1;
            }
        }
    }
    assert_eq!(count, 287);
}

/// Takes off the frame that Celery's `result_compression` puts around a document.
fn uncompressed(bytes: Vec<u8>) -> Vec<u8> {
    let Some(framed) = bytes.strip_prefix(b"\x00celery-compressed\x00") else {
        return bytes;
    };
    let end = framed.iter().position(|byte| *byte == 0).unwrap();
    let name = std::str::from_utf8(&framed[..end]).unwrap();
    Compression::from_header(name)
        .unwrap()
        .decompress(&framed[end + 1..], 1 << 20)
        .unwrap()
}

fn outcome(message: Message) -> Result<(), celeriac_protocol::DecodeError> {
    let limits = Limits::default();
    let task = TaskMessage::decode(message, &limits)?;
    let body = task.body(&limits)?;
    body.parts().map(drop)
}

#[test]
fn bad_input_gives_the_documented_fault() {
    let json = "expected application/json, application/x-msgpack or application/x-yaml";
    let time = "expected a time in ISO 8601, such as 2030-01-02T03:04:05+00:00";
    let three = "body: expected a list of 3 elements: args, kwargs, embed";
    let neither = "message: expected a header task, or an object with task, found neither";
    // Every case that is not here is fine.
    let faults = [
        (
            "args_dict",
            Fault::Arguments,
            "body, args: expected a list, found a map".to_owned(),
        ),
        (
            "bad_json",
            Fault::Malformed,
            "body: expected a key in double quotes".to_owned(),
        ),
        (
            "bad_json_proto1",
            Fault::Malformed,
            "body: expected a key in double quotes".to_owned(),
        ),
        (
            "body_two_elements",
            Fault::Malformed,
            format!("{three}, found 2 elements"),
        ),
        ("compression_bad", Fault::Malformed, String::new()),
        ("compression_unknown", Fault::Content, String::new()),
        (
            "content_type_charset",
            Fault::Content,
            format!("content type: {json}, found \""),
        ),
        (
            "empty_body",
            Fault::Malformed,
            "body: expected a JSON value, found the end".to_owned(),
        ),
        (
            "eta_int",
            Fault::Malformed,
            format!("header eta: {time}, found an integer"),
        ),
        (
            "eta_invalid",
            Fault::Malformed,
            format!("header eta: {time}, found \"tomorrow\""),
        ),
        (
            "expires_invalid",
            Fault::Malformed,
            format!("header expires: {time}, found \"soon\""),
        ),
        ("headers_absent", Fault::NotATask, neither.to_owned()),
        (
            "kwargs_list",
            Fault::Arguments,
            "body, kwargs: expected a map, found a list".to_owned(),
        ),
        (
            "missing_id_header",
            Fault::NotATask,
            "header id: expected a task id, found none".into(),
        ),
        (
            "no_content_type",
            Fault::Content,
            format!("content type: {json}, found none"),
        ),
        (
            "no_headers_valid_v2_body",
            Fault::NotATask,
            neither.to_owned(),
        ),
        (
            "pickle_content",
            Fault::Content,
            format!("content type: {json}, found pickle"),
        ),
        (
            "text_plain",
            Fault::Content,
            format!("content type: {json}, found \"text/plain\""),
        ),
        (
            "unknown_content_type",
            Fault::Content,
            format!("content type: {json}, found \""),
        ),
    ];
    let mut count = 0;
    for case in cases("edge") {
        let name = case.name.strip_prefix("edge/").unwrap();
        let outcome = outcome(support::first_publish(&case));
        match faults.iter().find(|(bad, ..)| *bad == name) {
            None => assert_eq!(outcome, Ok(()), "{name}"),
            Some((_, fault, text)) => {
                let error = outcome.expect_err(name);
                assert_eq!(error.fault, *fault, "{name}");
                assert!(error.to_string().starts_with(text), "{name}: {error}");
                count += 1;
            }
        }
    }
    assert_eq!(count, faults.len());
}

#[test]
fn odd_but_valid_messages_are_read_as_meant() {
    let limits = Limits::default();
    let read = |name: &str| {
        let case = cases("edge")
            .into_iter()
            .find(|case| case.name == format!("edge/{name}"));
        TaskMessage::decode(support::first_publish(&case.unwrap()), &limits).unwrap()
    };
    let hybrid = read("hybrid");
    assert_eq!((hybrid.protocol, hybrid.headers.retries), (Protocol::V2, 1));
    let body = hybrid.body(&limits).unwrap();
    assert_eq!(body.parts().unwrap().args[1].decode::<u8>(), Ok(3));

    let latin = read("latin1_encoding").body(&limits).unwrap();
    assert_eq!(
        latin.parts().unwrap().args[0].decode::<String>().unwrap(),
        "é"
    );

    assert_eq!(read("retries_string").headers.retries, 3);
    assert_eq!(read("proto1_minimal").headers.task, "demo.noop");
    let minimal = read("minimal_headers").headers;
    assert_eq!(
        (minimal.root(), minimal.lang.is_some()),
        (minimal.id.as_str(), true)
    );
    assert_eq!(read("root_id_null").headers.root_id, None);
    let unknown = read("unknown_header").headers;
    assert!(!unknown.extra.is_empty());
}

/// What the YAML fixtures say, read as values.
#[cfg(feature = "yaml")]
#[test]
fn yaml_bodies_and_documents_are_read() {
    let limits = Limits::default();
    let mut count = 0;
    for case in cases("tasks")
        .into_iter()
        .filter(|case| case.name.contains("yaml"))
    {
        for message in published(&case, "task") {
            let task = TaskMessage::decode(message, &limits).unwrap();
            let body = task.body(&limits).unwrap();
            let parts = body.parts().unwrap();
            assert_eq!(parts.args[0].decode::<u8>(), Ok(1), "{}", case.name);
            assert!(parts.embed.is_empty());
            let args: Vec<Value> = parts
                .args
                .iter()
                .map(|raw| raw.to_value().unwrap())
                .collect();
            let again = Body::encode(Codec::Yaml, &args, &Table::new(), &parts.embed).unwrap();
            assert_eq!(again.parts().unwrap().args, parts.args, "{}", case.name);
            count += 1;
        }
    }
    for case in cases("results_redis_var_yaml") {
        for bytes in documents(&case) {
            let document = ResultDocument::decode(Codec::Yaml, &bytes).unwrap();
            let again = document.encode(Codec::Yaml).unwrap();
            let again = ResultDocument::decode(Codec::Yaml, &again).unwrap();
            assert_eq!(again, document, "{}", case.name);
            count += 1;
        }
    }
    assert_eq!(count, 12);
}
