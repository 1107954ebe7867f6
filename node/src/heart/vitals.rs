//! What a node says of itself in each heartbeat.

use celeriac::protocol::Table;
use celeriac::protocol::event::{Load, WorkerStatus};
use tokio::time::Instant;

use crate::metrics::process::load_average;
use crate::shared::{Phase, Shared};

/// How a node is at a moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Vitals {
    pub(super) load: Load,
    pub(super) draining: bool,
    /// Task events so far, sent or dropped: a listener that counts those that come sees
    /// what it missed, wherever it was lost.
    pub(super) events_sent: u64,
    /// How many tasks may run at once.
    pub(super) slots: u64,
    /// How many were taken and wait for a place to run.
    pub(super) reserved: u64,
    /// For how many seconds the running tasks have run, in sum: what would be done again if
    /// the node ended now.
    pub(super) running_seconds: u64,
}

impl Vitals {
    pub(super) fn read(shared: &Shared) -> Self {
        let (active, invested) = shared.jobs.running();
        let load = Load {
            active: active as u64,
            processed: shared.counters.processed.get(),
            loadavg: load_average(),
        };
        let draining = shared.phase() > Phase::Running;
        Self {
            load,
            draining,
            events_sent: shared.events.sent() + shared.events.dropped(),
            slots: shared.slots.capacity() as u64,
            reserved: shared.reserved() as u64,
            running_seconds: invested.as_secs(),
        }
    }

    /// Fills the fields of the worker events.
    pub(super) fn status(self, shared: &Shared) -> WorkerStatus {
        self.with_freq(shared.tempo.interval(Instant::now()).as_secs_f64())
    }

    pub(super) fn with_freq(self, freq: f64) -> WorkerStatus {
        let mut extra = Table::with_capacity(5);
        if self.draining {
            extra.push("draining", true);
        }
        extra.push("events_sent", self.events_sent);
        extra.push("slots", self.slots);
        extra.push("reserved", self.reserved);
        extra.push("running_seconds", self.running_seconds);
        WorkerStatus {
            freq,
            load: Some(self.load),
            sw_ident: Some("celeriac".to_owned()),
            sw_ver: Some(env!("CARGO_PKG_VERSION").to_owned()),
            sw_sys: Some(system().to_owned()),
            extra,
        }
    }
}

/// Names the operating system as Python does.
const fn system() -> &'static str {
    if cfg!(target_os = "linux") {
        "Linux"
    } else if cfg!(target_os = "macos") {
        "Darwin"
    } else if cfg!(target_os = "windows") {
        "Windows"
    } else {
        std::env::consts::OS
    }
}
