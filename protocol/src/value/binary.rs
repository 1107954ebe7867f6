//! Bytes as bytes, for `#[serde(with = "celeriac_protocol::value::binary")]`.
//!
//! In a binary format they travel as they are; in JSON, which has none, in the typed form
//! of [`Bytes`](crate::typed::Bytes); in other text formats as a list of numbers.

use std::fmt;

use bytes::Bytes;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize as _, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::Serializer;

use crate::typed;

/// Writes bytes.
///
/// # Errors
///
/// Those of the format.
pub fn serialize<S: Serializer>(bytes: &Bytes, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_bytes(bytes)
}

/// Reads bytes.
///
/// # Errors
///
/// When something else is there.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
    deserializer.deserialize_byte_buf(Reader)
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Bytes;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bytes")
    }

    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Bytes, E> {
        Ok(Bytes::copy_from_slice(bytes))
    }

    fn visit_byte_buf<E>(self, bytes: Vec<u8>) -> Result<Bytes, E> {
        Ok(bytes.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Bytes, A::Error> {
        let mut bytes = Vec::new();
        while let Some(byte) = items.next_element()? {
            bytes.push(byte);
        }
        Ok(bytes.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<Bytes, A::Error> {
        let typed = typed::Bytes::deserialize(MapAccessDeserializer::new(entries))?;
        Ok(typed.0)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use crate::{Message, json, msgpack};

    fn with(body: &[u8]) -> Message {
        Message {
            body: body.to_vec().into(),
            ..Message::default()
        }
    }

    /// Bytes that are text have another typed form than those that are not.
    #[test]
    fn a_message_comes_back_from_either_format() {
        for body in [&b""[..], b"text", &[0, 255, 7]] {
            let message = with(body);
            let packed = msgpack::to_vec(&message).unwrap();
            let read = msgpack::from_slice::<Message>(&packed, "m");
            assert_eq!(read.as_ref(), Ok(&message));
            let text = json::to_vec(&message).unwrap();
            let read = json::from_slice::<Message>(&text, "m");
            assert_eq!(read.as_ref(), Ok(&message));
        }
    }

    #[test]
    fn a_list_of_numbers_is_bytes_and_other_types_are_not() {
        let read = |body: &str| {
            let text = json::to_string(&with(b"x")).unwrap();
            let typed = r#"{"__type__": "bytes", "__value__": "x"}"#;
            assert!(text.contains(typed), "{text}");
            json::from_slice::<Message>(text.replace(typed, body).as_bytes(), "m")
        };
        assert_eq!(read("[0, 255]"), Ok(with(&[0, 255])));
        for wrong in ["[0, 256]", r#"{"__type__": "uuid", "__value__": "x"}"#, "7"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
