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
        DecodeError::new(Fault::Malformed, place, "a MessagePack value", error.to_string())
    })
}

fn check(bytes: &[u8], place: &str) -> Result<(), DecodeError> {
    let mut cursor = Cursor::new(bytes);
    cursor.skip().and_then(|_| cursor.end()).map_err(|syntax| syntax.into_error(place))
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
        Self { bytes, at: 0, depth: 0 }
    }

    fn fail<T>(&self, fault: Fault, expected: &'static str, found: &'static str) -> Result<T, Syntax> {
        Err(Syntax { fault, expected, found, at: self.at })
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
            None => self.fail(Fault::Malformed, "a whole MessagePack value", "the end of the bytes"),
        }
    }

    fn length(&mut self, width: usize) -> Result<usize, Syntax> {
        let bytes = self.take(width)?;
        Ok(bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)))
    }

    /// Moves into a list and returns how many values it claims to have.
    pub(crate) fn list(&mut self) -> Result<Option<usize>, Syntax> {
        let Some(marker) = self.peek() else { return Ok(None) };
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
        let Some(marker) = self.peek() else { return Ok(None) };
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
                return self.fail(Fault::Malformed, "a MessagePack value", "the reserved byte c1");
            }
            _ => 0,
        };
        self.take(size).map(drop)
    }
}
