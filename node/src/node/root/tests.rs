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

#[actix::test]
async fn a_part_that_ends_again_and_again_stops_the_node() {
    let broker = MemoryBroker::new();
    // Somebody else has the queue for himself.
    let mut queue = Queue::private("celery");
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
