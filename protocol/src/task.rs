//! A whole task message.

use std::borrow::Cow;

use bytes::Bytes;

use crate::{
    Body, Codec, DecodeError, EncodeError, Message, TaskHeaders, Value,
    body::{Raw, Shape},
    compression::Compression,
    error::Fault,
    message::Properties,
    value::Table,
};

mod charset;

/// A task message: headers decoded, body not yet.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskMessage {
    /// What to run and how.
    pub headers: TaskHeaders,
    /// How it travelled.
    pub properties: Properties,
    /// Which protocol the sender speaks.
    pub protocol: Protocol,
    /// The body as it travelled, compressed or not.
    pub body: Bytes,
}

/// Versions of Celery's task protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Protocol {
    /// Everything in one object in the body.
    V1,
    /// Metadata in headers, arguments in the body.
    #[default]
    V2,
}

/// What a decoder may be made to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Limits {
    /// Bytes of a body, as it travels and decompressed. 16 MiB by default. Depth is
    /// always limited to [`MAX_DEPTH`](crate::json::MAX_DEPTH).
    pub body: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { body: 16 << 20 }
    }
}

impl TaskMessage {
    /// Tells the protocol and reads the headers.
    ///
    /// A header `task` makes a message protocol 2. Without it the body must be an
    /// object with `task`, which is protocol 1. A message with the header and an object
    /// as body is taken too, what the headers lack filled from the object; a compressed
    /// one is not looked into for that. A time without offset counts as UTC, also where
    /// protocol 1 says `"utc": false`, which means the sender's unknown local time.
    ///
    /// # Errors
    ///
    /// [`Fault::NotATask`] when it is neither, and as [`TaskHeaders::from_table`]. Only
    /// when the body has to be looked at, also as [`TaskMessage::body`].
    pub fn decode(message: Message, limits: &Limits) -> Result<Self, DecodeError> {
        let Message {
            properties,
            headers,
            body,
        } = message;
        let named = headers.get("task").is_some_and(|task| !task.is_null());
        let (headers, protocol) = match named {
            true if has_object(&properties, &headers, &body) => (
                with_object(headers, &properties, &body, limits)?,
                Protocol::V2,
            ),
            true => (headers, Protocol::V2),
            false => (
                with_object(headers, &properties, &body, limits)?,
                Protocol::V1,
            ),
        };
        let headers = TaskHeaders::from_table(headers)?;
        Ok(Self {
            headers,
            properties,
            protocol,
            body,
        })
    }

    /// Tells the protocol and reads the headers of a message that somebody else keeps,
    /// such as a broker until it is settled.
    ///
    /// # Errors
    ///
    /// As [`TaskMessage::decode`].
    pub fn decode_ref(message: &Message, limits: &Limits) -> Result<Self, DecodeError> {
        let Message {
            properties,
            headers,
            body,
        } = message;
        let named = headers.get("task").is_some_and(|task| !task.is_null());
        if !named || has_object(properties, headers, body) {
            return Self::decode(message.clone(), limits);
        }
        Ok(Self {
            headers: TaskHeaders::from_ref(headers)?,
            properties: properties.clone(),
            protocol: Protocol::V2,
            body: body.clone(),
        })
    }

    /// Makes the body readable: decompressed, as UTF-8, its serializer known.
    ///
    /// # Errors
    ///
    /// [`Fault::Content`] for a content type, encoding or compression that is not
    /// accepted, [`Fault::TooLarge`] beyond `limits`, [`Fault::Malformed`] for bytes
    /// that are not what they claim to be.
    pub fn body(&self, limits: &Limits) -> Result<Body, DecodeError> {
        open(
            &self.properties,
            self.headers.compression.as_deref(),
            &self.body,
            limits,
        )
    }

    /// Makes a message of protocol 2.
    ///
    /// Sets content type and encoding, and the header `compression`; what `properties`
    /// leaves open becomes the id as correlation id and delivery mode 2 (persistent).
    ///
    /// # Errors
    ///
    /// When the body cannot be compressed.
    pub fn encode(
        mut headers: TaskHeaders,
        mut properties: Properties,
        body: Body,
        compression: Option<Compression>,
    ) -> Result<Message, EncodeError> {
        properties.content_type = Some(body.codec.content_type().to_owned());
        properties.content_encoding = Some(body.codec.content_encoding().to_owned());
        properties
            .correlation_id
            .get_or_insert_with(|| headers.id.clone());
        properties.delivery_mode.get_or_insert(2);
        headers.compression = compression.map(|method| method.header().to_owned());
        let body = match compression {
            None => body.bytes,
            Some(method) => method
                .compress(&body.bytes)
                .map_err(|error| EncodeError::new("body", error.to_string()))?
                .into(),
        };
        Ok(Message {
            properties,
            headers: headers.into_table(),
            body,
        })
    }
}

/// Decompresses, decodes the character set, and finds the serializer.
fn open(
    properties: &Properties,
    compression: Option<&str>,
    bytes: &Bytes,
    limits: &Limits,
) -> Result<Body, DecodeError> {
    let codec = codec(properties.content_type.as_deref())?;
    if bytes.len() > limits.body {
        let expected = format!("at most {} bytes", limits.body);
        return Err(DecodeError::new(
            Fault::TooLarge,
            "body",
            expected,
            bytes.len().to_string(),
        ));
    }
    let bytes = match compression {
        None => bytes.clone(),
        Some(name) => Compression::from_header(name)?
            .decompress(bytes, limits.body)?
            .into(),
    };
    match codec {
        Codec::Msgpack => Ok(Body { codec, bytes }),
        Codec::Json | Codec::Yaml => {
            let bytes = charset::decode(properties.content_encoding.as_deref(), bytes)?;
            Ok(Body { codec, bytes })
        }
    }
}

fn codec(content_type: Option<&str>) -> Result<Codec, DecodeError> {
    let found = match content_type {
        Some(mime) => match Codec::from_content_type(mime) {
            Some(codec) => return Ok(codec),
            None if mime == "application/x-python-serialize" => {
                "pickle, which is refused because reading it means running it".to_owned()
            }
            None => format!("{mime:?}"),
        },
        None => "none".to_owned(),
    };
    let expected = "application/json, application/x-msgpack or application/x-yaml";
    Err(DecodeError::new(
        Fault::Content,
        "content type",
        expected,
        found,
    ))
}

/// Tells by the first byte whether an uncompressed body is an object.
fn has_object(properties: &Properties, headers: &Table, body: &[u8]) -> bool {
    if headers
        .get("compression")
        .is_some_and(|name| !name.is_null())
    {
        return false;
    }
    match properties
        .content_type
        .as_deref()
        .and_then(Codec::from_content_type)
    {
        Some(Codec::Json) => body.trim_ascii_start().first() == Some(&b'{'),
        Some(Codec::Msgpack) => matches!(body.first(), Some(0x80..=0x8f | 0xde | 0xdf)),
        Some(Codec::Yaml) | None => false,
    }
}

/// The keys of an object of protocol 1 that are no headers.
const NOT_HEADERS: [&str; 8] = [
    "args",
    "kwargs",
    "callbacks",
    "errbacks",
    "chain",
    "chord",
    "utc",
    "taskset",
];

/// Adds to `headers` what the object in the body says of the task.
fn with_object(
    headers: Table,
    properties: &Properties,
    body: &Bytes,
    limits: &Limits,
) -> Result<Table, DecodeError> {
    let compression = headers.get("compression").and_then(|name| name.as_str());
    let body = open(properties, compression, body, limits)?;
    let whole = Raw {
        codec: body.codec,
        bytes: Cow::Borrowed(&body.bytes),
    };
    let not_a_task = |found: &str| {
        let expected = "a header task, or an object with task";
        Err(DecodeError::new(
            Fault::NotATask,
            "message",
            expected,
            found,
        ))
    };
    let entries = match body.bytes.is_empty() {
        true => return not_a_task("an empty body and no such header"),
        false => match whole.split("body")? {
            Shape::Map { entries, .. } => entries,
            _ => return not_a_task("neither"),
        },
    };
    let mut table = Table::with_capacity(entries.len() + headers.len());
    for (key, raw) in entries {
        match key.as_ref() {
            // The older name of the group.
            "taskset" if table.get("group").is_none_or(|group| group.is_null()) => {
                table.insert("group", raw.value_at("body, taskset")?);
            }
            key if NOT_HEADERS.contains(&key) => {}
            key => table.insert(key, raw.value_at("body")?),
        }
    }
    for (name, value) in headers {
        // Null means absent, so it takes nothing away.
        if !value.is_null() || table.get(&name).is_none() {
            table.insert(name, value);
        }
    }
    match table.get("task") {
        None | Some(Value::Null) => not_a_task("neither"),
        Some(_) => Ok(table),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::Embed;

    fn headers() -> TaskHeaders {
        TaskHeaders {
            task: "demo.add".into(),
            id: "an-id".into(),
            ..TaskHeaders::default()
        }
    }

    fn body(codec: Codec) -> Body {
        Body::encode(
            codec,
            &[2.into(), "é".into()],
            &Table::new(),
            &Embed::default(),
        )
        .unwrap()
    }

    #[test]
    fn encoding_fills_what_is_open() {
        let message =
            TaskMessage::encode(headers(), Properties::default(), body(Codec::Msgpack), None)
                .unwrap();
        let properties = &message.properties;
        assert_eq!(
            properties.content_type.as_deref(),
            Some("application/x-msgpack")
        );
        assert_eq!(properties.content_encoding.as_deref(), Some("binary"));
        assert_eq!(properties.correlation_id.as_deref(), Some("an-id"));
        assert_eq!(properties.delivery_mode, Some(2));
        let own = Properties {
            correlation_id: Some("c".into()),
            delivery_mode: Some(1),
            ..Properties::default()
        };
        let message = TaskMessage::encode(headers(), own, body(Codec::Json), None).unwrap();
        assert_eq!(message.properties.correlation_id.as_deref(), Some("c"));
        assert_eq!(message.properties.delivery_mode, Some(1));
    }

    #[test]
    fn comes_back_through_every_compression_and_serializer() {
        let methods = [Compression::Zlib, Compression::Bzip2, Compression::Zstd].map(Some);
        for compression in methods.into_iter().chain([None]) {
            for codec in [Codec::Json, Codec::Msgpack] {
                let plain = body(codec);
                let properties = Properties::default();
                let message =
                    TaskMessage::encode(headers(), properties, plain.clone(), compression).unwrap();
                let task = TaskMessage::decode(message, &Limits::default()).unwrap();
                assert_eq!(task.protocol, Protocol::V2);
                assert_eq!(task.body(&Limits::default()).unwrap(), plain);
            }
        }
    }

    #[test]
    fn a_large_body_is_refused_before_and_after_decompression() {
        let large = Body::new(Codec::Json, vec![b' '; 1000]);
        for compression in [None, Some(Compression::Zlib)] {
            let properties = Properties::default();
            let message =
                TaskMessage::encode(headers(), properties, large.clone(), compression).unwrap();
            let task = TaskMessage::decode(message, &Limits::default()).unwrap();
            assert_eq!(
                task.body(&Limits { body: 999 }).unwrap_err().fault,
                Fault::TooLarge
            );
            assert!(task.body(&Limits { body: 1000 }).is_ok());
        }
    }

    #[test]
    fn what_headers_lack_comes_from_the_object() {
        let text = r#"{"task": "demo.mul", "id": "b", "retries": 4, "taskset": "g", "x": 1}"#;
        let properties = Properties {
            content_type: Some("application/json".into()),
            ..Properties::default()
        };
        let mut message = Message {
            properties,
            headers: Table::new(),
            body: Bytes::from_static(text.as_bytes()),
        };
        let old = TaskMessage::decode(message.clone(), &Limits::default()).unwrap();
        assert_eq!(old.protocol, Protocol::V1);
        assert_eq!(
            (old.headers.task.as_str(), old.headers.retries),
            ("demo.mul", 4)
        );
        assert_eq!(old.headers.group.as_deref(), Some("g"));
        assert_eq!(old.headers.extra("x"), Some(&Value::Int(1)));

        message.headers.push("task", "demo.add");
        message.headers.push("id", Value::Null);
        let hybrid = TaskMessage::decode(message, &Limits::default()).unwrap();
        assert_eq!(hybrid.protocol, Protocol::V2);
        assert_eq!(
            (hybrid.headers.task.as_str(), hybrid.headers.id.as_str()),
            ("demo.add", "b")
        );
    }
}
