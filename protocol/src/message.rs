//! A message as a broker carries it, before anybody asks what it means.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::value::Table;

/// A message as a broker carries it: properties, header table, body bytes.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Message {
    /// The AMQP basic properties.
    pub properties: Properties,
    /// The header table; `task` in it marks a task of protocol 2.
    pub headers: Table,
    /// The body as it travels, compressed or not.
    #[serde(with = "crate::value::binary")]
    pub body: Bytes,
}

/// The AMQP basic properties that Celery uses, and those that users may add.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Properties {
    /// Which serializer made the body, such as `application/json`.
    pub content_type: Option<String>,
    /// `utf-8` for text formats, `binary` for MessagePack.
    pub content_encoding: Option<String>,
    /// 2 persists the message, 1 does not.
    pub delivery_mode: Option<u8>,
    /// 0 to 255; on RabbitMQ the higher goes first.
    pub priority: Option<u8>,
    /// The task's id, in task messages and in rpc results.
    pub correlation_id: Option<String>,
    /// The queue that wants the result (rpc) or the reply.
    pub reply_to: Option<String>,
    /// Milliseconds after which the broker drops the message, as text.
    pub expiration: Option<String>,
    /// Free; absent unless the caller set it.
    pub message_id: Option<String>,
    /// Seconds since the epoch; absent unless the caller set it.
    pub timestamp: Option<u64>,
    /// Free; absent unless the caller set it.
    pub kind: Option<String>,
    /// Free; RabbitMQ checks it against the connection's user.
    pub user_id: Option<String>,
    /// Free; absent unless the caller set it.
    pub app_id: Option<String>,
    /// Free; absent unless the caller set it.
    pub cluster_id: Option<String>,
}
