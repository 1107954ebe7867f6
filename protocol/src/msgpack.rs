//! MessagePack.
//!
//! What a sender claims about lengths is believed only as far as bytes follow.

use rmp::Marker;
use serde::{Serialize, de::DeserializeOwned};

use crate::{DecodeError, EncodeError, Value, error::Fault, json::MAX_DEPTH};

/// Writes `value`, structs as maps with text keys, bytes as `bin`.
///
/// # Errors
///
/// When the type's own `Serialize` fails, or an integer has more than 64 bits.
pub fn to_vec<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, EncodeError> {
    rmp_serde::to_vec_named(value).map_err(|error| EncodeError::new("value", error.to_string()))
}

/// Reads a type from MessagePack; `place` names the bytes in errors.
///
/// # Errors
///
/// [`Fault::Malformed`] for bytes that are not one whole value, `TooLarge` for nesting
/// beyond [`MAX_DEPTH`], `Arguments` for a value that is not what `T` wants.
pub fn from_slice<T: DeserializeOwned>(bytes: &[u8], place: &str) -> Result<T, DecodeError> {
    check(bytes, place)?;
    match rmp_serde::from_slice(bytes) {
        Ok(value) => Ok(value),
        // The way through a value costs more and tells better what is wrong.
        Err(_) => unchecked_value(bytes, place)?.to_at(place),
    }
}

/// Reads any value; see [`from_slice`].
pub(crate) fn to_value(bytes: &[u8], place: &str) -> Result<Value, DecodeError> {
    check(bytes, place)?;
    unchecked_value(bytes, place)
}

fn unchecked_value(bytes: &[u8], place: &str) -> Result<Value, DecodeError> {
    rmp_serde::from_slice(bytes).map_err(|error| {
        DecodeError::new(
            Fault::Malformed,
            place,
            "a MessagePack value",
            error.to_string(),
        )
    })
}

fn check(bytes: &[u8], place: &str) -> Result<(), DecodeError> {
    let mut cursor = Cursor::new(bytes);
    cursor
        .skip()
        .and_then(|_| cursor.end())
        .map_err(|syntax| syntax.into_error(place))
}

/// A place in MessagePack bytes, moving on value by value.
pub(crate) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
    depth: usize,
}

/// What stood in the way.
pub(crate) struct Syntax {
    fault: Fault,
    expected: &'static str,
    found: &'static str,
    at: usize,
}

impl Syntax {
    pub(crate) fn into_error(self, place: &str) -> DecodeError {
        let found = format!("{} at byte {}", self.found, self.at);
        DecodeError::new(self.fault, place, self.expected, found)
    }
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            at: 0,
            depth: 0,
        }
    }

    fn fail<T>(
        &self,
        fault: Fault,
        expected: &'static str,
        found: &'static str,
    ) -> Result<T, Syntax> {
        Err(Syntax {
            fault,
            expected,
            found,
            at: self.at,
        })
    }

    /// Checks that nothing follows.
    pub(crate) fn end(&self) -> Result<(), Syntax> {
        if self.at == self.bytes.len() {
            return Ok(());
        }
        self.fail(Fault::Malformed, "the end of the bytes", "more")
    }

    /// Returns the kind of the next value without moving.
    pub(crate) fn peek(&self) -> Option<Marker> {
        self.bytes.get(self.at).map(|byte| Marker::from_u8(*byte))
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], Syntax> {
        match self.bytes[self.at..].get(..count) {
            Some(taken) => {
                self.at += count;
                Ok(taken)
            }
            None => self.fail(
                Fault::Malformed,
                "a whole MessagePack value",
                "the end of the bytes",
            ),
        }
    }

    fn length(&mut self, width: usize) -> Result<usize, Syntax> {
        let bytes = self.take(width)?;
        Ok(bytes
            .iter()
            .fold(0, |length, byte| length << 8 | usize::from(*byte)))
    }

    /// Moves into a list and returns how many values it claims to have.
    pub(crate) fn list(&mut self) -> Result<Option<usize>, Syntax> {
        let Some(marker) = self.peek() else {
            return Ok(None);
        };
        let (fixed, width) = match marker {
            Marker::FixArray(length) => (usize::from(length), 0),
            Marker::Array16 => (0, 2),
            Marker::Array32 => (0, 4),
            _ => return Ok(None),
        };
        self.at += 1;
        Ok(Some(fixed + self.length(width)?))
    }

    /// Moves into a map and returns how many entries it claims to have.
    pub(crate) fn map(&mut self) -> Result<Option<usize>, Syntax> {
        let Some(marker) = self.peek() else {
            return Ok(None);
        };
        let (fixed, width) = match marker {
            Marker::FixMap(length) => (usize::from(length), 0),
            Marker::Map16 => (0, 2),
            Marker::Map32 => (0, 4),
            _ => return Ok(None),
        };
        self.at += 1;
        Ok(Some(fixed + self.length(width)?))
    }

    /// Moves over one value and returns its bytes.
    pub(crate) fn skip(&mut self) -> Result<&'a [u8], Syntax> {
        let from = self.at;
        let inner = match self.list()? {
            Some(length) => Some(length),
            None => self.map()?.map(|entries| entries.saturating_mul(2)),
        };
        match inner {
            Some(values) => {
                if self.depth == MAX_DEPTH {
                    let expected = "at most 128 levels of lists and maps";
                    return self.fail(Fault::TooLarge, expected, "one more");
                }
                self.depth += 1;
                for _ in 0..values {
                    self.skip()?;
                }
                self.depth -= 1;
            }
            None => self.scalar()?,
        }
        Ok(&self.bytes[from..self.at])
    }

    fn scalar(&mut self) -> Result<(), Syntax> {
        let marker = Marker::from_u8(self.take(1)?[0]);
        let size = match marker {
            Marker::FixStr(length) => usize::from(length),
            Marker::U8 | Marker::I8 => 1,
            Marker::U16 | Marker::I16 => 2,
            Marker::U32 | Marker::I32 | Marker::F32 => 4,
            Marker::U64 | Marker::I64 | Marker::F64 => 8,
            Marker::Str8 | Marker::Bin8 => self.length(1)?,
            Marker::Str16 | Marker::Bin16 => self.length(2)?,
            Marker::Str32 | Marker::Bin32 => self.length(4)?,
            Marker::FixExt1 => 2,
            Marker::FixExt2 => 3,
            Marker::FixExt4 => 5,
            Marker::FixExt8 => 9,
            Marker::FixExt16 => 17,
            Marker::Ext8 => self.length(1)? + 1,
            Marker::Ext16 => self.length(2)? + 1,
            Marker::Ext32 => self.length(4)? + 1,
            Marker::Reserved => {
                return self.fail(
                    Fault::Malformed,
                    "a MessagePack value",
                    "the reserved byte c1",
                );
            }
            _ => 0,
        };
        self.take(size).map(drop)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn error(bytes: &[u8]) -> DecodeError {
        from_slice::<Value>(bytes, "bytes").unwrap_err()
    }

    #[test]
    fn moves_over_every_kind_of_value() {
        let sized = |marker: &[u8], size: usize| [marker, &vec![0; size]].concat();
        let values = [
            sized(b"\x00", 0),
            sized(b"\xff", 0),
            sized(b"\xc0", 0),
            sized(b"\xc3", 0),
            sized(b"\xa2", 2),
            sized(b"\xc4\x03", 3),
            sized(b"\xc5\x01\x00", 256),
            sized(b"\xc6\x00\x01\x00\x00", 65536),
            sized(b"\xc7\x03", 4),
            sized(b"\xc8\x01\x00", 257),
            sized(b"\xc9\x00\x00\x00\x01", 2),
            sized(b"\xca", 4),
            sized(b"\xcb", 8),
            sized(b"\xcc", 1),
            sized(b"\xcd", 2),
            sized(b"\xce", 4),
            sized(b"\xcf", 8),
            sized(b"\xd0", 1),
            sized(b"\xd1", 2),
            sized(b"\xd2", 4),
            sized(b"\xd3", 8),
            sized(b"\xd4", 2),
            sized(b"\xd5", 3),
            sized(b"\xd6", 5),
            sized(b"\xd7", 9),
            sized(b"\xd8", 17),
            sized(b"\xd9\x03", 3),
            sized(b"\xda\x01\x00", 256),
            sized(b"\xdb\x00\x01\x00\x00", 65536),
            sized(b"\x93", 3),
            sized(b"\xdc\x00\x03", 3),
            sized(b"\xdd\x00\x00\x00\x03", 3),
            sized(b"\x82", 4),
            sized(b"\xde\x00\x02", 4),
            sized(b"\xdf\x00\x00\x00\x02", 4),
        ];
        for value in values {
            let mut cursor = Cursor::new(&value);
            assert_eq!(cursor.skip().ok(), Some(&value[..]), "{:x}", value[0]);
            for cut in 0..value.len().min(300) {
                assert!(
                    Cursor::new(&value[..cut]).skip().is_err(),
                    "{:x} cut at {cut}",
                    value[0]
                );
            }
        }
    }

    #[test]
    fn a_length_that_lies_is_an_error_and_costs_nothing() {
        for bytes in [
            &b"\xdd\xff\xff\xff\xff"[..],
            b"\xdf\xff\xff\xff\xff",
            b"\xc6\xff\xff\xff\xff",
        ] {
            let error = error(bytes);
            assert_eq!(error.fault, Fault::Malformed);
            assert_eq!(
                error.to_string(),
                "bytes: expected a whole MessagePack value, found the end of the bytes at byte 5"
            );
        }
    }

    #[test]
    fn depth_is_limited() {
        let nested = |depth: usize| [vec![0x91; depth], vec![0xc0]].concat();
        assert!(from_slice::<Value>(&nested(MAX_DEPTH), "bytes").is_ok());
        assert_eq!(error(&nested(MAX_DEPTH + 1)).fault, Fault::TooLarge);
        assert_eq!(error(&nested(1_000_000)).fault, Fault::TooLarge);
    }

    #[test]
    fn says_what_is_wrong() {
        assert_eq!(
            error(b"\x01\x02").to_string(),
            "bytes: expected the end of the bytes, found more at byte 1"
        );
        assert_eq!(
            error(b"\xc1").to_string(),
            "bytes: expected a MessagePack value, found the reserved byte c1 at byte 1"
        );
        let wrong = from_slice::<Vec<u8>>(b"\x92\x01\xa1x", "args").unwrap_err();
        assert_eq!(
            wrong.to_string(),
            "args[1]: expected u8, found string \"x\""
        );
        assert_eq!(wrong.fault, Fault::Arguments);
    }

    #[test]
    fn integers_have_64_bits_and_no_more() {
        let value = Value::BigInt(u64::MAX.to_string());
        let bytes = to_vec(&value).unwrap();
        assert_eq!(from_slice::<Value>(&bytes, "bytes"), Ok(value));
        assert!(to_vec(&Value::BigInt("9".repeat(20))).is_err());
    }
}
