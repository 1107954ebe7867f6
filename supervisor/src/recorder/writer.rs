//! The writer: takes out what changed and saves it, again and again.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use celeriac::health::Pulse;
use tokio::sync::watch;

use super::dirty::Mark;
use super::{BATCH, FEW, PATIENCE, PAUSE, Recorder, micros};
use crate::cluster::History;
use crate::store::{Statement, Store, StoreError, TaskRecord};

pub(super) struct Writer {
    pub(super) recorder: Recorder,
    pub(super) store: Store,
    pub(super) history: History,
    /// Under which name the figures of this supervisor are counted.
    pub(super) name: String,
    pub(super) pulse: Pulse,
}

/// How long to wait before a store that failed is tried again, at first and at most.
const RETRY: Duration = Duration::from_millis(250);
const RETRY_MOST: Duration = Duration::from_secs(5);
/// How many rounds pass between two writes of the figures.
const FIGURES: u32 = 8;

impl Writer {
    /// Writes until told to stop, and then what still waits.
    pub(super) async fn run(self, mut stopped: watch::Receiver<bool>) {
        let mut round = 0_u32;
        loop {
            self.pulse.beat();
            let stopping = tokio::select! {
                _ = stopped.wait_for(|stop| *stop) => true,
                () = self.recorder.0.full.notified() => false,
                () = tokio::time::sleep(PAUSE) => false,
            };
            loop {
                let batch = self.take(stopping);
                let (taken, full) = (!batch.is_empty(), batch.len() == BATCH);
                if taken {
                    // A store that is away is waited for, and is no reason to start anew.
                    self.pulse.during(self.save(&self.records(batch))).await;
                }
                if !(full || stopping && taken) {
                    break;
                }
            }
            round = round.wrapping_add(1);
            if stopping || round.is_multiple_of(FIGURES) {
                self.pulse.during(self.figures()).await;
            }
            if stopping {
                return;
            }
            if self.store.trouble().is_some() {
                self.pulse.during(self.probe()).await;
            }
        }
    }

    fn take(&self, stopping: bool) -> Vec<(Arc<str>, Mark)> {
        let mut dirty = self.recorder.dirty();
        let ripe = if stopping || dirty.len() <= FEW {
            i64::MAX
        } else {
            micros(celeriac::clock::now()) - PATIENCE
        };
        dirty.take(BATCH, ripe)
    }

    fn records(&self, batch: Vec<(Arc<str>, Mark)>) -> Vec<TaskRecord> {
        let mut records = Vec::with_capacity(batch.len());
        let mut found = Vec::with_capacity(batch.len());
        for (id, mark) in batch {
            let (record, known) = (
                |task: &_| TaskRecord::of_task(task, mark.known),
                records.len(),
            );
            records.extend(mark.kept.iter().map(record));
            records.extend(self.history.look(&id, record));
            if records.len() > known {
                found.push(id);
            }
        }
        let mut dirty = self.recorder.dirty();
        found.iter().for_each(|id| dirty.found(id));
        records
    }

    /// Saves records, however long the store is away. What it refuses for good is found by
    /// halves, counted and left out.
    async fn save(&self, records: &[TaskRecord]) {
        let mut parts = vec![records];
        let mut wait = RETRY;
        while let Some(part) = parts.pop() {
            match self.store.tasks().save(part).await {
                Ok(()) => {
                    let written = &self.recorder.0.written;
                    written.fetch_add(part.len() as u64, Ordering::Relaxed);
                    wait = RETRY;
                }
                // Merging twice is merging once, so an unknown end is tried again too.
                Err(error) if error.is_transient() => {
                    parts.push(part);
                    tokio::time::sleep(wait).await;
                    wait = (wait * 2).min(RETRY_MOST);
                }
                Err(StoreError::Closed) => {
                    let lost = parts.iter().map(|part| part.len()).sum::<usize>() + part.len();
                    self.recorder
                        .0
                        .refused
                        .fetch_add(lost as u64, Ordering::Relaxed);
                    return;
                }
                Err(error) => match part {
                    [] => {}
                    [record] => {
                        tracing::error!(task = record.id, %error, "the store refuses a task");
                        self.recorder.0.refused.fetch_add(1, Ordering::Relaxed);
                    }
                    _ => {
                        let (first, second) = part.split_at(part.len() / 2);
                        parts.extend([second, first]);
                    }
                },
            }
        }
    }

    async fn figures(&self) {
        let taken = std::mem::take(&mut *self.recorder.tally());
        if taken.is_empty() {
            return;
        }
        match self.store.write(taken.statements(&self.name)).await {
            // Figures that were perhaps added are not added again.
            Ok(_) | Err(StoreError::Unknown(_)) => {}
            Err(error) if error.is_transient() => self.recorder.tally().restore(taken),
            Err(error) => tracing::error!(%error, "the store refuses figures"),
        }
    }

    /// Finds out whether a store that failed works again when there is nothing to write.
    async fn probe(&self) {
        let nothing = Statement::new("DELETE FROM tasks WHERE known < 0");
        if self.store.write(vec![nothing]).await.is_err() {
            tokio::time::sleep(RETRY_MOST.min(Duration::from_secs(1))).await;
        }
    }
}
