//! What a message carries after it died in a queue, as RabbitMQ writes it.

use std::time::{SystemTime, UNIX_EPOCH};

use celeriac_protocol::{Message, Table, Value};

/// Why a message left its queue without being acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    Rejected,
    Expired,
    Overflow,
}

impl Reason {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Rejected => "rejected",
            Self::Expired => "expired",
            Self::Overflow => "maxlen",
        }
    }
}

/// Where and why a message died.
#[derive(Debug)]
pub(super) struct Death<'a> {
    pub(super) queue: &'a str,
    pub(super) exchange: &'a str,
    pub(super) routing_key: &'a str,
    pub(super) reason: Reason,
}

/// Makes the message that goes to the dead-letter exchange.
pub(super) fn bury(message: &Message, death: &Death<'_>, now: SystemTime) -> Message {
    let mut message = message.clone();
    // Its time was up here; in the next queue it must not be up at once.
    let expiration = message.properties.expiration.take();
    if message.headers.get("x-first-death-queue").is_none() {
        message
            .headers
            .insert("x-first-death-exchange", death.exchange);
        message.headers.insert("x-first-death-queue", death.queue);
        message
            .headers
            .insert("x-first-death-reason", death.reason.as_str());
    }
    let mut deaths = match message.headers.remove("x-death") {
        Some(Value::Array(deaths)) => deaths,
        _ => Vec::new(),
    };
    let same = |entry: &Value| {
        entry.as_map().is_some_and(|entry| {
            text(entry, "queue") == Some(death.queue)
                && text(entry, "reason") == Some(death.reason.as_str())
        })
    };
    let entry = match deaths.iter().position(same).map(|at| deaths.remove(at)) {
        Some(Value::Map(mut entry)) => {
            let count = entry.get("count").and_then(Value::as_i64).unwrap_or(0);
            entry.insert("count", count.saturating_add(1));
            entry
        }
        _ => first_entry(death, expiration, now),
    };
    deaths.insert(0, Value::Map(entry));
    message.headers.insert("x-death", deaths);
    message
}

fn first_entry(death: &Death<'_>, expiration: Option<String>, now: SystemTime) -> Table {
    let seconds = now
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    let mut entry = Table::with_capacity(7);
    entry.push("count", 1_i64);
    entry.push("reason", death.reason.as_str());
    entry.push("queue", death.queue);
    entry.push("time", seconds);
    entry.push("exchange", death.exchange);
    entry.push("routing-keys", vec![Value::from(death.routing_key)]);
    if let Some(expiration) = expiration {
        entry.push("original-expiration", expiration);
    }
    entry
}

/// Tells whether a buried message that goes to `queue` would go round for ever: it
/// died there before, and nobody ever rejected it.
pub(super) fn circles(message: &Message, queue: &str) -> bool {
    let deaths = message
        .headers
        .get("x-death")
        .and_then(Value::as_array)
        .unwrap_or_default();
    let mut tables = deaths.iter().filter_map(Value::as_map);
    tables
        .clone()
        .any(|entry| text(entry, "queue") == Some(queue))
        && tables.all(|entry| text(entry, "reason") != Some(Reason::Rejected.as_str()))
}

fn text<'a>(table: &'a Table, key: &str) -> Option<&'a str> {
    table.get(key).and_then(Value::as_str)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn death(queue: &str, reason: Reason) -> Death<'_> {
        Death {
            queue,
            exchange: "",
            routing_key: queue,
            reason,
        }
    }

    #[test]
    fn deaths_are_counted_by_queue_and_reason() {
        let mut message = Message::default();
        message.properties.expiration = Some("10".to_owned());
        let once = bury(&message, &death("a", Reason::Expired), UNIX_EPOCH);
        assert_eq!(once.properties.expiration, None);
        let twice = bury(&once, &death("b", Reason::Rejected), UNIX_EPOCH);
        let thrice = bury(&twice, &death("a", Reason::Expired), UNIX_EPOCH);
        let deaths = thrice.headers.get("x-death").unwrap().as_array().unwrap();
        assert_eq!(deaths.len(), 2);
        let last = deaths[0].as_map().unwrap();
        assert_eq!(text(last, "queue"), Some("a"));
        assert_eq!(last.get("count").unwrap().as_i64(), Some(2));
        assert_eq!(text(last, "original-expiration"), Some("10"));
        assert_eq!(text(&thrice.headers, "x-first-death-queue"), Some("a"));
    }

    #[test]
    fn only_a_circle_without_rejection_is_cut() {
        let expired = bury(
            &Message::default(),
            &death("a", Reason::Expired),
            UNIX_EPOCH,
        );
        assert!(circles(&expired, "a"));
        assert!(!circles(&expired, "b"));
        let rejected = bury(&expired, &death("b", Reason::Rejected), UNIX_EPOCH);
        assert!(!circles(&rejected, "a"));
    }
}
