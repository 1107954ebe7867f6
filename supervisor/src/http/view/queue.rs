//! A queue, as the API shows it.

use std::time::Instant;

use serde::Serialize;
use utoipa::ToSchema;

use crate::board::Depth;

/// A queue.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Queue)]
pub(in crate::http) struct QueueView {
    pub(in crate::http) name: String,
    /// `null` until the broker was asked.
    pub(in crate::http) exists: Option<bool>,
    pub(in crate::http) ready: Option<u64>,
    pub(in crate::http) consumers: Option<u64>,
    /// How old the figures are.
    pub(in crate::http) age_seconds: Option<f64>,
}

impl QueueView {
    pub(in crate::http) fn new((name, depth): (String, Depth), now: Instant) -> Self {
        Self {
            name,
            exists: depth.at.map(|_| depth.status.is_some()),
            ready: depth.status.map(|(ready, _)| ready),
            consumers: depth.status.map(|(_, consumers)| consumers),
            age_seconds: depth
                .at
                .map(|at| now.saturating_duration_since(at).as_secs_f64()),
        }
    }
}
