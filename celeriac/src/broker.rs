//! Brokers: what carries messages from producers to nodes.
//!
//! [`Broker`] is small and object-safe; what differs between brokers is declared in
//! [`Capabilities`], not discovered as an error. [`open`] picks one by URL.

#[cfg(feature = "amqp")]
pub mod amqp;
mod delivery;
mod lock;
mod memory;
mod pattern;
mod topology;

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::SystemTime;

use celeriac_protocol::{Message, Table};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

pub use self::delivery::{Delivery, Receipt, Settlement, Settler, Tag};
pub use self::lock::Lock;
pub use self::memory::{MemoryBroker, MemoryLimits};
pub use self::topology::{Binding, Exchange, ExchangeKind, Queue, Topology};
use crate::error::{Error, Result};

/// A boxed future, as object-safe traits return it.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Carries messages from producers to consumers.
///
/// A broker reconnects by itself and for ever; calls wait for the link for as long
/// as the broker's own deadlines say and then fail with
/// [`Error::Unavailable`]. Declared topology is remembered and declared again after a
/// reconnect, and consumers go on.
pub trait Broker: fmt::Debug + Send + Sync + 'static {
    /// Returns what this broker can do.
    fn capabilities(&self) -> Capabilities;

    /// Returns the URL without its password.
    fn url(&self) -> String;

    /// Declares exchanges, queues and bindings. A queue that exists already is adopted
    /// as it is.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] when the server refuses for another reason than that the
    /// queue or exchange is there with other arguments.
    fn declare<'a>(&'a self, topology: &'a Topology) -> BoxFuture<'a, Result<()>>;

    /// Publishes a message; resolves when the broker has taken responsibility for it
    /// (if [`Publication::confirm`]).
    ///
    /// # Delivery guarantee
    ///
    /// `Ok` with `confirm` means that the broker has it, on disk if it is persistent
    /// and the queue durable. An error means that the outcome is unknown unless it is
    /// [`Error::Refused`] or [`Error::Invalid`].
    fn publish(&self, publication: Publication) -> BoxFuture<'_, Result<()>>;

    /// Publishes many; the answers stand in the order of the publications.
    ///
    /// One wait for all confirms instead of one each.
    fn publish_all(&self, publications: Vec<Publication>) -> BoxFuture<'_, Vec<Result<()>>> {
        Box::pin(futures_util::future::join_all(
            publications
                .into_iter()
                .map(|publication| self.publish(publication)),
        ))
    }

    /// Starts consuming. The consumer lives through reconnects.
    fn consume(&self, subscription: Subscription) -> BoxFuture<'_, Result<Box<dyn Consumer>>>;

    /// Returns what the broker says of a queue; `None` when there is no such queue.
    fn queue<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<QueueStatus>>>;

    /// Drops all messages that are ready in a queue and returns how many.
    fn purge<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<u64>>;

    /// Deletes a queue with its messages; says whether there was one.
    fn delete_queue<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<bool>>;

    /// Tries to take a lock that one client of this broker can have at a time; `None`
    /// when somebody has it. Names are those of queues, and share their space.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] when the broker gives out none, as
    /// [`Capabilities::lock`] says.
    ///
    /// # Delivery guarantee
    ///
    /// Two clients never hold one lock at a time, except for a client whose process
    /// stood still: between its last look at [`Lock::is_held`] and what it does then, the
    /// lock may have gone to another. Who must not act late carries a number that grows
    /// with each holder.
    fn lock<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<Box<dyn Lock>>>> {
        let _ = name;
        let (what, with) = ("a lock", self.url());
        let instead = "choose another way to elect a leader, or run one process only";
        Box::pin(async move {
            Err(Error::Unsupported {
                what,
                with,
                instead,
            })
        })
    }

    /// Returns a view of the link's state that can be awaited.
    fn link(&self) -> watch::Receiver<Link>;

    /// Flushes acknowledgements and closes. Later calls fail with [`Error::Closed`].
    fn close(&self) -> BoxFuture<'_, ()>;
}

/// A stream of deliveries from one queue.
///
/// Dropping it cancels it; deliveries that wait in it go back to the queue.
pub trait Consumer: Send {
    /// Waits for the next delivery and returns it with those that are here already,
    /// `max` at most. `None` after [`Consumer::cancel`] or when the broker is closed.
    ///
    /// # Cancel safety
    ///
    /// No delivery is lost when the future is dropped.
    fn next(&mut self, max: usize) -> BoxFuture<'_, Option<Vec<Delivery>>>;

    /// Changes how many unacknowledged deliveries the broker hands out at most.
    /// Holds exactly once the deliveries handed out before are settled; until then
    /// they may come on top.
    fn set_prefetch(&mut self, prefetch: u16) -> BoxFuture<'_, Result<()>>;

    /// Tells whether the broker hands out deliveries now. False while the consumer is
    /// being made anew, because the connection or the queue went away. A broker that
    /// loses no consumer need not say.
    fn is_consuming(&self) -> bool {
        true
    }

    /// Stops new deliveries; those that wait in the consumer go back to the queue,
    /// those handed out stay to be settled.
    fn cancel(&mut self) -> BoxFuture<'_, Result<()>>;
}

/// What a broker can do beyond the trait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Capabilities {
    /// Holds messages until [`Publication::not_before`] by itself.
    pub delay: bool,
    /// Serves higher priorities first on queues that ask for it.
    pub priority: bool,
    /// Messages outlive the process that holds the broker.
    pub durable: bool,
    /// Other processes can reach it.
    pub shared: bool,
    /// Gives out locks ([`Broker::lock`]).
    #[serde(default)]
    pub lock: bool,
}

/// A message on its way out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Publication {
    /// Exchange; empty for the default one, which routes by queue name.
    pub exchange: String,
    /// Routing key; the queue's name with the default exchange.
    pub routing_key: String,
    /// What to send.
    pub message: Message,
    /// Whether a message that no queue takes is an [`Error::Refused`]. Default true
    /// through [`Publication::to_queue`].
    pub mandatory: bool,
    /// Whether to wait until the broker has taken it over. Default true.
    pub confirm: bool,
    /// Keep it from consumers until then; in the past or `None`: at once. Brokers may
    /// count in whole seconds and hand it out up to one second early.
    pub not_before: Option<SystemTime>,
}

impl Publication {
    /// Makes a confirmed, mandatory publication straight to a queue.
    pub fn to_queue(queue: impl Into<String>, message: Message) -> Self {
        Self {
            exchange: String::new(),
            routing_key: queue.into(),
            message,
            mandatory: true,
            confirm: true,
            not_before: None,
        }
    }

    /// Makes a confirmed publication to an exchange, which may drop it.
    pub fn to_exchange(
        exchange: impl Into<String>,
        routing_key: impl Into<String>,
        message: Message,
    ) -> Self {
        Self {
            exchange: exchange.into(),
            mandatory: false,
            ..Self::to_queue(routing_key, message)
        }
    }

    /// Does not wait for the broker: for events and replies, which may be lost.
    #[must_use]
    pub fn unconfirmed(mut self) -> Self {
        self.confirm = false;
        self.mandatory = false;
        self
    }
}

/// What to consume, and how much at a time.
#[derive(Debug, Clone, PartialEq)]
pub struct Subscription {
    /// Which queue.
    pub queue: String,
    /// How many unacknowledged deliveries at most; never 0. Unbounded prefetch is not
    /// offered: it is how workers run out of memory.
    pub prefetch: u16,
    /// Whether deliveries count as acknowledged when sent. For events and replies.
    pub no_ack: bool,
    /// Whether nobody else may consume the queue.
    pub exclusive: bool,
    /// Consumer arguments.
    pub arguments: Table,
}

impl Subscription {
    /// Makes a subscription with acknowledgements.
    pub fn new(queue: impl Into<String>, prefetch: u16) -> Self {
        Self {
            queue: queue.into(),
            prefetch: prefetch.max(1),
            no_ack: false,
            exclusive: false,
            arguments: Table::new(),
        }
    }

    /// Makes a subscription whose deliveries need no acknowledgement.
    pub fn unacknowledged(queue: impl Into<String>) -> Self {
        Self {
            no_ack: true,
            ..Self::new(queue, 256)
        }
    }
}

/// What a broker says of a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct QueueStatus {
    /// Messages ready to be delivered.
    pub ready: u64,
    /// Consumers on it.
    pub consumers: u64,
    /// Messages handed out and not settled. `None` when the broker does not say: over
    /// AMQP none does.
    pub unacked: Option<u64>,
    /// Since when the oldest of the ready messages waits. `None` when there is none, or
    /// when the broker does not say.
    pub oldest: Option<SystemTime>,
}

/// The state of the link to the broker.
///
/// ```text
/// Connecting --> Up(epoch) --> Connecting --> Up(epoch + 1) ...
///                 |    ^
///                 v    |
///                Blocked            any --> Closed
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Link {
    /// Being made, for the first time or again.
    Connecting {
        /// How many tries have failed in a row.
        failures: u32,
        /// What the last one said.
        error: Option<String>,
    },
    /// Usable. Each new connection has the next epoch.
    Up {
        /// Counts connections, from 1.
        epoch: u64,
        /// What the server calls itself, such as `RabbitMQ 3.10.8`.
        server: String,
    },
    /// The server refuses publications for a while (memory or disk alarm).
    Blocked {
        /// What the server said.
        reason: String,
    },
    /// Closed by this process.
    Closed,
}

impl Link {
    /// Tells whether messages flow.
    pub const fn is_up(&self) -> bool {
        matches!(self, Self::Up { .. })
    }
}

/// Opens the broker that a URL names: `memory://`, `amqp://`, `amqps://`.
///
/// Does not wait for a connection: the broker connects in the background and calls
/// wait for it. Every `memory://` is a broker of its own; to share one, share the
/// returned value.
///
/// # Errors
///
/// [`Error::Invalid`] for a URL that no broker here takes.
///
/// # Panics
///
/// Outside a tokio runtime.
pub fn open(url: &str) -> Result<Arc<dyn Broker>> {
    let scheme = url.split("://").next().unwrap_or_default();
    match scheme {
        "memory" => Ok(Arc::new(MemoryBroker::from_url(url)?)),
        #[cfg(feature = "amqp")]
        "amqp" | "amqps" | "pyamqp" => Ok(Arc::new(amqp::AmqpBroker::open(url)?)),
        _ => Err(Error::invalid(
            "broker url",
            "memory://, amqp:// or amqps://",
            mask(url),
        )),
    }
}

/// Replaces the password of a URL by stars, for logs and pages.
///
/// Of a text that is no URL, or one in which a password may stand elsewhere, because it was
/// not percent-encoded, only the scheme is left.
pub fn mask(url: &str) -> String {
    let scheme = url.split_once("://").map(|(scheme, _)| scheme);
    let letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
    let hidden = || match scheme.filter(|scheme| scheme.chars().all(letter)) {
        Some(scheme) => format!("{scheme}://**"),
        None => "**".to_owned(),
    };
    let Ok(mut parsed) = url::Url::parse(url) else {
        return hidden();
    };
    // `amqp://ann:12/34@host` parses, with the host `ann` and the port 12.
    let elsewhere = [Some(parsed.path()), parsed.query(), parsed.fragment()];
    if elsewhere.iter().flatten().any(|part| part.contains('@')) {
        return hidden();
    }
    if parsed.password().is_none() {
        return url.to_owned();
    }
    // Fails only for URLs that cannot have a password, which this one has.
    let _ = parsed.set_password(Some("**"));
    parsed.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_masked_also_where_a_url_is_malformed() {
        for (url, shown) in [
            ("amqp://ann:hush@h:5672/v", "amqp://ann:**@h:5672/v"),
            ("amqp://h/v", "amqp://h/v"),
            ("mysql://x", "mysql://x"),
            ("memory://", "memory://"),
            ("amqp//ann:hush@h", "**"),
            ("ann:hush@h", "**"),
            ("hush", "**"),
            ("amqp://ann:hu/sh@h", "amqp://**"),
            ("amqp://ann:12/hush@h", "amqp://**"),
            ("amqp://ann:12?hush@h", "amqp://**"),
            ("amqp://ann:12#hush@h", "amqp://**"),
            ("amqp://ann:hush@h:port/", "amqp://**"),
        ] {
            assert_eq!(mask(url), shown, "{url}");
        }
    }
}
