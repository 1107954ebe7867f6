//! The calling options of a signature, where null means absent.

use super::{Signature, embed::many, mismatch};
use crate::{
    DecodeError, Timestamp,
    value::{Table, Value},
};

/// The options that hold signatures.
const NESTED: [&str; 4] = ["link", "link_error", "chain", "chord"];

pub(super) fn is_present(value: &Value) -> bool {
    !value.is_null()
}

/// Checks the options that hold signatures, so that the accessors need not fail.
pub(super) fn check(options: &Table) -> Result<(), DecodeError> {
    for key in NESTED {
        let Some(value) = options.get(key).filter(|value| is_present(value)) else {
            continue;
        };
        let named = |value: &Value| {
            value
                .as_map()
                .and_then(|table| table.get("task"))
                .and_then(Value::as_str)
                .is_some()
        };
        let right = match value {
            Value::Array(items) if key != "chord" => items.iter().all(named),
            one => named(one),
        };
        if !right {
            return Err(mismatch(
                &format!("signature, options, {key}"),
                "signatures",
                value,
            ));
        }
    }
    Ok(())
}

macro_rules! text_options {
    ($($(#[$doc:meta])* $name:ident)*) => {$(
        $(#[$doc])*
        pub fn $name(&self) -> Option<&str> {
            self.option(stringify!($name)).and_then(Value::as_str)
        }
    )*};
}

impl Signature {
    /// Returns an option; null counts as absent.
    pub fn option(&self, key: &str) -> Option<&Value> {
        self.options.get(key).filter(|value| is_present(value))
    }

    /// Sets an option.
    pub fn set_option(&mut self, key: impl Into<String>, value: impl Into<Value>) {
        self.options.insert(key, value);
    }

    /// Sets an option, for chaining.
    #[must_use]
    pub fn with_option(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        self.set_option(key, value);
        self
    }

    text_options! {
        /// Returns the id the task will have.
        task_id
        /// Returns the group it belongs to.
        group_id
        /// Returns the first task of its workflow.
        root_id
        /// Returns the task that sends it.
        parent_id
        /// Returns the queue that wants the result.
        reply_to
        /// Returns the queue it goes to.
        queue
        /// Returns the exchange it goes to.
        exchange
        /// Returns the routing key it goes by.
        routing_key
        /// Returns the serializer's name.
        serializer
        /// Returns the compression's name.
        compression
        /// Returns the name to show instead of the task's.
        shadow
    }

    /// Returns the priority, 0 to 255.
    pub fn priority(&self) -> Option<u8> {
        self.option("priority")
            .and_then(Value::as_i64)
            .and_then(|n| u8::try_from(n).ok())
    }

    /// Returns the place in the group, from 0.
    pub fn group_index(&self) -> Option<u32> {
        self.option("group_index")
            .and_then(Value::as_i64)
            .and_then(|n| u32::try_from(n).ok())
    }

    /// Returns the delay in seconds.
    pub fn countdown(&self) -> Option<f64> {
        self.option("countdown").and_then(Value::as_f64)
    }

    /// Returns the moment before which it does not run, when it is one that can be read.
    pub fn eta(&self) -> Option<Timestamp> {
        self.moment("eta")
    }

    /// Returns the moment after which it does not run; a number of seconds is found
    /// with [`Signature::option`].
    pub fn expires(&self) -> Option<Timestamp> {
        self.moment("expires")
    }

    /// Returns the hard limit in seconds.
    pub fn time_limit(&self) -> Option<f64> {
        self.option("time_limit").and_then(Value::as_f64)
    }

    /// Returns the soft limit in seconds.
    pub fn soft_time_limit(&self) -> Option<f64> {
        self.option("soft_time_limit").and_then(Value::as_f64)
    }

    /// Returns whether the result is unwanted.
    pub fn ignore_result(&self) -> Option<bool> {
        self.option("ignore_result").and_then(Value::as_bool)
    }

    /// Returns what is called on success.
    pub fn link(&self) -> Option<Vec<Signature>> {
        self.signatures("link")
    }

    /// Returns what is called on failure.
    pub fn link_error(&self) -> Option<Vec<Signature>> {
        self.signatures("link_error")
    }

    /// Returns the rest of the chain, reversed.
    pub fn chain(&self) -> Option<Vec<Signature>> {
        self.signatures("chain")
    }

    /// Returns what is called with the results of the whole group.
    pub fn chord(&self) -> Option<Signature> {
        self.option("chord")
            .and_then(|value| Signature::from_value(value.clone()).ok())
    }

    /// Returns the names of the stamps.
    pub fn stamped_headers(&self) -> Option<Vec<&str>> {
        let names = self.option("stamped_headers")?.as_array()?;
        Some(names.iter().filter_map(Value::as_str).collect())
    }

    fn signatures(&self, key: &str) -> Option<Vec<Signature>> {
        self.option(key)
            .and_then(|value| many(value.clone()).ok().flatten())
    }

    fn moment(&self, key: &str) -> Option<Timestamp> {
        let value = self.option(key)?;
        // A moment in a signature is text, or kombu's typed form of a datetime.
        let text = match value {
            Value::Map(typed) => typed.get("__value__")?.as_str()?,
            plain => plain.as_str()?,
        };
        Timestamp::parse(text).ok()
    }
}
