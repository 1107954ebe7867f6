//! Answers of RabbitMQ's management API.

use std::time::{Duration, UNIX_EPOCH};

use serde::Deserialize;

use super::Told;
use crate::board::Flow;

/// A page of queues.
#[derive(Debug, Deserialize)]
pub(super) struct Page {
    pub(super) items: Vec<Listed>,
    #[serde(default)]
    pub(super) page_count: usize,
}

/// A queue. Nothing but its name is sure: a broker that just started has counted nothing,
/// and some kinds of queues tell less.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Listed {
    pub(super) name: String,
    messages_unacknowledged: Option<u64>,
    /// Seconds since the epoch; an empty text when no message waits or has none.
    head_message_timestamp: serde_json::Value,
    memory: Option<u64>,
    message_stats: Option<Stats>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Stats {
    publish_details: Details,
    deliver_get_details: Details,
    ack_details: Details,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Details {
    rate: f64,
}

impl Page {
    pub(super) fn read(body: &[u8]) -> Result<Self, String> {
        read(body)
    }
}

impl Listed {
    pub(super) fn read(body: &[u8]) -> Result<Self, String> {
        read(body)
    }

    pub(super) fn told(&self) -> Told {
        let stamp = self.head_message_timestamp.as_u64();
        let since = stamp.and_then(|at| UNIX_EPOCH.checked_add(Duration::from_secs(at)));
        Told {
            unacked: self.messages_unacknowledged,
            oldest: since,
            flow: self.message_stats.as_ref().map(|stats| Flow {
                published: stats.publish_details.rate,
                delivered: stats.deliver_get_details.rate,
                acknowledged: stats.ack_details.rate,
            }),
            memory: self.memory,
        }
    }
}

fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, String> {
    serde_json::from_slice(body)
        .map_err(|error| format!("its answer cannot be read: {error}; is this RabbitMQ's?"))
}
