//! One picture of the cluster, as the supervisor's API gives it.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::api::{Api, path};
use crate::error::Error;

/// One picture of the cluster.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Snapshot {
    pub(super) overview: Overview,
    /// Tasks that ended, second by second, oldest first.
    pub(super) pace: Vec<u64>,
    pub(super) nodes: Vec<Node>,
    pub(super) queues: Vec<Queue>,
    pub(super) tasks: Vec<Task>,
    /// What it was made of, for programs.
    raw: Value,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct Overview {
    pub(super) ready: bool,
    pub(super) last_minute: Rates,
    pub(super) backlog: Backlog,
    pub(super) load: Load,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct Rates {
    pub(super) per_second: f64,
    pub(super) failure_ratio: Option<f64>,
    pub(super) runtime: [Option<f64>; 3],
    pub(super) queue_time: [Option<f64>; 3],
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct Backlog {
    pub(super) ready: u64,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct Load {
    pub(super) running: u64,
    pub(super) slots: u64,
    pub(super) load: Option<f64>,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct Node {
    pub(super) name: String,
    pub(super) state: String,
    pub(super) software: Option<String>,
    pub(super) active: Option<u64>,
    pub(super) concurrency: Option<u64>,
    pub(super) processed: Option<u64>,
    pub(super) loadavg: Option<[f64; 3]>,
    pub(super) silent_seconds: f64,
    pub(super) queues: Option<Vec<String>>,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct Queue {
    pub(super) name: String,
    pub(super) ready: Option<u64>,
    pub(super) consumers: Option<u64>,
    pub(super) oldest_seconds: Option<f64>,
    pub(super) load: Option<f64>,
    pub(super) paused: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct Task {
    pub(super) id: String,
    pub(super) name: Option<String>,
    pub(super) state: String,
    pub(super) worker: Option<String>,
    pub(super) queue: Option<String>,
    pub(super) runtime_seconds: Option<f64>,
    pub(super) changed_at: Option<String>,
    pub(super) exception: Option<String>,
}

/// How many tasks are shown.
const TASKS: usize = 200;
/// How many pages of nodes or queues are asked for.
const PAGES: usize = 10;

impl Snapshot {
    /// Asks the supervisor for everything at once.
    pub(super) async fn take(api: &Api, within: Duration) -> Result<Self, Error> {
        let tasks = format!("/api/v1/tasks?limit={TASKS}");
        let (overview, series, nodes, queues, tasks) = tokio::try_join!(
            api.get("/api/v1/overview", within),
            api.get("/api/v1/series?window=2m", within),
            all(api, "nodes", within),
            all(api, "queues", within),
            api.get(&tasks, within),
        )?;
        Self::read(json!({
            "overview": overview,
            "series": series,
            "nodes": nodes,
            "queues": queues,
            "tasks": tasks["tasks"],
        }))
    }

    fn read(raw: Value) -> Result<Self, Error> {
        Ok(Self {
            overview: part(&raw, "overview")?,
            pace: pace(&raw["series"]),
            nodes: part(&raw, "nodes")?,
            queues: part(&raw, "queues")?,
            tasks: part(&raw, "tasks")?,
            raw,
        })
    }

    pub(super) fn json(&self) -> Value {
        self.raw.clone()
    }
}

/// Follows the pages of a list, as far as a screen can show.
async fn all(api: &Api, noun: &str, within: Duration) -> Result<Vec<Value>, Error> {
    let first = path(&[noun]);
    let (mut page, mut items) = (first.clone(), Vec::new());
    for _ in 0..PAGES {
        let mut answer = api.get(&page, within).await?;
        if let Some(Value::Array(more)) = answer.get_mut(noun).map(Value::take) {
            items.extend(more);
        }
        match answer["next_cursor"].as_str() {
            Some(cursor) => page = format!("{first}?cursor={cursor}"),
            None => break,
        }
    }
    Ok(items)
}

fn part<T: for<'de> Deserialize<'de>>(raw: &Value, name: &str) -> Result<T, Error> {
    T::deserialize(&raw[name]).map_err(|error| {
        let advice = "the supervisor may be of another version";
        Error::Failed(format!("{name}: {error}; {advice}"))
    })
}

fn pace(series: &Value) -> Vec<u64> {
    let counts = |name: &str| series[name].as_array().cloned().unwrap_or_default();
    let (succeeded, failed) = (counts("succeeded"), counts("failed"));
    let number = |value: &Value| value.as_u64().unwrap_or_default();
    let sums = succeeded.iter().zip(&failed);
    sums.map(|(a, b)| number(a) + number(b)).collect()
}

#[cfg(test)]
pub(super) mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    pub(in crate::command::top) fn example() -> Snapshot {
        Snapshot::read(json!({
            "overview": {
                "ready": true,
                "last_minute": {"per_second": 12.5, "failure_ratio": 0.02,
                    "runtime": [0.002, 0.4, 2.5], "queue_time": [0.01, 0.02, null]},
                "backlog": {"ready": 12_345}, "load": {"running": 3, "slots": 8, "load": 0.5},
            },
            "series": {"succeeded": [1, 2, 3], "failed": [0, 1, 0]},
            "nodes": [
                {"name": "one@host", "state": "online", "software": "celeriac", "active": 2,
                    "concurrency": 4, "processed": 1_000, "loadavg": [0.5, 0.4, 0.3],
                    "silent_seconds": 0.7, "queues": ["celery", "mail"]},
                {"name": "two@host", "state": "lost", "software": "py-celery",
                    "silent_seconds": 75.0},
            ],
            "queues": [
                {"name": "celery", "ready": 12_000, "consumers": 1, "oldest_seconds": 61.0},
                {"name": "mail", "ready": null, "consumers": null, "paused": true},
            ],
            "tasks": [
                {"id": "0aaa-1", "name": "shop.pay", "state": "FAILURE", "worker": "one@host",
                    "queue": "celery", "changed_at": "2026-11-22T18:00:01.500000Z",
                    "exception": "KeyError('card')"},
                {"id": "0bbb-2", "name": "shop.mail", "state": "STARTED", "worker": "one@host"},
            ],
        }))
        .unwrap()
    }

    #[test]
    fn what_is_missing_is_unknown_and_what_is_wrong_is_told() {
        let example = example();
        assert_eq!(example.pace, [1, 3, 3]);
        assert_eq!(example.nodes[1].active, None);
        let wrong = Snapshot::read(json!({"overview": 3})).unwrap_err();
        assert!(wrong.to_string().starts_with("overview: "), "{wrong}");
    }
}
