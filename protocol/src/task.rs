//! A whole task message.

use bytes::Bytes;

use crate::{TaskHeaders, message::Properties};

/// A task message: headers decoded, body not yet.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskMessage {
    /// What to run and how.
    pub headers: TaskHeaders,
    /// How it travelled.
    pub properties: Properties,
    /// Which protocol the sender speaks.
    pub protocol: Protocol,
    /// The body as it travelled, compressed or not.
    pub body: Bytes,
}

/// Versions of Celery's task protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Protocol {
    /// Everything in one object in the body.
    V1,
    /// Metadata in headers, arguments in the body.
    #[default]
    V2,
}
