//! The options of a call, one by one.

use celeriac_protocol::{Table, Value};

use crate::error::{Error, Result};

/// Options of a signature, taken out one by one; null counts as absent.
pub(super) struct Options(pub(super) Table);

impl Options {
    pub(super) fn has(&self, key: &str) -> bool {
        self.0.get(key).is_some_and(|value| !value.is_null())
    }

    pub(super) fn take(&mut self, key: &str) -> Option<Value> {
        self.0.remove(key).filter(|value| !value.is_null())
    }

    pub(super) fn text(&mut self, key: &str) -> Result<Option<String>> {
        match self.take(key) {
            None => Ok(None),
            Some(Value::Str(text)) => Ok(Some(text)),
            Some(other) => Err(Error::invalid(
                format!("option {key}"),
                "text",
                other.kind(),
            )),
        }
    }

    pub(super) fn flag(&mut self, key: &str) -> Result<Option<bool>> {
        match self.take(key) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(flag)),
            Some(other) => Err(Error::invalid(
                format!("option {key}"),
                "true or false",
                other.kind(),
            )),
        }
    }

    pub(super) fn count(&mut self, key: &str) -> Result<Option<u32>> {
        match self.take(key) {
            None => Ok(None),
            Some(Value::Int(number)) if u32::try_from(number).is_ok() => {
                Ok(u32::try_from(number).ok())
            }
            Some(other) => {
                let found = other
                    .as_i64()
                    .map_or_else(|| other.kind().to_owned(), |n| n.to_string());
                Err(Error::invalid(
                    format!("option {key}"),
                    "a number from 0",
                    found,
                ))
            }
        }
    }

    pub(super) fn seconds(&mut self, key: &str) -> Result<Option<f64>> {
        match self.take(key) {
            None => Ok(None),
            Some(value) => match value.as_f64() {
                Some(seconds) if seconds >= 0.0 => Ok(Some(seconds)),
                _ => Err(Error::invalid(
                    format!("option {key}"),
                    "a number of seconds",
                    value.kind(),
                )),
            },
        }
    }

    pub(super) fn list(&mut self, key: &str) -> Result<Option<Vec<String>>> {
        match self.take(key) {
            None => Ok(None),
            Some(Value::Array(items)) => Ok(Some(
                items
                    .into_iter()
                    .filter_map(|item| item.as_str().map(str::to_owned))
                    .collect(),
            )),
            Some(other) => Err(Error::invalid(
                format!("option {key}"),
                "a list",
                other.kind(),
            )),
        }
    }

    pub(super) fn table(&mut self, key: &str) -> Result<Table> {
        match self.take(key) {
            None => Ok(Table::new()),
            Some(Value::Map(table)) => Ok(table),
            Some(other) => Err(Error::invalid(
                format!("option {key}"),
                "a map",
                other.kind(),
            )),
        }
    }
}
