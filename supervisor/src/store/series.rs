//! Figures of each minute and hour: what moved to which state, and how long it took.
//!
//! They are counted as events come in, so they hold for tasks that were never stored or
//! are forgotten by now. Each supervisor counts for itself under its own name; replicas
//! hear the same events, so the one that heard most is believed.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use super::Store;
use super::error::StoreError;
use super::statement::Statement;
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

/// What was counted and is not stored yet.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    counts: HashMap<Key, u64>,
    names: HashSet<Arc<str>>,
    /// Figures that found no room.
    pub(crate) dropped: u64,
}

/// A minute, a name, what is counted, and the bucket of a duration.
type Key = (i64, Arc<str>, Measure, u32);

/// What is counted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Measure {
    /// Moves to a state.
    State(String),
    /// How long successful tasks ran.
    Runtime,
    /// How long tasks waited before they started.
    QueueTime,
}

/// The figures of one span of time.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Point {
    /// When the span starts, in microseconds since the epoch.
    pub(crate) at: i64,
    /// How many tasks moved to each state.
    pub(crate) states: BTreeMap<String, u64>,
    pub(crate) runtime: Sketch,
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
/// How many names are told apart between two writes, and how many figures wait for one.
const NAMES: usize = 500;
const FIGURES: usize = 50_000;
/// The name that all others share.
const OTHER: &str = "(other)";
/// What durations are counted under; states are in capitals.
const RUNTIME: &str = "runtime";
const QUEUE_TIME: &str = "queue_time";

impl Tally {
    /// Counts a move to a state, with the durations that it tells, in seconds.
    pub(crate) fn count(
        &mut self,
        now: i64,
        name: &Arc<str>,
        state: &str,
        queue_time: Option<f64>,
        runtime: Option<f64>,
    ) {
        let minute = now - now.rem_euclid(MINUTE);
        let name = if self.names.contains(name) {
            Arc::clone(name)
        } else if self.names.len() < NAMES {
            self.names.insert(Arc::clone(name));
            Arc::clone(name)
        } else {
            OTHER.into()
        };
        let bucket = |seconds: Option<f64>| seconds.and_then(Sketch::bucket);
        self.put(
            (
                minute,
                Arc::clone(&name),
                Measure::State(state.to_owned()),
                0,
            ),
            1,
        );
        for (measure, bucket) in [
            (Measure::QueueTime, bucket(queue_time)),
            (Measure::Runtime, bucket(runtime)),
        ] {
            if let Some(bucket) = bucket.and_then(|bucket| u32::try_from(bucket).ok()) {
                self.put((minute, Arc::clone(&name), measure, bucket), 1);
            }
        }
    }

    fn put(&mut self, key: Key, count: u64) {
        let room = self.counts.len() < FIGURES;
        match self.counts.get_mut(&key) {
            Some(known) => *known += count,
            None if room => drop(self.counts.insert(key, count)),
            None => self.dropped += count,
        }
    }

    /// Takes out what was counted.
    pub(crate) fn take(&mut self) -> Self {
        let dropped = std::mem::take(&mut self.dropped);
        let taken = std::mem::take(self);
        self.dropped = dropped;
        taken
    }

    /// Puts back what could not be stored.
    pub(crate) fn restore(&mut self, taken: Self) {
        for (key, count) in taken.counts {
            self.put(key, count);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    /// Returns the statements that add the figures to those of `writer`, in one order for
    /// all writers.
    pub(crate) fn statements(&self, writer: &str) -> Vec<Statement> {
        let mut figures: BTreeMap<(i64, i64, &str, &str, u32), u64> = BTreeMap::new();
        for ((minute, name, measure, bucket), count) in &self.counts {
            for step in [MINUTE, HOUR] {
                let at = minute - minute.rem_euclid(step);
                let key = (step, at, &**name, measure.as_str(), *bucket);
                *figures.entry(key).or_default() += count;
            }
        }
        let add =
            |((step, at, name, measure, bucket), count): ((i64, i64, &str, &str, u32), u64)| {
                let sql = "INSERT INTO series (step, at, name, measure, bucket, writer, count)
                       VALUES ($1, $2, $3, $4, $5, $6, $7)
                       ON CONFLICT (step, at, name, measure, bucket, writer)
                       DO UPDATE SET count = series.count + excluded.count";
                let statement = Statement::new(sql).bind(step).bind(at).bind(name);
                statement
                    .bind(measure)
                    .bind(bucket)
                    .bind(writer)
                    .bind(count)
            };
        figures.into_iter().map(add).collect()
    }
}

impl Measure {
    fn as_str(&self) -> &str {
        match self {
            Self::State(state) => state,
            Self::Runtime => RUNTIME,
            Self::QueueTime => QUEUE_TIME,
        }
    }
}

impl Store {
    pub(crate) const fn series(&self) -> Series<'_> {
        Series(self)
    }
}

impl Series<'_> {
    /// Returns how many tasks moved to each state, by name; exact to a minute for spans of
    /// two days, to an hour for longer ones.
    pub(crate) async fn counts(
        &self,
        span: Span,
    ) -> Result<BTreeMap<String, BTreeMap<String, u64>>, StoreError> {
        let step = if span.to - span.from <= MINUTES_KEPT {
            MINUTE
        } else {
            HOUR
        };
        let sql = "SELECT name, measure, CAST(sum(most) AS BIGINT) FROM (
                SELECT at, name, measure, max(count) AS most FROM series
                WHERE step = $1 AND at >= $2 AND at < $3
                  AND measure NOT IN ('runtime', 'queue_time')
                GROUP BY at, name, measure
            ) AS heard GROUP BY name, measure";
        let read = Statement::new(sql)
            .bind(step)
            .bind(span.from - span.from.rem_euclid(step))
            .bind(span.to);
        let mut counts: BTreeMap<String, BTreeMap<String, u64>> = BTreeMap::new();
        for row in self.0.read(read).await? {
            let count = u64::try_from(row.integer(2)?).unwrap_or_default();
            counts
                .entry(row.text(0)?)
                .or_default()
                .insert(row.text(1)?, count);
        }
        Ok(counts)
    }

    /// Returns the figures of a span, of all names or of one, by steps of whole minutes;
    /// steps in which nothing happened are left out.
    pub(crate) async fn points(
        &self,
        span: Span,
        step: i64,
        name: Option<&str>,
    ) -> Result<Vec<Point>, StoreError> {
        let level = if step % HOUR == 0 { HOUR } else { MINUTE };
        let step = step.max(level);
        let mut sql =
            "SELECT at - at % $1 AS slot, measure, bucket, CAST(sum(most) AS BIGINT) FROM (
                SELECT at, name, measure, bucket, max(count) AS most FROM series
                WHERE step = $2 AND at >= $3 AND at < $4 {name}
                GROUP BY at, name, measure, bucket
            ) AS heard GROUP BY 1, measure, bucket ORDER BY 1"
                .to_owned();
        sql = sql.replace("{name}", if name.is_some() { "AND name = $5" } else { "" });
        let mut read = Statement::new(sql)
            .bind(step)
            .bind(level)
            .bind(span.from - span.from.rem_euclid(step))
            .bind(span.to);
        if let Some(name) = name {
            read = read.bind(name);
        }
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
                    *point.states.entry(measure).or_default() += count;
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

    fn tally(moves: &[(i64, &str, &str, Option<f64>)]) -> Tally {
        let mut tally = Tally::default();
        for (at, name, state, runtime) in moves {
            tally.count(*at, &Arc::from(*name), state, None, *runtime);
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
        assert_eq!(counts["add"].len(), 2);

        let points = store.series().points(DAY, 30 * MINUTE, None).await.unwrap();
        let at: Vec<_> = points.iter().map(|point| point.at).collect();
        assert_eq!(at, [0, 2 * HOUR]);
        assert_eq!(points[0].states["SUCCESS"], 2);
        let middle = points[0].runtime.quantile(0.5).unwrap();
        assert!((0.17..0.23).contains(&middle), "{middle}");
        let hours = store.series().points(DAY, HOUR, Some("mul")).await.unwrap();
        assert_eq!((hours.len(), hours[0].states["SUCCESS"]), (1, 1));
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
        let points = |step| series.points(DAY, step, None);
        assert_eq!(points(MINUTE).await.unwrap().len(), 1);
        assert_eq!(points(HOUR).await.unwrap().len(), 2);
    }

    #[test]
    fn names_and_figures_are_bounded_and_what_is_taken_can_come_back() {
        let mut tally = Tally::default();
        for n in 0..FIGURES as i64 {
            tally.count(
                n * MINUTE,
                &format!("task{n}").into(),
                "SUCCESS",
                None,
                Some(1.0),
            );
        }
        assert_eq!(tally.counts.len(), FIGURES);
        assert!(tally.dropped > 0);
        let names: HashSet<_> = tally.counts.keys().map(|key| Arc::clone(&key.1)).collect();
        assert_eq!(names.len(), NAMES + 1);
        let taken = tally.take();
        assert!(tally.is_empty());
        tally.restore(taken);
        assert_eq!(tally.counts.len(), FIGURES);
    }
}
