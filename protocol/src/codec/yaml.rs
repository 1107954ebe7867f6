//! YAML, within budgets.

use serde::Serialize;
use serde_saphyr::{DuplicateKeyPolicy, budget, options, ser_options};

use crate::{DecodeError, EncodeError, Value, error::Fault, json::MAX_DEPTH};

/// Writes `value` in block style.
///
/// Every text is quoted: Python's reader would take a bare `2030-01-02` for a date.
pub(super) fn to_vec<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, EncodeError> {
    let options = ser_options! { quote_all: true };
    match serde_saphyr::to_string_with_options(&value, options) {
        Ok(text) => Ok(text.into_bytes()),
        Err(error) => Err(EncodeError::new("value", error.to_string())),
    }
}

/// Reads any value. Aliases, documents and events are limited by the parser's own
/// budget, depth as everywhere.
pub(super) fn to_value(bytes: &[u8], place: &str) -> Result<Value, DecodeError> {
    let options = options! {
        budget: budget! { max_depth: MAX_DEPTH, max_documents: 1 },
        duplicate_keys: DuplicateKeyPolicy::LastWins,
        with_snippet: false,
    };
    serde_saphyr::from_slice_with_options(bytes, options).map_err(|error| {
        DecodeError::new(Fault::Malformed, place, "a YAML value", error.to_string())
    })
}
