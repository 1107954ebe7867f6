//! The message that asked for a run.

use celeriac_protocol::{Properties, Table, TaskHeaders, Timestamp, Value};
use serde::{Deserialize, Serialize};

/// The message that asked for a run.
///
/// A plain value: its fields are what came, its methods what is asked for most.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Request {
    /// Its headers.
    pub headers: TaskHeaders,
    /// Its properties.
    pub properties: Properties,
    /// How it came.
    pub delivery: DeliveryInfo,
    /// The name of the node that runs it.
    pub hostname: String,
}

/// How a message came.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct DeliveryInfo {
    /// Through which exchange.
    pub exchange: String,
    /// With which routing key.
    pub routing_key: String,
    /// With which priority.
    pub priority: Option<u8>,
    /// Whether it had been delivered before.
    pub redelivered: bool,
}

impl Request {
    /// Returns the task's id.
    pub fn id(&self) -> &str {
        &self.headers.id
    }

    /// Returns the name of the task.
    pub fn task(&self) -> &str {
        &self.headers.task
    }

    /// Returns the id of the first task of the workflow; its own when it is the first.
    pub fn root_id(&self) -> &str {
        self.headers.root()
    }

    /// Returns the id of the task that sent this one; of one that no task sent and that is
    /// tried again, its own.
    pub fn parent_id(&self) -> Option<&str> {
        self.headers.parent_id.as_deref()
    }

    /// Returns the id of the group it is a member of.
    pub fn group_id(&self) -> Option<&str> {
        self.headers.group.as_deref()
    }

    /// Returns its place in the group, from 0.
    pub fn group_index(&self) -> Option<u32> {
        self.headers.group_index
    }

    /// Returns how often it was retried; 0 on the first run.
    pub fn retries(&self) -> u32 {
        self.headers.retries
    }

    /// Returns the time before which it did not start, in the sender's zone.
    pub fn eta(&self) -> Option<Timestamp> {
        self.headers.eta
    }

    /// Returns the time at which it would have been dropped.
    pub fn expires(&self) -> Option<Timestamp> {
        self.headers.expires
    }

    /// Returns its positional arguments as text, in Python's look, cut at about 1024
    /// characters; for display.
    pub fn args_repr(&self) -> Option<&str> {
        self.headers.argsrepr.as_deref()
    }

    /// Returns its keyword arguments as text; see [`Request::args_repr`].
    pub fn kwargs_repr(&self) -> Option<&str> {
        self.headers.kwargsrepr.as_deref()
    }

    /// Returns who sent it, as `gen<pid>@<host>`.
    pub fn origin(&self) -> Option<&str> {
        self.headers.origin.as_deref()
    }

    /// Returns the name shown instead of the task's in logs and events.
    pub fn shadow(&self) -> Option<&str> {
        self.headers.shadow.as_deref()
    }

    /// Returns the caller's wish about the result; `None` leaves it to the task.
    pub fn ignore_result(&self) -> Option<bool> {
        self.headers.ignore_result
    }

    /// Returns how often the task was replaced on the way to this run.
    pub fn replaced_task_nesting(&self) -> u32 {
        self.headers.replaced_task_nesting
    }

    /// Returns the queue that wants the result, when the backend is `rpc://`.
    pub fn reply_to(&self) -> Option<&str> {
        self.properties.reply_to.as_deref()
    }

    /// Returns the id by which the caller knows the reply.
    pub fn correlation_id(&self) -> Option<&str> {
        self.properties.correlation_id.as_deref()
    }

    /// Returns the headers of the sender's own: those that are none of the protocol's.
    pub fn own_headers(&self) -> &Table {
        &self.headers.extra
    }

    /// Returns a stamp: a value, or a list of values.
    pub fn stamp(&self, name: &str) -> Option<&Value> {
        self.headers.stamps.get(name)
    }

    /// Returns the properties as tasks of Celery see them: under the names of AMQP,
    /// without those that are absent, with all headers as `application_headers`.
    pub fn properties_table(&self) -> Table {
        let properties = &self.properties;
        let headers = self.headers.clone().into_table();
        let text = |value: &Option<String>| value.as_deref().map(Value::from);
        let entries = [
            ("content_type", text(&properties.content_type)),
            ("content_encoding", text(&properties.content_encoding)),
            ("application_headers", Some(Value::Map(headers))),
            (
                "delivery_mode",
                properties.delivery_mode.map(|n| Value::Int(n.into())),
            ),
            (
                "priority",
                properties.priority.map(|n| Value::Int(n.into())),
            ),
            ("correlation_id", text(&properties.correlation_id)),
            ("reply_to", text(&properties.reply_to)),
            ("expiration", text(&properties.expiration)),
            ("message_id", text(&properties.message_id)),
            (
                "timestamp",
                properties
                    .timestamp
                    .and_then(|n| i64::try_from(n).ok())
                    .map(Value::from),
            ),
            ("type", text(&properties.kind)),
            ("user_id", text(&properties.user_id)),
            ("app_id", text(&properties.app_id)),
            ("cluster_id", text(&properties.cluster_id)),
        ];
        entries
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value?)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_look_as_they_do_to_a_task_of_celery() {
        let request = Request {
            headers: TaskHeaders {
                task: "demo.add".to_owned(),
                id: "i".to_owned(),
                extra: [("my".to_owned(), Value::from("h"))].into_iter().collect(),
                ..TaskHeaders::default()
            },
            properties: Properties {
                app_id: Some("1234".to_owned()),
                priority: Some(3),
                ..Properties::default()
            },
            ..Request::default()
        };
        let table = request.properties_table();
        let keys: Vec<_> = table.iter().map(|(key, _)| key).collect();
        assert_eq!(keys, ["application_headers", "priority", "app_id"]);
        assert_eq!(table.get("app_id"), Some(&Value::from("1234")));
        let headers = table.get("application_headers").and_then(Value::as_map);
        let header = |name: &str| headers.and_then(|headers| headers.get(name));
        assert_eq!(header("my"), Some(&Value::from("h")));
        assert_eq!(header("task"), Some(&Value::from("demo.add")));
        assert_eq!(request.own_headers().iter().count(), 1);
        assert_eq!(request.root_id(), "i");
    }
}
