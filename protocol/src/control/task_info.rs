//! What nodes tell of their tasks.

use crate::{
    DecodeError, Timestamp,
    fields::Fields,
    value::{Table, Value},
};

/// A task in the replies to `active`, `reserved`, `scheduled` and `query_task`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TaskInfo {
    /// The task's id.
    pub id: String,
    /// Its name; on the wire it stands twice, as `name` and as `type`.
    pub name: String,
    /// Its arguments: values, or one text when the caller asked for safe ones.
    pub args: Value,
    /// Its keyword arguments, likewise.
    pub kwargs: Value,
    /// The node that has it.
    pub hostname: String,
    /// When it started, in seconds since the epoch; `None` before.
    pub time_start: Option<f64>,
    /// Whether its message was acknowledged.
    pub acknowledged: bool,
    /// How its message came.
    pub delivery_info: DeliveryInfo,
    /// The process that runs it; `None` before it starts.
    pub worker_pid: Option<u32>,
}

/// How a message came.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DeliveryInfo {
    /// The exchange it was published to; empty for the default one.
    pub exchange: String,
    /// The routing key it was published with.
    pub routing_key: String,
    /// Its priority, 0 to 255.
    pub priority: Option<u8>,
    /// Whether the broker delivered it before.
    pub redelivered: bool,
}

impl TaskInfo {
    /// Builds the map that replies carry.
    pub fn to_value(&self) -> Value {
        let mut table = Table::with_capacity(10);
        table.push("id", self.id.as_str());
        table.push("name", self.name.as_str());
        table.push("args", self.args.clone());
        table.push("kwargs", self.kwargs.clone());
        table.push("type", self.name.as_str());
        table.push("hostname", self.hostname.as_str());
        table.push("time_start", self.time_start);
        table.push("acknowledged", self.acknowledged);
        table.push("delivery_info", self.delivery_info.to_value());
        table.push("worker_pid", self.worker_pid);
        Value::Map(table)
    }

    /// Reads the map that replies carry; only the id must be there.
    ///
    /// # Errors
    /// When the id is missing or a field has the wrong type.
    pub fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::of(value, "task")?;
        Ok(Self {
            id: fields.text("id")?,
            name: fields.optional_text("name")?.unwrap_or_default(),
            args: fields.take("args").unwrap_or_default(),
            kwargs: fields.take("kwargs").unwrap_or_default(),
            hostname: fields.optional_text("hostname")?.unwrap_or_default(),
            time_start: fields.optional_float("time_start")?,
            acknowledged: fields.flag("acknowledged")?,
            delivery_info: match fields.take("delivery_info") {
                Some(info) => DeliveryInfo::from_value(info)?,
                None => DeliveryInfo::default(),
            },
            worker_pid: fields.optional_integer("worker_pid")?,
        })
    }
}

impl DeliveryInfo {
    /// Builds the map that replies and tasks see.
    pub fn to_value(&self) -> Value {
        let mut table = Table::with_capacity(4);
        table.push("exchange", self.exchange.as_str());
        table.push("routing_key", self.routing_key.as_str());
        table.push("priority", self.priority);
        table.push("redelivered", self.redelivered);
        Value::Map(table)
    }

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::of(value, "delivery_info")?;
        Ok(Self {
            exchange: fields.optional_text("exchange")?.unwrap_or_default(),
            routing_key: fields.optional_text("routing_key")?.unwrap_or_default(),
            priority: fields.optional_integer("priority")?,
            redelivered: fields.flag("redelivered")?,
        })
    }
}

/// A task in the reply to `scheduled`: one that waits for its time.
#[derive(Debug, Clone, PartialEq)]
pub struct ScheduledInfo {
    /// When it starts.
    pub eta: Timestamp,
    /// Its place among those of the same time; 6 unless the worker says otherwise.
    pub priority: i64,
    /// The task.
    pub request: TaskInfo,
}

impl ScheduledInfo {
    /// Builds the map that replies carry.
    pub fn to_value(&self) -> Value {
        let mut table = Table::with_capacity(3);
        table.push("eta", self.eta.to_text());
        table.push("priority", self.priority);
        table.push("request", self.request.to_value());
        Value::Map(table)
    }

    /// Reads the map that replies carry.
    ///
    /// # Errors
    /// When the time or the task is missing, or a field has the wrong type.
    pub fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::of(value, "scheduled task")?;
        Ok(Self {
            eta: Timestamp::parse(&fields.text("eta")?).map_err(|error| error.within("eta"))?,
            priority: fields.optional_integer("priority")?.unwrap_or(6),
            request: TaskInfo::from_value(fields.take("request").unwrap_or_default())?,
        })
    }
}
