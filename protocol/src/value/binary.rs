//! Bytes as bytes, for `#[serde(with = "celeriac_protocol::value::binary")]`.
//!
//! In a binary format they travel as they are; in a text format, which has none, as a list
//! of numbers.

use std::fmt;

use bytes::Bytes;
use serde::de::{Deserializer, SeqAccess, Visitor};
use serde::ser::Serializer;

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
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use crate::{Message, json, msgpack};

    #[test]
    fn a_message_comes_back_from_either_format() {
        let message = Message {
            body: vec![0_u8, 255, 7].into(),
            ..Message::default()
        };
        let packed = msgpack::to_vec(&message).unwrap();
        assert_eq!(
            msgpack::from_slice::<Message>(&packed, "m").unwrap(),
            message
        );
        let text = json::to_string(&message).unwrap();
        let read = json::from_slice::<Message>(text.as_bytes(), "m");
        assert_eq!(read.unwrap(), message);
    }
}
