//! Figures of each minute and hour: what moved to which state, and how long it took.
//!
//! They are counted as events come in, so they hold for tasks that were never stored or
//! are forgotten by now. Each supervisor counts for itself under its own name; replicas
//! hear the same events, so the one that heard most is believed.
//!
//! All names together are kept by the minute and by the hour, durations included; each
//! name by the hour, and only what moved: that keeps the rows of a busy day few.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Store;
use super::error::StoreError;
use super::statement::Statement;
use crate::cluster::Figures;
use crate::rates::Sketch;

pub(super) const SCHEMA: &[&str] = &["CREATE TABLE series (
        step BIGINT NOT NULL,
        at BIGINT NOT NULL,
        name {key} NOT NULL,
        measure {key} NOT NULL,
        bucket BIGINT NOT NULL,
        writer {key} NOT NULL,
        count BIGINT NOT NULL,
        PRIMARY KEY (step, at, name, measure, bucket, writer)
    )"];

/// How many moved to each state, by its name.
pub(crate) type States = BTreeMap<String, u64>;

/// What was counted and is not stored yet.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// All names together, by the minute.
    minutes: BTreeMap<i64, Point>,
    /// Each name, by the hour.
    hours: BTreeMap<i64, BTreeMap<Arc<str>, States>>,
}

/// The figures of one span of time.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Point {
    /// When the span starts, in microseconds since the epoch.
    pub(crate) at: i64,
    /// How many tasks moved to each state.
    pub(crate) states: States,
    /// How long successful tasks ran.
    pub(crate) runtime: Sketch,
    /// How long tasks waited before they started.
    pub(crate) queue_time: Sketch,
}

/// A span of time, in microseconds since the epoch: its end is not part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) from: i64,
    pub(crate) to: i64,
}

/// The series in the store.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Series<'a>(&'a Store);

pub(crate) const MINUTE: i64 = 60_000_000;
pub(crate) const HOUR: i64 = 60 * MINUTE;
/// How long the figures of minutes are kept; those of hours stay longer.
pub(crate) const MINUTES_KEPT: i64 = 48 * HOUR;
/// How much may wait for a store that is away: the oldest goes first.
const MINUTES: usize = 1_440;
const HOURS: usize = 24;
/// How many names and states are told apart; the others share one.
const NAMES: usize = 500;
const STATES: usize = 40;
const OTHER: &str = "(other)";
/// All names together: no task has this name.
const ALL: &str = "";
/// What durations are counted under; states are in capitals.
const RUNTIME: &str = "runtime";
const QUEUE_TIME: &str = "queue_time";

impl Tally {
    /// Counts a move to a state, and what became known of a task's runs.
    pub(crate) fn count(
        &mut self,
        now: i64,
        name: &Arc<str>,
        state: Option<&str>,
        figures: Figures,
    ) {
        let point = self.minute(now - now.rem_euclid(MINUTE));
        let waited = figures.queue_time.into_iter();
        waited.for_each(|s| point.queue_time.observe(s));
        let ran = figures.runtime.into_iter();
        ran.for_each(|s| point.runtime.observe(s));
        if let Some(state) = state {
            add(&mut point.states, state, 1);
            add(self.name(now - now.rem_euclid(HOUR), name), state, 1);
        }
    }

    fn minute(&mut self, at: i64) -> &mut Point {
        if self.minutes.len() >= MINUTES && !self.minutes.contains_key(&at) {
            self.minutes.pop_first();
        }
        let new = || Point {
            at,
            ..Point::default()
        };
        self.minutes.entry(at).or_insert_with(new)
    }

    fn name(&mut self, hour: i64, name: &Arc<str>) -> &mut States {
        if self.hours.len() >= HOURS && !self.hours.contains_key(&hour) {
            self.hours.pop_first();
        }
        let names = self.hours.entry(hour).or_default();
        let name = if names.len() < NAMES || names.contains_key(name) {
            Arc::clone(name)
        } else {
            OTHER.into()
        };
        names.entry(name).or_default()
    }

    /// Puts back what could not be stored.
    pub(crate) fn restore(&mut self, taken: Self) {
        for (at, point) in taken.minutes {
            let mine = self.minute(at);
            mine.runtime.add(&point.runtime);
            mine.queue_time.add(&point.queue_time);
            for (state, count) in point.states {
                add(&mut mine.states, &state, count);
            }
        }
        for (hour, names) in taken.hours {
            for (name, states) in names {
                let mine = self.name(hour, &name);
                for (state, count) in states {
                    add(mine, &state, count);
                }
            }
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.minutes.is_empty()
    }

    /// Returns the statements that add the figures to those of `writer`, in one order for
    /// all writers.
    pub(crate) fn statements(&self, writer: &str) -> Vec<Statement> {
        let mut figures: BTreeMap<(i64, i64, &str, &str, usize), u64> = BTreeMap::new();
        for (minute, point) in &self.minutes {
            for step in [MINUTE, HOUR] {
                let at = minute - minute.rem_euclid(step);
                let mut put = |measure, bucket, count| {
                    *figures.entry((step, at, ALL, measure, bucket)).or_default() += count;
                };
                for (state, count) in &point.states {
                    put(state.as_str(), 0, *count);
                }
                for (measure, durations) in
                    [(RUNTIME, &point.runtime), (QUEUE_TIME, &point.queue_time)]
                {
                    for (bucket, count) in durations.buckets() {
                        put(measure, bucket, u64::from(count));
                    }
                }
            }
        }
        for (hour, names) in &self.hours {
            for (name, states) in names {
                for (state, count) in states {
                    figures.insert((HOUR, *hour, name, state, 0), *count);
                }
            }
        }
        type Figure<'a> = ((i64, i64, &'a str, &'a str, usize), u64);
        let statement = |((step, at, name, measure, bucket), count): Figure<'_>| {
            let sql = "INSERT INTO series (step, at, name, measure, bucket, writer, count)
                       VALUES ($1, $2, $3, $4, $5, $6, $7)
                       ON CONFLICT (step, at, name, measure, bucket, writer)
                       DO UPDATE SET count = series.count + excluded.count";
            let statement = Statement::new(sql).bind(step).bind(at).bind(name);
            let statement = statement.bind(measure).bind(bucket);
            statement.bind(writer).bind(count)
        };
        figures.into_iter().map(statement).collect()
    }
}

fn add(states: &mut States, state: &str, count: u64) {
    if let Some(known) = states.get_mut(state) {
        *known += count;
        return;
    }
    // A user's own states are without bound.
    let state = if states.len() < STATES { state } else { OTHER };
    *states.entry(state.to_owned()).or_default() += count;
}

impl Store {
    pub(crate) const fn series(&self) -> Series<'_> {
        Series(self)
    }
}

impl Series<'_> {
    /// Returns how many tasks moved to each state, by name, in the hours that the span
    /// touches.
    pub(crate) async fn counts(&self, span: Span) -> Result<BTreeMap<String, States>, StoreError> {
        let sql = "SELECT name, measure, CAST(sum(most) AS BIGINT) FROM (
                SELECT at, name, measure, max(count) AS most FROM series
                WHERE step = $1 AND at >= $2 AND at < $3 AND name <> ''
                GROUP BY at, name, measure
            ) AS heard GROUP BY name, measure";
        let read = Statement::new(sql)
            .bind(HOUR)
            .bind(span.from - span.from.rem_euclid(HOUR))
            .bind(span.to);
        let mut counts: BTreeMap<String, States> = BTreeMap::new();
        for row in self.0.read(read).await? {
            let count = u64::try_from(row.integer(2)?).unwrap_or_default();
            let states = counts.entry(row.text(0)?).or_default();
            states.insert(row.text(1)?, count);
        }
        Ok(counts)
    }

    /// Returns the figures of a span by the minute or by the hour, which `step` says; times
    /// in which nothing happened are left out.
    pub(crate) async fn points(&self, span: Span, step: i64) -> Result<Vec<Point>, StoreError> {
        let sql = "SELECT at, measure, bucket, max(count) FROM series
            WHERE step = $1 AND at >= $2 AND at < $3 AND name = ''
            GROUP BY at, measure, bucket ORDER BY at, measure, bucket";
        let read = Statement::new(sql)
            .bind(step)
            .bind(span.from - span.from.rem_euclid(step))
            .bind(span.to);
        let mut points: Vec<Point> = Vec::new();
        for row in self.0.read(read).await? {
            let (at, measure) = (row.integer(0)?, row.text(1)?);
            if points.last().is_none_or(|point| point.at != at) {
                points.push(Point {
                    at,
                    ..Point::default()
                });
            }
            let Some(point) = points.last_mut() else {
                continue;
            };
            let count = u64::try_from(row.integer(3)?).unwrap_or_default();
            let durations = match &*measure {
                RUNTIME => &mut point.runtime,
                QUEUE_TIME => &mut point.queue_time,
                _ => {
                    point.states.insert(measure, count);
                    continue;
                }
            };
            let bucket = usize::try_from(row.integer(2)?).unwrap_or_default();
            durations.put(bucket, u32::try_from(count).unwrap_or(u32::MAX));
        }
        Ok(points)
    }

    /// Deletes an hour of figures older than `before`; says how many rows.
    pub(crate) async fn forget(&self, step: i64, before: i64) -> Result<u64, StoreError> {
        let sql = "DELETE FROM series WHERE step = $1 AND at < $2
                   AND at < (SELECT min(at) FROM series WHERE step = $1) + 3600000000";
        let gone = self
            .0
            .write(vec![Statement::new(sql).bind(step).bind(before)])
            .await?;
        Ok(gone.first().copied().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::store::Place;

    const DAY: Span = Span {
        from: 0,
        to: 24 * HOUR,
    };

    fn figures(queue_time: Option<f64>, runtime: Option<f64>) -> Figures {
        Figures {
            queue_time,
            runtime,
        }
    }

    fn tally(moves: &[(i64, &str, &str, Option<f64>)]) -> Tally {
        let mut tally = Tally::default();
        for (at, name, state, runtime) in moves {
            tally.count(*at, &Arc::from(*name), Some(state), figures(None, *runtime));
        }
        tally
    }

    #[tokio::test]
    async fn figures_add_up_over_restarts_and_replicas_do_not_count_twice() {
        let store = Store::open(&Place::Memory).await.unwrap();
        let moves = [
            (MINUTE, "add", "RECEIVED", None),
            (MINUTE + 1, "add", "SUCCESS", Some(0.2)),
            (MINUTE + 2, "mul", "SUCCESS", Some(4.0)),
            (2 * HOUR, "add", "SUCCESS", Some(0.2)),
        ];
        // The same supervisor twice, and a replica that missed the last.
        for (writer, moves) in [("a", &moves[..2]), ("a", &moves[2..]), ("b", &moves[..3])] {
            store.write(tally(moves).statements(writer)).await.unwrap();
        }
        let counts = store.series().counts(DAY).await.unwrap();
        assert_eq!(counts["add"]["SUCCESS"], 2);
        assert_eq!(
            (counts["add"]["RECEIVED"], counts["mul"]["SUCCESS"]),
            (1, 1)
        );
        assert_eq!((counts.len(), counts["add"].len()), (2, 2));

        for (step, first) in [(MINUTE, MINUTE), (HOUR, 0)] {
            let points = store.series().points(DAY, step).await.unwrap();
            let at: Vec<_> = points.iter().map(|point| point.at).collect();
            assert_eq!(at, [first, 2 * HOUR]);
            // What happened at the same time to others is in it, once.
            assert_eq!(
                (points[0].states["SUCCESS"], points[0].states["RECEIVED"]),
                (2, 1)
            );
            let middle = points[0].runtime.quantile(0.5).unwrap();
            assert!((0.17..0.23).contains(&middle), "{middle}");
        }
    }

    #[tokio::test]
    async fn minutes_are_forgotten_and_hours_stay() {
        let store = Store::open(&Place::Memory).await.unwrap();
        let moves = [
            (0, "add", "SUCCESS", None),
            (3 * HOUR, "add", "SUCCESS", None),
        ];
        store.write(tally(&moves).statements("a")).await.unwrap();
        while store.series().forget(MINUTE, HOUR).await.unwrap() > 0 {}
        let series = store.series();
        assert_eq!(series.points(DAY, MINUTE).await.unwrap().len(), 1);
        assert_eq!(series.points(DAY, HOUR).await.unwrap().len(), 2);
    }

    #[test]
    fn what_waits_is_bounded_and_what_is_taken_can_come_back() {
        let mut tally = Tally::default();
        for n in 0..20_000 {
            let (name, state) = (format!("task{n}").into(), format!("STATE{}", n % 100));
            tally.count(
                n * MINUTE / 10,
                &name,
                Some(&state),
                figures(None, Some(1.0)),
            );
        }
        let bounds = |tally: &Tally| {
            let names = tally.hours.values().map(BTreeMap::len).max();
            let states = tally.minutes.values().map(|point| point.states.len());
            (tally.minutes.len(), tally.hours.len(), names, states.max())
        };
        let (minutes, hours, names, _) = bounds(&tally);
        assert_eq!((minutes, hours, names), (MINUTES, HOURS, Some(NAMES + 1)));
        assert_eq!(tally.minutes.last_key_value().unwrap().0, &(1_999 * MINUTE));
        for n in 0..1_000 {
            let state = format!("STATE{n}");
            tally.count(1, &"add".into(), Some(&state), Figures::default());
        }
        assert_eq!(bounds(&tally).3, Some(STATES + 1));

        let mut taken = tally_of(3);
        let back = std::mem::take(&mut taken);
        assert!(taken.is_empty());
        taken.count(
            5,
            &"add".into(),
            Some("SUCCESS"),
            figures(Some(0.5), Some(0.5)),
        );
        taken.restore(back);
        let twice = tally_of(4);
        assert_eq!(taken.minutes, twice.minutes);
        assert_eq!(taken.hours, twice.hours);
    }

    fn tally_of(count: usize) -> Tally {
        let mut tally = Tally::default();
        for _ in 0..count {
            tally.count(
                5,
                &"add".into(),
                Some("SUCCESS"),
                figures(Some(0.5), Some(0.5)),
            );
        }
        tally
    }
}
