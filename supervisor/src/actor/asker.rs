//! Asks single nodes questions, a few at a time.

use std::sync::Arc;
use std::time::Duration;

use celeriac::App;
use celeriac::control::Command;
use celeriac_protocol::{ResultDocument, Value};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::board::Facts;
use crate::cluster::Held;

/// Asks single nodes questions; cloning shares the places.
///
/// A question goes to one node, and a few at a time go over all proxies: a broadcast to
/// a large fleet for each change would be a storm.
#[derive(Debug, Clone)]
pub(super) struct Asker {
    app: App,
    places: Arc<Semaphore>,
    audits: Arc<Semaphore>,
    enable_events: bool,
}

/// How many nodes are asked something at one time.
const PLACES: usize = 8;
/// How long a node may take to answer.
const ANSWER: Duration = Duration::from_secs(2);
/// How long an answer to a ping is waited for.
const PONG: Duration = Duration::from_secs(1);
/// How long the result backend may take to answer.
const FETCH: Duration = Duration::from_secs(10);
/// Lists of names are cut to so many.
const NAMES: usize = 1_000;

impl Asker {
    pub(super) fn new(app: App, enable_events: bool) -> Self {
        let places = Arc::new(Semaphore::new(PLACES));
        Self {
            app,
            places,
            audits: Arc::new(Semaphore::new(1)),
            enable_events,
        }
    }

    /// Pings nodes, all with one message, and returns those that answered; `None` when the
    /// broker did not.
    pub(super) async fn ping(&self, nodes: Vec<String>) -> Option<Vec<String>> {
        let control = self.app.control().to(nodes).within(PONG);
        match control.ask(Command::ping()).await {
            Ok(replies) => Some(replies.into_keys().collect()),
            Err(error) => {
                tracing::debug!(%error, "nodes could not be pinged");
                None
            }
        }
    }

    /// Tells nodes how often to beat, all with one message.
    pub(super) async fn pace(&self, nodes: Vec<String>, seconds: f64) {
        let count = nodes.len();
        let command = Command::new("heartbeat_interval").argument("seconds", seconds);
        match self.app.control().to(nodes).cast(command).await {
            Ok(()) => tracing::info!(nodes = count, seconds, "told nodes how often to beat"),
            Err(error) => tracing::debug!(%error, "nodes could not be told how often to beat"),
        }
    }

    /// Asks a node for all the tasks it has; `None` when it does not tell. One node at a
    /// time over all proxies.
    pub(super) async fn holdings(&self, node: &str) -> Option<Held> {
        let control = self.app.control().to([node]).within(ANSWER);
        let ask = async |command| {
            let replies = control.ask(command).await;
            replies.ok().and_then(|mut replies| replies.remove(node))
        };
        // In the order in which a task moves on, so that none slips through between.
        let scheduled = ask(Command::scheduled()).await?;
        let reserved = ask(Command::reserved()).await?;
        let active = ask(Command::active(true)).await?;
        Some(Held::read(node, &active, &reserved, &scheduled))
    }

    /// Waits until this is the one audit that goes on.
    pub(super) async fn audit(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.audits).acquire_owned().await.ok()
    }

    /// Fetches stored results in the order of the ids; `None` when they cannot be had.
    pub(super) async fn results(&self, ids: &[String]) -> Option<Vec<Option<ResultDocument>>> {
        let backend = self.app.backend();
        if !backend.capabilities().fetch {
            return Some(vec![None; ids.len()]);
        }
        match tokio::time::timeout(FETCH, backend.fetch(ids)).await {
            Ok(Ok(documents)) => Some(documents),
            Ok(Err(error)) => {
                tracing::debug!(%error, "results could not be fetched");
                None
            }
            Err(_) => {
                tracing::debug!("the result backend did not answer in time");
                None
            }
        }
    }

    /// Asks for everything worth knowing; `None` when the node answers nothing at all.
    pub(super) async fn inquire(&self, node: &str) -> Option<Facts> {
        let _place = self.places.acquire().await;
        let stats = self.insist(node, "stats").await?;
        if self.enable_events {
            // Celery's workers send no task events unless told to.
            self.insist(node, "enable_events").await;
        }
        let queues = self.ask(node, "active_queues").await.unwrap_or_default();
        let tasks = self.ask(node, "registered").await.unwrap_or_default();
        Some(facts(&stats, &queues, &tasks))
    }

    /// Lets a node stop consuming a queue; says whether it answered.
    pub(super) async fn release(&self, node: &str, queue: &str) -> bool {
        let _place = self.places.acquire().await;
        let control = self.app.control().to([node]).within(ANSWER);
        let command = Command::new("cancel_consumer").argument("queue", queue);
        control
            .ask(command)
            .await
            .is_ok_and(|replies| replies.contains_key(node))
    }

    /// Asks up to three times: a worker says that it is online a second or two before it
    /// listens.
    async fn insist(&self, node: &str, method: &str) -> Option<Value> {
        for _ in 0..2 {
            let answer = self.ask(node, method).await;
            if answer.is_some() {
                return answer;
            }
        }
        self.ask(node, method).await
    }

    async fn ask(&self, node: &str, method: &str) -> Option<Value> {
        let control = self.app.control().to([node]).within(ANSWER);
        match control.ask(Command::new(method)).await {
            Ok(mut replies) => replies.remove(node),
            Err(error) => {
                tracing::debug!(node, method, %error, "a node could not be asked");
                None
            }
        }
    }
}

/// Reads what a node answered; what has another shape than Celery's is left out.
fn facts(stats: &Value, queues: &Value, tasks: &Value) -> Facts {
    let number = |value: Option<&Value>| value?.as_i64().and_then(|n| u64::try_from(n).ok());
    let stats = stats.as_map();
    let pool = stats.and_then(|stats| stats.get("pool")?.as_map());
    let names = |list: &Value, name: fn(&Value) -> Option<&str>| -> Vec<String> {
        let items = list.as_array().unwrap_or_default().iter();
        items
            .filter_map(name)
            .filter(|name| name.len() <= 255)
            .take(NAMES)
            .map(str::to_owned)
            .collect()
    };
    Facts {
        concurrency: number(pool.and_then(|pool| pool.get("max-concurrency"))),
        prefetch: number(stats.and_then(|stats| stats.get("prefetch_count"))),
        queues: names(queues, |queue| queue.as_map()?.get("name")?.as_str()),
        // `name [rate_limit=10/s]`: what follows the name is not part of it.
        tasks: names(tasks, |task| task.as_str()?.split(" [").next()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn value(json: &str) -> Value {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn facts_are_read_from_what_celery_answers() {
        let stats = value(r#"{"pool":{"max-concurrency":4},"prefetch_count":16,"clock":"12"}"#);
        let queues = value(r#"[{"name":"celery","routing_key":"celery"},{"name":"mail"}]"#);
        let tasks = value(r#"["app.add","app.mail [rate_limit=10/s]"]"#);
        let expected = Facts {
            concurrency: Some(4),
            prefetch: Some(16),
            queues: vec!["celery".to_owned(), "mail".to_owned()],
            tasks: vec!["app.add".to_owned(), "app.mail".to_owned()],
        };
        assert_eq!(facts(&stats, &queues, &tasks), expected);
    }

    #[test]
    fn answers_of_another_shape_are_left_out() {
        let odd = value(r#"[17, {"name": 3}, null, "x"]"#);
        let read = facts(&value("17"), &odd, &value(r#"{"error":"no"}"#));
        assert_eq!(read, Facts::default());
    }
}
