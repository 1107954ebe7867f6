//! The options of a call, one by one.

use std::time::Duration;

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

    /// A number of seconds that a value stands for.
    pub(super) fn duration(what: &str, value: &Value) -> Result<Duration> {
        let seconds = value.as_f64().map(Duration::try_from_secs_f64);
        match seconds {
            Some(Ok(seconds)) => Ok(seconds),
            _ => Err(Error::invalid(
                format!("option {what}"),
                "a number of seconds from 0",
                value
                    .as_f64()
                    .map_or_else(|| value.kind().to_owned(), |seconds| seconds.to_string()),
            )),
        }
    }

    /// Whether the message is to survive the broker's restart.
    pub(super) fn persistent(&mut self) -> Result<Option<bool>> {
        let found = match self.take("delivery_mode") {
            None => return Ok(None),
            Some(Value::Int(1)) => return Ok(Some(false)),
            Some(Value::Int(2)) => return Ok(Some(true)),
            Some(Value::Str(text)) if text == "transient" => return Ok(Some(false)),
            Some(Value::Str(text)) if text == "persistent" => return Ok(Some(true)),
            Some(Value::Str(text)) => text,
            Some(other) => other
                .as_i64()
                .map_or_else(|| other.kind().to_owned(), |number| number.to_string()),
        };
        Err(Error::invalid(
            "option delivery_mode",
            "transient (1) or persistent (2)",
            found,
        ))
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
