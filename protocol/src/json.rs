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
    let value = cursor
        .value()
        .and_then(|value| cursor.end().map(|()| value));
    value.map_err(|syntax| syntax.into_error(bytes, place))
}

/// Tells whether 19 digits stand in a row; shorter numbers fit 64 bits.
fn has_long_number(bytes: &[u8]) -> bool {
    const LONG: usize = 19;
    // Such a run covers one of every 19 places, so the others need no look.
    bytes
        .iter()
        .enumerate()
        .skip(LONG - 1)
        .step_by(LONG)
        .any(|(at, byte)| {
            let digits =
                |run: &mut dyn Iterator<Item = &u8>| run.take_while(|b| b.is_ascii_digit()).count();
            byte.is_ascii_digit()
                && digits(&mut bytes[..at].iter().rev()) + digits(&mut bytes[at..].iter()) >= LONG
        })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::collections::BTreeMap;

    use super::*;
    use crate::{Table, error::Fault};

    fn value(text: &str) -> Value {
        from_slice(text.as_bytes(), "text").unwrap()
    }

    fn error(text: &str) -> DecodeError {
        from_slice::<Value>(text.as_bytes(), "text").unwrap_err()
    }

    #[test]
    fn writes_what_python_writes() {
        let mut table = Table::new();
        table.push("é", vec![Value::Null, true.into(), 2.into(), 1e16.into()]);
        table.push("t", "\"\\\n\r\t\u{8}\u{c}\u{1}\u{7f}€😀/");
        table.push(
            "n",
            vec![
                f64::NAN.into(),
                f64::INFINITY.into(),
                f64::NEG_INFINITY.into(),
            ],
        );
        table.push("i", Value::BigInt("1".repeat(40)));
        table.push("b", bytes::Bytes::from_static(b"abc"));
        table.push("x", bytes::Bytes::from_static(b"\xff\0"));
        table.push("e", vec![Value::Array(Vec::new()), Table::new().into()]);
        let expected = concat!(
            r#"{"\u00e9": [null, true, 2, 1e+16], "#,
            r#""t": "\"\\\n\r\t\b\f\u0001\u007f\u20ac\ud83d\ude00/", "#,
            r#""n": [NaN, Infinity, -Infinity], "#,
            r#""i": 1111111111111111111111111111111111111111, "#,
            r#""b": {"__type__": "bytes", "__value__": "abc"}, "#,
            r#""x": {"__type__": "base64", "__value__": "/wA="}, "#,
            r#""e": [[], {}]}"#,
        );
        assert_eq!(to_string(&table).unwrap(), expected);
        assert_eq!(
            to_string(&BTreeMap::from([(1, 'a')])).unwrap(),
            r#"{"1": "a"}"#
        );
    }

    #[test]
    fn digits_go_out_bare_only_when_they_are_digits() {
        let error = to_vec(&Value::BigInt("1, \"x\": 2".into())).unwrap_err();
        assert!(
            error.to_string().contains("expected decimal digits"),
            "{error}"
        );
    }

    #[test]
    fn reads_what_python_writes_and_the_standard_forbids() {
        assert_eq!(
            value("[-Infinity, 1]").as_array().unwrap()[0],
            Value::Float(f64::NEG_INFINITY)
        );
        assert!(from_slice::<f64>(b" NaN ", "text").unwrap().is_nan());
        assert_eq!(
            value("10000000000000000000000000"),
            Value::BigInt(format!("1{:025}", 0))
        );
        assert_eq!(
            value("-9223372036854775809"),
            Value::BigInt("-9223372036854775809".into())
        );
        assert_eq!(value("-9223372036854775808"), Value::Int(i64::MIN));
        assert_eq!(
            from_slice::<u64>(b"18446744073709551615", "text"),
            Ok(u64::MAX)
        );
        assert_eq!(value(r#""\ud800x""#), Value::from("\u{fffd}x"));
        assert_eq!(
            value(r#"["\ud83d\ude00", NaN]"#).as_array().unwrap()[0],
            Value::from("😀")
        );
        assert_eq!(value("1e400"), Value::Float(f64::INFINITY));
    }

    #[test]
    fn of_repeated_keys_the_last_wins() {
        #[derive(Debug, PartialEq, serde::Deserialize)]
        struct One {
            a: u8,
        }
        assert_eq!(
            from_slice::<One>(br#"{"a": 1, "a": 2}"#, "text"),
            Ok(One { a: 2 })
        );
        assert_eq!(
            to_string(&value(r#"{"a": 1, "b": 0, "a": 2}"#)).unwrap(),
            r#"{"a": 2, "b": 0}"#
        );
    }

    #[test]
    fn says_where_a_text_is_wrong() {
        let cases = [
            ("", "a JSON value, found the end at byte 0"),
            ("[1, ]", "a JSON value, found \"]\" at byte 4"),
            (
                "[1 2]",
                "a comma or the end of the list, found \"2]\" at byte 3",
            ),
            ("{\"a\" 1}", "a colon after the key, found \"1}\" at byte 5"),
            (
                "{a: 1}",
                "a key in double quotes, found \"a: 1}\" at byte 1",
            ),
            ("[1] x", "the end of the text, found \"x\" at byte 4"),
            ("\"abc", "a closing quote, found the end at byte 4"),
            (
                "\"\\x\"",
                "an escape that JSON knows, found \"x\\\"\" at byte 2",
            ),
            (
                "\"\\u12g4\"",
                "four hexadecimal digits, found \"12g4\\\"\" at byte 3",
            ),
            ("01", "the end of the text, found \"1\" at byte 1"),
            ("-", "a digit, found the end at byte 1"),
            ("1.", "a digit, found the end at byte 2"),
            ("nul", "a JSON value, found \"nul\" at byte 0"),
        ];
        for (text, message) in cases {
            let error = error(text);
            assert_eq!(error.to_string(), format!("text: expected {message}"));
            assert_eq!(error.fault, Fault::Malformed);
        }
        let error = from_slice::<Value>(b"\"\xff\"", "text").unwrap_err();
        assert_eq!(
            error.to_string(),
            "text: expected JSON in UTF-8, found another byte at 1"
        );
    }

    #[test]
    fn says_which_part_has_the_wrong_type() {
        let error = from_slice::<Vec<(u8, String)>>(br#"[[1, "a"], [2, 3]]"#, "args").unwrap_err();
        assert_eq!(
            error.to_string(),
            "args[1][1]: expected a string, found integer `3`"
        );
        assert_eq!(error.fault, Fault::Arguments);
    }

    #[test]
    fn agrees_with_serde_json_but_for_what_python_adds() {
        let good = r#"{"a\u00e9\\": [-1.5e+3, 0, true], "b": {"": null}, "c": "\ud83d\ude00"}"#;
        let bytes = br#"{}[]",:\u0123456789eE+-. aINtrf"#;
        let mut checked = 0;
        for at in 0..good.len() {
            for byte in bytes {
                let mut text = good.as_bytes().to_vec();
                text[at] = *byte;
                let strict = serde_json::from_slice::<Value>(&text);
                let ours = to_value(&text, "text");
                match (strict, ours) {
                    // The integer -0 is 0 in Python, and a float in serde_json.
                    (Ok(_), Ok(_)) if text.windows(3).any(|three| three == b"-0,") => {}
                    (Ok(strict), ours) => assert_eq!(ours, Ok(strict)),
                    (Err(_), Err(_)) => {}
                    (Err(error), Ok(value)) => {
                        // Lone surrogates are all that one byte can make of this text.
                        assert!(
                            format!("{value:?}").contains('\u{fffd}'),
                            "{error}: {value:?}"
                        );
                    }
                }
                checked += 1;
            }
        }
        assert_eq!(checked, good.len() * bytes.len());
    }

    #[test]
    fn depth_is_limited_where_it_says() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(from_slice::<Value>(nested(MAX_DEPTH).as_bytes(), "text").is_ok());
        assert_eq!(error(&nested(MAX_DEPTH + 1)).fault, Fault::TooLarge);
        assert_eq!(error(&"[".repeat(1_000_000)).fault, Fault::TooLarge);
        assert_eq!(error(&"{\"a\":".repeat(1_000_000)).fault, Fault::TooLarge);
    }

    #[test]
    fn long_numbers_are_found_wherever_they_stand() {
        for before in 0..40 {
            for digits in 0..40 {
                let text = format!("{}{} x", "a".repeat(before), "7".repeat(digits));
                assert_eq!(has_long_number(text.as_bytes()), digits >= 19, "{text}");
            }
        }
    }
}
