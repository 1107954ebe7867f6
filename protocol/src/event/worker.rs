//! What a worker says of itself.

use crate::value::Table;

/// The fields of `worker-online`, `worker-heartbeat` and `worker-offline`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct WorkerStatus {
    /// Seconds until the next heartbeat.
    pub freq: f64,
    /// How busy it is; absent in the heartbeat that answers remote control.
    pub load: Option<Load>,
    /// The software, such as `py-celery`.
    pub sw_ident: Option<String>,
    /// Its version.
    pub sw_ver: Option<String>,
    /// The operating system, such as `Linux`.
    pub sw_sys: Option<String>,
    /// Every other field, in the sender's order. This project's nodes say `draining`
    /// (a boolean) and `events_sent` (how many task events the process has sent, or dropped
    /// because too many waited).
    pub extra: Table,
}

/// How busy a worker is.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Load {
    /// How many tasks run now.
    pub active: u64,
    /// How many tasks finished since the start.
    pub processed: u64,
    /// The load averages of 1, 5 and 15 minutes.
    pub loadavg: [f64; 3],
}
