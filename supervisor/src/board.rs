//! What many readers look up without asking an actor.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use dashmap::DashMap;

use crate::cluster::{History, Node, NodeState};
use crate::feed::Feed;
use crate::metrics::{Metrics, Scrape};
use crate::progress::Progress;
use crate::rates::Rates;

/// What many readers look up without asking an actor.
///
/// Each part has one writer: the Supervisor actor writes `nodes`, a NodeProxy its entry
/// in `facts`, the Backend actor `history`, the Survey actor `queues`.
#[derive(Debug)]
pub(crate) struct Board {
    pub(crate) nodes: DashMap<String, Node>,
    pub(crate) facts: DashMap<String, Facts>,
    pub(crate) history: History,
    pub(crate) queues: DashMap<String, Depth>,
    pub(crate) metrics: Metrics,
    pub(crate) rates: Rates,
    pub(crate) progress: Arc<Progress>,
    /// What changed, told to live listeners.
    pub(crate) feed: Feed,
    consuming: AtomicBool,
    started: AtomicBool,
}

/// What a node answered when it was asked about itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Facts {
    /// How many tasks it runs at once.
    pub(crate) concurrency: Option<u64>,
    /// How many messages it takes ahead.
    pub(crate) prefetch: Option<u64>,
    pub(crate) queues: Vec<String>,
    pub(crate) tasks: Vec<String>,
}

/// What the broker said of a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Depth {
    /// Messages ready and consumers; `None` when there is no such queue.
    pub(crate) status: Option<(u64, u64)>,
    /// When it said so; `None` when it was not asked yet.
    pub(crate) at: Option<Instant>,
}

impl Board {
    pub(crate) fn new(history: usize) -> Self {
        Self {
            nodes: DashMap::new(),
            facts: DashMap::new(),
            history: History::new(history),
            queues: DashMap::new(),
            metrics: Metrics::default(),
            rates: Rates::default(),
            progress: Arc::default(),
            feed: Feed::default(),
            consuming: AtomicBool::new(false),
            started: AtomicBool::new(false),
        }
    }

    /// Says whether events are being consumed.
    pub(crate) fn set_consuming(&self, consuming: bool) {
        self.consuming.store(consuming, Ordering::Relaxed);
    }

    pub(crate) fn is_consuming(&self) -> bool {
        self.consuming.load(Ordering::Relaxed)
    }

    /// Says that every part has been started.
    pub(crate) fn set_started(&self) {
        self.started.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_started(&self) -> bool {
        self.started.load(Ordering::Relaxed)
    }

    /// Returns the nodes by name.
    pub(crate) fn nodes_by_name(&self) -> Vec<Node> {
        let mut nodes: Vec<_> = self.nodes.iter().map(|node| node.value().clone()).collect();
        nodes.sort_by(|a, b| a.name.cmp(&b.name));
        nodes
    }

    /// Returns the queues by name.
    pub(crate) fn queues_by_name(&self) -> Vec<(String, Depth)> {
        let entry = |entry: dashmap::mapref::multiple::RefMulti<'_, String, Depth>| {
            (entry.key().clone(), *entry.value())
        };
        let mut queues: Vec<_> = self.queues.iter().map(entry).collect();
        queues.sort_by(|a, b| a.0.cmp(&b.0));
        queues
    }

    /// Writes the metrics.
    pub(crate) fn metrics_text(&self, broker_up: bool) -> String {
        let count = |state: NodeState| {
            let nodes = self.nodes.iter().filter(|node| node.state == state).count();
            (state, i64::try_from(nodes).unwrap_or(i64::MAX))
        };
        let gauge = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        let queues = self.queues_by_name().into_iter().map(|(name, depth)| {
            (
                name,
                depth
                    .status
                    .map(|(ready, consumers)| (gauge(ready), gauge(consumers))),
            )
        });
        self.metrics.text(&Scrape {
            nodes: NodeState::ALL.map(count).to_vec(),
            queues: queues.collect(),
            history: i64::try_from(self.history.len()).unwrap_or(i64::MAX),
            broker_up,
            turns: self.progress.turns(),
        })
    }
}
