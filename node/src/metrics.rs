//! What Prometheus sees of a node.

mod page;
pub(crate) mod process;

use std::fmt;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::UNIX_EPOCH;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;

use self::page::Page;
use self::process::Process;
use crate::job::Stage;
use crate::shared::Shared;

/// What Prometheus sees of a node.
///
/// Everything is read at the moment of a scrape, so that counting costs a task nothing
/// that the node does not count anyway. Names of tasks are those of the registry, so
/// that a client cannot make series.
#[derive(Debug)]
pub(crate) struct Metrics(Registry);

impl Metrics {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Scrape(shared)));
        Self(registry)
    }

    /// Writes the metrics in the OpenMetrics text format.
    ///
    /// # Errors
    ///
    /// When the encoder fails, which it does not on a string.
    pub(crate) fn text(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.0).map(|()| text)
    }
}

struct Scrape(Arc<Shared>);

impl fmt::Debug for Scrape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Scrape").field(&self.0.name()).finish()
    }
}

impl Collector for Scrape {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let shared = &*self.0;
        let mut page = Page::new(&mut encoder);
        tasks(&mut page, shared)?;
        messages(&mut page, shared)?;
        state(&mut page, shared)?;
        queues(&mut page, shared)?;
        this_process(&mut page, shared)
    }
}

fn tasks(page: &mut Page<'_, '_>, shared: &Shared) -> fmt::Result {
    let counted = shared.counters.tasks().flat_map(|(name, task)| {
        let outcomes = [
            ("succeeded", &task.succeeded),
            ("failed", &task.failed),
            ("retried", &task.retried),
        ];
        outcomes.map(|(outcome, count)| ([("name", name), ("outcome", outcome)], count.get()))
    });
    page.counters(
        "celeriac_node_tasks",
        "Runs of tasks that ended, by name and outcome",
        counted,
    )?;
    let started = shared.counters.tasks();
    let started = started.map(|(name, task)| ([("name", name)], task.started.get()));
    page.counters(
        "celeriac_node_tasks_started",
        "Runs of tasks that started, by name",
        started,
    )?;
    let runtime = shared
        .counters
        .tasks()
        .map(|(name, task)| ([("name", name)], &task.runtime));
    page.histograms(
        "celeriac_node_task_runtime",
        "How long runs of tasks took",
        runtime,
    )?;
    let waited = shared
        .counters
        .tasks()
        .map(|(name, task)| ([("name", name)], &task.queue_time));
    page.histograms(
        "celeriac_node_task_queue_time",
        "How long tasks waited from their sending, or their arrival at the node, to their start",
        waited,
    )
}

fn messages(page: &mut Page<'_, '_>, shared: &Shared) -> fmt::Result {
    let counters = &shared.counters;
    for (name, help, value) in [
        (
            "received",
            "Messages taken from the broker",
            counters.received.get(),
        ),
        (
            "revoked",
            "Tasks that were called off or came too late",
            counters.revoked.get(),
        ),
        (
            "rejected",
            "Messages that were refused",
            counters.rejected.get(),
        ),
        (
            "requeued",
            "Messages given back to the broker",
            counters.requeued.get(),
        ),
        (
            "parked",
            "Messages left in the broker until their time",
            counters.parked.get(),
        ),
        (
            "duplicates",
            "Messages that came again here",
            counters.duplicates.get(),
        ),
        (
            "delivery_retries",
            "Failed tries to store or settle an outcome",
            counters.retries.get(),
        ),
        (
            "results_refused",
            "Results that the backend refused",
            counters.results_refused.get(),
        ),
        ("events_sent", "Task events sent", shared.events.sent()),
        (
            "events_dropped",
            "Task events dropped",
            shared.events.dropped(),
        ),
    ] {
        page.counter(&format!("celeriac_node_{name}"), help, value)?;
    }
    if let Some(tracer) = shared.app.tracer() {
        let spans = tracer.recorded();
        let each = [("exported", spans.exported), ("dropped", spans.dropped)];
        page.counters(
            "celeriac_node_spans",
            "Spans of traces, by what became of them; of this process",
            each.into_iter()
                .map(|(outcome, count)| ([("outcome", outcome)], count)),
        )?;
    }
    let restarts = shared
        .restarts
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone();
    let restarts = restarts
        .iter()
        .map(|(part, count)| ([("part", part.as_str())], *count));
    page.counters(
        "celeriac_node_restarts",
        "Restarts of the node's parts",
        restarts,
    )
}

fn state(page: &mut Page<'_, '_>, shared: &Shared) -> fmt::Result {
    let up = shared.app.broker().link().borrow().is_up();
    let count = |stage| number(shared.jobs.count(stage));
    for (name, help, value) in [
        (
            "ready",
            "Whether the node takes tasks from all its queues",
            shared.is_ready().into(),
        ),
        ("link_up", "Whether the broker is in reach", up.into()),
        (
            "slots",
            "How many tasks may run at once",
            number(shared.slots.capacity()),
        ),
        ("slots_used", "Places in use", number(shared.slots.used())),
        ("running", "Tasks that run", count(Stage::Running)),
        (
            "processes",
            "Processes of isolated tasks",
            number(shared.isolation.processes().len()),
        ),
        (
            "waiting",
            "Messages that wait for a place to run or for their time",
            count(Stage::Waiting),
        ),
        (
            "delivering",
            "Outcomes on the way to the backend and the broker",
            count(Stage::Delivering),
        ),
        (
            "held",
            "Messages that wait here for their time",
            number(shared.timetable.len()),
        ),
        (
            "lost_threads",
            "Threads that run a task whose hard limit has passed",
            i64::try_from(shared.counters.lost_threads()).unwrap_or(i64::MAX),
        ),
    ] {
        page.gauge(&format!("celeriac_node_{name}"), help, value)?;
    }
    let reconnects = shared.counters.connections.get().saturating_sub(1);
    page.counter(
        "celeriac_node_reconnects",
        "Times the link to the broker came up again",
        reconnects,
    )?;
    let turns = shared.pulses.turns();
    let turns = turns
        .iter()
        .map(|(name, turns)| ([("loop", name.as_str())], *turns));
    page.counters("celeriac_node_turns", "Turns of the node's loops", turns)
}

fn queues(page: &mut Page<'_, '_>, shared: &Shared) -> fmt::Result {
    let mut queues: Vec<_> = shared
        .queues
        .iter()
        .map(|entry| (entry.key().clone(), Arc::clone(entry.value())))
        .collect();
    queues.sort_by(|(one, _), (other, _)| one.cmp(other));
    let prefetch = queues.iter().map(|(name, queue)| {
        (
            [("queue", name.as_str())],
            queue.prefetch.load(Ordering::Relaxed).into(),
        )
    });
    page.gauges(
        "celeriac_node_prefetch",
        "Unacknowledged messages taken at most",
        prefetch,
    )?;
    let reserved = queues.iter().map(|(name, queue)| {
        (
            [("queue", name.as_str())],
            number(queue.reserved.load(Ordering::Relaxed)),
        )
    });
    page.gauges(
        "celeriac_node_reserved",
        "Messages that wait for a place to run",
        reserved,
    )?;
    let consuming = queues.iter().map(|(name, queue)| {
        (
            [("queue", name.as_str())],
            queue.consuming.load(Ordering::Acquire).into(),
        )
    });
    page.gauges(
        "celeriac_node_consuming",
        "Whether the queue has its consumer",
        consuming,
    )
}

/// The names that Prometheus' own libraries use.
fn this_process(page: &mut Page<'_, '_>, shared: &Shared) -> fmt::Result {
    let process = Process::read();
    let started = shared
        .started
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs_f64();
    let rss = i64::try_from(process.rss).unwrap_or(i64::MAX);
    page.gauge("process_resident_memory_bytes", "Resident memory", rss)?;
    page.gauge(
        "process_start_time_seconds",
        "Start of the node since the epoch",
        started,
    )?;
    page.counter(
        "process_cpu_seconds",
        "Processor time",
        process.utime + process.stime,
    )
}

fn number(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
