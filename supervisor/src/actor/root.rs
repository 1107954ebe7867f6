//! The Supervisor actor, root of the others.

mod children;

use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::prelude::*;
use celeriac::App;
use celeriac::health::Pulse;
use tokio::sync::oneshot;

use self::children::Children;
use super::backend::{Awaited, Finished, Launched, TaskEvents, seconds};
use super::echo::{Echo, Heard};
use super::intake::Batch;
use super::node_proxy::{Audit, Audited, Leave, NodeChanged};
use crate::beat::Station;
use crate::board::Board;
use crate::cluster::{Action, Cluster, Reading, Rules};
use crate::config::Config;
use crate::error::Error;
use crate::feed::Change;
use crate::guardian::{Ended, Verdict};
use crate::letters::Neighbour;

/// Owns the model of the cluster and the table of proxies; starts every other actor and
/// starts it again when it dies.
///
/// When a part has used up its restarts the Root gives up, and the run ends with
/// [`Error::Exhausted`]: a supervisor that pretends to work is worse than none.
pub(crate) struct Root {
    app: App,
    config: Config,
    board: Arc<Board>,
    pulse: Pulse,
    station: Station,
    cluster: Cluster,
    echo: Echo,
    arbiters: Arbiters,
    children: Option<Children>,
    /// Told when the Root cannot go on; its drop tells that the Root is gone.
    end: Option<oneshot::Sender<Error>>,
    /// When time was let pass last.
    ticked: Option<Instant>,
    /// Whether nobody could be heard at the last turn.
    deaf: bool,
    /// What was added to the counters already: refused nodes, missed events.
    counted: (u64, u64),
}

/// The arbiters of the parts that work through floods.
pub(crate) struct Arbiters {
    pub(crate) intake: ArbiterHandle,
    pub(crate) backend: ArbiterHandle,
}

/// A node consumes these queues.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct QueuesNamed(pub(crate) Vec<String>);

/// How often time is let pass in the model.
const TICK: Duration = Duration::from_millis(250);
/// A turn that comes so late means that this process stood still, and heard nobody.
const STALL: Duration = Duration::from_secs(2);

impl Root {
    pub(crate) fn new(
        app: App,
        config: Config,
        board: Arc<Board>,
        station: Station,
        arbiters: Arbiters,
        end: oneshot::Sender<Error>,
    ) -> Self {
        let rules = Rules {
            lost_beats: config.lost_beats,
            forget_after: config.forget_after,
        };
        let cluster = Cluster::new(rules, config.max_nodes);
        let pulse = board.progress.keep("root");
        let (children, end, counted) = (None, Some(end), (0, 0));
        Self {
            app,
            config,
            board,
            pulse,
            station,
            cluster,
            echo: Echo::default(),
            arbiters,
            children,
            end,
            ticked: None,
            deaf: false,
            counted,
        }
    }

    /// Lets time pass in the model, unless nobody could be heard: then the silence of the
    /// nodes is this process's own, and what they said meanwhile is missing.
    fn tick(&mut self, ctx: &mut Context<Self>) {
        self.pulse.beat();
        let now = Instant::now();
        let stalled = self.ticked.is_some_and(|last| now - last > STALL);
        self.ticked = Some(now);
        let hears = self.board.is_consuming() && self.app.broker().link().borrow().is_up();
        let heard = self.echo.look(now);
        self.board
            .set_hearing(hears && !stalled && heard == Heard::Nodes, now);
        if stalled || !hears || heard == Heard::Again {
            self.cluster.deaf(now);
        }
        if !hears {
            self.deaf = true;
            self.echo = Echo::default();
            return;
        }
        if std::mem::take(&mut self.deaf)
            && let Some(children) = &self.children
        {
            for proxy in children.proxies() {
                let told = async move { proxy.send(Audit).await };
                ctx.spawn(told.into_actor(self).map(|_, _, _| ()));
            }
        }
        if heard == Heard::Nothing {
            return;
        }
        let actions = self.cluster.tick(now);
        self.perform(actions, ctx);
    }

    fn ping(&mut self, nodes: Vec<String>, ctx: &mut Context<Self>) {
        let Some(asker) = self.children.as_ref().map(Children::asker) else {
            return;
        };
        let sent = Instant::now();
        self.echo.sent(sent);
        let ask = async move { asker.ping(nodes).await };
        ctx.spawn(ask.into_actor(self).map(move |answered, root, ctx| {
            let now = Instant::now();
            root.echo.back(sent, answered.is_some());
            for node in answered.unwrap_or_default() {
                let actions = root.cluster.alive(&node, now);
                root.perform(actions, ctx);
            }
        }));
    }

    fn perform(&mut self, actions: Vec<Action>, ctx: &mut Context<Self>) {
        for action in actions {
            let deadly = self.board.crashes().learn(&action);
            self.put_away(deadly, ctx);
            match action {
                Action::Joined { node } => {
                    tracing::info!(node, "a node joined");
                    self.announce(&node, "joined");
                    self.publish(&node);
                    if let Some(children) = &mut self.children {
                        children.join(&node, &ctx.address());
                    }
                }
                Action::Restarted { node } => {
                    tracing::info!(node, "a node was restarted");
                    self.announce(&node, "restarted");
                    self.changed(&node, true, ctx);
                }
                Action::Changed { node, from, to } => {
                    let (from, to) = (from.as_str(), to.as_str());
                    tracing::info!(node, from, to, "a node changed its state");
                    self.announce(&node, to);
                    self.changed(&node, false, ctx);
                }
                Action::Forgotten { node } => {
                    tracing::info!(node, "a node was forgotten");
                    self.announce(&node, "forgotten");
                    self.board.nodes.remove(&node);
                    self.board.facts.remove(&node);
                    if let Some(proxy) = self.children.as_mut().and_then(|all| all.leave(&node)) {
                        let told = async move { proxy.send(Leave).await };
                        ctx.spawn(told.into_actor(self).map(|_, _, _| ()));
                    }
                }
                Action::Gap { node } => {
                    tracing::debug!(node, "events of a node are missing");
                    if let Some(proxy) = self.children.as_ref().and_then(|all| all.proxy(&node)) {
                        let told = async move { proxy.send(Audit).await };
                        ctx.spawn(told.into_actor(self).map(|_, _, _| ()));
                    }
                }
                Action::Ping { nodes } => self.ping(nodes, ctx),
                Action::Pace { nodes, seconds } => {
                    if let Some(asker) = self.children.as_ref().map(Children::asker) {
                        let told = async move { asker.pace(nodes, seconds).await };
                        ctx.spawn(told.into_actor(self));
                    }
                }
                Action::Queue { name } => {
                    self.board.queues.entry(name).or_default();
                }
            }
        }
    }

    /// Tells the nodes which tasks take nodes along.
    fn put_away(&self, ids: Vec<Arc<str>>, ctx: &mut Context<Self>) {
        let Some(first) = ids.first() else { return };
        let reason = self
            .board
            .crashes()
            .reason(first)
            .unwrap_or_default()
            .to_owned();
        let ids = ids.iter().map(|id| id.to_string()).collect();
        let neighbour = Neighbour::new(self.app.clone(), Arc::clone(&self.board));
        let told = async move { neighbour.tell(ids, &reason).await };
        ctx.spawn(told.into_actor(self));
    }

    /// Shows a node as it is now to the readers.
    fn publish(&self, name: &str) {
        if let Some(node) = self.cluster.node(name) {
            self.board.nodes.insert(name.to_owned(), node.clone());
        }
    }

    /// Tells live listeners of a node's state.
    fn announce(&self, name: &str, state: &'static str) {
        let name = name.to_owned();
        self.board.feed.publish(Change::Node { name, state });
    }

    fn changed(&self, name: &str, restarted: bool, ctx: &mut Context<Self>) {
        self.publish(name);
        let state = self.cluster.node(name).map(|node| node.state);
        let proxy = self.children.as_ref().and_then(|all| all.proxy(name));
        if let (Some(state), Some(proxy)) = (state, proxy) {
            let told = async move { proxy.send(NodeChanged { state, restarted }).await };
            ctx.spawn(told.into_actor(self).map(|_, _, _| ()));
        }
    }

    fn count(&mut self) {
        let now = (self.cluster.refused, self.cluster.missed);
        self.board
            .metrics
            .nodes_refused
            .inc_by(now.0 - self.counted.0);
        self.board
            .metrics
            .events_missed
            .inc_by(now.1 - self.counted.1);
        self.counted = now;
    }

    fn learn_queues(&mut self, names: Vec<String>, ctx: &mut Context<Self>) {
        for name in names {
            let actions = self.cluster.learn_queue(&name);
            self.perform(actions, ctx);
        }
    }

    /// Hands a message on to the Backend; the sender waits until it has it.
    fn to_backend<M>(&self, message: M) -> impl Future<Output = bool> + use<M>
    where
        M: Message<Result = ()> + Send + 'static,
        super::backend::Backend: Handler<M>,
    {
        let backend = self.children.as_ref().and_then(Children::backend);
        async move {
            match backend {
                Some(backend) => backend.send(message).await.is_ok(),
                None => false,
            }
        }
    }
}

impl Actor for Root {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(super::MAILBOX);
        let (app, board, config) = (&self.app, &self.board, &self.config);
        let children = Children::start(
            app,
            board,
            config,
            &self.station,
            &self.arbiters,
            &ctx.address(),
        );
        self.children = Some(children);
        let queues = std::mem::take(&mut self.config.queues);
        self.learn_queues(queues, ctx);
        ctx.run_interval(TICK, Self::tick);
    }
}

impl Handler<Batch> for Root {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, Batch(batch): Batch, ctx: &mut Context<Self>) -> Self::Result {
        self.pulse.beat();
        let (now, wall) = (Instant::now(), seconds(celeriac::clock::now()));
        let mut tasks = Vec::with_capacity(batch.len());
        for (sender, reading) in batch {
            let actions = self.cluster.apply(&sender, &reading, now, wall);
            self.perform(actions, ctx);
            let deadly = self.board.crashes().hear(&reading);
            self.put_away(deadly.into_iter().collect(), ctx);
            match reading {
                Reading::Task { .. } => tasks.push(reading),
                Reading::Beat { .. } | Reading::Goodbye(_) => self.publish(&sender),
                Reading::Nothing => {}
            }
        }
        self.count();
        if tasks.is_empty() {
            return Box::pin(std::future::ready(()));
        }
        let (count, board) = (tasks.len() as u64, Arc::clone(&self.board));
        let kept = self.to_backend(TaskEvents(tasks));
        // The Intake waits for this future: the Backend's pace becomes the Intake's.
        Box::pin(async move {
            if !kept.await {
                board.metrics.events_dropped.inc_by(count);
            }
        })
    }
}

impl Handler<QueuesNamed> for Root {
    type Result = ();

    fn handle(&mut self, QueuesNamed(names): QueuesNamed, ctx: &mut Context<Self>) {
        self.learn_queues(names, ctx);
    }
}

/// What HTTP says to the Backend goes through the Root, whose address stays.
macro_rules! hand_on {
    ($($message:ty),*) => {$(
        impl Handler<$message> for Root {
            type Result = ResponseFuture<()>;

            fn handle(&mut self, message: $message, _: &mut Context<Self>) -> Self::Result {
                let told = self.to_backend(message);
                Box::pin(async move {
                    let _kept = told.await;
                })
            }
        }
    )*};
}

hand_on!(Launched, Awaited, Finished, Audited);

impl Handler<Ended> for Root {
    type Result = ();

    fn handle(&mut self, ended: Ended, ctx: &mut Context<Self>) {
        let Some(children) = &mut self.children else {
            return;
        };
        let Ended {
            part,
            ref key,
            panicked,
            ..
        } = ended;
        match children.ended(&ended, Instant::now()) {
            Verdict::Ignore => {}
            Verdict::Restart(delay) => {
                tracing::error!(part, %key, panicked, ?delay, "a part ended; it is started again");
                self.board.metrics.restart(part);
                let key = Arc::clone(key);
                ctx.run_later(delay, move |root, _| {
                    if let Some(children) = &mut root.children {
                        children.restart(part, &key);
                    }
                });
            }
            Verdict::GiveUp { restarts } => {
                let error = Error::Exhausted { part, restarts };
                tracing::error!(%error, "the supervisor gives up");
                // Nobody listens any more when the run has ended already.
                drop(self.end.take().map(|end| end.send(error)));
                ctx.stop();
            }
        }
    }
}
