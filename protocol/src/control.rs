//! Remote control requests and replies.
//!
//! A request goes to every node by a fanout exchange; each node decides whether it is
//! meant, runs the method, and sends one reply to the queue that the request names.

mod message;
mod queue_info;
mod signal;
mod task_info;

pub use queue_info::{ExchangeInfo, QueueInfo};
pub use signal::Signal;
pub use task_info::{DeliveryInfo, ScheduledInfo, TaskInfo};

use crate::pattern;
use crate::value::{Table, Value};

/// The command that has tasks put away as dead letters when they are delivered once more.
/// This project's own.
pub const QUARANTINE: &str = "quarantine";

/// The field of `hello` with the tasks that are put away so: reasons by ids. This
/// project's own.
pub const QUARANTINED: &str = "quarantined";

/// The field of `hello` that says which process asks. This project's own.
pub const PID: &str = "pid";

/// A call of a method on some nodes or all.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Request {
    /// The method, such as `ping`.
    pub method: String,
    /// Its arguments by name.
    pub arguments: Table,
    /// The nodes that are meant; `None` or none means all, or those of `pattern`.
    pub destination: Option<Vec<String>>,
    /// What the name of a node must match; without a matcher it is ignored.
    pub pattern: Option<String>,
    /// How `pattern` is read.
    pub matcher: Option<Matcher>,
    /// The id that replies repeat; absent when no reply is wanted.
    pub ticket: Option<String>,
    /// Where replies go; absent when no reply is wanted.
    pub reply_to: Option<ReplyTo>,
    /// The sender's Lamport clock.
    pub clock: u64,
    /// Seconds since the epoch after which a node drops the request; `None` is never.
    pub expires: Option<f64>,
}

/// How a pattern is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Matcher {
    /// As a shell's file names: `*`, `?`, `[abc]`, `[!abc]`; the whole name must match.
    Glob,
    /// As a regular expression that must match at the beginning of the name. Back
    /// references and look-around are not understood and match nothing.
    Pcre,
}

/// Where a reply goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplyTo {
    /// The exchange, `reply.celery.pidbox`.
    pub exchange: String,
    /// The routing key: the caller's oid.
    pub routing_key: String,
}

/// One node's answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Reply {
    /// The node that answers.
    pub node: String,
    /// What it answers; see [`ok`] and [`error`] for the usual forms.
    pub payload: Value,
    /// The ticket of the request.
    pub ticket: Option<String>,
    /// The sender's Lamport clock.
    pub clock: u64,
}

impl Request {
    /// Tells whether `node` is meant.
    ///
    /// A destination goes before a pattern, and a list without names is no
    /// destination. A pattern that cannot be read matches no node.
    pub fn addresses(&self, node: &str) -> bool {
        if let Some(destination) = self
            .destination
            .as_deref()
            .filter(|nodes| !nodes.is_empty())
        {
            return destination.iter().any(|name| name == node);
        }
        match (
            self.pattern
                .as_deref()
                .filter(|pattern| !pattern.is_empty()),
            self.matcher,
        ) {
            (Some(pattern), Some(Matcher::Glob)) => pattern::glob(pattern, node),
            (Some(pattern), Some(Matcher::Pcre)) => pattern::regex(pattern, node),
            _ => true,
        }
    }

    /// Tells whether it is too late to act, at `now` seconds since the epoch.
    pub fn is_expired(&self, now: f64) -> bool {
        self.expires.is_some_and(|expires| now > expires)
    }
}

impl Matcher {
    /// Returns the name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Glob => "glob",
            Self::Pcre => "pcre",
        }
    }
}

/// The payload of a method that did something: `{"ok": text}`.
pub fn ok(text: impl Into<Value>) -> Value {
    single("ok", text.into())
}

/// The payload of a method that failed: `{"error": text}`.
///
/// Celery's own workers write the exception as Python's `repr` shows it.
pub fn error(text: impl Into<Value>) -> Value {
    single("error", text.into())
}

fn single(key: &str, value: Value) -> Value {
    let mut table = Table::with_capacity(1);
    table.push(key, value);
    Value::Map(table)
}

#[cfg(test)]
mod tests;
