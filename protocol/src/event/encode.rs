//! Events to bytes and messages.

use bytes::Bytes;
use serde::{Serialize, Serializer, ser::SerializeMap};

use super::{Event, EventKind, TaskReceived, TaskSent, WorkerStatus};
use crate::{
    Codec, json,
    message::{Message, Properties},
    naming,
};

const INFALLIBLE: &str = "an event is text, numbers and maps with text keys";

impl Event {
    /// Encodes one event as a JSON object, fields in Celery's order.
    pub fn encode(&self) -> Vec<u8> {
        json::to_vec(self).expect(INFALLIBLE)
    }

    /// Encodes events as a JSON array, the body of a `task.multi` message.
    pub fn encode_batch(events: &[Self]) -> Vec<u8> {
        json::to_vec(events).expect(INFALLIBLE)
    }

    /// Builds the message of one event; it goes to the event exchange by
    /// [`routing_key`](Self::routing_key).
    pub fn to_message(&self) -> Message {
        message(&self.hostname, self.encode())
    }

    /// Builds the message of several events of one node; it goes to the event exchange
    /// by [`naming::EVENT_BATCH_ROUTING_KEY`].
    pub fn batch_to_message(hostname: &str, events: &[Self]) -> Message {
        message(hostname, Self::encode_batch(events))
    }
}

fn message(hostname: &str, body: Vec<u8>) -> Message {
    let mut message = Message {
        properties: Properties {
            content_type: Some(Codec::Json.content_type().to_owned()),
            content_encoding: Some(Codec::Json.content_encoding().to_owned()),
            delivery_mode: Some(1),
            priority: Some(0),
            ..Properties::default()
        },
        body: Bytes::from(body),
        ..Message::default()
    };
    message.headers.push(naming::header::HOSTNAME, hostname);
    message
}

impl Serialize for Event {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("hostname", &self.hostname)?;
        map.serialize_entry("utcoffset", &self.utcoffset)?;
        map.serialize_entry("pid", &self.pid)?;
        map.serialize_entry("clock", &self.clock)?;
        self.kind.serialize_fields(&mut map)?;
        map.serialize_entry("timestamp", &self.timestamp)?;
        map.serialize_entry("type", self.type_name())?;
        map.end()
    }
}

impl EventKind {
    fn serialize_fields<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        match self {
            Self::TaskSent(sent) => sent.serialize_fields(map),
            Self::TaskReceived(received) => received.serialize_fields(map),
            Self::TaskStarted { uuid } => map.serialize_entry("uuid", uuid),
            Self::TaskSucceeded {
                uuid,
                result,
                runtime,
            } => {
                map.serialize_entry("uuid", uuid)?;
                map.serialize_entry("result", result)?;
                map.serialize_entry("runtime", runtime)
            }
            Self::TaskFailed {
                uuid,
                exception,
                traceback,
            }
            | Self::TaskRetried {
                uuid,
                exception,
                traceback,
            } => {
                map.serialize_entry("uuid", uuid)?;
                map.serialize_entry("exception", exception)?;
                match traceback {
                    Some(traceback) => map.serialize_entry("traceback", traceback),
                    None => Ok(()),
                }
            }
            Self::TaskRevoked {
                uuid,
                terminated,
                signum,
                expired,
            } => {
                map.serialize_entry("uuid", uuid)?;
                map.serialize_entry("terminated", terminated)?;
                map.serialize_entry("signum", signum)?;
                map.serialize_entry("expired", expired)
            }
            Self::TaskRejected { uuid, requeue } => {
                map.serialize_entry("uuid", uuid)?;
                map.serialize_entry("requeue", requeue)
            }
            Self::WorkerOnline(status)
            | Self::WorkerHeartbeat(status)
            | Self::WorkerOffline(status) => status.serialize_fields(map),
            Self::WorkerElect {
                id,
                topic,
                action,
                cver,
            } => {
                map.serialize_entry("id", id)?;
                map.serialize_entry("topic", topic)?;
                map.serialize_entry("action", action)?;
                map.serialize_entry("cver", cver)
            }
            Self::WorkerElectAck { id } => map.serialize_entry("id", id),
            Self::Other { fields, .. } => fields
                .iter()
                .try_for_each(|(name, value)| map.serialize_entry(name, value)),
        }
    }
}

impl TaskSent {
    fn serialize_fields<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        map.serialize_entry("uuid", &self.uuid)?;
        map.serialize_entry("root_id", &self.root_id)?;
        map.serialize_entry("parent_id", &self.parent_id)?;
        map.serialize_entry("name", &self.name)?;
        map.serialize_entry("args", &self.args)?;
        map.serialize_entry("kwargs", &self.kwargs)?;
        map.serialize_entry("retries", &self.retries)?;
        map.serialize_entry("eta", &self.eta)?;
        map.serialize_entry("expires", &self.expires)?;
        map.serialize_entry("queue", &self.queue)?;
        map.serialize_entry("exchange", &self.exchange)?;
        map.serialize_entry("routing_key", &self.routing_key)
    }
}

impl TaskReceived {
    fn serialize_fields<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        map.serialize_entry("uuid", &self.uuid)?;
        map.serialize_entry("name", &self.name)?;
        map.serialize_entry("args", &self.args)?;
        map.serialize_entry("kwargs", &self.kwargs)?;
        map.serialize_entry("root_id", &self.root_id)?;
        map.serialize_entry("parent_id", &self.parent_id)?;
        map.serialize_entry("retries", &self.retries)?;
        map.serialize_entry("eta", &self.eta)?;
        map.serialize_entry("expires", &self.expires)
    }
}

impl WorkerStatus {
    fn serialize_fields<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        match &self.load {
            Some(load) => {
                map.serialize_entry("freq", &self.freq)?;
                map.serialize_entry("active", &load.active)?;
                map.serialize_entry("processed", &load.processed)?;
                map.serialize_entry("loadavg", &load.loadavg)?;
            }
            // The answer to remote control counts whole seconds, as an integer.
            None if self.freq.fract() == 0.0 => {
                map.serialize_entry("freq", &(self.freq as i64))?;
            }
            None => map.serialize_entry("freq", &self.freq)?,
        }
        map.serialize_entry("sw_ident", &self.sw_ident)?;
        map.serialize_entry("sw_ver", &self.sw_ver)?;
        map.serialize_entry("sw_sys", &self.sw_sys)?;
        for (name, value) in self.extra.iter() {
            map.serialize_entry(name, value)?;
        }
        Ok(())
    }
}
