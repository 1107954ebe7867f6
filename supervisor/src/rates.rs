//! What happened, as figures: rates, and how long tasks waited and ran.

mod sketch;

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use celeriac_protocol::State;
use serde::Serialize;
use utoipa::ToSchema;

pub(crate) use self::sketch::Sketch;
use crate::cluster::Figures;
use crate::store::{HOUR, MINUTE, Point, Span, Store, StoreError};

/// What happened lately, as figures: by the second for ten minutes, by the minute for a
/// day. The minutes outlive the process in the store.
///
/// All memory is taken at the start, about two megabytes. The time of an event is that
/// of its intake, by this process's clock, so that wrong clocks elsewhere bend no chart.
pub(crate) struct Rates(Mutex<Rings>);

struct Rings {
    seconds: Ring,
    minutes: Ring,
}

/// Slots by the time they stand for. A slot with another stamp than the one looked for
/// is of an earlier turn, or of a time that the clock was set back from.
struct Ring {
    step: u64,
    slots: Box<[Slot]>,
}

#[derive(Clone, Default)]
struct Slot {
    stamp: u64,
    counts: Counts,
    runtime: Sketch,
    queue_time: Sketch,
}

/// Moves of tasks to a state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Counts {
    pub(crate) received: u32,
    pub(crate) started: u32,
    pub(crate) succeeded: u32,
    pub(crate) failed: u32,
    pub(crate) retried: u32,
    pub(crate) revoked: u32,
    pub(crate) rejected: u32,
}

/// How far back to look, and in which steps. More than is kept gives what is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Window {
    /// The last seconds, one by one; 600 at most.
    Seconds(usize),
    /// The last minutes, one by one; 1,440 at most.
    Minutes(usize),
}

/// Figures ready for a chart: every list is as long as `times`, oldest first, without
/// gaps. The running second, minute or hour is left out, because it would look like a fall.
#[derive(Debug, Clone, Default, PartialEq, Serialize, ToSchema)]
pub(crate) struct Series {
    /// Seconds from one point to the next.
    pub(crate) step_seconds: u64,
    /// The start of each point, in seconds since the epoch.
    pub(crate) times: Vec<u64>,
    pub(crate) received: Vec<u32>,
    pub(crate) started: Vec<u32>,
    pub(crate) succeeded: Vec<u32>,
    pub(crate) failed: Vec<u32>,
    pub(crate) retried: Vec<u32>,
    pub(crate) revoked: Vec<u32>,
    pub(crate) rejected: Vec<u32>,
    /// How long successful runs took, in seconds.
    pub(crate) runtime: Quantiles,
    /// From the sending of a task (or its arrival at a node, when its sending was not
    /// told) to its start, in seconds.
    pub(crate) queue_time: Quantiles,
    /// The whole window as one point.
    pub(crate) total: Total,
}

/// Percentiles, each right to about a tenth; `null` where nothing happened.
#[derive(Debug, Clone, Default, PartialEq, Serialize, ToSchema)]
pub(crate) struct Quantiles {
    pub(crate) p50: Vec<Option<f64>>,
    pub(crate) p95: Vec<Option<f64>>,
    pub(crate) p99: Vec<Option<f64>>,
}

/// The whole window as one point.
#[derive(Debug, Clone, Default, PartialEq, Serialize, ToSchema)]
pub(crate) struct Total {
    /// How many seconds the window has.
    pub(crate) seconds: u64,
    pub(crate) received: u64,
    pub(crate) started: u64,
    pub(crate) succeeded: u64,
    pub(crate) failed: u64,
    pub(crate) retried: u64,
    pub(crate) revoked: u64,
    pub(crate) rejected: u64,
    /// Tasks that ended (succeeded, failed or were revoked) per second.
    pub(crate) per_second: f64,
    /// The share of ended runs that failed, 0 to 1; `null` when none ended.
    pub(crate) failure_ratio: Option<f64>,
    /// p50, p95 and p99 of how long successful runs took, in seconds.
    pub(crate) runtime: [Option<f64>; 3],
    /// p50, p95 and p99 of how long tasks waited for their start, in seconds.
    pub(crate) queue_time: [Option<f64>; 3],
}

const SECONDS: usize = 600;
const MINUTES: usize = 1_440;
const QUANTILES: [f64; 3] = [0.50, 0.95, 0.99];

impl Default for Rates {
    fn default() -> Self {
        let ring = |step, slots| Ring {
            step,
            slots: vec![Slot::default(); slots].into(),
        };
        Self(Mutex::new(Rings {
            seconds: ring(1, SECONDS + 1),
            minutes: ring(60, MINUTES + 1),
        }))
    }
}

impl Rates {
    /// Notes that a task moved to a state, and what became known of its runs.
    pub(crate) fn note(&self, state: Option<&State>, figures: Figures, now: SystemTime) {
        let at = epoch(now);
        let mut rings = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Rings { seconds, minutes } = &mut *rings;
        for ring in [seconds, minutes] {
            let slot = ring.at(at);
            state
                .into_iter()
                .for_each(|state| slot.counts.add(state, 1));
            let ran = figures.runtime.into_iter();
            ran.for_each(|s| slot.runtime.observe(s));
            let waited = figures.queue_time.into_iter();
            waited.for_each(|s| slot.queue_time.observe(s));
        }
    }

    /// Takes the last day from the store, as a supervisor before this one left it. To be
    /// called before the first event is noted.
    pub(crate) async fn restore(&self, store: &Store, now: SystemTime) -> Result<(), StoreError> {
        let to = crate::recorder::micros(now) + 1;
        let from = to - MINUTES as i64 * MINUTE;
        let points = store.series().points(Span { from, to }, MINUTE).await?;
        let mut rings = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for point in &points {
            let slot = Slot::of(point);
            let place = rings.minutes.place(slot.stamp);
            rings.minutes.slots[place] = slot;
        }
        Ok(())
    }

    /// Returns the figures of a window that ends now.
    pub(crate) fn snapshot(&self, window: Window, now: SystemTime) -> Series {
        let rings = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match window {
            Window::Seconds(count) => rings.seconds.series(count, epoch(now)),
            Window::Minutes(count) => rings.minutes.series(count, epoch(now)),
        }
    }
}

impl Ring {
    fn place(&self, stamp: u64) -> usize {
        usize::try_from(stamp / self.step).unwrap_or(0) % self.slots.len()
    }

    fn at(&mut self, at: u64) -> &mut Slot {
        let stamp = at - at % self.step;
        let slot = &mut self.slots[self.place(stamp)];
        if slot.stamp != stamp {
            *slot = Slot {
                stamp,
                ..Slot::default()
            };
        }
        slot
    }

    fn series(&self, count: usize, now: u64) -> Series {
        let count = count.clamp(1, self.slots.len() - 1);
        let end = now - now % self.step;
        let start = end.saturating_sub(count as u64 * self.step);
        let slot = |stamp| Some(&self.slots[self.place(stamp)]).filter(|slot| slot.stamp == stamp);
        Series::of(start..end, self.step, slot)
    }
}

impl Slot {
    fn of(point: &Point) -> Self {
        let mut counts = Counts::default();
        for (state, count) in &point.states {
            let count = u32::try_from(*count).unwrap_or(u32::MAX);
            counts.add(&State::from(state.as_str()), count);
        }
        Self {
            stamp: u64::try_from(point.at / 1_000_000).unwrap_or_default(),
            counts,
            runtime: point.runtime.clone(),
            queue_time: point.queue_time.clone(),
        }
    }
}

impl Counts {
    fn add(&mut self, state: &State, count: u32) {
        let known = match state {
            State::Received => &mut self.received,
            State::Started => &mut self.started,
            State::Success => &mut self.succeeded,
            State::Failure => &mut self.failed,
            State::Retry => &mut self.retried,
            State::Revoked => &mut self.revoked,
            State::Rejected => &mut self.rejected,
            _ => return,
        };
        *known = known.saturating_add(count);
    }
}

impl Series {
    /// Returns the figures of the last `hours` whole hours, as the store has them.
    pub(crate) async fn stored(
        store: &Store,
        hours: u64,
        now: SystemTime,
    ) -> Result<Self, StoreError> {
        const STEP: u64 = 3_600;
        let now = epoch(now);
        let end = now - now % STEP;
        let start = end.saturating_sub(hours * STEP);
        let micros = |seconds: u64| i64::try_from(seconds * 1_000_000).unwrap_or(i64::MAX);
        let (from, to) = (micros(start), micros(end));
        let points = store.series().points(Span { from, to }, HOUR).await?;
        let slots: Vec<_> = points.iter().map(Slot::of).collect();
        let slot = |stamp| {
            let found = slots.binary_search_by_key(&stamp, |slot| slot.stamp);
            found.ok().map(|at| &slots[at])
        };
        Ok(Self::of(start..end, STEP, slot))
    }

    fn of<'a>(
        span: std::ops::Range<u64>,
        step: u64,
        slot: impl Fn(u64) -> Option<&'a Slot>,
    ) -> Self {
        let mut series = Self {
            step_seconds: step,
            ..Self::default()
        };
        let (mut runtime, mut queue_time) = (Sketch::default(), Sketch::default());
        let empty = Slot::default();
        series.total.seconds = span.end - span.start;
        for stamp in span.step_by(usize::try_from(step).unwrap_or(1)) {
            let slot = slot(stamp).unwrap_or(&empty);
            series.push(stamp, slot);
            runtime.add(&slot.runtime);
            queue_time.add(&slot.queue_time);
        }
        series.total.runtime = QUANTILES.map(|q| runtime.quantile(q));
        series.total.queue_time = QUANTILES.map(|q| queue_time.quantile(q));
        series.total.relate();
        series
    }

    fn push(&mut self, stamp: u64, slot: &Slot) {
        let (counts, total) = (&slot.counts, &mut self.total);
        self.times.push(stamp);
        for (list, sum, count) in [
            (&mut self.received, &mut total.received, counts.received),
            (&mut self.started, &mut total.started, counts.started),
            (&mut self.succeeded, &mut total.succeeded, counts.succeeded),
            (&mut self.failed, &mut total.failed, counts.failed),
            (&mut self.retried, &mut total.retried, counts.retried),
            (&mut self.revoked, &mut total.revoked, counts.revoked),
            (&mut self.rejected, &mut total.rejected, counts.rejected),
        ] {
            list.push(count);
            *sum += u64::from(count);
        }
        self.runtime.push(&slot.runtime);
        self.queue_time.push(&slot.queue_time);
    }
}

impl Quantiles {
    fn push(&mut self, sketch: &Sketch) {
        let [p50, p95, p99] = QUANTILES.map(|q| sketch.quantile(q));
        self.p50.push(p50);
        self.p95.push(p95);
        self.p99.push(p99);
    }
}

impl Total {
    fn relate(&mut self) {
        let ended = self.succeeded + self.failed;
        let seconds = self.seconds.max(1) as f64;
        self.per_second = (ended + self.revoked) as f64 / seconds;
        self.failure_ratio = (ended > 0).then(|| self.failed as f64 / ended as f64);
    }
}

fn epoch(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH);
    since.as_ref().map_or(0, Duration::as_secs)
}

impl std::fmt::Debug for Rates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rates").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn note(
        rates: &Rates,
        state: &State,
        queue_time: Option<f64>,
        runtime: Option<f64>,
        now: SystemTime,
    ) {
        let figures = Figures {
            queue_time,
            runtime,
        };
        rates.note(Some(state), figures, now);
    }

    #[test]
    fn each_second_has_its_point_and_the_running_one_none() {
        let rates = Rates::default();
        for second in 1_000..1_010 {
            note(&rates, &State::Started, Some(0.5), None, at(second));
            note(&rates, &State::Success, None, Some(2.0), at(second));
        }
        note(&rates, &State::Failure, None, None, at(1_009));
        let series = rates.snapshot(Window::Seconds(5), at(1_009));
        assert_eq!(series.times, [1_004, 1_005, 1_006, 1_007, 1_008]);
        assert_eq!(series.succeeded, [1; 5]);
        assert_eq!(series.failed, [0; 5]);
        let series = rates.snapshot(Window::Seconds(5), at(1_010));
        assert_eq!(series.failed, [0, 0, 0, 0, 1]);
        assert_eq!((series.total.succeeded, series.total.failed), (5, 1));
        assert_eq!(series.total.failure_ratio, Some(1.0 / 6.0));
        let p50 = series.runtime.p50[0].unwrap_or_default();
        assert!((1.8..2.3).contains(&p50), "{p50}");
        assert_eq!(series.runtime.p50.len(), series.times.len());
    }

    #[test]
    fn what_is_older_than_the_ring_is_gone_and_gaps_are_zero() {
        let rates = Rates::default();
        note(&rates, &State::Success, None, Some(1.0), at(100));
        note(
            &rates,
            &State::Success,
            None,
            Some(1.0),
            at(100 + SECONDS as u64 + 1),
        );
        let series = rates.snapshot(Window::Seconds(10_000), at(103 + SECONDS as u64));
        assert_eq!(series.times.len(), SECONDS);
        assert_eq!(series.total.succeeded, 1);
        assert_eq!(series.runtime.p99.iter().flatten().count(), 1);
        let minutes = rates.snapshot(Window::Minutes(20), at(780));
        assert_eq!(minutes.total.succeeded, 2);
        assert_eq!(minutes.times.len(), 13);
    }

    // S35: the charts of a day, and longer ones, go on where they were before a restart.
    #[tokio::test]
    async fn minutes_and_hours_outlive_the_process() {
        let store = Store::open(&crate::store::Place::Memory).await.unwrap();
        let now = 400_000_000;
        let mut tally = crate::store::Tally::default();
        // Too old for the minutes, two in the day, and one in the running minute.
        for ago in [90_000, 7_200, 3_600, 1] {
            let at = crate::recorder::micros(at(now - ago));
            let figures = Figures {
                queue_time: Some(0.5),
                runtime: Some(2.0),
            };
            tally.count(at, &"add".into(), Some("SUCCESS"), figures);
        }
        store.write(tally.statements("before")).await.unwrap();

        let rates = Rates::default();
        rates.restore(&store, at(now)).await.unwrap();
        note(&rates, &State::Success, None, Some(2.0), at(now));
        note(&rates, &State::Failure, None, None, at(now + 1));
        let total = |minutes, now| rates.snapshot(Window::Minutes(minutes), at(now)).total;
        assert_eq!(total(1_440, now).succeeded, 2);
        let day = total(1_440, now + 60);
        assert_eq!((day.succeeded, day.failed), (4, 1));
        assert_eq!(total(70, now + 60).succeeded, 3);
        let waited = day.queue_time[0].unwrap_or_default();
        assert!((0.44..0.57).contains(&waited), "{waited}");

        let month = Series::stored(&store, 720, at(now + 3_600)).await.unwrap();
        assert_eq!((month.step_seconds, month.times.len()), (3_600, 720));
        assert_eq!(month.total.succeeded, 4);
        let hours = month.succeeded.iter().filter(|count| **count > 0).count();
        assert_eq!(hours, 4);
    }

    #[test]
    fn a_clock_that_is_set_back_bends_no_chart() {
        let rates = Rates::default();
        note(&rates, &State::Success, None, None, at(10_000));
        note(&rates, &State::Success, None, None, at(5_000));
        assert_eq!(
            rates
                .snapshot(Window::Seconds(60), at(5_001))
                .total
                .succeeded,
            1
        );
        assert_eq!(
            rates
                .snapshot(Window::Minutes(60), at(5_060))
                .total
                .succeeded,
            1
        );
    }
}
