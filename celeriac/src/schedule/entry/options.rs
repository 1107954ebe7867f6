//! How the task of an entry is sent.

use std::time::Duration;

use celeriac_protocol::{Codec, Table, Value};

use crate::call::Call;
use crate::error::{Error, Result};

/// How the task of an entry is sent. What is not said here is decided as for any other call:
/// by the task's options, the routes, and the app's defaults.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Options {
    /// The queue.
    pub queue: Option<String>,
    /// The exchange, instead of a queue.
    pub exchange: Option<String>,
    /// The routing key. Default the queue's.
    pub routing_key: Option<String>,
    /// 0 to 255.
    pub priority: Option<u8>,
    /// Drops the task when it has not started this long after it was sent.
    pub expires: Option<Duration>,
    /// Ends it after this long.
    pub time_limit: Option<Duration>,
    /// Asks it to end after this long.
    pub soft_time_limit: Option<Duration>,
    /// Whether its result is kept nowhere.
    pub ignore_result: Option<bool>,
    /// `json` or `msgpack`, ...
    pub serializer: Option<Codec>,
    /// Further headers of the message.
    pub headers: Table,
}

impl Options {
    pub(super) fn check(&self) -> Result<()> {
        for (what, span) in [
            ("expires", self.expires),
            ("time_limit", self.time_limit),
            ("soft_time_limit", self.soft_time_limit),
        ] {
            if span.is_some_and(|span| span.is_zero()) {
                return Err(Error::invalid(what, "more than 0s", "0s"));
            }
        }
        if self.queue.is_some() && self.exchange.is_some() {
            let expected = "a queue or an exchange";
            return Err(Error::invalid("exchange", expected, "both"));
        }
        for (what, name) in [("queue", &self.queue), ("exchange", &self.exchange)] {
            if name.as_ref().is_some_and(String::is_empty) {
                return Err(Error::invalid(what, "a name", "nothing"));
            }
        }
        let own = |name: &&str| name.starts_with("celeriac-");
        if let Some(name) = self.headers.iter().map(|(name, _)| name).find(own) {
            let expected = "names that do not start with celeriac-";
            return Err(Error::invalid("headers", expected, name));
        }
        Ok(())
    }

    pub(super) fn apply(&self, mut call: Call<Value>) -> Call<Value> {
        for (name, text) in [
            ("queue", &self.queue),
            ("exchange", &self.exchange),
            ("routing_key", &self.routing_key),
        ] {
            if let Some(text) = text {
                call = call.option(name, text.as_str());
            }
        }
        if let Some(priority) = self.priority {
            call = call.priority(priority);
        }
        if let Some(after) = self.expires {
            call = call.expires(after);
        }
        if let Some(limit) = self.time_limit {
            call = call.time_limit(limit);
        }
        if let Some(limit) = self.soft_time_limit {
            call = call.soft_time_limit(limit);
        }
        if let Some(ignore) = self.ignore_result {
            call = call.option("ignore_result", ignore);
        }
        if let Some(codec) = self.serializer {
            call = call.serializer(codec);
        }
        for (name, value) in self.headers.iter() {
            call = call.header(name, value.clone());
        }
        call
    }
}
