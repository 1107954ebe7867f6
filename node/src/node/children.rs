//! The parts of a node, each with the way to make it.

use std::sync::Arc;

use tokio::runtime::Handle;

use crate::guardian::Factory;
use crate::keeper::Keeper;
use crate::shared::{QueueState, Shared};
use crate::{autoscale, backend, consumer, heart, mailroom, revoked};
use celeriac::routing::TaskQueue;

/// The name of the part that delivers outcomes.
pub(super) const BACKEND: &str = "backend";

/// The name of the part that keeps tasks until their time.
pub(super) const TIMETABLE: &str = "timetable";

/// The name of the part that sends heartbeats and events.
pub(super) const HEART: &str = "heart";

/// The name of the part that answers remote control.
pub(super) const MAILROOM: &str = "mailroom";

/// The name of the part that writes what was called off.
const STATE: &str = "state";

/// The name of the part that follows the load.
const SCALER: &str = "scaler";

/// The name of the part that answers who stands for election.
const ELECTION: &str = "election";

/// What the names of consumers start with.
const CONSUMER: &str = "consumer ";

/// Returns the name of a queue's consumer.
pub(super) fn consumer_name(queue: &str) -> String {
    format!("{CONSUMER}{queue}")
}

/// Returns the queue that a part takes tasks from, if that is what it does.
pub(super) fn queue_of(name: &str) -> Option<&str> {
    name.strip_prefix(CONSUMER)
}

/// Returns the parts that every node has, in the order they start. They end in the
/// opposite order.
pub(super) fn standing(shared: &Arc<Shared>) -> Vec<(&'static str, Factory)> {
    let mut parts = Vec::with_capacity(7);
    if shared.state_file.get().is_some() {
        parts.push((STATE, state(shared)));
    }
    if shared.autoscale.is_some() {
        parts.push((SCALER, scaler(shared)));
    }
    parts.push((HEART, heart(shared)));
    parts.push((ELECTION, election(shared)));
    parts.push((MAILROOM, mailroom(shared)));
    parts.push((BACKEND, backend(shared)));
    parts.push((TIMETABLE, timetable(shared)));
    parts
}

/// Returns the way to make a queue's consumer.
pub(super) fn consumer(shared: &Arc<Shared>, queue: TaskQueue, state: Arc<QueueState>) -> Factory {
    let shared = Arc::clone(shared);
    Box::new(move |guard| {
        let (shared, queue, state) = (Arc::clone(&shared), queue.clone(), Arc::clone(&state));
        let work = shared.work.clone();
        Keeper::start_loop(guard, &work, |stop| {
            Box::pin(consumer::run(shared, queue, state, stop))
        })
    })
}

/// On the actors' own thread: it must beat while tasks use every other.
fn heart(shared: &Arc<Shared>) -> Factory {
    let shared = Arc::clone(shared);
    Box::new(move |guard| {
        let shared = Arc::clone(&shared);
        Keeper::start_loop(guard, &Handle::current(), |stop| {
            let pulse = shared.pulses.add(HEART);
            Box::pin(heart::beat(shared, stop, pulse))
        })
    })
}

/// On the actors' own thread: it must answer while tasks flood the node.
fn mailroom(shared: &Arc<Shared>) -> Factory {
    let shared = Arc::clone(shared);
    Box::new(move |guard| {
        let shared = Arc::clone(&shared);
        Keeper::start_loop(guard, &Handle::current(), |stop| {
            let pulse = shared.pulses.add(MAILROOM);
            Box::pin(mailroom::listen(shared, stop, pulse))
        })
    })
}

/// On the actors' own thread, as all that hears of other nodes.
fn election(shared: &Arc<Shared>) -> Factory {
    let shared = Arc::clone(shared);
    Box::new(move |guard| {
        let shared = Arc::clone(&shared);
        Keeper::start_loop(guard, &Handle::current(), |stop| {
            let pulse = shared.pulses.add(ELECTION);
            Box::pin(heart::election::answer(shared, stop, pulse))
        })
    })
}

fn state(shared: &Arc<Shared>) -> Factory {
    let shared = Arc::clone(shared);
    Box::new(move |guard| {
        let shared = Arc::clone(&shared);
        let work = shared.work.clone();
        Keeper::start_loop(guard, &work, |stop| {
            let pulse = shared.pulses.add(STATE);
            Box::pin(revoked::file::keep(shared, stop, pulse))
        })
    })
}

/// On the actors' own thread: it must see the load while tasks use every other.
fn scaler(shared: &Arc<Shared>) -> Factory {
    let shared = Arc::clone(shared);
    Box::new(move |guard| {
        let shared = Arc::clone(&shared);
        Keeper::start_loop(guard, &Handle::current(), |stop| {
            let pulse = shared.pulses.add(SCALER);
            Box::pin(autoscale::follow(shared, stop, pulse))
        })
    })
}

fn backend(shared: &Arc<Shared>) -> Factory {
    let shared = Arc::clone(shared);
    Box::new(move |guard| {
        let shared = Arc::clone(&shared);
        let work = shared.work.clone();
        Keeper::start_loop(guard, &work, |stop| Box::pin(backend::run(shared, stop)))
    })
}

fn timetable(shared: &Arc<Shared>) -> Factory {
    let shared = Arc::clone(shared);
    Box::new(move |guard| {
        let shared = Arc::clone(&shared);
        let work = shared.work.clone();
        Keeper::start_loop(guard, &work, |stop| {
            Box::pin(async move {
                let pulse = shared.pulses.add("timetable");
                shared.timetable.keep(stop, pulse).await;
            })
        })
    })
}
