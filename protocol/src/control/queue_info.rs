//! What nodes tell of their queues.

use crate::{
    DecodeError,
    fields::Fields,
    value::{Table, Value},
};

/// A queue in the reply to `active_queues`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct QueueInfo {
    /// The queue's name.
    pub name: String,
    /// The exchange that feeds it.
    pub exchange: ExchangeInfo,
    /// The key that binds it.
    pub routing_key: String,
    /// The arguments it was declared with.
    pub queue_arguments: Option<Table>,
    /// The arguments of its binding.
    pub binding_arguments: Option<Table>,
    /// The arguments of its consumer.
    pub consumer_arguments: Option<Table>,
    /// Whether it outlives the broker.
    pub durable: bool,
    /// Whether it belongs to one connection.
    pub exclusive: bool,
    /// Whether it goes with its last consumer.
    pub auto_delete: bool,
    /// Whether its messages need no acknowledgement.
    pub no_ack: bool,
    /// A second name.
    pub alias: Option<String>,
    /// More bindings than the one above; Celery describes them freely.
    pub bindings: Vec<Value>,
    /// Whether it must not be declared.
    pub no_declare: Option<bool>,
    /// Seconds without use after which it goes.
    pub expires: Option<f64>,
    /// Seconds after which a message leaves it.
    pub message_ttl: Option<f64>,
    /// The most messages it holds.
    pub max_length: Option<i64>,
    /// The most bytes it holds.
    pub max_length_bytes: Option<i64>,
    /// The highest priority.
    pub max_priority: Option<i64>,
}

/// The exchange of a queue.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ExchangeInfo {
    /// The exchange's name.
    pub name: String,
    /// `direct`, `topic` or `fanout`; on the wire `type`.
    pub kind: String,
    /// The arguments it was declared with.
    pub arguments: Option<Table>,
    /// Whether it outlives the broker.
    pub durable: bool,
    /// Whether it must exist already.
    pub passive: bool,
    /// Whether it goes with its last binding.
    pub auto_delete: bool,
    /// 1 or 2; what messages get that say nothing.
    pub delivery_mode: Option<u8>,
    /// Whether it must not be declared.
    pub no_declare: bool,
}

impl QueueInfo {
    /// Builds the map that replies carry, every key in place, null for what is not set.
    pub fn to_value(&self) -> Value {
        let mut table = Table::with_capacity(18);
        table.push("name", self.name.as_str());
        table.push("exchange", self.exchange.to_value());
        table.push("routing_key", self.routing_key.as_str());
        table.push("queue_arguments", self.queue_arguments.clone());
        table.push("binding_arguments", self.binding_arguments.clone());
        table.push("consumer_arguments", self.consumer_arguments.clone());
        table.push("durable", self.durable);
        table.push("exclusive", self.exclusive);
        table.push("auto_delete", self.auto_delete);
        table.push("no_ack", self.no_ack);
        table.push("alias", self.alias.clone());
        table.push("bindings", self.bindings.clone());
        table.push("no_declare", self.no_declare);
        table.push("expires", self.expires);
        table.push("message_ttl", self.message_ttl);
        table.push("max_length", self.max_length);
        table.push("max_length_bytes", self.max_length_bytes);
        table.push("max_priority", self.max_priority);
        Value::Map(table)
    }

    /// Reads the map that replies carry; only the name must be there.
    ///
    /// # Errors
    /// When the name is missing or a field has the wrong type.
    pub fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::of(value, "queue")?;
        Ok(Self {
            name: fields.text("name")?,
            exchange: match fields.take("exchange") {
                Some(exchange) => ExchangeInfo::from_value(exchange)?,
                None => ExchangeInfo::default(),
            },
            routing_key: fields.optional_text("routing_key")?.unwrap_or_default(),
            queue_arguments: fields.optional_table("queue_arguments")?,
            binding_arguments: fields.optional_table("binding_arguments")?,
            consumer_arguments: fields.optional_table("consumer_arguments")?,
            durable: fields.flag("durable")?,
            exclusive: fields.flag("exclusive")?,
            auto_delete: fields.flag("auto_delete")?,
            no_ack: fields.flag("no_ack")?,
            alias: fields.optional_text("alias")?,
            bindings: match fields.take("bindings") {
                Some(Value::Array(bindings)) => bindings,
                _ => Vec::new(),
            },
            no_declare: fields.optional_flag("no_declare")?,
            expires: fields.optional_float("expires")?,
            message_ttl: fields.optional_float("message_ttl")?,
            max_length: fields.optional_integer("max_length")?,
            max_length_bytes: fields.optional_integer("max_length_bytes")?,
            max_priority: fields.optional_integer("max_priority")?,
        })
    }
}

impl ExchangeInfo {
    fn to_value(&self) -> Value {
        let mut table = Table::with_capacity(8);
        table.push("name", self.name.as_str());
        table.push("type", self.kind.as_str());
        table.push("arguments", self.arguments.clone());
        table.push("durable", self.durable);
        table.push("passive", self.passive);
        table.push("auto_delete", self.auto_delete);
        table.push("delivery_mode", self.delivery_mode);
        table.push("no_declare", self.no_declare);
        Value::Map(table)
    }

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::of(value, "exchange")?;
        Ok(Self {
            name: fields.optional_text("name")?.unwrap_or_default(),
            kind: fields.optional_text("type")?.unwrap_or_default(),
            arguments: fields.optional_table("arguments")?,
            durable: fields.flag("durable")?,
            passive: fields.flag("passive")?,
            auto_delete: fields.flag("auto_delete")?,
            delivery_mode: fields.optional_integer("delivery_mode")?,
            no_declare: fields.flag("no_declare")?,
        })
    }
}
