//! YAML, within budgets.

use serde::Serialize;
use serde_saphyr::{DuplicateKeyPolicy, NonFiniteFloatPolicy, budget, options, ser_options};

use crate::{DecodeError, EncodeError, Value, error::Fault, json::MAX_DEPTH};

/// Writes `value` in block style.
///
/// Every text is quoted: Python's reader would take a bare `2030-01-02` for a date.
pub(super) fn to_vec<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, EncodeError> {
    let value = Value::from_serialize(value)?;
    check_integers(&value)?;
    let options = ser_options! { quote_all: true };
    match serde_saphyr::to_string_with_options(&value, options) {
        Ok(text) => Ok(text.into_bytes()),
        Err(error) => Err(EncodeError::new("value", error.to_string())),
    }
}

/// The writer of YAML has no bare integers beyond 64 bits, and would quote them.
fn check_integers(value: &Value) -> Result<(), EncodeError> {
    match value {
        Value::BigInt(digits) if digits.parse::<u64>().is_err() => Err(EncodeError::new(
            "integer",
            format!("expected at most 64 bits in YAML, found {digits}"),
        )),
        Value::Array(items) => items.iter().try_for_each(check_integers),
        Value::Map(table) => table
            .iter()
            .try_for_each(|(_, value)| check_integers(value)),
        _ => Ok(()),
    }
}

/// Reads any value. Aliases, documents and events are limited by the parser's own
/// budget, depth as everywhere.
pub(super) fn to_value(bytes: &[u8], place: &str) -> Result<Value, DecodeError> {
    let options = options! {
        budget: budget! { max_depth: MAX_DEPTH, max_documents: 1 },
        duplicate_keys: DuplicateKeyPolicy::LastWins,
        non_finite_float_policy: NonFiniteFloatPolicy::PassThrough,
        // Python's writer leaves a text `n` or `y` bare, and writes true and false in full.
        strict_booleans: true,
        // A tag of Python's names a class to build; Celery's own reader refuses it too.
        reject_unsupported_tags: true,
        with_snippet: false,
    };
    serde_saphyr::from_slice_with_options(bytes, options).map_err(|error| {
        DecodeError::new(Fault::Malformed, place, "a YAML value", error.to_string())
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn bare_letters_are_texts_as_for_python() {
        let read = to_value(b"n: y\nt: true\nf: false\n", "body").unwrap();
        let table = read.as_map().unwrap();
        assert_eq!(table.get("n"), Some(&"y".into()));
        assert_eq!(table.get("t"), Some(&true.into()));
        assert_eq!(table.get("f"), Some(&false.into()));
    }

    #[test]
    fn text_that_looks_like_something_else_stays_text() {
        for text in [
            "2030-01-02",
            "yes",
            "null",
            "1",
            "1e3",
            "~",
            "- a",
            "a: b",
            "#",
            "é",
            "a\nb",
        ] {
            let value = Value::Array(vec![Value::from(text)]);
            let bytes = to_vec(&value).unwrap();
            let written = String::from_utf8(bytes.clone()).unwrap();
            assert!(
                written.starts_with("- \"") || written.starts_with("- '"),
                "{written}"
            );
            assert_eq!(to_value(&bytes, "text"), Ok(value));
        }
    }

    #[test]
    fn a_tag_of_python_is_refused() {
        let error = to_value(b"!!python/object:os.system [x]", "text").unwrap_err();
        assert_eq!(error.fault, Fault::Malformed);
    }

    #[test]
    fn aliases_do_not_explode() {
        let mut text = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n".to_owned();
        for level in 1..12 {
            let alias = format!("*a{}", level - 1);
            text += &format!("a{level}: &a{level} [{}]\n", [alias.as_str(); 9].join(","));
        }
        assert!(to_value(text.as_bytes(), "text").is_err());
    }

    #[test]
    fn integers_have_64_bits_and_no_more() {
        let value = Value::BigInt(u64::MAX.to_string());
        assert_eq!(to_value(&to_vec(&value).unwrap(), "text"), Ok(value));
        assert!(to_vec(&vec![u128::MAX]).is_err());
    }

    #[test]
    fn floats_look_as_python_reads_them() {
        let bytes = to_vec(&Value::Array(vec![
            1e16.into(),
            1.5e-7.into(),
            f64::NAN.into(),
            2.0.into(),
        ]));
        let text = String::from_utf8(bytes.unwrap()).unwrap();
        assert_eq!(text, "- 1.0e+16\n- 1.5e-7\n- .nan\n- 2.0\n");
    }
}
