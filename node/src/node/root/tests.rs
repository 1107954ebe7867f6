#![allow(clippy::unwrap_used, clippy::panic)]

use std::time::Duration;

use celeriac::App;
use celeriac::broker::{Broker, MemoryBroker, Queue, Topology};
use celeriac::retry::Backoff;

use super::*;
use crate::config::Config;

const QUICK: Budget = Budget {
    restarts: 2,
    within: Duration::from_secs(60),
    backoff: Backoff::new(Duration::from_millis(1)).exact(),
};

/// A node that has not started, on a broker where somebody has a queue for himself, for
/// as long as he keeps his connection.
async fn node(taken: &str) -> (Arc<Shared>, mpsc::Receiver<Command>, MemoryBroker) {
    let broker = MemoryBroker::new();
    let mut queue = Queue::private(taken);
    queue.durable = true;
    let topology = Topology {
        queues: vec![queue],
        ..Topology::default()
    };
    broker.declare(&topology).await.unwrap();
    let app = App::builder("test")
        .broker_value(Arc::new(broker.connect()))
        .build()
        .unwrap();
    let (send, commands) = mpsc::channel(1);
    let work = tokio::runtime::Handle::current();
    let shared = Shared::new(app, Config::default(), work, send);
    (shared, commands, broker)
}

#[actix::test]
async fn a_part_that_ends_again_and_again_stops_the_node() {
    let (shared, commands, _owner) = node("celery").await;
    let stopped = Root::run(Arc::clone(&shared), commands, QUICK).await;
    let Reason::Fault(what) = stopped.reason else {
        panic!("a fault, not {stopped}");
    };
    assert_eq!(what, "consumer celery ends again and again");
    let restarts = shared.restarts.lock().unwrap().clone();
    assert_eq!(restarts["consumer celery"], 2);
    assert!(!shared.is_ready());
    assert_eq!(shared.phase(), Phase::Stopped);
}

#[actix::test]
async fn a_queue_that_was_added_and_is_refused_does_not_stop_the_node() {
    let (shared, commands, _owner) = node("private").await;
    let running = actix::spawn(Root::run(Arc::clone(&shared), commands, QUICK));
    assert!(shared.ready().await);
    let add = Command::AddConsumer(TaskQueue::new("private"));
    shared.commands.send(add).await.unwrap();
    let given_up = async {
        while shared.restarts.lock().unwrap().get("consumer private") != Some(&2)
            || shared.queues.contains_key("private")
        {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), given_up)
        .await
        .expect("the queue is given up");
    assert!(shared.is_ready());
    shared.shutdown.at_least(Wish::Drain);
    assert_eq!(running.await.unwrap().reason, Reason::Drained);
}
