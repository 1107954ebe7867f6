//! JSON as Python reads and writes it.
//!
//! Python's `json` differs from the standard in what it lets pass: bare `NaN`,
//! `Infinity` and `-Infinity`, integers of any length, lone surrogates. Reading tries
//! serde_json first and comes here for such texts, and for the wording of errors.
//! Writing makes the text that Python makes: `", "` and `": "` between, everything
//! outside of ASCII escaped, floats as `repr` shows them.

use serde::{Serialize, de::DeserializeOwned};

use crate::{DecodeError, EncodeError, Value};

mod cursor;
mod float;
mod write;

pub(crate) use cursor::Cursor;
pub use float::float_text;

/// How deep lists and maps may nest, in JSON and MessagePack alike.
pub const MAX_DEPTH: usize = 128;

/// Writes `value` as Python's `json.dumps` does.
///
/// # Errors
///
/// When a map key is neither text, integer nor boolean, or the type's own `Serialize`
/// fails.
pub fn to_vec<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, EncodeError> {
    let mut out = Vec::with_capacity(128);
    value.serialize(write::Writer { out: &mut out })?;
    Ok(out)
}

/// Writes `value` as text; see [`to_vec`].
///
/// # Errors
///
/// As [`to_vec`].
pub fn to_string<T: Serialize + ?Sized>(value: &T) -> Result<String, EncodeError> {
    let text = String::from_utf8(to_vec(value)?);
    text.map_err(|_| EncodeError::new("value", "expected JSON in ASCII, found other bytes"))
}

/// Reads a type from JSON; `place` names the text in errors.
///
/// Of entries with the same key the last wins.
///
/// # Errors
///
/// [`Fault::Malformed`](crate::error::Fault) for text that is not JSON even by Python's
/// rules, `TooLarge` for nesting beyond [`MAX_DEPTH`], `Arguments` for JSON that is not
/// what `T` wants.
pub fn from_slice<T: DeserializeOwned>(bytes: &[u8], place: &str) -> Result<T, DecodeError> {
    // serde_json would read an integer beyond 64 bits as a float.
    if !has_long_number(bytes)
        && let Ok(value) = serde_json::from_slice(bytes)
    {
        return Ok(value);
    }
    to_value(bytes, place)?.to_at(place)
}

/// Reads any value by Python's rules; see [`from_slice`].
pub(crate) fn to_value(bytes: &[u8], place: &str) -> Result<Value, DecodeError> {
    let mut cursor = Cursor::new(bytes, place)?;
    let value = cursor.value().and_then(|value| cursor.end().map(|()| value));
    value.map_err(|syntax| syntax.into_error(bytes, place))
}

/// Tells whether 19 digits stand in a row; shorter numbers fit 64 bits.
fn has_long_number(bytes: &[u8]) -> bool {
    const LONG: usize = 19;
    // Such a run covers one of every 19 places, so the others need no look.
    bytes.iter().enumerate().skip(LONG - 1).step_by(LONG).any(|(at, byte)| {
        let digits = |run: &mut dyn Iterator<Item = &u8>| run.take_while(|b| b.is_ascii_digit()).count();
        byte.is_ascii_digit()
            && digits(&mut bytes[..at].iter().rev()) + digits(&mut bytes[at..].iter()) >= LONG
    })
}
