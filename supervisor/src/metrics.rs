//! What Prometheus sees.

mod history;
mod queues;

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use celeriac_protocol::State;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use self::history::HistoryMetrics;
pub(crate) use self::queues::QueueFigures;
use self::queues::QueueMetrics;
use crate::beat::BeatMetrics;
use crate::cluster::{Moved, NodeState};
use crate::pods::PodMetrics;
use crate::recorder::Recorded;

/// What Prometheus sees.
///
/// No series carries a host name: nodes come and go, and each would leave series behind
/// for ever. Task names come from outside, so only the first few hundred get series of
/// their own.
pub(crate) struct Metrics {
    registry: Registry,
    pub(crate) beat: BeatMetrics,
    pub(crate) pods: PodMetrics,
    names: Mutex<HashSet<Arc<str>>>,
    tasks: Family<TaskLabels, Counter>,
    runtime: Family<NameLabel, Histogram, fn() -> Histogram>,
    queue_time: Family<NameLabel, Histogram, fn() -> Histogram>,
    history: Gauge,
    nodes: Family<StateLabel, Gauge>,
    pub(crate) nodes_refused: Counter,
    pub(crate) events: Counter,
    pub(crate) events_malformed: Counter,
    pub(crate) events_missed: Counter,
    pub(crate) events_dropped: Counter,
    pub(crate) tasks_corrected: Counter,
    pub(crate) event_lag: Histogram,
    letters: Family<OutcomeLabel, Counter>,
    restarts: Family<PartLabel, Counter>,
    stored: HistoryMetrics,
    queues: QueueMetrics,
    scaler_calls: Family<CallLabels, Counter>,
    pub(crate) scaler_streams: Gauge,
    load: Gauge<f64, AtomicU64>,
    slots: Gauge,
    running: Gauge,
    broker_up: Gauge,
    turns: Family<LoopLabel, Counter>,
    requests: Family<RequestLabels, Counter>,
    request_time: Family<RouteLabel, Histogram, fn() -> Histogram>,
}

/// The figures that are read at the moment of a scrape.
#[derive(Debug, Default)]
pub(crate) struct Scrape {
    pub(crate) nodes: Vec<(NodeState, i64)>,
    pub(crate) queues: Vec<(String, QueueFigures)>,
    /// Running tasks, places, and what that makes with the backlog.
    pub(crate) load: (i64, i64, Option<f64>),
    pub(crate) history: i64,
    pub(crate) recorded: Recorded,
    pub(crate) store_up: bool,
    pub(crate) broker_up: bool,
    pub(crate) turns: BTreeMap<String, u64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TaskLabels {
    name: String,
    state: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct NameLabel {
    name: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabel {
    state: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabel {
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PartLabel {
    part: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LoopLabel {
    part: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallLabels {
    method: &'static str,
    code: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    method: &'static str,
    route: String,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabel {
    route: String,
}

/// How many task names get series of their own.
const NAMES: usize = 500;
/// The name that all others share.
const OTHER: &str = "(other)";

fn seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.001, 4.0, 10))
}

impl Default for Metrics {
    fn default() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("celeriac"),
            beat: BeatMetrics::default(),
            pods: PodMetrics::default(),
            names: Mutex::default(),
            tasks: Family::default(),
            runtime: Family::new_with_constructor(seconds),
            queue_time: Family::new_with_constructor(seconds),
            history: Gauge::default(),
            stored: HistoryMetrics::default(),
            queues: QueueMetrics::default(),
            nodes: Family::default(),
            nodes_refused: Counter::default(),
            events: Counter::default(),
            events_malformed: Counter::default(),
            events_missed: Counter::default(),
            events_dropped: Counter::default(),
            tasks_corrected: Counter::default(),
            event_lag: seconds(),
            letters: Family::default(),
            restarts: Family::default(),
            scaler_calls: Family::default(),
            scaler_streams: Gauge::default(),
            load: Gauge::default(),
            slots: Gauge::default(),
            running: Gauge::default(),
            broker_up: Gauge::default(),
            turns: Family::default(),
            requests: Family::default(),
            request_time: Family::new_with_constructor(seconds),
        };
        metrics.register();
        metrics
    }
}

impl Metrics {
    fn register(&mut self) {
        let r = &mut self.registry;
        self.beat.register(r);
        self.pods.register(r);
        let m = (&self.tasks, &self.runtime, &self.history, &self.nodes);
        r.register(
            "task_states",
            "Tasks that moved to a state, by name",
            m.0.clone(),
        );
        r.register(
            "task_runtime_seconds",
            "How long successful tasks ran",
            m.1.clone(),
        );
        let waited = "How long tasks waited from their sending, or arrival, to their start";
        r.register("task_queue_time_seconds", waited, self.queue_time.clone());
        r.register("history_tasks", "Tasks held in memory", m.2.clone());
        self.stored.register(r);
        r.register("nodes", "Known nodes, by state", m.3.clone());
        let refused = "Events of nodes that were left out because the table was full";
        r.register("nodes_refused", refused, self.nodes_refused.clone());
        r.register("events", "Events taken in", self.events.clone());
        let malformed = "Messages and events that could not be read";
        r.register("events_malformed", malformed, self.events_malformed.clone());
        let missed = "Events that nodes say they sent and that never came";
        r.register("events_missed", missed, self.events_missed.clone());
        let dropped = "Events dropped because the part that keeps them was being restarted";
        r.register("events_dropped", dropped, self.events_dropped.clone());
        let corrected = "Tasks whose outcome came from the result backend, not from an event";
        r.register("tasks_corrected", corrected, self.tasks_corrected.clone());
        let lag = "Time from the sending of an event to its intake";
        r.register("event_lag_seconds", lag, self.event_lag.clone());
        let letters = "Dead letters that were kept, replayed, discarded, dropped or refused";
        r.register("letters", letters, self.letters.clone());
        // A series that starts at its first letter has no increase to alert on.
        for outcome in ["kept", "replayed", "discarded", "dropped", "refused"] {
            drop(self.letters.get_or_create_owned(&OutcomeLabel { outcome }));
        }
        let restarts = "Restarts of the supervisor's own parts";
        r.register("supervisor_restarts", restarts, self.restarts.clone());
        self.queues.register(r);
        let calls = "Calls of the external scaler that ended, by method and gRPC status";
        r.register("scaler_calls", calls, self.scaler_calls.clone());
        let streams = "Streams of the external scaler that are open";
        r.register("scaler_streams", streams, self.scaler_streams.clone());
        let load = "(ready + reserved + running) / slots of all nodes";
        r.register("load_ratio", load, self.load.clone());
        r.register("slots", "Places to run on all nodes", self.slots.clone());
        r.register(
            "running",
            "Tasks that run on all nodes",
            self.running.clone(),
        );
        r.register(
            "broker_up",
            "Whether the broker is in reach",
            self.broker_up.clone(),
        );
        r.register(
            "supervisor_loop_turns",
            "Turns of the supervisor's loops",
            self.turns.clone(),
        );
        r.register("http_requests", "Requests answered", self.requests.clone());
        let time = "How long requests took";
        r.register(
            "http_request_duration_seconds",
            time,
            self.request_time.clone(),
        );
    }

    /// Counts dead letters by what became of them.
    pub(crate) fn letters(&self, outcome: &'static str, count: u64) {
        let label = OutcomeLabel { outcome };
        self.letters.get_or_create(&label).inc_by(count);
    }

    /// Counts a task that moved to a state.
    fn task(&self, NameLabel { name }: NameLabel, state: &State) {
        let state = match state {
            // A user's own states are without bound, and so would be their series.
            State::Custom(_) => "CUSTOM".to_owned(),
            known => known.as_str().to_owned(),
        };
        self.tasks.get_or_create(&TaskLabels { name, state }).inc();
    }

    /// Notes a task that moved to a state, or whose runs are known better.
    pub(crate) fn moved(&self, moved: &Moved) {
        let name = NameLabel {
            name: self.series(&moved.name),
        };
        let observe = |family: &Family<_, Histogram, fn() -> Histogram>, seconds: Option<f64>| {
            if let Some(seconds) = seconds {
                family.get_or_create(&name).observe(seconds);
            }
        };
        observe(&self.queue_time, moved.figures.queue_time);
        observe(&self.runtime, moved.figures.runtime);
        if let Some(state) = &moved.state {
            self.task(name, state);
        }
    }

    pub(crate) fn restart(&self, part: &'static str) {
        self.restarts.get_or_create(&PartLabel { part }).inc();
    }

    pub(crate) fn request(&self, method: &'static str, route: &str, status: u16, seconds: f64) {
        let route = route.to_owned();
        self.request_time
            .get_or_create(&RouteLabel {
                route: route.clone(),
            })
            .observe(seconds);
        self.requests
            .get_or_create(&RequestLabels {
                method,
                route,
                status,
            })
            .inc();
    }

    /// Counts a call of the external scaler.
    pub(crate) fn scaler_call(&self, method: &'static str, code: &'static str) {
        self.scaler_calls
            .get_or_create(&CallLabels { method, code })
            .inc();
    }

    /// Writes everything in the text format.
    pub(crate) fn text(&self, scrape: &Scrape) -> String {
        // One scrape at a time: the families below are emptied and filled again.
        let _one = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        for state in NodeState::ALL {
            let count = scrape.nodes.iter().find(|(known, _)| *known == state);
            let gauge = self.nodes.get_or_create_owned(&StateLabel {
                state: state.as_str(),
            });
            gauge.set(count.map_or(0, |(_, count)| *count));
        }
        self.queues.set(&scrape.queues);
        let (running, slots, load) = scrape.load;
        self.running.set(running);
        self.slots.set(slots);
        // Prometheus' way to say that there is no such number.
        self.load.set(load.unwrap_or(f64::NAN));
        for (part, turns) in &scrape.turns {
            let counter = self
                .turns
                .get_or_create_owned(&LoopLabel { part: part.clone() });
            counter.inner().store(*turns, Ordering::Relaxed);
        }
        self.history.set(scrape.history);
        self.stored.set(&scrape.recorded, scrape.store_up);
        self.broker_up.set(i64::from(scrape.broker_up));
        let mut text = String::new();
        // Writing to a string cannot fail; a label that refuses to be written could.
        if encode(&mut text, &self.registry).is_err() {
            tracing::error!("metrics could not be written");
        }
        text
    }

    fn series(&self, name: &Arc<str>) -> String {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        if names.contains(name) || (names.len() < NAMES && names.insert(Arc::clone(name))) {
            name.to_string()
        } else {
            OTHER.to_owned()
        }
    }
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::Figures;

    #[test]
    fn names_beyond_the_limit_share_one_series() {
        let metrics = Metrics::default();
        let count = |name: &str, state| {
            metrics.moved(&Moved {
                name: name.into(),
                state: Some(state),
                figures: Figures::default(),
            });
        };
        for n in 0..NAMES + 50 {
            count(&format!("task{n}"), State::Success);
        }
        count("task0", State::Custom("PROGRESS 17".into()));
        let text = metrics.text(&Scrape::default());
        assert!(text.contains(r#"celeriac_task_states_total{name="(other)",state="SUCCESS"} 50"#));
        assert!(text.contains(r#"celeriac_task_states_total{name="task0",state="CUSTOM"} 1"#));
        assert!(text.contains(r#"celeriac_nodes{state="lost"} 0"#));
        assert!(!text.contains("hostname"));
    }

    #[test]
    fn queues_that_are_gone_leave_no_series() {
        let metrics = Metrics::default();
        let scrape = |ready| {
            let figures = QueueFigures {
                ready,
                load: ready.map(|_| 1.5),
                ..QueueFigures::default()
            };
            Scrape {
                queues: vec![("mail".to_owned(), figures)],
                ..Scrape::default()
            }
        };
        let text = metrics.text(&scrape(Some(3)));
        assert!(text.contains(r#"celeriac_queue_ready{queue="mail"} 3"#));
        assert!(text.contains(r#"celeriac_queue_load_ratio{queue="mail"} 1.5"#));
        assert!(
            !text.contains("celeriac_queue_oldest_seconds{"),
            "never invented"
        );
        assert!(!metrics.text(&scrape(None)).contains("mail"));
    }

    /// Returns the names of metrics in a file that begin with `celeriac_`, as Prometheus
    /// stores them.
    fn named(text: &str) -> std::collections::BTreeSet<&str> {
        text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .filter(|word| word.starts_with("celeriac_"))
            .collect()
    }

    #[test]
    fn what_the_dashboard_and_the_alerts_ask_for_is_served() {
        let metrics = Metrics::default();
        let moved = Moved {
            name: "add".into(),
            state: Some(State::Success),
            figures: Figures {
                queue_time: Some(0.1),
                runtime: Some(0.1),
            },
        };
        metrics.moved(&moved);
        metrics.request("GET", "/", 200, 0.1);
        let figures = QueueFigures {
            ready: Some(1),
            consumers: Some(1),
            unacked: Some(1),
            reserved: Some(1),
            running: Some(1),
            tasks: Some(3),
            slots: Some(1),
            oldest: Some(1.0),
            load: Some(1.0),
        };
        let text = metrics.text(&Scrape {
            queues: vec![("mail".to_owned(), figures)],
            ..Scrape::default()
        });
        let served = named(&text);
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../k8s/components/monitoring");
        for file in ["dashboard.json", "rules.yaml"] {
            let asked = std::fs::read_to_string(format!("{root}/{file}")).unwrap_or_default();
            let asked: Vec<_> = named(&asked)
                .into_iter()
                .filter(|name| !name.starts_with("celeriac_node_"))
                .collect();
            assert!(asked.len() > 4, "{file}: {asked:?}");
            for name in asked {
                assert!(served.contains(name), "{file} asks for {name}");
            }
        }
    }
}
