//! Fields of a table from outside, taken one by one.

use crate::{
    DecodeError,
    error::Fault,
    json::float_text,
    value::{Table, Value},
};

/// Takes fields out of a table; an error names the field.
///
/// Null counts as absent everywhere, as Python's consumers count it.
pub(crate) struct Fields(pub(crate) Table);

impl Fields {
    /// Takes the map that `value` must be.
    pub(crate) fn of(value: Value, place: &str) -> Result<Self, DecodeError> {
        match value {
            Value::Map(table) => Ok(Self(table)),
            other => Err(wrong(place, "a map", &other)),
        }
    }

    pub(crate) fn take(&mut self, name: &str) -> Option<Value> {
        self.0.remove(name).filter(|value| !value.is_null())
    }

    pub(crate) fn text(&mut self, name: &str) -> Result<String, DecodeError> {
        self.optional_text(name)?
            .ok_or_else(|| absent(name, "a string"))
    }

    pub(crate) fn optional_text(&mut self, name: &str) -> Result<Option<String>, DecodeError> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Str(text)) => Ok(Some(text)),
            Some(other) => Err(wrong(name, "a string", &other)),
        }
    }

    pub(crate) fn float(&mut self, name: &str) -> Result<f64, DecodeError> {
        self.optional_float(name)?
            .ok_or_else(|| absent(name, "a number"))
    }

    pub(crate) fn optional_float(&mut self, name: &str) -> Result<Option<f64>, DecodeError> {
        let Some(value) = self.take(name) else {
            return Ok(None);
        };
        let number = value.as_f64().filter(|number| number.is_finite());
        number
            .map(Some)
            .ok_or_else(|| wrong(name, "a number", &value))
    }

    /// Takes an integer that fits `T`; `None` when it is absent.
    pub(crate) fn optional_integer<T>(&mut self, name: &str) -> Result<Option<T>, DecodeError>
    where
        T: TryFrom<i64> + std::str::FromStr,
    {
        let Some(value) = self.take(name) else {
            return Ok(None);
        };
        let number = match &value {
            Value::Int(number) => T::try_from(*number).ok(),
            Value::BigInt(digits) => digits.parse().ok(),
            _ => None,
        };
        number.map(Some).ok_or_else(|| {
            wrong(
                name,
                &format!("an integer of type {}", std::any::type_name::<T>()),
                &value,
            )
        })
    }

    pub(crate) fn optional_table(&mut self, name: &str) -> Result<Option<Table>, DecodeError> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Map(table)) => Ok(Some(table)),
            Some(other) => Err(wrong(name, "a map", &other)),
        }
    }

    /// Takes a truth value; absent is false.
    pub(crate) fn flag(&mut self, name: &str) -> Result<bool, DecodeError> {
        Ok(self.optional_flag(name)?.unwrap_or(false))
    }

    /// Takes a truth value; 0 and 1 count, as some clients send them.
    pub(crate) fn optional_flag(&mut self, name: &str) -> Result<Option<bool>, DecodeError> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(flag)),
            Some(Value::Int(number @ 0..=1)) => Ok(Some(number == 1)),
            Some(other) => Err(wrong(name, "a boolean", &other)),
        }
    }
}

/// What stands where something else was expected.
pub(crate) fn wrong(place: &str, expected: &str, found: &Value) -> DecodeError {
    let found = match found {
        Value::Int(number) => number.to_string(),
        Value::Float(number) => float_text(*number),
        Value::Str(text) => format!("'{}'", text.chars().take(100).collect::<String>()),
        other => other.kind().to_owned(),
    };
    DecodeError::new(Fault::Malformed, place, expected, found)
}

fn absent(name: &str, expected: &str) -> DecodeError {
    DecodeError::new(Fault::Malformed, name, expected, "nothing")
}
