//! What must be there before messages flow.

use celeriac_protocol::Table;
use celeriac_protocol::naming::{self, argument, delay};
use serde::{Deserialize, Serialize};

use crate::error::Error;

/// Exchanges, queues and bindings that must be there before messages flow.
///
/// A plain value: declaring it twice is the same as once.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Topology {
    /// Declared first.
    pub exchanges: Vec<Exchange>,
    /// Declared second.
    pub queues: Vec<Queue>,
    /// Made last.
    pub bindings: Vec<Binding>,
}

/// An exchange: takes messages and hands them to queues.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Exchange {
    /// Its name.
    pub name: String,
    /// How it routes.
    pub kind: ExchangeKind,
    /// Whether it outlives the server.
    pub durable: bool,
    /// Whether it goes when its last binding goes.
    pub auto_delete: bool,
    /// Further arguments.
    pub arguments: Table,
}

/// How an exchange routes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ExchangeKind {
    /// To queues bound with exactly the routing key.
    Direct,
    /// To queues bound with a pattern: `*` is one word, `#` any number of words.
    Topic,
    /// To every bound queue.
    Fanout,
}

impl ExchangeKind {
    /// Returns the name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Topic => "topic",
            Self::Fanout => "fanout",
        }
    }
}

/// Reads the name on the wire.
impl std::str::FromStr for ExchangeKind {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let all = [Self::Direct, Self::Topic, Self::Fanout];
        all.into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or_else(|| Error::invalid("exchange type", "direct, topic or fanout", text))
    }
}

/// A queue: keeps messages until they are acknowledged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Queue {
    /// Its name.
    pub name: String,
    /// Whether it outlives the server.
    pub durable: bool,
    /// Whether only this connection may use it; it goes with the connection.
    pub exclusive: bool,
    /// Whether it goes with its last consumer.
    pub auto_delete: bool,
    /// Further arguments, such as `x-max-priority`, `x-expires`, `x-message-ttl`.
    pub arguments: Table,
}

/// A way from an exchange to a queue, or to a further exchange.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Binding {
    /// From which exchange.
    pub exchange: String,
    /// To which queue or exchange.
    pub destination: String,
    /// Whether the destination is an exchange.
    pub to_exchange: bool,
    /// Routing key or pattern.
    pub key: String,
    /// Further arguments.
    pub arguments: Table,
}

/// The bounds of a queue of dead letters: messages, bytes, milliseconds.
const DEAD_LETTERS: i64 = 100_000;
const DEAD_LETTER_BYTES: i64 = 1 << 30;
const DEAD_LETTER_TTL: i64 = 30 * 86_400_000;

impl Topology {
    /// Adds all of another topology.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.exchanges.extend(other.exchanges);
        self.queues.extend(other.queues);
        self.bindings.extend(other.bindings);
        self
    }

    /// A task queue as Celery declares it: a durable queue bound to a durable direct
    /// exchange of the same name.
    pub fn task_queue(name: &str) -> Self {
        Self {
            exchanges: vec![Exchange::new(name, ExchangeKind::Direct)],
            queues: vec![Queue::new(name)],
            bindings: vec![Binding::new(name, name, name)],
        }
    }

    /// The place for the dead letters of a queue: the queue `<queue>.dead`, which holds
    /// 100,000 messages, 1 GiB of them, for 30 days at most. Beyond that the oldest go:
    /// where nobody takes them, they must not fill the broker's disk. A queue that is
    /// there without these bounds is used as it is.
    pub fn dead_letters(queue: &str) -> Self {
        let dead = naming::dead_queue(queue);
        let bounded = Queue::new(&dead)
            .argument(argument::MAX_LENGTH, DEAD_LETTERS)
            .argument(argument::MAX_LENGTH_BYTES, DEAD_LETTER_BYTES)
            .argument(argument::MESSAGE_TTL, DEAD_LETTER_TTL);
        Self {
            exchanges: vec![Exchange::new(naming::DEAD_EXCHANGE, ExchangeKind::Direct)],
            queues: vec![bounded],
            bindings: vec![Binding::new(naming::DEAD_EXCHANGE, &dead, queue)],
        }
    }

    /// Celery's native delayed delivery, as Celery declares it, so that both can share one:
    /// exchanges and queues through which a message goes step by step, each waiting twice as
    /// long as the next. The type of its queues is `quorum` or `classic`.
    pub fn delayed_delivery(queue_type: &str) -> Self {
        let mut stair = Self::default();
        stair
            .exchanges
            .push(Exchange::new(delay::DELIVERY_EXCHANGE, ExchangeKind::Topic));
        for level in (0..=delay::TOP).rev() {
            let name = delay::level_name(level);
            let next = delay::next_exchange(level);
            let mut queue = Queue::new(&name)
                .argument(argument::QUEUE_TYPE, queue_type)
                .argument(argument::OVERFLOW, "reject-publish")
                .argument(argument::MESSAGE_TTL, delay::level_ttl_millis(level))
                .argument(argument::DEAD_LETTER_EXCHANGE, next.as_str());
            if queue_type == "quorum" {
                queue = queue.argument(argument::DEAD_LETTER_STRATEGY, "at-least-once");
            }
            stair
                .exchanges
                .push(Exchange::new(&name, ExchangeKind::Topic));
            stair.queues.push(queue);
            stair
                .bindings
                .push(Binding::new(&name, &name, delay::wait_binding(level)));
            stair.bindings.push(Binding {
                to_exchange: true,
                ..Binding::new(&name, &next, delay::pass_binding(level))
            });
        }
        stair
    }
}

impl Exchange {
    /// Makes a durable exchange.
    pub fn new(name: impl Into<String>, kind: ExchangeKind) -> Self {
        Self {
            name: name.into(),
            kind,
            durable: true,
            auto_delete: false,
            arguments: Table::new(),
        }
    }

    /// Makes it go with the server.
    #[must_use]
    pub fn transient(mut self) -> Self {
        self.durable = false;
        self
    }
}

impl Queue {
    /// Makes a durable queue without arguments.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            durable: true,
            exclusive: false,
            auto_delete: false,
            arguments: Table::new(),
        }
    }

    /// Makes a queue that belongs to this connection and goes with it.
    pub fn private(name: impl Into<String>) -> Self {
        Self {
            durable: false,
            exclusive: true,
            auto_delete: true,
            ..Self::new(name)
        }
    }

    /// Adds an argument.
    #[must_use]
    pub fn argument(mut self, name: &str, value: impl Into<celeriac_protocol::Value>) -> Self {
        self.arguments.insert(name, value);
        self
    }
}

impl Binding {
    /// Makes a binding from an exchange to a queue.
    pub fn new(
        exchange: impl Into<String>,
        queue: impl Into<String>,
        key: impl Into<String>,
    ) -> Self {
        Self {
            exchange: exchange.into(),
            destination: queue.into(),
            to_exchange: false,
            key: key.into(),
            arguments: Table::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use celeriac_protocol::Value;

    use super::*;

    #[test]
    fn the_stair_is_the_one_celery_declares() {
        let stair = Topology::delayed_delivery("quorum");
        assert_eq!(
            (
                stair.exchanges.len(),
                stair.queues.len(),
                stair.bindings.len()
            ),
            (29, 28, 56)
        );
        let top = &stair.queues[0];
        assert_eq!(top.name, "celery_delayed_27");
        assert_eq!(
            top.arguments.get("x-message-ttl"),
            Some(&Value::Int(134_217_728_000))
        );
        assert_eq!(
            top.arguments.get("x-dead-letter-exchange"),
            Some(&Value::from("celery_delayed_26"))
        );
        let bottom = &stair.queues[27];
        assert_eq!(
            bottom.arguments.get("x-dead-letter-exchange"),
            Some(&Value::from("celery_delayed_delivery"))
        );
        assert!(
            Topology::delayed_delivery("classic").queues[0]
                .arguments
                .get("x-dead-letter-strategy")
                .is_none()
        );
    }
}
