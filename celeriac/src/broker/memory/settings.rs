//! What a queue of the memory broker was declared with.

use std::time::Duration;

use celeriac_protocol::{Table, Value};

use crate::broker::Queue;
use crate::error::{Error, Result};

/// What a queue was declared with, read once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Settings {
    pub(super) exclusive: bool,
    pub(super) auto_delete: bool,
    /// 0 for a queue without priorities.
    pub(super) max_priority: u8,
    pub(super) message_ttl: Option<Duration>,
    pub(super) expires: Option<Duration>,
    pub(super) max_length: Option<usize>,
    pub(super) dead_letter_exchange: Option<String>,
    pub(super) dead_letter_routing_key: Option<String>,
}

impl Settings {
    /// Reads a declaration. Arguments without a meaning here, such as `x-queue-type`,
    /// are taken and change nothing.
    pub(super) fn read(queue: &Queue) -> Result<Self> {
        let reader = Reader {
            queue: &queue.name,
            arguments: &queue.arguments,
        };
        let expires = reader.number("x-expires", 1, MAX_MILLISECONDS)?;
        let ttl = reader.number("x-message-ttl", 0, MAX_MILLISECONDS)?;
        let settings = Self {
            exclusive: queue.exclusive,
            auto_delete: queue.auto_delete,
            max_priority: reader.number("x-max-priority", 0, 255)?.unwrap_or(0),
            message_ttl: ttl.map(Duration::from_millis),
            expires: expires.map(Duration::from_millis),
            max_length: reader.number("x-max-length", 0, i64::MAX)?,
            dead_letter_exchange: reader.text("x-dead-letter-exchange")?,
            dead_letter_routing_key: reader.text("x-dead-letter-routing-key")?,
        };
        if settings.dead_letter_routing_key.is_some() && settings.dead_letter_exchange.is_none() {
            return Err(reader.refused("x-dead-letter-routing-key without x-dead-letter-exchange"));
        }
        Ok(settings)
    }
}

/// The most milliseconds that RabbitMQ takes.
const MAX_MILLISECONDS: i64 = u32::MAX as i64;

struct Reader<'a> {
    queue: &'a str,
    arguments: &'a Table,
}

impl Reader<'_> {
    fn number<T: TryFrom<i64>>(&self, name: &str, least: i64, most: i64) -> Result<Option<T>> {
        let Some(value) = self.arguments.get(name) else {
            return Ok(None);
        };
        value
            .as_i64()
            .filter(|number| (least..=most).contains(number))
            .and_then(|number| T::try_from(number).ok())
            .map(Some)
            .ok_or_else(|| {
                let found = value
                    .as_i64()
                    .map_or(value.kind().to_owned(), |n| n.to_string());
                self.refused(format!("{name}: expected {least} to {most}, found {found}"))
            })
    }

    fn text(&self, name: &str) -> Result<Option<String>> {
        match self.arguments.get(name) {
            None => Ok(None),
            Some(Value::Str(text)) => Ok(Some(text.clone())),
            Some(other) => {
                Err(self.refused(format!("{name}: expected a string, found {}", other.kind())))
            }
        }
    }

    fn refused(&self, reason: impl Into<String>) -> Error {
        Error::Refused {
            what: format!("declare queue {}", self.queue),
            reason: reason.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn arguments_are_checked() {
        let settings = Settings::read(
            &Queue::new("q")
                .argument("x-expires", 5_i64)
                .argument("x-else", true),
        );
        assert_eq!(settings.unwrap().expires, Some(Duration::from_millis(5)));
        for (name, value) in [
            ("x-max-priority", Value::Int(256)),
            ("x-max-priority", Value::Str("9".to_owned())),
            ("x-expires", Value::Int(0)),
            ("x-message-ttl", Value::Int(-1)),
            ("x-dead-letter-exchange", Value::Null),
            ("x-dead-letter-routing-key", Value::Str("alone".to_owned())),
        ] {
            let error = Settings::read(&Queue::new("q").argument(name, value)).unwrap_err();
            assert!(matches!(error, Error::Refused { .. }), "{error}");
            assert!(error.to_string().contains(name), "{error}");
        }
    }
}
