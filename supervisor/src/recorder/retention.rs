//! Forgetting what is too old or too much.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::watch;

use super::{Recorder, micros};
use crate::store::{HOUR, MINUTE, MINUTES_KEPT, Store, StoreError};

/// How much history is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Older tasks are forgotten.
    pub(crate) age: Duration,
    /// Beyond these the oldest are forgotten.
    pub(crate) tasks: u64,
}

/// How often is looked.
const EVERY: Duration = Duration::from_secs(30);
/// How many tasks are deleted in one transaction: writes wait that long.
const BATCH: usize = 500;
/// How many in one round, so that a store that has far too many is cut down step by step.
const ROUND: u64 = 200_000;

/// Forgets, until told to stop.
pub(super) async fn run(
    recorder: Recorder,
    store: Store,
    limits: Limits,
    mut stopped: watch::Receiver<bool>,
) {
    loop {
        match round(&store, limits, micros(celeriac::clock::now())).await {
            Ok(stored) => recorder.0.stored.store(stored, Ordering::Relaxed),
            Err(error) => tracing::debug!(%error, "old history could not be deleted yet"),
        }
        tokio::select! {
            _ = stopped.wait_for(|stop| *stop) => return,
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

/// Forgets what is too much now; returns how many tasks are left.
pub(super) async fn round(store: &Store, limits: Limits, now: i64) -> Result<u64, StoreError> {
    let age = i64::try_from(limits.age.as_micros()).unwrap_or(i64::MAX);
    let mut gone = 0;
    while gone < ROUND {
        let batch = store.tasks().forget(now.saturating_sub(age), BATCH).await?;
        gone += batch;
        if batch < BATCH as u64 {
            break;
        }
    }
    let mut stored = store.tasks().count().await?;
    while stored > limits.tasks && gone < ROUND {
        let most = usize::try_from(stored - limits.tasks)
            .unwrap_or(BATCH)
            .min(BATCH);
        let batch = store.tasks().forget(i64::MAX, most).await?;
        if batch == 0 {
            break;
        }
        stored = stored.saturating_sub(batch);
        gone += batch;
    }
    // Figures of hours say more than tasks and take less: they stay a month at least.
    let hours = age.max(30 * 24 * HOUR);
    for (step, kept) in [(MINUTE, MINUTES_KEPT), (HOUR, hours)] {
        while store
            .series()
            .forget(step, now.saturating_sub(kept))
            .await?
            > 0
        {}
    }
    if gone > 0 {
        store.tidy().await?;
    }
    Ok(stored)
}
