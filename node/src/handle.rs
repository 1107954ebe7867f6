//! A view of a running node.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use celeriac::broker::Link;
use serde::Serialize;

use crate::job::Stage;
use crate::shared::{Phase, Shared};

/// A view of a node, from outside its threads. Cheap to clone.
#[derive(Clone)]
pub struct Handle(Arc<Shared>);

/// What a node is and does at a moment.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Snapshot {
    /// Its name.
    pub name: String,
    /// How far it is in its life.
    pub phase: Phase,
    /// Whether it takes tasks now.
    pub ready: bool,
    /// The link to the broker, as text.
    pub link: String,
    /// How many tasks may run at once.
    pub slots: usize,
    /// How many tasks run.
    pub running: usize,
    /// How many messages wait for a place to run, or for their time.
    pub waiting: usize,
    /// How many outcomes are on the way to the backend and the broker.
    pub delivering: usize,
    /// How many messages wait in memory for their time.
    pub held: usize,
    /// How many threads run a task whose hard limit has passed.
    pub lost_threads: u64,
    /// Its queues.
    pub queues: BTreeMap<String, QueueSnapshot>,
    /// What it has counted since its start.
    pub counters: BTreeMap<&'static str, u64>,
    /// How often its parts were restarted.
    pub restarts: BTreeMap<String, u64>,
    /// How often its loops have turned.
    pub turns: BTreeMap<String, u64>,
}

/// What a node knows of one of its queues.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct QueueSnapshot {
    /// Whether its consumer is there.
    pub consuming: bool,
    /// How many unacknowledged messages it takes at most.
    pub prefetch: u16,
    /// How many messages wait for a place to run.
    pub reserved: usize,
    /// How many messages it has taken since the start.
    pub taken: u64,
}

impl Handle {
    pub(crate) const fn new(shared: Arc<Shared>) -> Self {
        Self(shared)
    }

    /// Returns the node's name.
    pub fn name(&self) -> &str {
        self.0.name()
    }

    /// Waits until the node takes tasks from all its queues; says false when it never
    /// will, because it stops.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn wait_ready(&self) -> bool {
        self.0.ready().await
    }

    /// Tells whether the node takes tasks from all its queues now.
    pub fn is_ready(&self) -> bool {
        self.0.is_ready()
    }

    /// Returns where health and metrics are served, once they are.
    pub fn http_addr(&self) -> Option<SocketAddr> {
        self.0.http.get().copied()
    }

    /// Returns what the node is and does now.
    pub fn snapshot(&self) -> Snapshot {
        let shared = &self.0;
        let counters = &shared.counters;
        let queue = |state: &crate::shared::QueueState| QueueSnapshot {
            consuming: state.consuming.load(Ordering::Acquire),
            prefetch: state.prefetch.load(Ordering::Relaxed),
            reserved: state.reserved.load(Ordering::Relaxed),
            taken: state.taken.load(Ordering::Relaxed),
        };
        Snapshot {
            name: shared.name().to_owned(),
            phase: shared.phase(),
            ready: shared.is_ready(),
            link: link_text(&shared.app.broker().link().borrow()),
            slots: shared.slots.capacity(),
            running: shared.jobs.count(Stage::Running),
            waiting: shared.jobs.count(Stage::Waiting),
            delivering: shared.jobs.count(Stage::Delivering),
            held: shared.timetable.len(),
            lost_threads: counters.lost_threads(),
            queues: shared
                .queues
                .iter()
                .map(|entry| (entry.key().clone(), queue(&entry)))
                .collect(),
            counters: BTreeMap::from([
                ("received", counters.received.get()),
                ("processed", counters.processed.get()),
                ("succeeded", counters.sum(|task| &task.succeeded)),
                ("failed", counters.sum(|task| &task.failed)),
                ("retried", counters.sum(|task| &task.retried)),
                ("revoked", counters.revoked.get()),
                ("rejected", counters.rejected.get()),
                ("requeued", counters.requeued.get()),
                ("parked", counters.parked.get()),
                ("duplicates", counters.duplicates.get()),
                ("delivery_retries", counters.retries.get()),
                ("results_refused", counters.results_refused.get()),
                ("events_dropped", shared.events.dropped()),
            ]),
            restarts: shared
                .restarts
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone(),
            turns: shared.pulses.turns(),
        }
    }
}

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Handle").field(&self.name()).finish()
    }
}

fn link_text(link: &Link) -> String {
    match link {
        Link::Connecting { failures, error } => {
            let error = error.as_deref().unwrap_or("first try");
            format!("connecting, {failures} failures: {error}")
        }
        Link::Up { server, .. } => format!("up: {server}"),
        Link::Blocked { reason } => format!("blocked: {reason}"),
        Link::Closed => "closed".to_owned(),
    }
}
