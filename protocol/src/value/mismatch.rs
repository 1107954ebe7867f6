//! Where a value is not the wanted type.

use std::fmt;

use serde::de::{self, Expected, Unexpected};

use crate::{DecodeError, error::Fault};

/// Why a value is not the wanted type, and where in it.
#[derive(Debug, PartialEq)]
pub struct Mismatch {
    pub(super) path: String,
    pub(super) expected: String,
    pub(super) found: String,
}

impl Mismatch {
    pub(super) fn at(mut self, step: impl fmt::Display) -> Self {
        self.path = format!("{step}{}", self.path);
        self
    }

    pub(super) fn into_error(self, place: &str) -> DecodeError {
        let place = format!("{place}{}", self.path);
        DecodeError::new(Fault::Arguments, place, self.expected, self.found)
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: expected {}, found {}",
            self.path, self.expected, self.found
        )
    }
}

impl std::error::Error for Mismatch {}

impl de::Error for Mismatch {
    fn custom<T: fmt::Display>(message: T) -> Self {
        let message = message.to_string();
        // Types that check their own content say both halves in one sentence.
        let (expected, found) = match message.split_once(", found ") {
            Some((before, found)) => {
                let expected = before
                    .split_once("expected ")
                    .map_or(before, |(_, expected)| expected);
                (expected.to_owned(), found.to_owned())
            }
            // An untagged enum says only what it wants: `a number or a list`.
            None if message.starts_with("a ") || message.starts_with("an ") => {
                (message, "something else".to_owned())
            }
            None => ("a valid value".to_owned(), message),
        };
        Self {
            path: String::new(),
            expected,
            found,
        }
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self {
            path: String::new(),
            expected: expected.to_string(),
            found: found.to_string(),
        }
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::invalid_type(found, expected)
    }

    fn invalid_length(len: usize, expected: &dyn Expected) -> Self {
        Self {
            path: String::new(),
            expected: expected.to_string(),
            found: format!("{len} elements"),
        }
    }

    fn missing_field(field: &'static str) -> Self {
        Self {
            path: String::new(),
            expected: format!("a field {field}"),
            found: "none".into(),
        }
    }

    fn unknown_field(field: &str, known: &'static [&'static str]) -> Self {
        Self {
            path: String::new(),
            expected: format!("one of the fields {}", known.join(", ")),
            found: field.to_owned(),
        }
    }

    fn unknown_variant(variant: &str, known: &'static [&'static str]) -> Self {
        Self {
            path: String::new(),
            expected: format!("one of {}", known.join(", ")),
            found: variant.to_owned(),
        }
    }
}
