//! The NodeProxy actor: stands for one remote node.

mod audit;

use std::sync::Arc;
use std::time::{Duration, Instant};

pub(crate) use self::audit::Audited;
use super::asker::Asker;
use super::root::QueuesNamed;
use crate::board::{Board, Facts};
use crate::cluster::NodeState;
use crate::guardian::Ward;
use actix::prelude::*;

/// Stands for one remote node: asks it what it can do, and what it has.
///
/// ```text
///  joined, back, restarted, every five minutes --> ask stats, queues, tasks
///  back, restarted, gone, events are missing   --> audit: what does it really run?
///  lost, offline                               --> ask nothing
/// ```
///
/// Celery's workers do not count their events, so each node that is thought to have tasks
/// is also audited when it is asked again.
pub(crate) struct NodeProxy {
    node: String,
    asker: Asker,
    board: Arc<Board>,
    tell: Tell,
    state: NodeState,
    question: Option<SpawnHandle>,
    auditing: bool,
    /// Something happened while an audit went on.
    again: bool,
    audited: Option<Instant>,
    _ward: Ward,
}

/// Whom a proxy tells what it learned: the Root.
#[derive(Clone)]
pub(crate) struct Tell {
    pub(crate) audited: Recipient<Audited>,
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
/// Audits of one node are this far apart at least: a node that floods loses events with
/// every heartbeat.
const PAUSE: Duration = Duration::from_secs(10);

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
            auditing: false,
            again: false,
            audited: None,
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

    /// Corrects what is thought of the node's tasks, once in ten seconds at most.
    fn audit(&mut self, ctx: &mut Context<Self>) {
        if self.auditing {
            self.again = true;
            return;
        }
        (self.auditing, self.again) = (true, false);
        let since = self.audited.map(|at| at.elapsed());
        let pause = since.map_or(Duration::ZERO, |since| PAUSE.saturating_sub(since));
        let (asker, board) = (self.asker.clone(), Arc::clone(&self.board));
        let (node, tell) = (self.node.clone(), self.tell.audited.clone());
        let work = async move {
            tokio::time::sleep(pause).await;
            audit::run(asker, board, node, tell).await;
        };
        ctx.spawn(work.into_actor(self).map(|(), proxy, ctx| {
            proxy.auditing = false;
            proxy.audited = Some(Instant::now());
            if proxy.again {
                proxy.audit(ctx);
            }
        }));
    }

    /// Asks again from time to time, in a large fleet less often: each question reaches
    /// every node, and those that it is not for drop it.
    fn refresh(&mut self, ctx: &mut Context<Self>) {
        self.inquire(ctx);
        if !self.board.history.open_on(&self.node, 1).is_empty() {
            self.audit(ctx);
        }
        let fleet = u32::try_from(self.board.nodes.len()).unwrap_or(u32::MAX);
        ctx.run_later(REFRESH * (fleet / 100).clamp(1, 100), Self::refresh);
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
        ctx.run_later(REFRESH, Self::refresh);
    }
}

impl Handler<NodeChanged> for NodeProxy {
    type Result = ();

    fn handle(&mut self, changed: NodeChanged, ctx: &mut Context<Self>) {
        let was_gone = self.state.is_gone();
        self.state = changed.state;
        if changed.state.is_gone() {
            self.audit(ctx);
        } else if changed.restarted || was_gone {
            self.audit(ctx);
            // What is on its way was asked of the process before.
            if let Some(question) = self.question.take() {
                ctx.cancel_future(question);
            }
            self.inquire(ctx);
        }
    }
}

/// Events of the node are missing, or nobody listened to it for a while.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub(crate) struct Audit;

impl Handler<Audit> for NodeProxy {
    type Result = ();

    fn handle(&mut self, _: Audit, ctx: &mut Context<Self>) {
        self.audit(ctx);
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
