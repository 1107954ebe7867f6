//! A queue, as the API shows it.

use std::time::Instant;

use celeriac_protocol::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::moment;
use crate::board::Depth;
use crate::pauses::Pause;
use crate::scale::{Backlog, Figures, Member};

/// A queue.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Queue)]
pub(in crate::http) struct QueueView {
    pub(in crate::http) name: String,
    /// `null` until the broker was asked.
    pub(in crate::http) exists: Option<bool>,
    /// Messages that wait.
    pub(in crate::http) ready: Option<u64>,
    /// Messages that were handed out and are not settled, where the broker tells.
    pub(in crate::http) unacked: Option<u64>,
    pub(in crate::http) consumers: Option<u64>,
    /// Since when the oldest message waits, where anybody can tell.
    pub(in crate::http) oldest_at: Option<String>,
    /// How long it waits, in seconds.
    pub(in crate::http) oldest_seconds: Option<f64>,
    /// Who says so: broker, management or events.
    pub(in crate::http) oldest_source: Option<&'static str>,
    /// The bytes of memory that it takes at the broker, where its management tells.
    pub(in crate::http) memory_bytes: Option<u64>,
    /// Messages per second, where the broker's management tells.
    pub(in crate::http) flow: Option<FlowView>,
    /// By how many messages per second it grows; `null` unless it has grown for a minute.
    pub(in crate::http) growth_per_second: Option<f64>,
    /// The nodes that consume it.
    pub(in crate::http) nodes: Vec<String>,
    /// How many tasks these nodes run, of whatever queue.
    pub(in crate::http) running: u64,
    /// How many messages these nodes took and have not started, of whatever queue.
    pub(in crate::http) reserved: u64,
    /// How many tasks these nodes run at most; one that drains runs none.
    pub(in crate::http) slots: u64,
    /// (ready + reserved + running) / slots; `null` without slots.
    pub(in crate::http) load: Option<f64>,
    pub(in crate::http) paused: bool,
    pub(in crate::http) paused_at: Option<String>,
    /// How old the broker's figures are.
    pub(in crate::http) age_seconds: Option<f64>,
}

/// Messages per second.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Flow)]
pub(in crate::http) struct FlowView {
    pub(in crate::http) published: f64,
    pub(in crate::http) delivered: f64,
    pub(in crate::http) acknowledged: f64,
}

impl QueueView {
    pub(in crate::http) fn new(
        name: String,
        depth: Depth,
        consumers: Vec<(String, Member)>,
        pause: Option<Pause>,
        now: Instant,
    ) -> Self {
        let wall = celeriac::clock::now();
        let ready = depth.status.map(|(ready, _)| ready);
        let oldest_age = depth.oldest.and_then(|oldest| {
            let age = wall.duration_since(oldest.since);
            age.ok().map(|age| age.as_secs_f64())
        });
        let (nodes, members): (Vec<_>, Vec<_>) = consumers.into_iter().unzip();
        let backlog = Backlog {
            ready: ready.unwrap_or(0),
            unacked: depth.unacked,
            ..Backlog::default()
        };
        let figures = Figures::of([backlog], members);
        Self {
            name,
            exists: depth.at.map(|_| depth.status.is_some()),
            ready,
            unacked: depth.unacked,
            consumers: depth.status.map(|(_, consumers)| consumers),
            oldest_at: depth.oldest.map(|oldest| moment::of(oldest.since)),
            oldest_seconds: oldest_age,
            oldest_source: depth.oldest.map(|oldest| oldest.source.as_str()),
            memory_bytes: depth.memory,
            flow: depth.flow.map(|flow| FlowView {
                published: flow.published,
                delivered: flow.delivered,
                acknowledged: flow.acknowledged,
            }),
            growth_per_second: depth.growth,
            nodes,
            running: figures.running + figures.draining,
            reserved: figures.reserved,
            slots: figures.slots,
            load: figures.load(),
            paused: pause.is_some(),
            paused_at: pause.map(|pause| moment::of(Timestamp::from_micros(pause.since))),
            age_seconds: depth
                .at
                .map(|at| now.saturating_duration_since(at).as_secs_f64()),
        }
    }
}
