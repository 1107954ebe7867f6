//! The root actor.

use std::sync::{Arc, PoisonError};
use std::time::Instant;

use actix::{Actor, Addr, AsyncContext as _, Context, Handler, Message, Recipient};
use celeriac::routing::TaskQueue;
use tokio::sync::mpsc;

use super::children;
use super::stop;
use crate::guardian::{Budget, Ended, Guardian, Stop, Verdict};
use crate::shared::{Command, Phase, Shared};
use crate::shutdown::{Reason, Stopped, Wish};

/// The root actor: the table of children, and what becomes of those that end.
///
/// ```text
/// Ended --budget left--> wait --> made anew
///   |
///   +-----budget gone--> fault: the node stops
///                   +--> let go: the consumer of a queue that was added later
/// ```
pub(super) struct Root {
    shared: Arc<Shared>,
    budget: Budget,
    /// There from the start of the actor.
    guardian: Option<Guardian>,
    fault: mpsc::Sender<String>,
    /// The queues that the node was made for.
    own: Vec<TaskQueue>,
}

impl Root {
    /// Runs a node on the present arbiter until it has stopped.
    pub(super) async fn run(
        shared: Arc<Shared>,
        mut commands: mpsc::Receiver<Command>,
        budget: Budget,
    ) -> Stopped {
        let (fault, mut faults) = mpsc::channel(1);
        let root = Self {
            shared: Arc::clone(&shared),
            budget,
            guardian: None,
            fault,
            own: own(&shared),
        }
        .start();
        shared.enter(Phase::Running);
        let fault = loop {
            tokio::select! {
                () = shared.shutdown.wished(Wish::Finish) => break None,
                Some(what) = faults.recv() => break Some(what),
                Some(command) = commands.recv() => {
                    // The root lives as long as this loop.
                    let _ = root.send(command).await;
                }
            }
        };
        if let Some(what) = &fault {
            tracing::error!(node = shared.name(), fault = what, "node cannot go on");
        }
        stop::stop(&shared, &root, fault.map(Reason::Fault)).await
    }

    fn add_consumer(&mut self, queue: &TaskQueue) {
        // One copy of a broadcast queue is enough.
        let known = self
            .named(queue.family())
            .or_else(|| self.named(&queue.name));
        let queue = known.unwrap_or_else(|| queue.instance());
        self.shared
            .task_queues
            .insert(queue.name.clone(), queue.clone());
        let state = Arc::clone(&*self.shared.queues.entry(queue.name.clone()).or_default());
        if let Some(guardian) = &mut self.guardian {
            let name = children::consumer_name(&queue.name);
            guardian.start(&name, children::consumer(&self.shared, queue, state));
        }
        // Queues share the prefetch.
        self.shared
            .resized
            .send_replace(self.shared.slots.capacity());
    }

    /// Lets go of a queue, and returns the way to stop its consumer if that is alive.
    fn cancel_consumer(&mut self, queue: &str) -> Option<Recipient<Stop>> {
        let queue = self
            .named(queue)
            .map_or_else(|| queue.to_owned(), |known| known.name);
        let name = children::consumer_name(&queue);
        let released = self
            .guardian
            .as_mut()
            .and_then(|guardian| guardian.release(&name));
        self.shared.queues.remove(&queue);
        self.shared.task_queues.remove(&queue);
        self.shared
            .resized
            .send_replace(self.shared.slots.capacity());
        released
    }

    /// Returns the queue of a name or alias that is consumed.
    fn named(&self, name: &str) -> Option<TaskQueue> {
        let known = self.shared.task_queues.iter().find(|queue| queue.is(name));
        known.map(|queue| queue.clone())
    }

    /// Decides about a child that ends again and again. Without a part that every node
    /// has, or a queue that it was made for, a node is of no use; a queue that somebody
    /// added while it ran is his affair.
    fn give_up(&mut self, child: &str, panicked: bool) {
        let ends = if panicked { "panics" } else { "ends" };
        let what = format!("{child} {ends} again and again");
        match children::queue_of(child) {
            Some(queue) if !self.own.iter().any(|own| own.name == queue) => {
                tracing::error!(queue, reason = what, "queue is not consumed any more");
                self.cancel_consumer(queue);
            }
            // One fault is enough to stop.
            _ => drop(self.fault.try_send(what)),
        }
    }
}

/// Returns the queues of the configuration: copies of broadcast queues of its own.
fn own(shared: &Shared) -> Vec<TaskQueue> {
    let config = &shared.config;
    let named = config.queues.iter().map(|name| {
        let queue = shared.task_queue(name);
        // The node was not made with a name that is refused.
        queue.unwrap_or_else(|_| TaskQueue::new(name)).instance()
    });
    let direct = config
        .worker_direct
        .then(|| TaskQueue::of_node(&config.name));
    named.chain(direct).collect()
}

impl Actor for Root {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let mut guardian = Guardian::new(ctx.address().recipient(), self.budget);
        for (name, factory) in children::standing(&self.shared) {
            guardian.start(name, factory);
        }
        self.guardian = Some(guardian);
        let own = self.own.clone();
        for queue in &own {
            self.shared.queues.entry(queue.name.clone()).or_default();
        }
        for queue in &own {
            self.add_consumer(queue);
        }
    }
}

impl Handler<Ended> for Root {
    type Result = ();

    fn handle(&mut self, ended: Ended, ctx: &mut Self::Context) {
        let Some(guardian) = &mut self.guardian else {
            return;
        };
        let child = Arc::clone(&ended.child);
        match guardian.ended(&ended, Instant::now()) {
            Verdict::Expected => {}
            Verdict::Restart(after) => {
                let (child_name, panicked) = (&*child, ended.panicked);
                tracing::error!(
                    child = child_name,
                    panicked,
                    ?after,
                    "child ended: it is made anew"
                );
                let mut restarts = self
                    .shared
                    .restarts
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner);
                restarts.insert(child.to_string(), guardian.restarts(&child));
                drop(restarts);
                ctx.run_later(after, move |root, _| {
                    if let Some(guardian) = &mut root.guardian {
                        guardian.revive(&child);
                    }
                });
            }
            Verdict::GiveUp => self.give_up(&child, ended.panicked),
        }
    }
}

impl Message for Command {
    type Result = ();
}

impl Handler<Command> for Root {
    type Result = ();

    fn handle(&mut self, command: Command, _: &mut Self::Context) {
        match command {
            Command::AddConsumer(queue) => self.add_consumer(&queue),
            Command::CancelConsumer(queue) => {
                if let Some(consumer) = self.cancel_consumer(&queue) {
                    actix::spawn(async move {
                        // An error means that it has ended already.
                        let _ = consumer.send(Stop).await;
                    });
                }
            }
        }
    }
}

/// Asks the root to let go of children whose end is expected from now on.
pub(super) enum Release {
    /// All that take tasks.
    Consumers,
    /// All that are left, the last to start first.
    Rest,
}

impl Message for Release {
    type Result = Vec<Recipient<Stop>>;
}

impl Handler<Release> for Root {
    type Result = actix::MessageResult<Release>;

    fn handle(&mut self, release: Release, _: &mut Self::Context) -> Self::Result {
        let Some(guardian) = &mut self.guardian else {
            return actix::MessageResult(Vec::new());
        };
        let names: Vec<String> = match release {
            Release::Consumers => {
                let all = guardian.names().into_iter().map(|name| name.to_string());
                all.filter(|name| children::queue_of(name).is_some())
                    .collect()
            }
            Release::Rest => {
                let standing = children::standing(&self.shared).into_iter();
                standing.rev().map(|(name, _)| name.to_owned()).collect()
            }
        };
        actix::MessageResult(
            names
                .iter()
                .filter_map(|name| guardian.release(name))
                .collect(),
        )
    }
}

pub(super) type Address = Addr<Root>;

#[cfg(test)]
mod tests;
