//! What a task queue is.

use std::str::FromStr;
use std::time::Duration;

use celeriac_protocol::naming::{self, argument};
use celeriac_protocol::{Table, Value};
use uuid::Uuid;

use crate::broker::{Binding, Exchange, ExchangeKind, Queue, Topology};
use crate::error::{Error, Result};

/// A task queue and the exchange before it, as producers and nodes declare them.
///
/// A queue that is there already is used as it is, whatever its arguments; the log says when
/// they differ from the ones asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskQueue {
    /// Its name.
    pub name: String,
    /// The name that it goes by in settings and dead letters, when that is another: of a
    /// broadcast queue the one that all nodes share.
    pub alias: Option<String>,
    /// The exchange before it. Default one of the queue's name; empty is the default exchange.
    pub exchange: String,
    /// How that routes. Default direct.
    pub exchange_type: ExchangeKind,
    /// The keys or patterns by which it is bound, the first of which calls use that name none.
    /// Default the queue's name.
    pub routing_keys: Vec<String>,
    /// Whether it outlives the server. Default true.
    pub durable: bool,
    /// Whether it goes with its last consumer. Default false.
    pub auto_delete: bool,
    /// Further arguments, such as `x-max-priority`.
    pub arguments: Table,
    /// Whether every node has a copy of it of its own, and thus runs every task. Default false.
    pub broadcast: bool,
}

/// How RabbitMQ keeps a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum QueueType {
    /// On one node of RabbitMQ; knows priorities.
    #[default]
    Classic,
    /// Replicated over the nodes of RabbitMQ.
    Quorum,
}

impl QueueType {
    /// Returns its name, as RabbitMQ has it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Classic => "classic",
            Self::Quorum => "quorum",
        }
    }
}

/// Reads `classic` or `quorum`.
impl FromStr for QueueType {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "classic" => Ok(Self::Classic),
            "quorum" => Ok(Self::Quorum),
            other => Err(Error::invalid("queue type", "classic or quorum", other)),
        }
    }
}

impl TaskQueue {
    /// Describes a durable queue behind a direct exchange of the same name, as Celery makes
    /// queues of which only the name is known.
    pub fn new(name: impl Into<String>) -> Self {
        let name = name.into();
        Self {
            exchange: name.clone(),
            exchange_type: ExchangeKind::Direct,
            routing_keys: Vec::new(),
            name,
            alias: None,
            durable: true,
            auto_delete: false,
            arguments: Table::new(),
            broadcast: false,
        }
    }

    /// Describes a queue of which every node has a copy: a fan-out exchange of that name,
    /// behind which each node declares `bcast.<uuid>`, which goes with it.
    ///
    /// # Delivery guarantee
    ///
    /// A task reaches the nodes that consume the queue when it is sent; a node that is away
    /// misses it.
    pub fn broadcast(name: impl Into<String>) -> Self {
        Self {
            exchange_type: ExchangeKind::Fanout,
            routing_keys: vec![naming::DEFAULT_QUEUE.to_owned()],
            auto_delete: true,
            broadcast: true,
            ..Self::new(name)
        }
    }

    /// Describes the queue that leads to one node alone, when that has
    /// `worker_direct` on.
    ///
    /// # Example
    ///
    /// ```
    /// use celeriac::routing::TaskQueue;
    ///
    /// assert_eq!(TaskQueue::of_node("celeriac@one").name, "celeriac@one.dq2");
    /// ```
    pub fn of_node(node: &str) -> Self {
        Self::new(naming::worker_direct_queue(node))
            .exchange(naming::WORKER_DIRECT_EXCHANGE, ExchangeKind::Direct)
            .routing_key(node)
    }

    /// Puts it behind another exchange.
    #[must_use]
    pub fn exchange(mut self, name: impl Into<String>, kind: ExchangeKind) -> Self {
        self.exchange = name.into();
        self.exchange_type = kind;
        self
    }

    /// Binds it by a key, or by a pattern to a topic exchange. May be used often.
    #[must_use]
    pub fn routing_key(mut self, key: impl Into<String>) -> Self {
        self.routing_keys.push(key.into());
        self
    }

    /// Lets it go with the server.
    #[must_use]
    pub const fn transient(mut self) -> Self {
        self.durable = false;
        self
    }

    /// Lets it go with its last consumer.
    #[must_use]
    pub const fn auto_delete(mut self) -> Self {
        self.auto_delete = true;
        self
    }

    /// Lets higher priorities go first, up to this one. RabbitMQ advises 10 at most: each
    /// costs memory. A quorum queue has no priorities.
    #[must_use]
    pub fn max_priority(self, priority: u8) -> Self {
        self.argument(argument::MAX_PRIORITY, priority)
    }

    /// Sets how RabbitMQ keeps it.
    #[must_use]
    pub fn queue_type(self, queue_type: QueueType) -> Self {
        match queue_type {
            QueueType::Classic => self,
            QueueType::Quorum => self.argument(argument::QUEUE_TYPE, "quorum"),
        }
    }

    /// Lets it go after this long without a consumer.
    #[must_use]
    pub fn expires(self, after: Duration) -> Self {
        self.argument(argument::EXPIRES, millis(after))
    }

    /// Drops messages that nobody took for this long.
    #[must_use]
    pub fn message_ttl(self, ttl: Duration) -> Self {
        self.argument(argument::MESSAGE_TTL, millis(ttl))
    }

    /// Adds any argument.
    #[must_use]
    pub fn argument(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.arguments.insert(name, value);
        self
    }

    /// Tells whether a name means this queue.
    pub fn is(&self, name: &str) -> bool {
        self.name == name || self.alias.as_deref() == Some(name)
    }

    /// Returns the name that outlives one node: the alias if there is one.
    pub fn family(&self) -> &str {
        self.alias.as_deref().unwrap_or(&self.name)
    }

    /// Returns the routing key of calls that name none.
    pub fn key(&self) -> &str {
        self.routing_keys.first().map_or(&self.name, String::as_str)
    }

    /// Returns the queue that one consumer consumes: of a broadcast queue a copy of its own.
    #[must_use]
    pub fn instance(&self) -> Self {
        if !self.broadcast || self.alias.is_some() {
            return self.clone();
        }
        Self {
            name: format!("bcast.{}", Uuid::new_v4()),
            alias: Some(self.name.clone()),
            ..self.clone()
        }
    }

    /// Checks what can be checked without a broker.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for what no broker takes.
    pub fn check(&self) -> Result<()> {
        // AMQP carries names with a length of one byte.
        let fits = |what: &str, text: &str, least: usize| {
            if (least..=250).contains(&text.len()) {
                return Ok(());
            }
            Err(Error::invalid(
                what,
                format!("{least} to 250 bytes"),
                format!("{text:?}"),
            ))
        };
        fits("queue name", &self.name, 1)?;
        fits(
            &format!("exchange of queue {}", self.name),
            &self.exchange,
            0,
        )?;
        for key in &self.routing_keys {
            fits(&format!("routing key of queue {}", self.name), key, 0)?;
        }
        if self.exchange.is_empty()
            && (self.broadcast || self.exchange_type != ExchangeKind::Direct)
        {
            return Err(Error::invalid(
                format!("exchange of queue {}", self.name),
                format!("a name for a {} exchange", self.exchange_type.as_str()),
                "the default exchange, which is direct",
            ));
        }
        match self
            .arguments
            .get(argument::MAX_PRIORITY)
            .map(Value::as_i64)
        {
            Some(Some(1..=255)) | None => {}
            Some(found) => {
                return Err(Error::invalid(
                    format!("max priority of queue {}", self.name),
                    "1 to 255",
                    found.map_or_else(|| "no number".to_owned(), |found| found.to_string()),
                ));
            }
        }
        if self.is_quorum() && self.arguments.get(argument::MAX_PRIORITY).is_some() {
            return Err(Error::invalid(
                format!("max priority of queue {}", self.name),
                "a classic queue",
                "a quorum queue, which has no priorities",
            ));
        }
        if self.is_quorum() && (self.auto_delete || !self.durable) {
            return Err(Error::invalid(
                format!("type of queue {}", self.name),
                "classic for a queue that goes by itself",
                "quorum",
            ));
        }
        Ok(())
    }

    /// Returns what must be declared: the exchange, the queue and the bindings.
    pub fn topology(&self) -> Topology {
        let mut topology = self.exchange_only();
        topology.queues.push(Queue {
            durable: self.durable,
            auto_delete: self.auto_delete,
            arguments: self.arguments.clone(),
            ..Queue::new(&self.name)
        });
        if !self.exchange.is_empty() {
            let own = self.routing_keys.is_empty().then_some(&self.name);
            let bindings = self.routing_keys.iter().chain(own);
            topology
                .bindings
                .extend(bindings.map(|key| Binding::new(&self.exchange, &self.name, key)));
        }
        topology
    }

    /// Returns what a producer declares: of a broadcast queue the exchange alone, since the
    /// queues behind it are the nodes'.
    pub(crate) fn producer_topology(&self) -> Topology {
        if self.broadcast {
            self.exchange_only()
        } else {
            self.topology()
        }
    }

    fn exchange_only(&self) -> Topology {
        let exchange = (!self.exchange.is_empty()).then(|| Exchange {
            durable: self.durable,
            ..Exchange::new(&self.exchange, self.exchange_type)
        });
        Topology {
            exchanges: exchange.into_iter().collect(),
            ..Topology::default()
        }
    }

    /// Tells whether its messages are replicated.
    pub fn is_quorum(&self) -> bool {
        let kind = self.arguments.get(argument::QUEUE_TYPE);
        kind.and_then(Value::as_str) == Some("quorum")
    }
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_plain_queue_is_as_celery_declares_it() {
        assert_eq!(
            TaskQueue::new("celery").topology(),
            Topology::task_queue("celery")
        );
    }

    #[test]
    fn every_consumer_of_a_broadcast_queue_has_its_own() {
        let shared = TaskQueue::broadcast("reload");
        let (one, other) = (shared.instance(), shared.instance());
        assert!(one.name.starts_with("bcast.") && one.name != other.name);
        assert!(one.is("reload") && one.is(&one.name) && !one.is(&other.name));
        assert_eq!(one.instance(), one);
        let topology = one.topology();
        assert_eq!(
            topology.exchanges,
            [Exchange::new("reload", ExchangeKind::Fanout)]
        );
        assert!(topology.queues[0].auto_delete && topology.queues[0].durable);
        assert_eq!(
            topology.bindings,
            [Binding::new("reload", &*one.name, "celery")]
        );
        assert!(shared.producer_topology().queues.is_empty());
    }

    #[test]
    fn a_node_s_own_queue_is_celerys() {
        let topology = TaskQueue::of_node("w@h").topology();
        assert_eq!(topology.bindings, [Binding::new("C.dq2", "w@h.dq2", "w@h")]);
    }

    #[test]
    fn what_no_broker_takes_is_told() {
        for (queue, text) in [
            (TaskQueue::new(""), "queue name: expected 1 to 250 bytes"),
            (
                TaskQueue::new("q").exchange("", ExchangeKind::Topic),
                "exchange of queue q: expected a name for a topic exchange",
            ),
            (
                TaskQueue::new("q").max_priority(0),
                "max priority of queue q: expected 1 to 255, found 0",
            ),
            (
                TaskQueue::new("q")
                    .max_priority(5)
                    .queue_type(QueueType::Quorum),
                "max priority of queue q: expected a classic queue",
            ),
            (
                TaskQueue::broadcast("q").queue_type(QueueType::Quorum),
                "type of queue q: expected classic",
            ),
        ] {
            let error = queue.check().unwrap_err().to_string();
            assert!(error.starts_with(text), "{error} lacks {text}");
        }
        TaskQueue::new("q")
            .exchange("", ExchangeKind::Direct)
            .check()
            .unwrap();
    }
}
