//! What many readers look up without asking an actor.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime};

use celeriac::broker::QueueStatus;
use celeriac::health::Progress;
use dashmap::DashMap;

use crate::beat::BeatDesk;
use crate::cluster::{History, Node, NodeState};
use crate::feed::Feed;
use crate::letters::Crashes;
use crate::metrics::{Metrics, QueueFigures, Scrape};
use crate::pauses::Pauses;
use crate::pods::Pools;
use crate::rates::Rates;
use crate::recorder::Recorder;
use crate::scale::{Demand, Figures};
use crate::store::Store;

/// What many readers look up without asking an actor.
///
/// Each part has one writer: the Supervisor actor writes `nodes`, a NodeProxy its entry
/// in `facts`, the Backend actor `history`, the Survey actor `queues`.
#[derive(Debug)]
pub(crate) struct Board {
    pub(crate) store: Store,
    /// What becomes of tasks, on its way into the store.
    pub(crate) recorder: Recorder,
    pub(crate) nodes: DashMap<String, Node>,
    pub(crate) facts: DashMap<String, Facts>,
    pub(crate) history: History,
    pub(crate) queues: DashMap<String, Depth>,
    /// Which queues somebody scales by.
    pub(crate) demand: Demand,
    pub(crate) metrics: Metrics,
    pub(crate) rates: Rates,
    pub(crate) beat: BeatDesk,
    pub(crate) progress: Arc<Progress>,
    /// Which tasks take their nodes along; the Supervisor actor writes it, and the
    /// Neighbour when it hears of a new process first.
    crashes: Mutex<Crashes>,
    /// Held by the one who sends or discards dead letters, so that none is sent twice.
    pub(crate) replays: tokio::sync::Mutex<()>,
    pub(crate) pauses: Pauses,
    /// The Deployments of nodes, where the settings say which pods run nodes.
    pub(crate) pools: Option<Pools>,
    /// What changed, told to live listeners.
    pub(crate) feed: Feed,
    consuming: AtomicBool,
    /// Whether events were ever consumed.
    heard: AtomicBool,
    started: AtomicBool,
    stopping: AtomicBool,
    /// Since when nodes are listened to without a break.
    hearing: Mutex<Option<Instant>>,
    /// Tasks that nodes took and have not started, by node, as events tell.
    held: Mutex<Arc<BTreeMap<Arc<str>, u64>>>,
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
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Depth {
    /// Messages ready and consumers; `None` when there is no such queue.
    pub(crate) status: Option<(u64, u64)>,
    /// When it said so; `None` when it was not asked yet.
    pub(crate) at: Option<Instant>,
    /// Messages handed out and not settled, where the broker tells.
    pub(crate) unacked: Option<u64>,
    /// The oldest message that waits, where anybody can tell; never guessed.
    pub(crate) oldest: Option<Oldest>,
    /// The bytes of memory that it takes, where the broker's management tells.
    pub(crate) memory: Option<u64>,
    /// Messages per second, where the broker's management tells.
    pub(crate) flow: Option<Flow>,
    /// By how many messages per second it grows, where it has done so for a minute.
    pub(crate) growth: Option<f64>,
    /// When messages waited last.
    pub(crate) busy: Option<Instant>,
}

/// Since when the oldest message of a queue waits, and who says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Oldest {
    pub(crate) since: SystemTime,
    pub(crate) source: Source,
}

/// Who knows the oldest message of a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// The broker itself.
    Broker,
    /// The broker's management interface: the time that the message's sender gave it.
    Management,
    /// Events: the oldest task that a client says it sent there and no node has received.
    /// Clients that send no such events are not seen, so it may be older.
    Events,
}

/// Messages per second of one queue, as the broker's management counts them.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Flow {
    pub(crate) published: f64,
    pub(crate) delivered: f64,
    pub(crate) acknowledged: f64,
}

impl Source {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Broker => "broker",
            Self::Management => "management",
            Self::Events => "events",
        }
    }
}

impl Depth {
    /// Takes in what the broker said, and leaves the rest as it was told last.
    pub(crate) fn hear(&mut self, status: Option<QueueStatus>, now: Instant) {
        let ready = status.map_or(0, |status| status.ready);
        self.status = status.map(|status| (status.ready, status.consumers));
        self.at = Some(now);
        if ready > 0 {
            self.busy = Some(now);
        } else {
            self.oldest = None;
        }
        if let Some(status) = status {
            self.unacked = status.unacked.or(self.unacked);
            if let Some(since) = status.oldest {
                let source = Source::Broker;
                self.oldest = Some(Oldest { since, source });
            }
        }
    }
}

impl Board {
    pub(crate) fn new(history: usize, store: Store) -> Self {
        Self {
            store,
            recorder: Recorder::new(),
            nodes: DashMap::new(),
            facts: DashMap::new(),
            history: History::new(history),
            queues: DashMap::new(),
            demand: Demand::default(),
            metrics: Metrics::default(),
            rates: Rates::default(),
            beat: BeatDesk::default(),
            progress: Arc::default(),
            crashes: Mutex::default(),
            replays: tokio::sync::Mutex::default(),
            pauses: Pauses::default(),
            pools: None,
            feed: Feed::default(),
            consuming: AtomicBool::new(false),
            heard: AtomicBool::new(false),
            started: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
            hearing: Mutex::default(),
            held: Mutex::default(),
        }
    }

    /// Which tasks take their nodes along.
    pub(crate) fn crashes(&self) -> MutexGuard<'_, Crashes> {
        self.crashes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says whether events are being consumed.
    pub(crate) fn set_consuming(&self, consuming: bool) {
        self.consuming.store(consuming, Ordering::Relaxed);
        self.heard.fetch_or(consuming, Ordering::Relaxed);
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

    /// Tells whether events were ever consumed: the broker was there, and has the exchange
    /// and the queue of events.
    pub(crate) fn has_heard(&self) -> bool {
        self.heard.load(Ordering::Relaxed)
    }

    /// Says that the process ends.
    pub(crate) fn set_stopping(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
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

    /// Says since when nodes are listened to without a break; `None` while they are not.
    pub(crate) fn set_hearing(&self, hearing: bool, now: Instant) {
        let mut since = self.hearing.lock().unwrap_or_else(PoisonError::into_inner);
        *since = hearing.then(|| since.unwrap_or(now));
    }

    pub(crate) fn hearing_since(&self) -> Option<Instant> {
        *self.hearing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps how many tasks each node took and has not started, as events tell.
    pub(crate) fn set_held(&self, held: BTreeMap<Arc<str>, u64>) {
        *self.held.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(held);
    }

    pub(crate) fn held(&self) -> Arc<BTreeMap<Arc<str>, u64>> {
        Arc::clone(&self.held.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Returns what the broker said of a queue that somebody named, or scales by.
    pub(crate) fn depth(&self, name: &str) -> Option<Depth> {
        let known = self.queues.get(name).map(|depth| *depth);
        known.or_else(|| self.demand.depth(name))
    }

    /// Keeps what the broker said of a queue. One that is only scaled by is shown to
    /// nobody else: its name may come from anybody.
    pub(crate) fn put_depth(&self, name: &str, depth: Depth) {
        match self.queues.get_mut(name) {
            Some(mut known) => *known = depth,
            None => self.demand.put(name, depth),
        }
    }

    /// Writes the metrics; `each` has the figures of the queues of which they are known.
    pub(crate) fn metrics_text(
        &self,
        broker_up: bool,
        each: &HashMap<String, Figures>,
        fleet: &Figures,
    ) -> String {
        let count = |state: NodeState| {
            let nodes = self.nodes.iter().filter(|node| node.state == state).count();
            (state, i64::try_from(nodes).unwrap_or(i64::MAX))
        };
        let gauge = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        let now = celeriac::clock::now();
        let queues = self.queues_by_name().into_iter().map(|(name, depth)| {
            let age = |oldest: Oldest| now.duration_since(oldest.since).unwrap_or_default();
            let scale = each.get(&name);
            let figures = QueueFigures {
                ready: depth.status.map(|(ready, _)| gauge(ready)),
                consumers: depth.status.map(|(_, consumers)| gauge(consumers)),
                unacked: depth.unacked.map(gauge),
                reserved: scale.map(|scale| gauge(scale.reserved)),
                running: scale.map(|scale| gauge(scale.running)),
                tasks: scale.map(|scale| gauge(scale.tasks())),
                slots: scale.map(|scale| gauge(scale.slots)),
                oldest: depth.oldest.map(|oldest| age(oldest).as_secs_f64()),
                load: scale.and_then(Figures::load),
            };
            (name, figures)
        });
        self.metrics.text(&Scrape {
            nodes: NodeState::ALL.map(count).to_vec(),
            queues: queues.collect(),
            load: (
                gauge(fleet.running + fleet.draining),
                gauge(fleet.slots),
                fleet.load(),
            ),
            history: i64::try_from(self.history.len()).unwrap_or(i64::MAX),
            recorded: self.recorder.figures(),
            store_up: self.store.trouble().is_none(),
            broker_up,
            turns: self.progress.turns(),
        })
    }
}
