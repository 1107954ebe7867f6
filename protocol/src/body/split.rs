//! One level of a list or map, as slices.

use std::borrow::Cow;

use super::Raw;
use crate::{Codec, DecodeError, Value, error::Fault, json, msgpack};

/// How many arguments of each kind a call may have. A slice costs more than the two
/// bytes that the smallest argument takes, so the size of a body is not limit enough.
pub(super) const MAX_ARGS: usize = 1 << 16;

/// The embed of an ordinary call as Celery writes it.
const NOTHING_JSON: &[u8] =
    br#"{"callbacks": null, "errbacks": null, "chain": null, "chord": null}"#;
const NOTHING_MSGPACK: &[u8] = b"\x84\xa9callbacks\xc0\xa8errbacks\xc0\xa5chain\xc0\xa5chord\xc0";

/// A value seen from outside; `len` counts also what lies beyond [`MAX_ARGS`].
pub(crate) enum Shape<'a> {
    List {
        items: Vec<Raw<'a>>,
        len: usize,
    },
    Map {
        entries: Vec<(Cow<'a, str>, Raw<'a>)>,
        len: usize,
    },
    /// Anything else, by the words for it.
    Other(String),
}

impl<'a> Raw<'a> {
    pub(super) fn is_null(&self) -> bool {
        match self.codec {
            Codec::Msgpack => *self.bytes == [0xc0],
            Codec::Json | Codec::Yaml => &*self.bytes == b"null",
        }
    }

    /// Tells whether this is an embed that carries nothing, when that shows at once.
    pub(super) fn is_empty_embed(&self) -> bool {
        match self.codec {
            Codec::Msgpack => &*self.bytes == NOTHING_MSGPACK,
            Codec::Json | Codec::Yaml => &*self.bytes == NOTHING_JSON,
        }
    }

    /// Splits one level; `place` names the value in errors.
    pub(crate) fn split(self, place: &str) -> Result<Shape<'a>, DecodeError> {
        match (self.codec, self.bytes) {
            (Codec::Json, Cow::Borrowed(bytes)) => split_json(bytes, place),
            (Codec::Msgpack, Cow::Borrowed(bytes)) => split_msgpack(bytes, place),
            (codec, bytes) => split_value(codec.to_value(&bytes, place)?),
        }
    }
}

fn split_json<'a>(bytes: &'a [u8], place: &str) -> Result<Shape<'a>, DecodeError> {
    let raw = |bytes: &'a [u8]| Raw {
        codec: Codec::Json,
        bytes: Cow::Borrowed(bytes),
    };
    let mut cursor = json::Cursor::new(bytes, place)?;
    let mut len = 0;
    let shape = match cursor.peek() {
        Some(b'[') => {
            let mut items = Vec::with_capacity(4);
            let read = cursor.list(|cursor| {
                let item = cursor.skip()?;
                if len < MAX_ARGS {
                    items.push(raw(item));
                }
                len += 1;
                Ok(())
            });
            read.map(|()| Shape::List { items, len })
        }
        Some(b'{') => {
            let mut entries = Vec::new();
            let read = cursor.map(|cursor, key| {
                let value = cursor.skip()?;
                if len < MAX_ARGS {
                    entries.push((key, raw(value)));
                }
                len += 1;
                Ok(())
            });
            read.map(|()| Shape::Map { entries, len })
        }
        _ => cursor
            .value()
            .map(|value| Shape::Other(value.kind().to_owned())),
    };
    shape
        .and_then(|shape| cursor.end().map(|()| shape))
        .map_err(|syntax| syntax.into_error(bytes, place))
}

fn split_msgpack<'a>(bytes: &'a [u8], place: &str) -> Result<Shape<'a>, DecodeError> {
    let raw = |bytes: &'a [u8]| Raw {
        codec: Codec::Msgpack,
        bytes: Cow::Borrowed(bytes),
    };
    let mut cursor = msgpack::Cursor::new(bytes);
    let wrong = |syntax: msgpack::Syntax| syntax.into_error(place);
    let shape = if let Some(len) = cursor.list().map_err(wrong)? {
        let mut items = Vec::with_capacity(len.min(4));
        for at in 0..len {
            let item = cursor.skip().map_err(wrong)?;
            if at < MAX_ARGS {
                items.push(raw(item));
            }
        }
        Shape::List { items, len }
    } else if let Some(len) = cursor.map().map_err(wrong)? {
        let mut entries = Vec::new();
        for at in 0..len {
            let key = cursor.skip().map_err(wrong)?;
            let value = cursor.skip().map_err(wrong)?;
            if at < MAX_ARGS {
                let key = rmp::decode::read_str_from_slice(key).map_err(|_| {
                    DecodeError::new(Fault::Malformed, place, "text as key", "another value")
                })?;
                entries.push((Cow::Borrowed(key.0), raw(value)));
            }
        }
        Shape::Map { entries, len }
    } else {
        cursor.skip().map_err(wrong)?;
        Shape::Other(msgpack::to_value(bytes, place)?.kind().to_owned())
    };
    cursor.end().map_err(wrong)?;
    Ok(shape)
}

/// Splits what was read already, each part written as JSON again: the text of YAML
/// cannot be cut into values.
fn split_value(value: Value) -> Result<Shape<'static>, DecodeError> {
    let raw = |value: &Value| match json::to_vec(value) {
        Ok(bytes) => Ok(Raw {
            codec: Codec::Json,
            bytes: Cow::Owned(bytes),
        }),
        Err(error) => {
            let expected = "a value that JSON can hold";
            Err(DecodeError::new(
                Fault::Malformed,
                "body",
                expected,
                error.to_string(),
            ))
        }
    };
    Ok(match value {
        Value::Array(items) => {
            let len = items.len();
            let items = items
                .iter()
                .take(MAX_ARGS)
                .map(raw)
                .collect::<Result<_, _>>()?;
            Shape::List { items, len }
        }
        Value::Map(table) => {
            let len = table.len();
            let entries = table.into_iter().take(MAX_ARGS);
            let entries = entries.map(|(key, value)| Ok((Cow::Owned(key), raw(&value)?)));
            Shape::Map {
                entries: entries.collect::<Result<_, DecodeError>>()?,
                len,
            }
        }
        other => Shape::Other(other.kind().to_owned()),
    })
}
