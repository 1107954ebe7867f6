//! Events from bytes.

use super::{Event, EventKind, Load, TaskReceived, TaskSent, WorkerStatus};
use crate::{
    DecodeError,
    fields::{Fields, wrong},
    json,
    naming::defaults::REPR_MAX,
    repr,
    value::Value,
};

impl Event {
    /// Decodes the body of an event message: one object, or a list of them.
    ///
    /// # Errors
    /// When the body is not JSON, or an event lacks what every consumer needs: the
    /// type, the host name, the timestamp, and the id of a task.
    pub fn decode_batch(body: &[u8]) -> Result<Vec<Self>, DecodeError> {
        match json::from_slice(body, "event")? {
            Value::Array(events) => {
                let decoded = events.into_iter().enumerate().map(|(at, event)| {
                    Self::from_value(event).map_err(|error| error.within(&format!("event {at}")))
                });
                decoded.collect()
            }
            event => Ok(vec![Self::from_value(event)?]),
        }
    }

    /// Reads one event.
    ///
    /// # Errors
    /// As [`decode_batch`](Self::decode_batch).
    pub fn from_value(event: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::of(event, "event")?;
        let kind = fields.text("type")?;
        Self::from_fields(&kind, fields).map_err(|error| error.within(&kind))
    }

    fn from_fields(kind: &str, mut fields: Fields) -> Result<Self, DecodeError> {
        Ok(Self {
            hostname: fields.text("hostname")?,
            utcoffset: fields.optional_float("utcoffset")?.unwrap_or(0.0),
            pid: fields.optional_integer("pid")?.unwrap_or(0),
            clock: fields.optional_integer("clock")?.unwrap_or(0),
            timestamp: fields.float("timestamp")?,
            kind: EventKind::from_fields(kind, fields)?,
        })
    }
}

impl EventKind {
    fn from_fields(kind: &str, mut fields: Fields) -> Result<Self, DecodeError> {
        let fields = &mut fields;
        Ok(match kind {
            "task-sent" => Self::TaskSent(Box::new(TaskSent::from_fields(fields)?)),
            "task-received" => Self::TaskReceived(Box::new(TaskReceived::from_fields(fields)?)),
            "task-started" => Self::TaskStarted {
                uuid: fields.text("uuid")?,
            },
            "task-succeeded" => Self::TaskSucceeded {
                uuid: fields.text("uuid")?,
                result: display(fields, "result").unwrap_or_default(),
                runtime: fields.optional_float("runtime")?.unwrap_or(0.0),
            },
            "task-failed" => Self::TaskFailed {
                uuid: fields.text("uuid")?,
                exception: display(fields, "exception").unwrap_or_default(),
                traceback: display(fields, "traceback"),
            },
            "task-retried" => Self::TaskRetried {
                uuid: fields.text("uuid")?,
                exception: display(fields, "exception").unwrap_or_default(),
                traceback: display(fields, "traceback"),
            },
            "task-revoked" => Self::TaskRevoked {
                uuid: fields.text("uuid")?,
                terminated: fields.flag("terminated")?,
                signum: fields.optional_integer("signum")?,
                expired: fields.flag("expired")?,
            },
            "task-rejected" => Self::TaskRejected {
                uuid: fields.text("uuid")?,
                requeue: fields.flag("requeue")?,
            },
            "worker-online" => Self::WorkerOnline(WorkerStatus::from_fields(fields)?),
            "worker-heartbeat" => Self::WorkerHeartbeat(WorkerStatus::from_fields(fields)?),
            "worker-offline" => Self::WorkerOffline(WorkerStatus::from_fields(fields)?),
            "worker-elect" => Self::WorkerElect {
                id: fields.text("id")?,
                topic: fields.optional_text("topic")?.unwrap_or_default(),
                action: fields.take("action").unwrap_or_default(),
                cver: fields.optional_integer("cver")?.unwrap_or(0),
            },
            "worker-elect-ack" => Self::WorkerElectAck {
                id: fields.text("id")?,
            },
            other => Self::Other {
                kind: other.to_owned(),
                fields: std::mem::take(&mut fields.0),
            },
        })
    }
}

impl TaskSent {
    fn from_fields(fields: &mut Fields) -> Result<Self, DecodeError> {
        Ok(Self {
            uuid: fields.text("uuid")?,
            root_id: fields.optional_text("root_id")?,
            parent_id: fields.optional_text("parent_id")?,
            name: fields.optional_text("name")?.unwrap_or_default(),
            args: display(fields, "args"),
            kwargs: display(fields, "kwargs"),
            retries: fields.optional_integer("retries")?.unwrap_or(0),
            eta: display(fields, "eta"),
            expires: display(fields, "expires"),
            queue: display(fields, "queue"),
            exchange: display(fields, "exchange"),
            routing_key: display(fields, "routing_key"),
        })
    }
}

impl TaskReceived {
    fn from_fields(fields: &mut Fields) -> Result<Self, DecodeError> {
        Ok(Self {
            uuid: fields.text("uuid")?,
            name: fields.optional_text("name")?.unwrap_or_default(),
            args: display(fields, "args"),
            kwargs: display(fields, "kwargs"),
            root_id: fields.optional_text("root_id")?,
            parent_id: fields.optional_text("parent_id")?,
            retries: fields.optional_integer("retries")?.unwrap_or(0),
            eta: display(fields, "eta"),
            expires: display(fields, "expires"),
        })
    }
}

impl WorkerStatus {
    fn from_fields(fields: &mut Fields) -> Result<Self, DecodeError> {
        let active = fields.optional_integer("active")?;
        let processed = fields.optional_integer("processed")?;
        let load = match (active, processed) {
            (None, None) => None,
            (active, processed) => Some(Load {
                active: active.unwrap_or(0),
                processed: processed.unwrap_or(0),
                loadavg: loadavg(fields.take("loadavg"))?,
            }),
        };
        Ok(Self {
            freq: fields.optional_float("freq")?.unwrap_or(0.0),
            load,
            sw_ident: display(fields, "sw_ident"),
            sw_ver: display(fields, "sw_ver"),
            sw_sys: display(fields, "sw_sys"),
            extra: std::mem::take(&mut fields.0),
        })
    }
}

/// Takes a field that nobody computes with: whatever it is, it can be shown.
fn display(fields: &mut Fields, name: &str) -> Option<String> {
    fields.take(name).map(|value| match value {
        Value::Str(text) => text,
        other => repr::value(&other, REPR_MAX),
    })
}

fn loadavg(value: Option<Value>) -> Result<[f64; 3], DecodeError> {
    let Some(value) = value else {
        return Ok([0.0; 3]);
    };
    match value.as_array() {
        Some([one, five, fifteen]) => match (one.as_f64(), five.as_f64(), fifteen.as_f64()) {
            (Some(one), Some(five), Some(fifteen)) => Ok([one, five, fifteen]),
            _ => Err(wrong("loadavg", "three numbers", &value)),
        },
        _ => Err(wrong("loadavg", "three numbers", &value)),
    }
}
