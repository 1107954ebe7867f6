//! Tasks whose time has not come.

mod parked;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use celeriac::clock;
use celeriac::health::Pulse;
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

pub(crate) use self::parked::{Parked, ParkedTask};
use crate::job::{Claim, Job};

/// Tasks that wait here for their time, unacknowledged: those due within
/// [`Config::hold`](crate::Config::hold), those that a rate limit holds back, and all
/// when the broker cannot delay.
///
/// Bounded by the prefetch: a message that waits here is one the broker does not
/// replace.
#[derive(Default)]
pub(crate) struct Timetable {
    entries: Mutex<BTreeMap<(SystemTime, u64), Entry>>,
    changed: Notify,
}

struct Entry {
    claim: Claim,
    /// Back to the consumer that it came from.
    back: mpsc::Sender<Claim>,
}

/// The clock on the wall may jump, so the table looks at it at least this often.
const LONGEST_SLEEP: Duration = Duration::from_secs(1);

impl Timetable {
    /// Keeps a job until `at`, then hands it `back`.
    pub(crate) fn hold(&self, at: SystemTime, claim: Claim, back: mpsc::Sender<Claim>) {
        let key = (at, claim.serial);
        let mut entries = self.lock();
        entries.insert(key, Entry { claim, back });
        if entries
            .first_key_value()
            .is_some_and(|(first, _)| *first == key)
        {
            self.changed.notify_one();
        }
    }

    /// Returns what waits, soonest first.
    pub(crate) fn waiting(&self) -> Vec<(SystemTime, Arc<Job>)> {
        let entries = self.lock();
        entries
            .iter()
            .map(|((at, _), entry)| (*at, Arc::clone(&entry.claim)))
            .collect()
    }

    /// Returns how many wait.
    pub(crate) fn len(&self) -> usize {
        self.lock().len()
    }

    /// Takes everything out.
    pub(crate) fn drain(&self) -> Vec<Claim> {
        let entries = std::mem::take(&mut *self.lock());
        entries.into_values().map(|entry| entry.claim).collect()
    }

    /// Hands jobs back as they become due, until it is stopped.
    pub(crate) async fn keep(&self, stop: CancellationToken, pulse: Pulse) {
        while !stop.is_cancelled() {
            pulse.beat();
            let now = clock::now();
            for Entry { claim, back } in self.due(now) {
                // A consumer that is gone or full drops the job, and the broker
                // delivers it again.
                let _ = back.try_send(claim);
            }
            let first = self.lock().first_key_value().map(|((at, _), _)| *at);
            let sleep = first
                .map_or(LONGEST_SLEEP, |at| {
                    at.duration_since(now).unwrap_or_default()
                })
                .min(LONGEST_SLEEP);
            tokio::select! {
                () = tokio::time::sleep(sleep) => {}
                () = self.changed.notified() => {}
                () = stop.cancelled() => {}
            }
        }
    }

    fn due(&self, now: SystemTime) -> impl Iterator<Item = Entry> + use<> {
        let mut entries = self.lock();
        // The key just after everything that is due at `now`.
        let later = entries.split_off(&(now, u64::MAX));
        std::mem::replace(&mut *entries, later).into_values()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<(SystemTime, u64), Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
