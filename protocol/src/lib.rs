//! The Celery wire protocol as data.
//!
//! Everything that Celery 5.7 and its relatives put on a broker or into a result
//! store, as types with their codecs: task messages (protocol 2 both ways, protocol
//! 1 read), signatures and canvas, result documents, events, remote control, and
//! every magic name. No I/O, no runtime, no client library: bytes in, values out.
//!
//! | module | on the wire |
//! |---|---|
//! | [`message`] | a message as a broker carries it: properties, header table, body bytes |
//! | [`headers`] | the headers that make a message a task |
//! | [`task`] | a whole task message: decode and encode |
//! | [`body`] | `[args, kwargs, embed]`, kept as bytes until a task decodes its own types |
//! | [`signature`] | a call as data, and what a message carries on to the next call |
//! | [`result`] | the stored outcome of a task, exceptions in the form Python reads |
//! | [`event`] | `task-*` and `worker-*` events |
//! | [`control`] | remote control requests and replies |
//! | [`letter`] | why a message is a dead letter |
//! | [`codec`], [`compression`] | content types and body compression, with limits |
//! | [`typed`] | kombu's typed JSON values: datetime, decimal, uuid, bytes |
//! | [`naming`] | exchanges, queues, keys |

pub mod body;
pub mod codec;
pub mod compression;
pub mod control;
pub mod error;
pub mod event;
mod fields;
pub mod headers;
pub mod json;
pub mod letter;
pub mod message;
pub mod msgpack;
pub mod naming;
pub mod pattern;
pub mod repr;
pub mod result;
pub mod signature;
pub mod state;
pub mod task;
pub mod timestamp;
pub mod typed;
pub mod value;

pub use body::{Body, Parts, Raw};
pub use codec::Codec;
pub use error::{DecodeError, EncodeError};
pub use headers::TaskHeaders;
pub use message::{Message, Properties};
pub use result::{Exception, ResultDocument, ResultTuple};
pub use signature::{Embed, Signature};
pub use state::State;
pub use task::TaskMessage;
pub use timestamp::Timestamp;
pub use value::{Table, Value};
