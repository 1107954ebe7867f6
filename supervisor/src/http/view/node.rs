//! A node, as the API shows it.

use std::time::Instant;

use serde::Serialize;
use utoipa::ToSchema;

use super::moment;
use crate::board::Facts;
use crate::cluster::Node;

/// A node.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Node)]
pub(in crate::http) struct NodeView {
    pub(in crate::http) name: String,
    pub(in crate::http) state: &'static str,
    pub(in crate::http) software: Option<String>,
    pub(in crate::http) version: Option<String>,
    pub(in crate::http) system: Option<String>,
    pub(in crate::http) pid: Option<i64>,
    pub(in crate::http) clock: u64,
    pub(in crate::http) active: Option<u64>,
    pub(in crate::http) processed: Option<u64>,
    pub(in crate::http) loadavg: Option<[f64; 3]>,
    pub(in crate::http) heartbeat_interval: f64,
    pub(in crate::http) heartbeat_at: Option<String>,
    pub(in crate::http) silent_seconds: f64,
    pub(in crate::http) known_seconds: f64,
    pub(in crate::http) clock_skew_seconds: Option<f64>,
    pub(in crate::http) restarts: u64,
    pub(in crate::http) events_missed: u64,
    /// Its slots: how many tasks it runs at once.
    pub(in crate::http) concurrency: Option<u64>,
    /// active / concurrency; 1 is fully busy.
    pub(in crate::http) load: Option<f64>,
    pub(in crate::http) prefetch: Option<u64>,
    pub(in crate::http) queues: Option<Vec<String>>,
    /// Only when one node is asked for: there may be a thousand names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::http) tasks: Option<Vec<String>>,
}

impl NodeView {
    pub(in crate::http) fn new(node: Node, facts: Option<Facts>, now: Instant) -> Self {
        let since = |at: Instant| now.saturating_duration_since(at).as_secs_f64();
        let (ident, version, system) = node.software.map_or((None, None, None), |software| {
            (
                Some(software.ident),
                Some(software.version),
                Some(software.system),
            )
        });
        let (silent_seconds, known_seconds) = (since(node.last_seen), since(node.joined));
        let (asked, prefetch) = facts
            .as_ref()
            .map_or((None, None), |facts| (facts.concurrency, facts.prefetch));
        let concurrency = node.slots.or(asked);
        let (queues, tasks) = facts.map(|facts| (facts.queues, facts.tasks)).unzip();
        Self {
            name: node.name,
            state: node.state.as_str(),
            software: ident,
            version,
            system,
            pid: node.pid,
            clock: node.clock,
            active: node.active,
            processed: node.processed,
            loadavg: node.loadavg,
            heartbeat_interval: node.freq,
            heartbeat_at: node.heartbeat_at.map(moment::of_seconds),
            silent_seconds,
            known_seconds,
            clock_skew_seconds: node.skew,
            restarts: node.restarts,
            events_missed: node.gaps.missed,
            concurrency,
            load: concurrency
                .filter(|most| *most > 0)
                .map(|most| node.active.unwrap_or_default() as f64 / most as f64),
            prefetch,
            queues,
            tasks,
        }
    }

    pub(in crate::http) fn without_tasks(mut self) -> Self {
        self.tasks = None;
        self
    }
}
