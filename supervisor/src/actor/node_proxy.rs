//! The NodeProxy actor: stands for one remote node.

use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use celeriac::App;
use celeriac_protocol::{Table, Value};
use tokio::sync::Semaphore;

use super::root::{Answered, QueuesNamed};
use crate::board::{Board, Facts};
use crate::cluster::NodeState;
use crate::guardian::Ward;

/// Stands for one remote node: asks it what it can do, and pings it when it is silent.
///
/// ```text
///  joined, restarted, every five minutes --> ask stats, queues, tasks
///  suspect                               --> ping; an answer is a sign of life
///  lost, offline                         --> nothing
/// ```
///
/// Questions go to this one node, and a few at a time over all proxies: a broadcast to
/// a large fleet for each change would be a storm.
pub(crate) struct NodeProxy {
    node: String,
    app: App,
    board: Arc<Board>,
    tell: Tell,
    /// Shared by all proxies; each question takes a place.
    places: Arc<Semaphore>,
    state: NodeState,
    question: Option<SpawnHandle>,
    _ward: Ward,
}

/// Whom a proxy tells what it learned: the Root.
#[derive(Clone)]
pub(crate) struct Tell {
    pub(crate) answered: Recipient<Answered>,
    pub(crate) queues: Recipient<QueuesNamed>,
}

/// The node's state is another, or the node is another process.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub(crate) struct NodeChanged {
    pub(crate) state: NodeState,
    pub(crate) restarted: bool,
}

/// How long a node may take to answer.
const ANSWER: Duration = Duration::from_secs(2);
/// How often a node is asked about itself again.
const REFRESH: Duration = Duration::from_secs(300);
/// Lists of names are cut to so many.
const NAMES: usize = 1_000;

impl NodeProxy {
    pub(crate) fn new(
        node: String,
        (app, board, places): (App, Arc<Board>, Arc<Semaphore>),
        tell: Tell,
        ward: Ward,
    ) -> Self {
        let state = board
            .nodes
            .get(&node)
            .map_or(NodeState::Online, |node| node.state);
        Self {
            node,
            app,
            board,
            tell,
            places,
            state,
            question: None,
            _ward: ward,
        }
    }

    /// Asks the node about itself, unless a question is on its way.
    fn inquire(&mut self, ctx: &mut Context<Self>) {
        if self.state.is_gone() || self.question.is_some() {
            return;
        }
        let (app, node, places) = (self.app.clone(), self.node.clone(), self.places.clone());
        let tell = self.tell.clone();
        let ask = async move {
            let _place = places.acquire().await;
            let facts = inquire(&app, &node).await?;
            let named = QueuesNamed(facts.queues.clone());
            // A Root that is gone needs no names.
            let _ = tell.queues.send(named).await;
            Some(facts)
        };
        self.question = Some(ctx.spawn(ask.into_actor(self).map(|facts, proxy, _| {
            proxy.question = None;
            if let Some(facts) = facts {
                proxy.board.facts.insert(proxy.node.clone(), facts);
            }
        })));
    }

    /// Asks a silent node whether it lives: its heartbeats may be off or lost.
    fn ping(&mut self, ctx: &mut Context<Self>) {
        let (app, node, places) = (self.app.clone(), self.node.clone(), self.places.clone());
        let tell = self.tell.clone();
        let ask = async move {
            let _place = places.acquire().await;
            if ask(&app, &node, "ping").await.is_some() {
                let _ = tell.answered.send(Answered { node }).await;
            }
        };
        ctx.spawn(ask.into_actor(self));
    }
}

impl Actor for NodeProxy {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.inquire(ctx);
        ctx.run_interval(REFRESH, Self::inquire);
    }
}

impl Handler<NodeChanged> for NodeProxy {
    type Result = ();

    fn handle(&mut self, changed: NodeChanged, ctx: &mut Context<Self>) {
        let was_gone = self.state.is_gone();
        self.state = changed.state;
        if changed.state == NodeState::Suspect {
            self.ping(ctx);
        } else if changed.restarted || was_gone {
            // What is on its way was asked of the process before.
            if let Some(question) = self.question.take() {
                ctx.cancel_future(question);
            }
            self.inquire(ctx);
        }
    }
}

/// The node is forgotten, or the supervisor stops.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub(crate) struct Leave;

impl Handler<Leave> for NodeProxy {
    type Result = ();

    fn handle(&mut self, _: Leave, ctx: &mut Context<Self>) {
        self.board.facts.remove(&self.node);
        ctx.stop();
    }
}

async fn ask(app: &App, node: &str, method: &str) -> Option<Value> {
    let to = Some(vec![node.to_owned()]);
    match app.control().ask(method, Table::new(), to, ANSWER).await {
        Ok(mut replies) => replies.remove(node),
        Err(error) => {
            tracing::debug!(node, method, %error, "a node could not be asked");
            None
        }
    }
}

/// Asks for everything worth knowing; `None` when the node answers nothing at all.
async fn inquire(app: &App, node: &str) -> Option<Facts> {
    let stats = ask(app, node, "stats").await?;
    let queues = ask(app, node, "active_queues").await.unwrap_or_default();
    let tasks = ask(app, node, "registered").await.unwrap_or_default();
    Some(facts(&stats, &queues, &tasks))
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
