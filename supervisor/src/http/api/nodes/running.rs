//! What a node runs now, asked from that node.

use std::sync::Arc;
use std::time::{Duration, Instant};

use celeriac::control::Command;
use celeriac_protocol::{Table, Value, repr};
use dashmap::DashMap;
use serde::Serialize;
use tokio::sync::Mutex;
use utoipa::ToSchema;

use crate::access::Redaction;
use crate::cluster::cut;
use crate::http::Desk;
use crate::http::view::moment;

/// A task that a node runs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, ToSchema)]
pub(in crate::http) struct RunningTask {
    pub(in crate::http) id: String,
    pub(in crate::http) name: String,
    pub(in crate::http) args: Option<String>,
    pub(in crate::http) kwargs: Option<String>,
    pub(in crate::http) queue: Option<String>,
    pub(in crate::http) started_at: Option<String>,
    /// The process that runs it.
    pub(in crate::http) pid: Option<i64>,
}

/// What nodes answered a moment ago. Who asks while a question is on its way waits for
/// its answer.
#[derive(Debug, Default)]
pub(in crate::http) struct RunningCache(DashMap<String, Arc<Mutex<Entry>>>);

type Entry = Option<(Instant, Option<Vec<RunningTask>>)>;

/// How long an answer holds.
const FRESH: Duration = Duration::from_secs(1);
/// How long a node may take: a page waits for it.
const ANSWER: Duration = Duration::from_secs(1);
/// Lists are cut to so many, texts to so many bytes.
const TASKS: usize = 1_000;
const TEXT: usize = 1_000;

/// Returns what a node runs now; `None` when it does not answer in time.
pub(in crate::http) async fn now(desk: &Desk, node: &str) -> Option<Vec<RunningTask>> {
    let cache = &desk.live.running.0;
    // Only known nodes are asked for, so the cache is as large as their table; what was
    // forgotten goes when somebody looks.
    if cache.len() > desk.board.nodes.len() + 64 {
        cache.retain(|name, _| desk.board.nodes.contains_key(name));
    }
    let entry = Arc::clone(&*cache.entry(node.to_owned()).or_default());
    let mut entry = entry.lock().await;
    if let Some((at, tasks)) = &*entry
        && at.elapsed() < FRESH
    {
        return tasks.clone();
    }
    let control = desk.app.control().to([node]).within(ANSWER);
    let tasks = match control.ask(Command::new("active")).await {
        Ok(mut replies) => {
            let reply = replies.remove(node);
            reply.and_then(|reply| tasks(&reply, &desk.config.redaction))
        }
        Err(error) => {
            tracing::debug!(node, %error, "a node could not be asked what it runs");
            None
        }
    };
    *entry = Some((Instant::now(), tasks.clone()));
    tasks
}

/// Reads an answer to `active`.
fn tasks(reply: &Value, redaction: &Redaction) -> Option<Vec<RunningTask>> {
    let items = reply.as_array()?.iter().take(TASKS);
    let items = items.filter_map(Value::as_map);
    Some(items.map(|map| task(map, redaction)).collect())
}

fn task(map: &Table, redaction: &Redaction) -> RunningTask {
    let name = map.get("name").and_then(Value::as_str);
    // A node shows what it runs; what is to be hidden of it is known here alone.
    let arguments = |field: &str| match map.get(field)? {
        Value::Null => None,
        Value::Str(text) => {
            let mut text = text.clone();
            redaction.arguments(name, &mut text);
            Some(cut(&text, TEXT))
        }
        other => {
            let shown = redaction.argument_value(name, other.clone());
            Some(
                shown
                    .as_str()
                    .map_or_else(|| repr::value(&shown, TEXT), |text| cut(text, TEXT)),
            )
        }
    };
    let text = |name: &str| match map.get(name)? {
        Value::Null => None,
        Value::Str(text) => Some(cut(text, TEXT)),
        other => Some(repr::value(other, TEXT)),
    };
    let delivery = map.get("delivery_info").and_then(Value::as_map);
    let queue = delivery.and_then(|info| info.get("routing_key")?.as_str());
    RunningTask {
        id: text("id").unwrap_or_default(),
        name: text("name").unwrap_or_default(),
        args: arguments("args"),
        kwargs: arguments("kwargs"),
        queue: queue.map(|queue| cut(queue, 255)),
        started_at: map
            .get("time_start")
            .and_then(Value::as_f64)
            .filter(|at| (0.0..4e9).contains(at))
            .map(moment::of_seconds),
        pid: map.get("worker_pid").and_then(Value::as_i64),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn what_workers_of_celery_run_is_read() {
        let reply = r#"[{"id":"t1","name":"app.add","args":[2,3],"kwargs":{},
            "time_start":1.5,"worker_pid":7,"delivery_info":{"routing_key":"celery"}}, 17]"#;
        let value: Value = serde_json::from_str(reply).unwrap();
        let tasks = tasks(&value, &Redaction::default()).unwrap();
        assert_eq!(tasks.len(), 1);
        let task = &tasks[0];
        assert_eq!((&*task.id, task.pid), ("t1", Some(7)));
        assert_eq!(task.args.as_deref(), Some("[2, 3]"));
        assert_eq!(task.queue.as_deref(), Some("celery"));
        let at = task.started_at.as_deref();
        assert_eq!(at, Some("1970-01-01T00:00:01.500000Z"));
        assert_eq!(super::tasks(&Value::Int(1), &Redaction::default()), None);
    }

    #[test]
    fn what_is_hidden_stays_hidden_while_it_runs() {
        let reply = r#"[
            {"id":"t1","name":"app.pay","args":["'hush'"],"kwargs":{"n":1}},
            {"id":"t2","name":"app.login","args":[],"kwargs":{"password":"hush"}},
            {"id":"t3","name":"app.login","args":"('x', {'token': 'hush'})","kwargs":"{}"}]"#;
        let value: Value = serde_json::from_str(reply).unwrap();
        let redaction = Redaction::default().arguments_of("app.pay").unwrap();
        let tasks = tasks(&value, &redaction).unwrap();
        assert!(!format!("{tasks:?}").contains("hush"), "{tasks:?}");
        assert_eq!(tasks[0].args.as_deref(), Some("**"));
        assert_eq!(tasks[1].kwargs.as_deref(), Some("{'password': '**'}"));
        assert!(tasks[2].args.as_deref().unwrap().starts_with("('x', {"));
    }
}
