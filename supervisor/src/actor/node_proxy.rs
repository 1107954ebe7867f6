//! The NodeProxy actor: stands for one remote node.

use std::sync::Arc;
use std::time::Duration;

use super::asker::Asker;
use super::root::{Answered, QueuesNamed};
use crate::board::{Board, Facts};
use crate::cluster::NodeState;
use crate::guardian::Ward;
use actix::prelude::*;

/// Stands for one remote node: asks it what it can do, and pings it when it is silent.
///
/// ```text
///  joined, restarted, every five minutes --> ask stats, queues, tasks
///  suspect                               --> ping; an answer is a sign of life
///  lost, offline                         --> nothing
/// ```
///
pub(crate) struct NodeProxy {
    node: String,
    asker: Asker,
    board: Arc<Board>,
    tell: Tell,
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

/// How often a node is asked about itself again.
const REFRESH: Duration = Duration::from_secs(300);

impl NodeProxy {
    pub(crate) fn new(
        node: String,
        asker: Asker,
        board: Arc<Board>,
        tell: Tell,
        ward: Ward,
    ) -> Self {
        let state = board
            .nodes
            .get(&node)
            .map_or(NodeState::Online, |node| node.state);
        Self {
            node,
            asker,
            board,
            tell,
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
        let (asker, node, tell) = (self.asker.clone(), self.node.clone(), self.tell.clone());
        let board = Arc::clone(&self.board);
        let ask = async move {
            let mut facts = asker.inquire(&node).await?;
            hold(&board, &asker, &node, &mut facts).await;
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
        let (asker, node, tell) = (self.asker.clone(), self.node.clone(), self.tell.clone());
        let ask = async move {
            if asker.answers(&node).await {
                let _ = tell.answered.send(Answered { node }).await;
            }
        };
        ctx.spawn(ask.into_actor(self));
    }
}

/// Lets a node stop consuming what is paused: it joined, or came back, since then.
async fn hold(board: &Board, asker: &Asker, node: &str, facts: &mut Facts) {
    match board.store.paused_queues().await {
        // Another supervisor may have paused one, too.
        Ok(rows) => board.pauses.restore(rows),
        Err(error) => tracing::warn!(node, %error, "which queues are paused may be old news"),
    }
    for queue in board.pauses.among(&facts.queues) {
        let told = [node.to_owned()];
        let now = celeriac::clock::now();
        if let Err(error) = board.store.pause_queue(&queue, &told, now).await {
            // Not told then: nobody would know to let it go on.
            tracing::warn!(node, queue, %error, "a node goes on with a paused queue");
            continue;
        }
        if asker.release(node, &queue).await {
            tracing::info!(node, queue, "a node stops consuming a paused queue");
            facts.queues.retain(|known| *known != queue);
        }
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
