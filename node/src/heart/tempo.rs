//! How often a node beats.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

/// How often a node beats: as it was configured, or more slowly when a supervisor says
/// that the fleet is large. Never more often than it was configured.
///
/// ```text
///  Own --heartbeat_interval--> Told --nobody said so again for 15 min--> Own
/// ```
///
/// Forgetting matters when no supervisor is left: others that listen, Celery's workers
/// among them, then get what the node's owner wanted.
#[derive(Debug)]
pub(crate) struct Tempo {
    own: Duration,
    told: watch::Sender<Option<Told>>,
}

/// What a supervisor said, and until when it counts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Told {
    interval: Duration,
    until: Instant,
}

/// What a supervisor may ask for, in seconds.
pub(crate) const BOUNDS: std::ops::RangeInclusive<f64> = 1.0..=60.0;

/// For how long a supervisor's word counts. It repeats it every five minutes.
const MEMORY: Duration = Duration::from_secs(900);

impl Tempo {
    pub(crate) fn new(own: Duration) -> Self {
        let told = watch::Sender::new(None);
        Self { own, told }
    }

    /// Takes a supervisor's word.
    pub(crate) fn tell(&self, interval: Duration, now: Instant) {
        let until = now + MEMORY;
        self.told.send_replace(Some(Told { interval, until }));
    }

    /// Returns the interval that counts now.
    pub(crate) fn interval(&self, now: Instant) -> Duration {
        let told = self.told.borrow().filter(|told| now < told.until);
        told.map_or(self.own, |told| told.interval.max(self.own))
    }

    /// Returns a view that changes when a supervisor speaks.
    pub(super) fn changes(&self) -> watch::Receiver<Option<Told>> {
        self.told.subscribe()
    }
}

/// When to beat next.
///
/// A heartbeat promises the interval to the next one. When that grows, the promise is
/// made twice, the second time within the old interval: a listener that missed the first
/// would take the node for silent. After that each node shifts by another part of the
/// interval, because all hear of a change at once and would go on beating at once.
#[derive(Debug, Default)]
pub(super) struct Rhythm {
    promised: Option<Duration>,
    settling: bool,
}

impl Rhythm {
    /// Returns what the last heartbeat promised.
    pub(super) const fn promised(&self) -> Option<Duration> {
        self.promised
    }

    /// Notes that a heartbeat promises `interval`; returns when the next one is due.
    pub(super) fn beat(&mut self, node: &str, interval: Duration) -> Duration {
        match self.promised.replace(interval) {
            Some(old) if old != interval => {
                self.settling = true;
                old.min(interval)
            }
            _ if std::mem::take(&mut self.settling) => offset(node, interval),
            _ => interval,
        }
    }
}

/// Returns a part of an interval, from half to whole, that goes with a node's name.
fn offset(node: &str, interval: Duration) -> Duration {
    let hash = node.bytes().fold(0x811c_9dc5_u32, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    interval.mul_f64(0.5 + f64::from(hash) / f64::from(u32::MAX) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_supervisor_slows_a_node_down_until_it_is_forgotten() {
        let tempo = Tempo::new(Duration::from_secs(2));
        let now = Instant::now();
        let seconds = Duration::from_secs;
        assert_eq!(tempo.interval(now), seconds(2));
        tempo.tell(seconds(10), now);
        assert_eq!(tempo.interval(now), seconds(10));
        assert_eq!(tempo.interval(now + MEMORY - seconds(1)), seconds(10));
        assert_eq!(tempo.interval(now + MEMORY), seconds(2));
        tempo.tell(seconds(1), now);
        assert_eq!(tempo.interval(now), seconds(2), "never above its own rate");
    }

    #[test]
    fn a_longer_interval_is_promised_twice() {
        let [short, long] = [2, 10].map(Duration::from_secs);
        let mut rhythm = Rhythm::default();
        assert_eq!(rhythm.beat("w", short), short);
        assert_eq!(rhythm.beat("w", long), short);
        let shifted = rhythm.beat("w", long);
        assert!(shifted >= long / 2 && shifted < long);
        assert_eq!(rhythm.beat("w", long), long);
        assert_eq!(rhythm.beat("w", short), short);
    }

    #[test]
    fn nodes_do_not_beat_in_step() {
        let interval = Duration::from_secs(10);
        let mut offsets: Vec<_> = (0..100)
            .map(|n| offset(&format!("w{n}@host"), interval))
            .collect();
        offsets.sort();
        assert!(offsets[0] >= interval / 2 && offsets[99] <= interval);
        let gaps = offsets.windows(2).map(|pair| pair[1] - pair[0]);
        assert!(gaps.max() < Some(Duration::from_millis(500)));
    }
}
