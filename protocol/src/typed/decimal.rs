//! Decimal numbers.

use std::{fmt, str::FromStr};

use serde::{Serialize, Serializer};

use super::{Typed, serialize, wrong};
use crate::{DecodeError, Value, json};

/// A decimal number as its text, Python's `Decimal`: `1.50` stays `1.50`.
///
/// There is no arithmetic here; a task that calculates parses the text into the
/// decimal type of its choice.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Decimal(String);

impl Decimal {
    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Decimal {
    type Err = DecodeError;

    fn from_str(text: &str) -> Result<Self, DecodeError> {
        match is_decimal(text) {
            true => Ok(Self(text.to_owned())),
            false => Err(wrong("a decimal number such as 1.50", format!("{text:?}"))),
        }
    }
}

/// Tells whether Python's `Decimal` takes the text.
fn is_decimal(text: &str) -> bool {
    let unsigned = |text: &str| {
        text.strip_prefix(['-', '+'])
            .unwrap_or(text)
            .to_ascii_lowercase()
    };
    let number = unsigned(text);
    if let "inf" | "infinity" = number.as_str() {
        return true;
    }
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if let Some(payload) = number.strip_prefix("snan").or(number.strip_prefix("nan")) {
        return digits(payload);
    }
    let (mantissa, exponent) = number.split_once('e').unwrap_or((&number, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let exponent = unsigned(exponent);
    digits(whole)
        && digits(fraction)
        && digits(&exponent)
        && !exponent.is_empty()
        && whole.len() + fraction.len() > 0
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Typed for Decimal {
    const NAMES: &'static [&'static str] = &["decimal"];

    /// Takes plain numbers too, by the digits that they would be written with.
    fn read(_: &str, value: &Value) -> Result<Self, DecodeError> {
        match value {
            Value::Str(text) => text.parse(),
            Value::Int(number) => Ok(Self(number.to_string())),
            Value::BigInt(digits) => digits.parse(),
            Value::Float(number) => json::float_text(*number).parse(),
            other => Err(wrong("a decimal number such as 1.50", other.kind())),
        }
    }
}

impl Serialize for Decimal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize(serializer, "decimal", &self.0)
    }
}
